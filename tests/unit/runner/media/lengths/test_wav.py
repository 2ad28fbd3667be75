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


def blocks(size: int, samples: int, coding: int = 0x11, block: int = 256, each: int = 505) -> WavLength:
    """Of a mono file at 1,000 Hz, whose ``fact`` chunk counts ``samples``."""
    form = struct.pack("<HHIIHHHH", coding, 1, 1_000, 507, block, 4, 2, each)
    return length(riff((b"fmt ", 20, form), (b"fact", 4, struct.pack("<I", samples)), (b"data", size, b"")))


@pytest.mark.parametrize("coding", [0x02, 0x11], ids=hex)
@pytest.mark.parametrize(
    ("size", "samples", "want"),
    [
        pytest.param(512, 1_000, 1.0, id="the last block is padded"),
        pytest.param(512, 1_010, 1.01, id="the last block is full"),
        pytest.param(300, 506, 0.506, id="the last block is short"),
        pytest.param(512, 1_011, None, id="more than the blocks hold"),
        pytest.param(512, 505, None, id="a whole block less"),
        pytest.param(512, 0, None, id="never filled in"),
        pytest.param(512, 0xFFFF_FFFF, None, id="the largest number"),
        pytest.param(0, 1_000, None, id="sound of unknown size"),
    ],
)
def test_samples_that_a_file_of_blocks_counts(coding: int, size: int, samples: int, want: float | None) -> None:
    assert blocks(size, samples, coding) == WavLength(want, padded=want is not None)


@pytest.mark.parametrize(("block", "each"), [(0, 505), (256, 0)])
def test_blocks_of_no_size_count_nothing(block: int, each: int) -> None:
    assert blocks(512, 1_000, block=block, each=each) == WavLength()
