"""Containers × oddities: length, level, channels, tags and picture through the tasks.

`make media-matrix` runs all of it. Otherwise one container of each oddity is tried, by turns.
"""

from __future__ import annotations

import logging
import os
import subprocess
import threading
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import soundfile
from tests.integration.runner.tasks.conftest import Bench
from tests.integration.runner.tasks.media.matrix.containers import CONTAINERS, Container
from tests.integration.runner.tasks.media.matrix.oddities import (
    LEFT,
    ODDITIES,
    RATE,
    SIZE,
    Recipe,
    Wanted,
    picture_block,
)

from audiojob_runner.errors import PhaseError
from audiojob_runner.media.examine import examine_streams
from audiojob_runner.media.tags.found import joined
from audiojob_runner.task import Publishing, TaskContext, TaskInput, TaskOutput
from audiojob_runner.tasks import load
from audiojob_types.contract import Device, FolderStore, PhaseLimits, PhaseNetwork
from audiojob_types.destination import Layout
from audiojob_types.parameters import resolve_parameters
from audiojob_types.tasks import Task

ALL: Final = os.environ.get("MEDIA_MATRIX") == "all"
MADE: Final = {
    (container.name, oddity): recipe(container)
    for container in CONTAINERS.values()
    for oddity, recipe in ODDITIES.items()
}
POSSIBLE: Final = {case: recipe for case, recipe in MADE.items() if isinstance(recipe, Recipe)}

# Where the layout changes, ffmpeg forgets what its filters hold: less than one frame of the encoder.
CHANGE: Final = "a change of layout and rate"
LIMITS: Final = {
    ("opus", CHANGE): "of Ogg Opus files behind each other ffmpeg 5 decodes all in the layout of the first"
}


def rows() -> list[Any]:
    """All that can be; or of each oddity a container, another one each time."""
    cases = list(POSSIBLE)
    if not ALL:
        turns = {oddity: [case for case in cases if case[1] == oddity] for oddity in ODDITIES}
        cases = [cases[number % len(cases)] for number, cases in enumerate(turns.values())]
    return [
        pytest.param(*case, id=f"{case[0]} with {case[1]}", marks=[pytest.mark.xfail(strict=True, reason=LIMITS[case])])
        if case in LIMITS
        else pytest.param(*case, id=f"{case[0]} with {case[1]}")
        for case in cases
    ]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where files are made once, and a cover for them."""
    folder = tmp_path_factory.mktemp("matrix")
    ffmpeg(folder, "-f", "lavfi", "-i", f"testsrc=s={SIZE[0]}x{SIZE[1]}:d=0.1", "-frames:v", "1", "cover.jpg")
    return folder


def ffmpeg(folder: Path, *arguments: str) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", *arguments], cwd=folder, check=True, timeout=60)


def file(folder: Path, container: Container, oddity: str, recipe: Recipe) -> Path:
    """The file of a row, made unless it is there."""
    own = folder / container.name / oddity.replace(" ", "-")
    path = own / (recipe.called or f"song.{container.name}")
    if path.exists():
        return path
    own.mkdir(parents=True)
    whole = b""
    for part in recipe.parts:
        given = [each.replace("COVER", _cover(folder, container)) if "COVER" in each else each for each in part]
        ffmpeg(own, *given, *(container.front if recipe.kept < 1 else ()), f"part.{container.name}")
        whole += (own / f"part.{container.name}").read_bytes()
    path.write_bytes(whole[: int(len(whole) * recipe.kept)])
    if recipe.after:
        ffmpeg(own, "-i", path.name, "-c", "copy", *recipe.after, f"after.{container.name}")
        (own / f"after.{container.name}").replace(path)
    return path


def _cover(folder: Path, container: Container) -> str:
    path = folder / "cover.jpg"
    return str(path) if container.cover == "attachment" else picture_block(path)


@pytest.mark.parametrize(("name", "oddity"), rows())
def test_what_goes_in_comes_out(made: Path, bench: Bench, name: str, oddity: str) -> None:
    container, recipe = CONTAINERS[name], POSSIBLE[name, oddity]
    source, wanted = file(made, container, oddity, recipe), recipe.wanted
    if wanted.refused:
        for task, parameters in ((Task.NORMALIZE, {}), (Task.TRANSCODE, {"format": "flac"})):
            with pytest.raises(PhaseError) as caught:
                bench.run(task, source, **parameters)
            assert caught.value.reason in wanted.refused
        return
    downloaded = bench.run(Task.DOWNLOAD, source).outputs[0]
    check_download(downloaded, source, container, wanted)
    normal = bench.run(Task.NORMALIZE, downloaded.path).outputs[0]
    check_sound(normal.path, wanted)
    more = {} if recipe.channels is None else {"channels": recipe.channels}
    coded = bench.run(Task.TRANSCODE, downloaded.path, format="flac", **more).outputs[0]
    check_sound(coded.path, wanted)
    assert coded.metadata["durationSeconds"] == pytest.approx(
        normal.metadata["durationSeconds"], abs=0.1 if oddity == CHANGE else 0.002
    )
    assert coded.metadata["channels"] == wanted.channels
    check_tags(coded.path, wanted)
    check_pictures(bench, downloaded.path, coded.path, wanted)
    check_published(bench, coded, wanted)


def check_download(output: TaskOutput, source: Path, container: Container, wanted: Wanted) -> None:
    """It is what it was, and called what it is."""
    assert output.path.read_bytes() == source.read_bytes()
    assert output.media_type.split("/")[1] == container.media_type.split("/")[1] or container.name in ("mp4", "m4a")
    assert output.path.suffix.removeprefix(".") in {container.name, *OTHER_NAMES.get(container.name, ())}
    for tag, value in wanted.tags.items():
        assert output.metadata[tag] == value


# What else a file of that container may be called: by what is in it.
OTHER_NAMES: Final = {"mp4": ("m4a",), "mkv": ("mka",), "webm": ("weba",), "aiff": ("aif",), "mov": ("mp4", "m4a")}


def check_sound(path: Path, wanted: Wanted) -> None:
    sound, rate = soundfile.read(path, always_2d=True)
    sides = sound if sound.shape[1] > 1 else np.repeat(sound, 2, axis=1)
    assert len(sides) / rate == pytest.approx(wanted.seconds, abs=wanted.slack)
    # Six channels have the level of the source, two that of the mix.
    for heard in wanted.heard if sound.shape[1] <= 2 else ():
        part = sides[round(heard.begin * rate) : round(heard.end * rate)]
        for side, (pitch, level) in enumerate((heard.left, heard.right)):
            assert level_of(part[:, side], pitch, rate) == pytest.approx(level, rel=0.12), (heard, side)
    for begin, end in wanted.silent:
        assert np.abs(sides[round(begin * rate) : round(end * rate)]).max() < 0.01


def level_of(sound: np.ndarray[Any, Any], pitch: int, rate: int) -> float:
    """Amplitude of a tone."""
    turns = np.exp(-2j * np.pi * pitch / rate * np.arange(len(sound)))
    return float(2 * np.abs(np.mean(sound * turns)))


def check_tags(path: Path, wanted: Wanted) -> None:
    tags = {tag: joined(value) for tag, value in examine_streams(path, threading.Event()).tags.items()}
    assert {tag: tags.get(tag) for tag in wanted.tags} == wanted.tags


def check_pictures(bench: Bench, source: Path, coded: Path, wanted: Wanted) -> None:
    """The picture is shown as players show it, and goes on into what is made of the file."""
    if wanted.picture is None:
        if not wanted.film:
            with pytest.raises(PhaseError, match="no film and no cover"):
                bench.run(Task.THUMBNAIL, source)
        return
    made = [bench.run(Task.THUMBNAIL, source).outputs[0].path]
    if wanted.film:
        film = bench.run(Task.TRANSCODE, source, format="mp4").outputs[0]
        assert (film.metadata["width"], film.metadata["height"]) == wanted.picture
        assert film.metadata["durationSeconds"] == pytest.approx(wanted.seconds, abs=wanted.slack)
        made.append(bench.run(Task.THUMBNAIL, film.path).outputs[0].path)
    else:
        made.append(bench.run(Task.THUMBNAIL, coded, origin="Cover").outputs[0].path)
    for path in made:
        picture = examine_picture(path)
        assert picture == wanted.picture


def examine_picture(path: Path) -> tuple[int, int]:
    command = ["ffprobe", "-v", "error", "-show_entries", "stream=width,height", "-of", "csv=p=0", str(path)]
    width, height = subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip().split(",")
    return int(width), int(height)


def check_published(bench: Bench, output: TaskOutput, wanted: Wanted) -> None:
    """It lies in the library as it is, under the name that its tags give it."""
    library, work = bench.root / "library", bench.root / "publish"
    library.mkdir()
    work.mkdir()
    context = TaskContext(
        work_dir=work,
        models_root=bench.models,
        device=Device.CPU,
        limits=PhaseLimits(),
        network=PhaseNetwork(),
        progress=lambda *_: None,
        log=logging.getLogger("test"),
        attempt=1,
        job_uid="uid",
        cancelled=threading.Event(),
        publishing=Publishing("nas", Layout.ARTIST, FolderStore(kind="Folder", root=str(library)), work, "a-job"),
    )
    given = TaskInput("media", path=output.path, media_type=output.media_type, metadata=output.metadata)
    result = load(Task.PUBLISH)({"media": given}, resolve_parameters(Task.PUBLISH, {}), context)
    (published,) = result.metadata["published"]
    assert (library / published["key"]).read_bytes() == output.path.read_bytes()
    if wanted.tags:
        assert published["key"] == f"{wanted.tags['artist']}/{wanted.tags['title']} (media).flac"


@pytest.mark.parametrize(
    "name", [name for name, _ in POSSIBLE if (name, "floats above full scale") in POSSIBLE and _ == "nothing odd"]
)
def test_floats_above_full_scale_are_turned_down_before_they_could_be_cut(made: Path, bench: Bench, name: str) -> None:
    oddity = "floats above full scale"
    source = file(made, CONTAINERS[name], oddity, POSSIBLE[name, oddity])
    path = bench.run(Task.TRANSCODE, source, format="flac", loudnessLufs=-20).outputs[0].path
    sound = soundfile.read(path, always_2d=True)[0][RATE // 2 : -RATE // 2, 0]
    assert level_of(sound, LEFT, RATE) > 100 * level_of(sound, 3 * LEFT, RATE)


def test_what_cannot_be_is_listed_with_its_reason() -> None:
    reasons = {case: why for case, why in MADE.items() if isinstance(why, str)}
    assert len(reasons) + len(POSSIBLE) == len(CONTAINERS) * len(ODDITIES)
    assert all(why and why[0].islower() for why in reasons.values())
