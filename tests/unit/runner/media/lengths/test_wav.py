from __future__ import annotations

import io
import struct

import pytest

from audiojob_runner.media.lengths.wav import WavLength, wav_length

BYTE_RATE = 1_000
SOUND = bytes(range(1, 251)) * 8  # two seconds


def wav(size: int, sound: bytes = SOUND, behind: bytes = b"", coding: int = 1) -> bytes:
    """A file whose header says that its sound has ``size`` bytes."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, coding, 1, 500, BYTE_RATE, 2, 16)
    return (
        b"RIFF"
        + struct.pack("<I", 36 + size & 0xFFFFFFFF)
        + b"WAVE"
        + form
        + struct.pack("<4sI", b"data", size)
        + sound
        + behind
    )


def length(content: bytes) -> WavLength:
    return wav_length(io.BytesIO(content), len(content))


@pytest.mark.parametrize(
    "size",
    [
        0, 0x7F00_0000, 0x7FFF_0000, 0x7FFF_0024, 0x7FFF_F000, 0x7FFF_FFFF, 0x8000_0000, 0x8000_0024,
        0xFFFF_0000, 0xFFFF_FF00, 0xFFFF_FFDB, 0xFFFF_FFFF,
    ],
    ids=hex,
)  # fmt: skip
def test_what_stands_for_not_known_yet_is_no_promise(size: int) -> None:
    assert length(wav(size)) == WavLength()


@pytest.mark.parametrize(
    ("content", "want"),
    [
        pytest.param(wav(2_000), WavLength(2.0), id="just what it says"),
        pytest.param(wav(4_000), WavLength(4.0), id="cut off"),
        pytest.param(wav(0, b""), WavLength(), id="no sound"),
        pytest.param(wav(2_000, behind=b"LIST\x04\0\0\0INFO"), WavLength(2.0), id="a chunk behind it"),
        pytest.param(
            wav(1_999, SOUND[:1_999], b"\0LIST\x04\0\0\0INFO"), WavLength(1.999), id="a chunk at an even place"
        ),
        pytest.param(wav(1_999, SOUND[:1_999], b"LIST\x04\0\0\0INFO"), WavLength(1.999), id="a chunk at an odd place"),
        pytest.param(wav(2_000, behind=b"ID3\x04" + bytes(range(99))), WavLength(2.0), id="a tag behind it"),
        pytest.param(wav(2_000, behind=bytes(4_000)), WavLength(2.0), id="padding behind it"),
        pytest.param(wav(1_000), WavLength(goes_on=True), id="more sound than it says"),
        pytest.param(wav(2_000, coding=0x11), WavLength(), id="a coding without a fixed rate"),
        pytest.param(wav(2_000)[:30], WavLength(), id="half a header"),
        pytest.param(b"fLaC" + bytes(60), WavLength(), id="another format"),
    ],
)
def test_the_length_in_the_header(content: bytes, want: WavLength) -> None:
    assert length(content) == want


def riff(*chunks: tuple[bytes, int, bytes]) -> bytes:
    return b"RIFF\0\0\0\0WAVE" + b"".join(name + struct.pack("<I", size) + data for name, size, data in chunks)


def fmt(coding: int = 1, byte_rate: int = 176_400) -> tuple[bytes, int, bytes]:
    return b"fmt ", 16, struct.pack("<HHIIHH", coding, 2, 44_100, byte_rate, 4, 16)


@pytest.mark.parametrize(
    ("content", "want"),
    [
        pytest.param(riff(fmt(), (b"data", 352_800, b"")), 2.0, id="two seconds"),
        pytest.param(riff((b"LIST", 3, b"abc\0"), fmt(), (b"data", 176_400, b"")), 1.0, id="after a chunk of odd size"),
        pytest.param(riff(fmt(), (b"data", 0xFFFF_FFFF, b"")), None, id="written to a pipe"),
        pytest.param(riff(fmt(), (b"data", 0, b"")), None, id="no data, or a size never filled in"),
        pytest.param(riff(fmt(coding=0x11), (b"data", 9, b"")), None, id="compressed"),
        pytest.param(riff(fmt(byte_rate=0), (b"data", 9, b"")), None, id="no byte rate"),
        pytest.param(riff((b"data", 9, b"")), None, id="data before its format"),
        pytest.param(riff(fmt()), None, id="no data chunk"),
        pytest.param(riff()[:10], None, id="cut off in the first header"),
        pytest.param(riff(fmt())[:26], None, id="cut off in the format"),
        pytest.param(riff(*[(b"junk", 0, b"")] * 100, fmt(), (b"data", 9, b"")), None, id="endless chunks"),
        pytest.param(b"RF64" + riff()[4:], None, id="a large file in another form"),
        pytest.param(b"", None, id="nothing"),
    ],
)
def test_what_a_wav_header_promises(content: bytes, want: float | None) -> None:
    assert length(content).seconds == want
