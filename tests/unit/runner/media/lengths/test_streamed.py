"""What a program that wrote to a pipe left open in a header is filled in, and nothing else is touched."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest

from audiojob_runner.media.lengths.streamed import fill_in, missing_sizes, readable

SOUND = bytes(range(1, 251)) * 8
RATE = bytes.fromhex("400eac44000000000000")
RIFF, WAVE, FMT, DATA = (
    bytes.fromhex(f"{name}{tail}")
    for name, tail in (
        ("72696666", "2e91cf11a5d628db04c10000"),
        ("77617665", "f3acd3118cd100c04f8edb8a"),
        ("666d7420", "f3acd3118cd100c04f8edb8a"),
        ("64617461", "f3acd3118cd100c04f8edb8a"),
    )
)


def aiff(
    whole: int = 2_046,
    frames: int = 1_000,
    size: int = 2_008,
    sound: bytes = SOUND,
    more: bytes = b"",
    channels: int = 1,
) -> bytes:
    """``more`` makes an AIFF-C of that coding. 16 bits."""
    comm = struct.pack(">hIh", channels, frames, 16) + RATE + more
    return (
        b"FORM" + struct.pack(">I", whole) + (b"AIFC" if more else b"AIFF")
        + b"COMM" + struct.pack(">I", len(comm)) + comm
        + b"SSND" + struct.pack(">III", size, 0, 0) + sound
    )  # fmt: skip


def w64(whole: int = 2_104, size: int = 2_024, sound: bytes = SOUND) -> bytes:
    form = struct.pack("<HHIIHH", 1, 1, 44_100, 88_200, 2, 16)
    return (
        RIFF + struct.pack("<Q", whole) + WAVE + FMT + struct.pack("<Q", 24 + len(form)) + form
        + DATA + struct.pack("<Q", size) + sound
    )  # fmt: skip


def rf64(whole: int = 2_072, size: int = 2_000, samples: int = 1_000) -> bytes:
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 44_100, 88_200, 2, 16)
    large = struct.pack("<4sIQQQI", b"ds64", 28, whole, size, samples, 0)
    return b"RF64" + b"\xff" * 4 + b"WAVE" + large + form + b"data" + b"\xff" * 4 + SOUND


def filled(content: bytes) -> bytes:
    written = bytearray(content)
    for place, piece in missing_sizes(io.BytesIO(content), len(content)):
        written[place : place + len(piece)] = piece
    return bytes(written)


@pytest.mark.parametrize(
    ("content", "want"),
    [
        pytest.param(aiff(0, 0, 0), aiff(), id="AIFF: nothing, as ffmpeg writes it"),
        pytest.param(aiff(0x7FFF_FFF0, 0x3F80_0000, 0x7F00_0008), aiff(), id="AIFF: large numbers, as SoX writes it"),
        pytest.param(aiff(0xFFFF_FFFF, 0xFFFF_FFFF, 0xFFFF_FFFF), aiff(), id="AIFF: the largest numbers"),
        pytest.param(aiff(frames=0xFFFF_FFFF), aiff(), id="AIFF: only the samples are not known"),
        pytest.param(aiff(whole=0), aiff(), id="AIFF: only the whole is not known"),
        pytest.param(aiff(size=0), aiff(), id="AIFF: only the sound is not known"),
        pytest.param(aiff(size=8), aiff(), id="AIFF: sound of its own head alone"),
        pytest.param(aiff(0, 0, 0, channels=2), aiff(frames=500, channels=2), id="AIFF: two channels"),
        pytest.param(
            aiff(0, 0, 0, more=b"sowt\0\0"), aiff(whole=2_052, more=b"sowt\0\0"), id="AIFF-C: the other byte order"
        ),
        pytest.param(
            aiff(0, 0, 0, more=b"ulaw\0\0"), aiff(2_052, 2_000, more=b"ulaw\0\0"), id="AIFF-C: one byte a sample"
        ),
        pytest.param(aiff(0, 0, 0, more=b"ima4\0\0"), None, id="AIFF-C: a coding without a fixed size"),
        pytest.param(aiff(0, 0, 0)[:54], None, id="AIFF: no sound yet"),
        pytest.param(aiff(), None, id="AIFF: as it should be"),
        pytest.param(aiff(frames=0), None, id="AIFF: no samples named beside sound that is"),
        pytest.param(aiff(9_000, 4_000, 8_008), None, id="AIFF: cut off"),
        pytest.param(aiff(46, 0, 8, b""), None, id="AIFF: no sound at all"),
        pytest.param(aiff(58, 0, 8, b"ANNO\0\0\0\4note"), None, id="AIFF: no sound, and a note behind it"),
        pytest.param(aiff(0, 0, 0)[:40], None, id="AIFF: half a header"),
        pytest.param(w64(2**64 - 1, 2**63 - 1), w64(), id="W64: as ffmpeg writes it"),
        pytest.param(w64(0, 0), w64(), id="W64: nothing"),
        pytest.param(w64(0, 24), w64(), id="W64: sound of its own head alone"),
        pytest.param(w64(2**64 - 1, 2**64 - 1), w64(), id="W64: the largest numbers"),
        pytest.param(w64(), None, id="W64: as it should be"),
        pytest.param(w64(9_000, 8_024), None, id="W64: cut off"),
        pytest.param(w64(0, 0, b""), None, id="W64: no sound"),
        pytest.param(w64(0, 0)[:70], None, id="W64: half a header"),
        pytest.param(rf64(2**63, 2**63, 0), rf64(size=0, samples=0), id="RF64: what ffmpeg takes for negative"),
        pytest.param(rf64(2**64 - 1, 2**64 - 1, 2**64 - 1), rf64(size=0, samples=0), id="RF64: the largest numbers"),
        pytest.param(rf64(0, 0, 0), None, id="RF64: nothing, which is read to the end"),
        pytest.param(rf64(), None, id="RF64: as it should be"),
        pytest.param(rf64(9, 9, 9)[:30], None, id="RF64: half a header"),
        pytest.param(b"RIFF\0\0\0\0WAVEfmt ", None, id="WAV"),
        pytest.param(b"fLaC" + bytes(60), None, id="another format"),
        pytest.param(b"", None, id="nothing"),
    ],
)
def test_what_is_not_known_is_filled_in(content: bytes, want: bytes | None) -> None:
    assert filled(content) == (content if want is None else want)
    assert filled(filled(content)) == filled(content)


def test_a_source_stays_as_it_is(tmp_path: Path) -> None:
    source, folder = tmp_path / "a.aiff", tmp_path / "work"
    folder.mkdir()
    source.write_bytes(aiff(0, 0, 0))
    with readable(source, folder) as path:
        assert path.read_bytes() == aiff()
    assert (source.read_bytes(), list(folder.iterdir())) == (aiff(0, 0, 0), [])
    fill_in(source)
    with readable(source, folder) as path:
        assert path == source
