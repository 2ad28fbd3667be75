"""Whatever else is in a file: its sound is used where we take its coding, and else the coding is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.runner.tasks.conftest import Bench
from tests.integration.runner.tasks.media import hostile
from tests.integration.runner.tasks.media.test_pictures import in_mp3

from audiojob_runner.errors import PhaseError
from audiojob_runner.media.ffmpeg import MAX_STREAMS
from audiojob_types.reasons import Reason
from audiojob_types.tasks import Task

TONE = ("-f", "lavfi", "-i", "sine=440:duration=0.5")
FILM = ("-f", "lavfi", "-i", "testsrc=size=64x48:duration=0.2:rate=10")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        pytest.param("film.mkv", (*FILM, "-c:v", "ffv1"), id="FFV1"),
        pytest.param("film.mkv", (*FILM, "-c:v", "msmpeg4"), id="an old film of Microsoft's"),
        pytest.param("film.mkv", (*FILM, "-c:v", "rawvideo", "-pix_fmt", "yuv420p"), id="a film that is not coded"),
        pytest.param("film.mov", (*FILM, "-c:v", "qtrle", "-pix_fmt", "rgb24"), id="QuickTime's animation"),
        pytest.param("film.mkv", (*TONE, "-map", "0", "-map", "1", "-c:a:1", "dca", "-strict", "-2"), id="DTS beside"),
    ],
)
def test_sound_is_used_beside_what_we_do_not_decode(
    bench: Bench, tmp_path: Path, name: str, arguments: tuple[str, ...]
) -> None:
    source = hostile.ffmpeg(tmp_path, name, *TONE, *arguments, "-c:a:0", "pcm_s16le")
    assert bench.run(Task.NORMALIZE, source).outputs[0].metadata["durationSeconds"] == 0.5


def test_a_cover_that_we_do_not_decode_is_left_out_and_said(bench: Bench, tmp_path: Path) -> None:
    cover = hostile.ffmpeg(tmp_path, "cover.tiff", *FILM, "-frames:v", "1").read_bytes()
    result = bench.run(Task.TRANSCODE, in_mp3(tmp_path, cover, b"image/tiff"), format="m4a")
    assert "cover" in " ".join(result.metadata["warnings"])


def test_more_attachments_than_streams_are_allowed_do_not_count(bench: Bench, tmp_path: Path) -> None:
    """Films with drawn pictures have more than a hundred fonts for their subtitles."""
    (tmp_path / "font").write_bytes(b"a font")
    fonts = ["-attach", "font"] * (MAX_STREAMS + 10)
    kind = ["-metadata:s:t", "mimetype=application/x-truetype-font", "-metadata:s:t", "filename=a.ttf"]
    source = hostile.ffmpeg(tmp_path, "film.mkv", *FILM, *TONE, *fonts, *kind, "-c:v", "mpeg4", "-c:a", "flac")
    assert bench.run(Task.NORMALIZE, source).outputs[0].metadata["durationSeconds"] == 0.5
    (output,) = bench.run(Task.TRANSCODE, source, format="mp4").outputs
    assert output.metadata["width"] == 64


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(("-c:a", "dca", "-strict", "-2"), "The source's sound is coded as dts,", id="its only sound"),
        pytest.param(
            (*FILM, "-c:v", "snow", "-strict", "-2", "-c:a", "flac"),
            "stream that is coded as snow,",
            id="another stream",
        ),
    ],
)
def test_a_coding_that_we_do_not_take_is_named(
    bench: Bench, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    source = hostile.ffmpeg(tmp_path, "film.mkv", *TONE, *arguments)
    with pytest.raises(PhaseError, match=said) as caught:
        bench.run(Task.NORMALIZE, source)
    assert caught.value.reason is Reason.NOT_MEDIA
