# ruff: noqa: N802 - rows of the table of bad input keep their names
"""Rows B23-B27: whatever a file says or holds, every task that decodes refuses it by name or handles it.

Canary files lie beside each source; no byte of theirs may be in an output. Nothing takes long and no program is left.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from tests.integration.runner.tasks.conftest import Bench
from tests.integration.runner.tasks.media import hostile
from tests.integration.runner.tasks.media.test_normalize import children
from tests.integration.runner.tasks.web import Web

from audiojob_runner.errors import PhaseError
from audiojob_runner.media import ffmpeg
from audiojob_runner.tasks import TaskResult
from audiojob_types.reasons import Reason
from audiojob_types.tasks import Task

SECONDS = 60
Work = tuple[Task, dict[str, Any]]
NORMALIZE: Work = (Task.NORMALIZE, {})
SOUND: Work = (Task.TRANSCODE, {"format": "flac", "loudnessLufs": -14})
FILM: Work = (Task.TRANSCODE, {"format": "mp4", "copySound": True})
THUMBNAIL: Work = (Task.THUMBNAIL, {})
TASKS = [
    pytest.param(NORMALIZE, id="Normalize"),
    pytest.param(SOUND, id="Transcode-sound"),
    pytest.param(FILM, id="Transcode-film"),
    pytest.param(THUMBNAIL, id="Thumbnail"),
]
SOUNDS = TASKS[:2]
DOWNLOADS = [
    pytest.param((Task.DOWNLOAD, {"container": container}), id=f"Download-{container}")
    for container in ("mp3", "m4a", "opus", "flac")
]


@pytest.fixture(scope="module")
def canaries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("canaries")
    hostile.canaries(folder)
    return folder


@pytest.fixture
def place(tmp_path: Path, canaries: Path) -> Path:
    """A folder for the source, with canaries in it."""
    place = tmp_path / "source"
    shutil.copytree(canaries, place)
    return place


def attempt(bench: Bench, work: Work, source: Path | str) -> TaskResult | PhaseError:
    """Run it; the result or the error, both held against what always must be true."""
    began = time.monotonic()
    ended: TaskResult | PhaseError
    try:
        ended = bench.run(work[0], source, **work[1])
    except PhaseError as error:
        ended = error
    assert time.monotonic() - began < SECONDS
    assert not [name for name in children() if name.startswith("ff")]
    for path in bench.work.rglob("*"):
        assert hostile.CANARY not in path.read_bytes(), f"{path.name} holds another tenant's bytes"
    if isinstance(ended, PhaseError):
        assert ended.message.endswith(".")
        assert ended.suggestion
        assert isinstance(source, str) or str(source.parent) not in ended.message
        assert hostile.CANARY.decode() not in ended.message
        if work[0] not in (Task.NORMALIZE, Task.DOWNLOAD):  # their scratch files are published by nobody
            assert list(bench.work.iterdir()) == []
    else:
        assert {output.path for output in ended.outputs} == set(bench.work.iterdir())
    return ended


def refused(bench: Bench, work: Work, source: Path | str, *reasons: Reason) -> str:
    ended = attempt(bench, work, source)
    assert isinstance(ended, PhaseError), ended
    assert (ended.exit_code, ended.reason in reasons) == (65, True), repr(ended)
    return ended.message


def handled(bench: Bench, work: Work, source: Path) -> TaskResult:
    ended = attempt(bench, work, source)
    assert isinstance(ended, TaskResult), repr(ended)
    return ended


# ---------------------------------------------------------------- B23, B24


@pytest.mark.parametrize("work", TASKS)
@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"<!doctype html><html><body>" + b"x" * 5_000, id="a web page"),
        pytest.param(b"PK\x03\x04" + bytes(5_000), id="a zip file"),
        pytest.param(b"MZ" + bytes(5_000), id="a program"),
        pytest.param(b"%PDF-1.7\n" + b"1 0 obj\n" * 500, id="a PDF"),
        pytest.param(b"", id="an empty file"),
    ],
)
def test_B23_what_is_no_media_is_named(bench: Bench, place: Path, work: Work, content: bytes) -> None:
    (place / "song.mp3").write_bytes(content)
    refused(bench, work, place / "song.mp3", Reason.NOT_MEDIA)


@pytest.mark.parametrize("work", [*SOUNDS, TASKS[3], DOWNLOADS[0]])
@pytest.mark.parametrize("form", list(hostile.lists(Path("/"), "x")))
def test_B24_a_text_that_points_to_another_file_opens_none(bench: Bench, place: Path, work: Work, form: str) -> None:
    for foreign, name in (("canary.mp3", "song.mp3"), ("canary.flac", "song.m3u8"), ("canary.mp4", "song")):
        (place / name).write_bytes(hostile.lists(place, foreign)[form])
        refused(bench, work, place / name, Reason.NOT_MEDIA)


@pytest.mark.parametrize("work", [*TASKS, *DOWNLOADS])
@pytest.mark.parametrize("name", ["film.avi", "film.mp4"])
def test_B24_an_avi_with_foreign_subtitles_is_refused(bench: Bench, place: Path, work: Work, name: str) -> None:
    (place / name).write_bytes(hostile.avi_with_foreign_subtitles(place, "canary.mp4"))
    refused(bench, work, place / name, Reason.NOT_MEDIA)


@pytest.mark.parametrize("work", [*TASKS, *DOWNLOADS])
def test_B24_a_list_after_a_song_is_not_followed(bench: Bench, place: Path, sounds: Path, work: Work) -> None:
    """A file that is a song and a list at once: its tags and its tail name the other file."""
    source = place / "song.mp3"
    content = (sounds / "tone.mp3").read_bytes()
    source.write_bytes(hostile.lists(place, "canary.mp3")["hls"] + content + hostile.lists(place, "canary.mp3")["hls"])
    if work in (FILM, THUMBNAIL):
        refused(bench, work, source, Reason.NOT_MEDIA, Reason.EMPTY_MEDIA)
    else:
        attempt(bench, work, source)


@pytest.mark.usefixtures("loopback")
@pytest.mark.parametrize("work", DOWNLOADS)
@pytest.mark.parametrize("form", ["hls", "ffconcat-absolute", "sdp", "avi"])
def test_B24_a_list_that_a_server_calls_a_song_is_not_followed(
    bench: Bench, place: Path, web: Web, work: Work, form: str
) -> None:
    texts = {**hostile.lists(place, "canary.mp3"), "avi": hostile.avi_with_foreign_subtitles(place, "canary.mp4")}
    url = web.serve("/song.mp3", texts[form], Content_Type="audio/mpeg")
    refused(bench, work, url, Reason.NOT_MEDIA)


# ---------------------------------------------------------------- B25


@pytest.mark.parametrize("work", SOUNDS)
@pytest.mark.parametrize("frames", [1, 100])
def test_B25_a_few_samples_are_enough(bench: Bench, place: Path, work: Work, frames: int) -> None:
    soundfile.write(place / "short.wav", np.full((frames, 2), 0.5), 44_100)
    (output,) = handled(bench, work, place / "short.wav").outputs
    assert soundfile.info(output.path).frames == frames


@pytest.mark.parametrize("form", ["mp3", "m4a", "opus", "flac", "wav", "ogg"])
@pytest.mark.parametrize("frames", [0, 1])
def test_B25_one_sample_in_every_form(bench: Bench, place: Path, form: str, frames: int) -> None:
    soundfile.write(place / "short.wav", np.full((frames, 2), 0.5), 44_100)
    work = (Task.TRANSCODE, {"format": form})
    if frames == 0 or (frames, form) == (1, "opus"):
        refused(bench, work, place / "short.wav", Reason.EMPTY_MEDIA)
    else:
        handled(bench, work, place / "short.wav")


@pytest.mark.parametrize("work", SOUNDS)
def test_B25_0_seconds_are_refused(bench: Bench, place: Path, work: Work) -> None:
    soundfile.write(place / "empty.wav", np.zeros((0, 2)), 44_100)
    refused(bench, work, place / "empty.wav", Reason.EMPTY_MEDIA)


@pytest.mark.parametrize("work", SOUNDS)
@pytest.mark.parametrize(("limit", "reason"), [(21_600, Reason.TOO_LONG), (604_800, Reason.CORRUPT_MEDIA)])
def test_B25_a_claim_of_48_hours_is_refused(bench: Bench, place: Path, work: Work, limit: int, reason: Reason) -> None:
    (place / "long.wav").write_bytes(hostile.wav_that_claims(48 * 3_600))
    refused(bench, (work[0], work[1] | {"maxDurationSeconds": limit}), place / "long.wav", reason)


@pytest.mark.parametrize("work", [*SOUNDS, pytest.param((Task.TRANSCODE, {"format": "mp3"}), id="Transcode-mp3")])
@pytest.mark.parametrize(
    ("rate", "channels"), [(768_000, 2), (8_000, 1), (1_000, 1), (44_100, 8)], ids=["768kHz", "8kHz", "1kHz", "7.1"]
)
def test_B25_odd_rates_are_handled(bench: Bench, place: Path, work: Work, rate: int, channels: int) -> None:
    sound = np.sin(np.arange(rate) * 0.05)[:, None].repeat(channels, axis=1) * 0.5
    soundfile.write(place / "odd.wav", sound, rate)
    (output,) = handled(bench, work, place / "odd.wav").outputs
    assert output.metadata["durationSeconds"] == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("work", SOUNDS)
def test_B25_64_channels_are_refused_with_the_limit(bench: Bench, place: Path, work: Work) -> None:
    soundfile.write(place / "many.wav", np.zeros((100, 64)), 44_100)
    assert "at most 8" in refused(bench, work, place / "many.wav", Reason.NOT_MEDIA)


@pytest.mark.parametrize(
    "work",
    [*SOUNDS, *(pytest.param((Task.TRANSCODE, {"format": form}), id=form) for form in ("mp3", "m4a", "opus", "ogg"))],
)
def test_B25_floats_that_are_no_numbers_do_no_harm(bench: Bench, place: Path, work: Work) -> None:
    source = hostile.floats_that_are_no_numbers(place / "odd.wav")
    (output,) = handled(bench, work, source).outputs
    if output.path.suffix in (".wav", ".flac"):
        after, _ = soundfile.read(output.path)
        assert np.isfinite(after).all()


@pytest.mark.parametrize("work", SOUNDS)
def test_B25_zeros_stay_zeros(bench: Bench, place: Path, work: Work) -> None:
    soundfile.write(place / "zeros.wav", np.zeros((44_100, 2)), 44_100)
    after, _ = soundfile.read(handled(bench, work, place / "zeros.wav").outputs[0].path)
    assert not after.any()


# ---------------------------------------------------------------- B26


@pytest.mark.parametrize("work", TASKS)
@pytest.mark.parametrize("share", [0.3, 0.99])
def test_B26_a_film_that_is_cut_off_is_damaged(
    bench: Bench, place: Path, sounds: Path, work: Work, share: float
) -> None:
    content = (sounds / "film.mp4").read_bytes()
    (place / "film.mp4").write_bytes(content[: int(len(content) * share)])
    refused(bench, work, place / "film.mp4", Reason.CORRUPT_MEDIA, Reason.NOT_MEDIA)


@pytest.mark.parametrize("work", TASKS)
@pytest.mark.parametrize("name", ["film.mp4", "film.mkv", "film.webm"])
@pytest.mark.parametrize("seed", [1])
def test_B26_flipped_bits_end_in_a_file_or_a_reason(
    bench: Bench, place: Path, sounds: Path, work: Work, name: str, seed: int
) -> None:
    source = place / name
    source.write_bytes(hostile.flipped((sounds / name).read_bytes(), seed))
    ended = attempt(bench, work, source)
    if isinstance(ended, PhaseError):
        assert ended.exit_code == 65, repr(ended)


@pytest.mark.parametrize("work", TASKS)
def test_B26_1000_streams_are_refused(bench: Bench, place: Path, work: Work) -> None:
    source = hostile.many_streams(place, 1_000)
    refused(bench, work, source, Reason.CORRUPT_MEDIA, Reason.NOT_MEDIA, Reason.EMPTY_MEDIA)


@pytest.fixture(scope="module")
def million_chapters() -> bytes:
    return hostile.matroska_chapters(1_000_000)


@pytest.mark.parametrize("work", TASKS)
def test_B26_a_million_chapters_end_in_bounded_time(
    bench: Bench, place: Path, million_chapters: bytes, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chapters whose identifiers fall cost ffmpeg the square of their number: only the clock ends that."""
    monkeypatch.setattr(ffmpeg, "PROBE_SECONDS", 1)
    (place / "song.mkv").write_bytes(million_chapters)
    refused(bench, work, place / "song.mkv", Reason.CORRUPT_MEDIA)


@pytest.mark.parametrize("work", SOUNDS)
def test_B26_many_chapters_of_a_song_are_cut_and_said(bench: Bench, place: Path, sounds: Path, work: Work) -> None:
    (place / "song.mp3").write_bytes(hostile.many_chapters(3_000) + (sounds / "tone.mp3").read_bytes())
    result = handled(bench, work, place / "song.mp3")
    if work == SOUND:
        assert "3000 chapters" in result.metadata["warnings"][0]


@pytest.mark.parametrize("work", [NORMALIZE, (Task.TRANSCODE, {"format": "mp3"}), THUMBNAIL], ids=str)
@pytest.mark.parametrize(
    "cover",
    [
        pytest.param(hostile.picture_frame(b"image/png", hostile.png(30_000, 30_000)), id="900 million pixels"),
        pytest.param(
            hostile.picture_frame(b"image/jpeg", b"\xff\xd8\xff\xe0" + b"x" * 30_000_000), id="30 MB of noise"
        ),
        pytest.param(hostile.picture_frame(b"image/jpeg", b"<svg href='canary.txt'/>"), id="a drawing"),
    ],
)
def test_B26_a_huge_or_broken_cover_is_left_out_and_said(
    bench: Bench, place: Path, sounds: Path, work: Work, cover: tuple[bytes, bytes]
) -> None:
    (place / "song.mp3").write_bytes(hostile.id3(cover) + (sounds / "tone.mp3").read_bytes())
    if work == THUMBNAIL:
        refused(bench, work, place / "song.mp3", Reason.CORRUPT_MEDIA)
        return
    result = handled(bench, work, place / "song.mp3")
    if work[0] is Task.TRANSCODE:
        assert result.metadata["warnings"] == ["The cover was left out: it cannot be read."]


# ---------------------------------------------------------------- B27

TONE = ("-f", "lavfi", "-i", "sine=440:duration=1")


def film(place: Path, size: str, *arguments: str, rate: str = "10", seconds: str = "1") -> Path:
    picture = f"testsrc=duration={seconds}:size={size}:rate={rate}"
    return hostile.ffmpeg(place, "film.mp4", "-f", "lavfi", "-i", picture, *TONE, "-shortest", *arguments)


@pytest.mark.parametrize("work", TASKS)
def test_B27_one_pixel_is_a_film(bench: Bench, place: Path, work: Work) -> None:
    source = film(place, "1x1", "-pix_fmt", "yuv444p")
    (output,) = handled(bench, work, source).outputs
    if work == FILM:
        assert (output.metadata["width"], output.metadata["height"]) == (2, 2)


@pytest.mark.parametrize("work", TASKS)
def test_B27_a_claim_of_32767_pixels_a_side_decodes_none(bench: Bench, place: Path, sounds: Path, work: Work) -> None:
    content = (sounds / "film.mp4").read_bytes()
    (place / "film.mp4").write_bytes(hostile.patched_size(content, 32_767, 32_767))
    refused(bench, work, place / "film.mp4", Reason.CORRUPT_MEDIA)  # more than ffprobe itself believes
    (place / "film.mp4").write_bytes(hostile.patched_size(content, 16_000, 16_000))
    if work in (NORMALIZE, SOUND):
        handled(bench, work, place / "film.mp4")
    else:
        assert "16000 x 16000" in refused(bench, work, place / "film.mp4", Reason.NOT_MEDIA)


@pytest.mark.parametrize("work", [pytest.param(FILM, id="Transcode"), pytest.param(THUMBNAIL, id="Thumbnail")])
def test_B27_a_film_that_does_not_say_its_size_is_stopped_by_the_decoder(bench: Bench, place: Path, work: Work) -> None:
    picture = ("-f", "lavfi", "-i", "color=black:size=16000x4000:rate=1:duration=1")
    coding = ("-c:v", "libx264", "-preset", "ultrafast", "-threads", "1", "-g", "1")
    source = hostile.ffmpeg(place, "film.ts", *picture, *TONE, *coding)
    refused(bench, work, source, Reason.CORRUPT_MEDIA, Reason.NOT_MEDIA)


@pytest.mark.parametrize("work", TASKS)
def test_B27_100000_pictures_a_second(bench: Bench, place: Path, work: Work) -> None:
    source = film(place, "32x32", "-vsync", "passthrough", rate="100000", seconds="0.02")
    if work in (NORMALIZE, SOUND):
        handled(bench, work, source)
    else:
        assert "at most 1000" in refused(bench, work, source, Reason.NOT_MEDIA)


@pytest.mark.parametrize("work", [pytest.param(FILM, id="Transcode"), pytest.param(THUMBNAIL, id="Thumbnail")])
def test_B27_a_turned_film_comes_out_upright(bench: Bench, place: Path, sounds: Path, work: Work) -> None:
    turned = ("-i", str(sounds / "film.mp4"), "-c", "copy", "-metadata:s:v", "rotate=90")
    source = hostile.ffmpeg(place, "turned.mp4", *turned)
    (output,) = handled(bench, work, source).outputs
    if work == FILM:
        assert (output.metadata["width"], output.metadata["height"]) == (120, 160)


@pytest.mark.parametrize("work", TASKS)
def test_B27_a_film_without_sound(bench: Bench, place: Path, sounds: Path, work: Work) -> None:
    shutil.copy(sounds / "silent.mp4", place / "film.mp4")
    if work in (NORMALIZE, SOUND):
        refused(bench, work, place / "film.mp4", Reason.EMPTY_MEDIA)
    else:
        handled(bench, work, place / "film.mp4")
