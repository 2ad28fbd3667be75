"""Words in the frames of ID3, and in tags as ffprobe shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from audiojob_runner.media.tags.id3 import to_syncsafe
from audiojob_runner.media.tags.sung import SungTag, read_sung


def song(folder: Path, *frames: tuple[str, bytes]) -> Path:
    """A file that begins with a tag of version 2.3."""
    body = b"".join(name.encode() + len(raw).to_bytes(4, "big") + b"\0\0" + raw for name, raw in frames)
    path = folder / "song.mp3"
    path.write_bytes(b"ID3\x03\0\0" + to_syncsafe(len(body)) + body)
    return path


def timed(encoding: int, codec: str, *entries: tuple[str, int], counts: int = 2, kind: int = 1) -> tuple[str, bytes]:
    zero = b"\0\0" if encoding == 1 else b"\0"
    texts = [text.encode(codec) + zero + time.to_bytes(4, "big") for text, time in entries]
    return "SYLT", bytes([encoding]) + b"eng" + bytes([counts, kind]) + "x".encode(codec) + zero + b"".join(texts)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        pytest.param(("USLT", b"\x03deuabout\0Gr\xc3\xbc\xc3\x9fe\ndich"), SungTag("USLT", "Grüße\ndich", "deu"),
                     id="words without times"),
        pytest.param(("USLT", b"\x00eng\0caf\xe9 au lait"), SungTag("USLT", "café au lait", "eng"), id="in Latin-1"),
        pytest.param(("USLT", b"\x01eng" + "".encode("utf-16") + b"\0\0" + "la".encode("utf-16")),
                     SungTag("USLT", "la", "eng"), id="in UTF-16"),
        pytest.param(timed(3, "utf-8", ("Here be", 1_000), ("dragons", 62_500)),
                     SungTag("SYLT", "[00:01.000]Here be\n[01:02.500]dragons", "eng"), id="lines with times"),
        pytest.param(timed(3, "utf-8", ("Here ", 1_000), ("be", 1_500), ("\ndragons", 2_000)),
                     SungTag("SYLT", "[00:01.000]<00:01.000>Here <00:01.500>be\n[00:02.000]<00:02.000>dragons", "eng"),
                     id="words with times"),
        pytest.param(timed(1, "utf-16", ("Grüße", 1_000)), SungTag("SYLT", "[00:01.000]Grüße", "eng"),
                     id="times in UTF-16"),
    ],
)  # fmt: skip
def test_frames_of_id3(tmp_path: Path, frame: tuple[str, bytes], expected: SungTag) -> None:
    assert read_sung(song(tmp_path, frame), "mp3", {}) == [expected]


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(timed(3, "utf-8", ("la", 1), counts=1), id="times in frames of MPEG"),
        pytest.param(timed(3, "utf-8", ("Am", 1), kind=5), id="chords"),
        pytest.param(("SYLT", b"\x03eng\x02\x01x\0never ended"), id="a text that nothing ends"),
        pytest.param(("SYLT", b"\x03eng"), id="a frame cut short"),
        pytest.param(("USLT", b"\x03en"), id="words cut short"),
        pytest.param(("USLT", b"\x03eng\0 \r\n"), id="only spaces"),
    ],
)
def test_what_holds_no_words(tmp_path: Path, frame: tuple[str, bytes]) -> None:
    assert read_sung(song(tmp_path, frame), "mp3", {}) == []


def test_times_go_before_words_alone(tmp_path: Path) -> None:
    path = song(tmp_path, ("USLT", b"\x03eng\0la"), timed(3, "utf-8", ("la", 1_000)))
    assert [tag.name for tag in read_sung(path, "mp3", {})] == ["SYLT", "USLT"]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        pytest.param({"LYRICS": "la"}, [SungTag("lyrics", "la")], id="comments of FLAC and Ogg"),
        pytest.param({"lyrics-\x1b[2J-eng": "la"}, [SungTag("lyrics", "la", "eng")], id="as ffmpeg names them"),
        pytest.param({"UNSYNCEDLYRICS": "\udce9t\udce9 au lait"}, [SungTag("unsyncedlyrics", "été au lait")],
                     id="not in UTF-8"),
        pytest.param({"lyricist": "Ann", "title": "la"}, [], id="other tags"),
    ],
)  # fmt: skip
def test_tags_that_ffprobe_shows(tmp_path: Path, tags: dict[str, str], expected: list[SungTag]) -> None:
    path = tmp_path / "song.ogg"
    path.write_bytes(b"")
    in_format: dict[str, Any] = {"format": {"tags": tags}}
    assert read_sung(path, "ogg", in_format) == expected
    assert read_sung(path, "ogg", {"streams": [{"tags": tags}]}) == expected
