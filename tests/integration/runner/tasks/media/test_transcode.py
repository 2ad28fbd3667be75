"""Transcode and Thumbnail on real files with the real ffmpeg."""

from __future__ import annotations

import math
import subprocess
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from tests.integration.runner.tasks.conftest import Bench

from audiojob_runner.errors import PhaseError
from audiojob_runner.media.examine import examine_streams
from audiojob_runner.media.levels.loudness import LoudnessRequest, measure
from audiojob_runner.media.streams import MediaFile
from audiojob_types.contract import PhaseLimits
from audiojob_types.reasons import Reason
from audiojob_types.tasks import Task

CODECS = {
    "mp3": "mp3", "m4a": "aac", "opus": "opus", "flac": "flac", "wav": "pcm_s16le", "ogg": "vorbis", "mp4": "aac",
}  # fmt: skip


def look(path: Path) -> MediaFile:
    return examine_streams(path, threading.Event())


def make(folder: Path, name: str, *arguments: str) -> Path:
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", *arguments, name], cwd=folder, check=True, timeout=60)
    return folder / name


@pytest.fixture(scope="module")
def song(sounds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A song with tags, a cover and chapters."""
    folder = tmp_path_factory.mktemp("song")
    (folder / "chapters").write_text(
        ";FFMETADATA1\ntitle=Old title\nartist=Somebody\ngenre=Jazz\n"
        "[CHAPTER]\nTIMEBASE=1/1\nSTART=0\nEND=2\ntitle=One\n[CHAPTER]\nTIMEBASE=1/1\nSTART=2\nEND=4\ntitle=Two\n"
    )
    inputs = ["-i", str(sounds / "tone.wav"), "-i", str(sounds / "picture.png"), "-i", "chapters"]
    outputs = ["-map", "0", "-map", "1", "-map_metadata", "2", "-map_chapters", "2", "-disposition:v", "attached_pic"]
    return make(folder, "song.mp3", *inputs, *outputs)


@pytest.mark.parametrize("form", CODECS)
@pytest.mark.parametrize("name", ["surround.flac", "film.webm"])
def test_every_form_out_of_every_source(bench: Bench, sounds: Path, name: str, form: str) -> None:
    if form == "mp4" and not name.startswith("film"):
        with pytest.raises(PhaseError, match="has no film"):
            bench.run(Task.TRANSCODE, sounds / name, format=form)
        return
    (output,) = bench.run(Task.TRANSCODE, sounds / name, format=form).outputs
    found = look(output.path)
    assert (output.name, output.path.name) == ("media", f"media.{form}")
    assert [stream.codec for stream in found.sounds] == [CODECS[form]]
    assert [stream.codec for stream in found.films] == (["h264"] if form == "mp4" else [])
    assert output.metadata["durationSeconds"] == pytest.approx(4, abs=0.1)
    percents = [percent for percent, _ in bench.reports]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    assert list(bench.work.iterdir()) == [output.path]


@pytest.mark.parametrize(
    ("form", "lost"),
    [
        ("mp3", []), ("m4a", []), ("opus", []), ("flac", ["chapters"]), ("ogg", ["chapters"]),
        ("wav", ["cover", "chapters"]),
    ],
)  # fmt: skip
def test_tags_are_kept_or_set_and_what_cannot_be_kept_is_said(
    bench: Bench, song: Path, form: str, lost: list[str]
) -> None:
    result = bench.run(Task.TRANSCODE, song, format=form, title="New title")
    found = look(result.outputs[0].path)
    tags = {"title": "New title", "artist": "Somebody", "genre": "Jazz"}
    assert dict(found.tags) == tags
    assert tags.items() <= result.outputs[0].metadata.items(), "files are named by these"
    assert len(found.covers) == int("cover" not in lost)
    assert len(found.chapters) == (0 if "chapters" in lost else 2)
    said = result.metadata["warnings"]
    assert len(said) == len(lost)
    assert all(word in sentence for word, sentence in zip(lost, said, strict=True))


def test_tags_and_cover_can_be_left_behind(bench: Bench, song: Path) -> None:
    result = bench.run(Task.TRANSCODE, song, format="m4a", keepTags=False, keepCover=False)
    found = look(result.outputs[0].path)
    assert (dict(found.tags), found.covers, found.chapters, result.metadata["warnings"]) == ({}, (), (), [])


@pytest.mark.parametrize(
    ("parameters", "want"),
    [
        pytest.param({"format": "mp3", "bitrateKilobits": 64}, (44_100, 2), id="bit rate"),
        pytest.param({"format": "mp3", "bitrateKilobits": 512}, (44_100, 2), id="a bit rate that MP3 does not have"),
        pytest.param({"format": "ogg", "bitrateKilobits": 16}, (44_100, 2), id="a very low bit rate of Vorbis"),
        pytest.param({"format": "ogg", "bitrateKilobits": 512}, (44_100, 2), id="a very high bit rate of Vorbis"),
        pytest.param(
            {"format": "opus", "bitrateKilobits": 512, "channels": 1}, (48_000, 1), id="too much for one side"
        ),
        pytest.param({"format": "flac", "sampleRate": 96_000}, (96_000, 2), id="another sample rate"),
        pytest.param({"format": "mp3", "sampleRate": 96_000}, (48_000, 2), id="a sample rate that MP3 does not have"),
        pytest.param({"format": "m4a", "sampleRate": 8_000}, (44_100, 2), id="a sample rate too low for AAC"),
        pytest.param({"format": "wav", "channels": 1}, (44_100, 1), id="mono"),
        pytest.param({"format": "flac", "channels": 6}, (44_100, 6), id="more channels than there are"),
    ],
)
def test_sound_takes_the_wanted_form_or_the_nearest(
    bench: Bench, sounds: Path, parameters: dict[str, Any], want: tuple[int, int]
) -> None:
    (output,) = bench.run(Task.TRANSCODE, sounds / "tone.wav", **parameters).outputs
    assert (output.metadata["sampleRate"], output.metadata["channels"]) == want


def test_lossless_forms_keep_every_bit(bench: Bench, sounds: Path) -> None:
    before, _ = soundfile.read(sounds / "tone.wav", dtype="int16")
    for form in ("flac", "wav"):
        (output,) = bench.run(Task.TRANSCODE, sounds / "tone.wav", format=form).outputs
        after, _ = soundfile.read(output.path, dtype="int16")
        assert np.array_equal(before, after)


def test_what_is_finer_than_16_bits_stays_so(bench: Bench, tmp_path: Path) -> None:
    sound = np.random.default_rng(1).uniform(-0.5, 0.5, (44_100, 2))
    soundfile.write(tmp_path / "fine.wav", sound, 44_100, subtype="PCM_24")
    for form in ("flac", "wav"):
        (output,) = bench.run(Task.TRANSCODE, tmp_path / "fine.wav", format=form).outputs
        after, _ = soundfile.read(output.path)
        assert np.abs(after - sound).max() < 2e-7


def test_sound_can_be_copied_without_a_loss(bench: Bench, sounds: Path) -> None:
    result = bench.run(Task.TRANSCODE, sounds / "film.mp4", format="m4a", copySound=True)
    assert result.metadata["copied"] == ["Audio"]
    sums = [
        subprocess.run(
            ["ffmpeg", "-v", "error", "-i", str(path), "-map", "0:a", "-c", "copy", "-f", "md5", "-"],
            check=True, capture_output=True, timeout=60,
        ).stdout
        for path in (sounds / "film.mp4", result.outputs[0].path)
    ]  # fmt: skip
    assert sums[0] == sums[1]


@pytest.mark.parametrize(("level", "target"), [(0.05, -14), (0.5, -23), (0.25, -18)])
def test_loudness_is_brought_to_the_target(bench: Bench, tmp_path: Path, level: float, target: int) -> None:
    noise = np.random.default_rng(2).normal(0, level / 4, (44_100 * 5, 2)).clip(-1, 1)
    soundfile.write(tmp_path / "noise.wav", noise, 44_100, subtype="FLOAT")
    result = bench.run(Task.TRANSCODE, tmp_path / "noise.wav", format="flac", loudnessLufs=target)
    request = LoudnessRequest(result.outputs[0].path, "flac", 0, 60)
    reached = measure(request, lambda _: None, threading.Event())
    assert reached.integrated == pytest.approx(target, abs=0.3)
    assert reached.true_peak < -0.5
    assert result.metadata["warnings"] == []


def test_peaks_are_never_cut_off_for_loudness(bench: Bench, tmp_path: Path) -> None:
    sound = np.full((44_100 * 3, 2), 0.001)
    sound[::4_410] = 0.9
    soundfile.write(tmp_path / "clicks.wav", sound, 44_100, subtype="FLOAT")
    result = bench.run(Task.TRANSCODE, tmp_path / "clicks.wav", format="flac", loudnessLufs=-5)
    assert "peaks would have been cut off" in result.metadata["warnings"][0]
    after, _ = soundfile.read(result.outputs[0].path)
    assert np.abs(after).max() <= 10 ** (-0.9 / 20)


def test_silence_has_no_loudness(bench: Bench, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros((44_100, 2)), 44_100)
    result = bench.run(Task.TRANSCODE, tmp_path / "silence.wav", format="mp3", loudnessLufs=-14)
    assert "only silence" in result.metadata["warnings"][0]
    assert "loudness" not in result.metadata, "minus infinity is no JSON"


@pytest.mark.parametrize(
    ("size", "want"), [("Video360p", (640, 360)), ("Video480p", (854, 480)), ("Video1080p", (1_280, 720))]
)
def test_films_are_made_smaller_and_never_larger(
    bench: Bench, tmp_path: Path, size: str, want: tuple[int, int]
) -> None:
    source = make(tmp_path, "wide.mp4", "-f", "lavfi", "-i", "testsrc=duration=1:size=1280x720:rate=50")
    (output,) = bench.run(Task.TRANSCODE, source, format="mp4", videoSize=size, maxFrameRate=25).outputs
    (film,) = look(output.path).films
    assert (film.width, film.height, film.fps) == (*want, 25.0)
    assert (output.metadata["width"], output.metadata["height"]) == want


def test_the_size_of_a_result_is_limited(bench: Bench, sounds: Path) -> None:
    with pytest.raises(PhaseError) as caught:
        bench.run(Task.TRANSCODE, sounds / "tone.wav", format="wav", maxBytes=100_000)
    assert (caught.value.exit_code, caught.value.reason) == (65, Reason.TOO_LARGE)
    assert list(bench.work.iterdir()) == []


@pytest.mark.parametrize("name", ["tone.flac", "film.mkv"])
def test_too_long_is_refused(bench: Bench, sounds: Path, name: str) -> None:
    bench.limits = PhaseLimits(max_duration_seconds=3)
    with pytest.raises(PhaseError) as caught:
        bench.run(Task.TRANSCODE, sounds / name, format="mp3")
    assert caught.value.reason is Reason.TOO_LONG
    assert list(bench.work.iterdir()) == []


@pytest.mark.parametrize("form", ["jpeg", "png", "webp"])
@pytest.mark.parametrize("name", ["film.mkv", "film.webm", "silent.mp4"])
def test_a_still_of_every_film(bench: Bench, sounds: Path, name: str, form: str) -> None:
    (output,) = bench.run(Task.THUMBNAIL, sounds / name, format=form, timeMilliseconds=2_500, maxWidth=80).outputs
    assert (output.name, output.media_type) == ("picture", f"image/{form}")
    assert output.metadata == {"origin": "Still", "seconds": 2.5}
    assert picture_size(output.path) == (80, 60)
    assert list(bench.work.iterdir()) == [output.path]


def test_stills_differ_by_time_and_repeat_by_bytes(bench: Bench, sounds: Path) -> None:
    taken = [
        bench.run(Task.THUMBNAIL, sounds / "film.mp4", format="png", timeMilliseconds=time).outputs[0].path.read_bytes()
        for time in (0, 3_000, 3_000)
    ]
    assert taken[0] != taken[1] == taken[2]


def test_a_cover_is_taken_where_there_is_no_film(bench: Bench, song: Path) -> None:
    (output,) = bench.run(Task.THUMBNAIL, song, format="webp").outputs
    assert output.metadata == {"origin": "Cover"}
    assert picture_size(output.path) == (160, 120), "nothing is enlarged"


@pytest.mark.parametrize(
    ("name", "parameters", "part"),
    [
        ("tone.mp3", {}, "no film and no cover"),
        ("tone.mp3", {"origin": "Still"}, "no film"),
        ("film.mp4", {"origin": "Cover"}, "no cover"),
        ("film.mp4", {"timeMilliseconds": 60_000}, "ends at 4"),
    ],
)
def test_a_picture_that_is_not_there_is_named(
    bench: Bench, sounds: Path, name: str, parameters: dict[str, Any], part: str
) -> None:
    with pytest.raises(PhaseError, match=part):
        bench.run(Task.THUMBNAIL, sounds / name, **parameters)
    assert list(bench.work.iterdir()) == []


def picture_size(path: Path) -> tuple[int, int]:
    command = ["ffprobe", "-v", "error", "-show_entries", "stream=width,height", "-of", "csv=p=0", str(path)]
    answer = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout
    width, height = (int(part) for part in answer.decode().strip().rstrip(",").split(","))
    assert math.prod((width, height)) > 0
    return width, height
