"""Render: what it refuses, and what is odd and works."""

from __future__ import annotations

import json
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.integration.runner.tasks.conftest import Bench
from tests.integration.runner.tasks.render.films import SMALL, film_of, line, pictures, record, render, tone, words
from tests.unit.runner.typeset.fontfiles import write_font

from audiojob_runner.errors import PhaseError
from audiojob_runner.task import TaskInput
from audiojob_types.contract import ExitCode, PhaseLimits
from audiojob_types.reasons import Reason
from audiojob_types.tasks import Task

LA = record(line(words("la", 100)))


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tone(tmp_path_factory.mktemp("song"), 2.0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "is no JSON", id="an empty file"),
        pytest.param(b"[00:01.00]la\n", "is no JSON", id="LRC"),
        pytest.param(b"[" * 100_000, "is no JSON", id="deep nesting"),
        pytest.param(b" " * (33 * 1024**2), "more than 16 MiB", id="more than any song"),
        pytest.param(b"\xff\xfe{}", "is no JSON", id="no UTF-8"),
        pytest.param(json.dumps({**LA, "version": 2}).encode(), "version: Input should be 1", id="another version"),
        pytest.param(
            json.dumps({**LA, "later": {}, "lines": [{"words": [{"text": "la", "pitch": 7}]}]}).encode(),
            "have no times",
            id="fields of a later audiojob are passed over, and no times",
        ),
        pytest.param(b'{"lines": []}', "is no lyrics.json: timing: Field required", id="another JSON"),
        pytest.param(
            json.dumps(LA).replace("100", "-100", 1).encode(),
            r"lines.0.words.0.startMilliseconds: .* greater",
            id="a time below 0",
        ),
        pytest.param(
            json.dumps({**LA, "lines": [{"words": [{"text": "la"}]}]}).encode(), "have no times", id="no times"
        ),
        pytest.param(
            json.dumps({**LA, "lines": [line(words("a " * 60, 0, 1))] * 900}).encode(),
            "more than 50,000 words",
            id="words without end",
        ),
    ],
)
def test_lyrics_that_are_none_are_refused(bench: Bench, song: Path, content: bytes, message: str) -> None:
    path = bench.root / "lyrics.json"
    path.write_bytes(content)
    given = [TaskInput("lyrics", path=path), TaskInput("accompaniment", path=song)]
    with pytest.raises(PhaseError, match=message) as caught:
        bench.run_on(Task.RENDER, given, **SMALL)
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.USAGE, Reason.INVALID_SPEC)
    assert list(bench.work.iterdir()) == []


def png(width: int, height: int) -> bytes:
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(
            png(20_000, 20_000), "background's picture has 20000 x 20000 pixels; at most", id="20,000 pixels a side"
        ),
        pytest.param(png(100, 100), "background's picture cannot be decoded", id="a picture that ends after its head"),
        pytest.param(
            b"GIF89a" + bytes(100), "The input background is not audio or video", id="no picture that we take"
        ),
        pytest.param(None, "The input background is neither a picture nor a film", id="a sound"),
        pytest.param(
            b"\x1aE\xdf\xa3" + bytes(500),
            "The input background starts as matroska but cannot be read",
            id="a broken film",
        ),
    ],
)
def test_backgrounds_that_are_none_are_refused(bench: Bench, song: Path, content: bytes | None, message: str) -> None:
    path = bench.root / "background"
    path.write_bytes(song.read_bytes() if content is None else content)
    with pytest.raises(PhaseError, match=message) as caught:
        render(bench, LA, song, TaskInput("background", path=path))
    assert caught.value.exit_code == ExitCode.NOT_MEDIA
    assert "JPEG, PNG or WebP" in caught.value.suggestion
    assert list(bench.work.iterdir()) == []


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        pytest.param(
            {"guideVocalDecibels": -6}, "guideVocalDecibels is set, but the phase has no input vocals", id="no voice"
        ),
        pytest.param(
            {"thumbnailMilliseconds": 2_000}, "is 2000 ms, but the song ends at 2000 ms", id="a thumbnail after the end"
        ),
        pytest.param({"maxDurationSeconds": 1}, "The input accompaniment plays 2 s; at most 1 s", id="too long"),
    ],
)
def test_parameters_that_do_not_fit_the_song(
    bench: Bench, song: Path, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(PhaseError, match=message):
        render(bench, LA, song, **parameters)


def test_sounds_that_are_none(bench: Bench, tmp_path: Path, song: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(PhaseError, match="The input accompaniment is not audio or video"):
        render(bench, LA, tmp_path / "text.wav")
    with pytest.raises(PhaseError, match="The input vocals is not audio or video"):
        render(bench, LA, song, TaskInput("vocals", path=tmp_path / "text.wav"), guideVocalDecibels=0)
    with pytest.raises(PhaseError, match="takes files, but input 'background' is an address"):
        render(bench, LA, song, TaskInput("background", url="https://example.org/a.png"))
    bench.limits = PhaseLimits(max_duration_seconds=1)
    with pytest.raises(PhaseError, match="at most 1 s") as caught:
        render(bench, LA, song)
    assert caught.value.reason is Reason.TOO_LONG


def test_a_script_that_no_font_covers_is_named(
    bench: Bench, song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_font(tmp_path / "NotoSans-Bold.ttf", "Noto Sans", "abcdefghijklmnopqrstuvwxyz ")
    monkeypatch.setenv("AUDIOJOB_FONTS", str(tmp_path))
    with pytest.raises(PhaseError, match=r"no font here has letters of its script \(Thai\)"):
        render(bench, record(line(words("la สวัสดี", 100))), song)
    result = render(bench, record(line(words("la la la la น la", 100, 50))), song, frameRate=10)
    assert result.metadata["warnings"] == ["Left out, because no font here has them: น (U+0E19)."]


def moving_webp(path: Path) -> None:
    red, blue = Image.new("RGB", (64, 36), "red"), Image.new("RGB", (64, 36), "blue")
    red.save(path, format="WEBP", save_all=True, append_images=[blue], duration=100, lossless=True)


def cmyk_jpeg(path: Path) -> None:
    Image.new("CMYK", (64, 36), (0, 255, 255, 0)).save(path, format="JPEG")


def dot(path: Path) -> None:
    Image.new("RGB", (1, 1), "red").save(path, format="PNG")


def cut_jpeg(path: Path) -> None:
    Image.new("RGB", (640, 360), "red").save(path, format="JPEG", quality=95)
    path.write_bytes(path.read_bytes()[:-200])


@pytest.mark.parametrize("make", [moving_webp, cmyk_jpeg, dot, cut_jpeg])
def test_odd_pictures_are_red(bench: Bench, tmp_path: Path, song: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "picture")
    result = render(bench, LA, song, TaskInput("background", path=tmp_path / "picture"), frameRate=10)
    red, green, blue = pictures(film_of(result))[-1, 5, :300].mean(axis=0)
    assert red > 190
    assert green < 60
    assert blue < 60


def camera_jpeg(path: Path) -> None:
    """Red above blue, as seen; stored turned by a quarter, with the camera's note."""
    photo = Image.new("RGB", (640, 360), "red")
    photo.paste("blue", (0, 180, 640, 360))
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.transpose(Image.Transpose.ROTATE_90).save(path, format="JPEG", exif=exif)


def test_a_photo_of_a_camera_is_upright(bench: Bench, tmp_path: Path, song: Path) -> None:
    camera_jpeg(tmp_path / "picture")
    result = render(bench, LA, song, TaskInput("background", path=tmp_path / "picture"), frameRate=10)
    last = pictures(film_of(result))[-1]
    (red, _, little), (less, _, blue) = (last[rows, :40].mean(axis=(0, 1)) for rows in (slice(100), slice(140, 240)))
    assert min(red, blue) > 190
    assert max(little, less) < 60


@pytest.mark.parametrize(
    ("fault", "reason", "sentence"),
    [
        ("exec sleep 300", Reason.TEMPORARY_FAILURE, "The encoder stood still."),
        ("kill -9 $$", Reason.OUT_OF_MEMORY, "The encoder was ended, most likely for want of memory."),
        ("echo 'av_interleaved_write_frame(): No space left on device' >&2; exit 1", Reason.DISK_FULL, "The disk"),
    ],
    ids=["it stands still", "it is killed", "the disk is full"],
)
def test_an_encoder_that_fails(
    bench: Bench, song: Path, break_encoder: Callable[[str, str], None], fault: str, reason: Reason, sentence: str
) -> None:
    break_encoder(fault, "ass=f")
    with pytest.raises(PhaseError, match=f"^{sentence}") as caught:
        render(bench, LA, song)
    assert caught.value.reason is reason
    assert list(bench.work.iterdir()) == []


def test_silence_is_no_failure(bench: Bench, tmp_path: Path) -> None:
    silence = tmp_path / "silence.wav"
    source = ["-f", "lavfi", "-i", "anullsrc=r=44100:cl=stereo", "-t", "1", str(silence)]
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", *source], check=True, timeout=60)
    result = render(bench, LA, silence, frameRate=10)
    assert result.metadata["warnings"] == ["The accompaniment is silent."]


def test_text_of_strangers_is_text(bench: Bench, song: Path) -> None:
    """Tags, drawings and what filters would read are shown, as the letters that they are."""
    odd = "{\\p1}m_0_0_l_9_9 ',[out];movie=/etc/passwd \\N{\\fnX} {\\k999}"
    result = render(bench, record(line(words(odd, 0, 100)), title="{\\fs999}%{eif}':\n\\"), song, frameRate=10)
    assert len(pictures(film_of(result))) == 20
