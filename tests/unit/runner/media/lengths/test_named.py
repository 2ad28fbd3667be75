"""Lengths that headers of AU, CAF and W64 files name."""

from __future__ import annotations

import io
import struct

import pytest
from tests.unit.runner.media.lengths.test_streamed import w64

from audiojob_runner.media.lengths.named import NamedLength, au_length, caf_length, w64_length


def caf(*chunks: tuple[bytes, bytes, int | None], coding: bytes = b"lpcm", packet: int = 2, frames: int = 1) -> bytes:
    """Mono at 1,000 Hz, and then chunks with their sizes; None is the true one."""
    form = struct.pack(">d4sIIIII", 1_000.0, coding, 0, packet, frames, 1, 16)
    return b"caff\0\1\0\0" + b"".join(
        name + struct.pack(">q", len(content) if size is None else size) + content
        for name, content, size in ((b"desc", form, None), *chunks)
    )


def au(size: int, coding: int = 3, channels: int = 1, rate: int = 1_000) -> bytes:
    return b".snd" + struct.pack(">IIIII", 32, size, coding, rate, channels) + bytes(8) + bytes(2_000)


@pytest.mark.parametrize(
    ("content", "want"),
    [
        pytest.param(au(2_000), NamedLength(1.0), id="just what it says"),
        pytest.param(au(2_000, coding=1), NamedLength(2.0), id="one byte a sample"),
        pytest.param(au(2_000, channels=2), NamedLength(0.5), id="two channels"),
        pytest.param(au(8_000), NamedLength(4.0), id="cut off"),
        pytest.param(au(1_000), NamedLength(0.5, padded=True), id="something behind it"),
        pytest.param(au(0xFFFF_FFFF), None, id="the largest number, as the format has it"),
        pytest.param(au(0x7FFF_FFFF), None, id="another largest number"),
        pytest.param(au(0), None, id="nothing"),
        pytest.param(au(2_000, coding=23), None, id="a coding without a fixed size"),
        pytest.param(au(2_000, rate=0), None, id="no rate"),
        pytest.param(au(2_000)[:20], None, id="half a header"),
        pytest.param(b"RIFF", None, id="another format"),
    ],
)
def test_what_an_au_header_names(content: bytes, want: NamedLength | None) -> None:
    assert au_length(io.BytesIO(content)) == want


def packets(valid: int, priming: int, remainder: int) -> tuple[bytes, bytes, None]:
    return b"pakt", struct.pack(">qqii", 3, valid, priming, remainder) + b"\1\1\1", None


def data(size: int | None = None) -> tuple[bytes, bytes, int | None]:
    return b"data", bytes(2_004), size


@pytest.mark.parametrize(
    ("content", "want"),
    [
        pytest.param(caf(data()), NamedLength(1.0), id="PCM"),
        pytest.param(caf(data(8_004)), NamedLength(4.0), id="PCM that was cut off"),
        pytest.param(caf(data(-1)), None, id="PCM to the end of the file"),
        pytest.param(caf((b"free", bytes(99), None), data()), NamedLength(1.0), id="a chunk before it"),
        pytest.param(caf(data(), coding=b"ulaw", packet=1), None, id="a coding that is not PCM"),
        pytest.param(
            caf(packets(2_000, 528, 544), data(), coding=b"aac ", packet=0, frames=1_024),
            NamedLength(2.0, padded=True, lead_seconds=0.528),
            id="AAC: padding before and behind",
        ),
        pytest.param(
            caf(data(), packets(2_000, 0, 48), coding=b"alac", packet=0, frames=4_096),
            NamedLength(2.0, padded=True),
            id="ALAC: padding behind, and the table behind the sound",
        ),
        pytest.param(caf(packets(2_048, 0, 0), data(), coding=b"aac ", packet=0), NamedLength(2.048), id="no padding"),
        pytest.param(caf(packets(0, 0, 0), data(), coding=b"aac ", packet=0), None, id="no samples are named"),
        pytest.param(caf(packets(9, -1, 0), data(), coding=b"aac ", packet=0), None, id="less than no padding"),
        pytest.param(caf(packets(2**63 - 1, 0, 0), coding=b"aac ", packet=0), None, id="the largest number"),
        pytest.param(caf(packets(9, 0, 0))[:-12], None, id="half a table"),
        pytest.param(caf()[:20], None, id="half a header"),
        pytest.param(b"RIFF", None, id="another format"),
    ],
)
def test_what_a_caf_header_names(content: bytes, want: NamedLength | None) -> None:
    assert caf_length(io.BytesIO(content)) == want


@pytest.mark.parametrize(
    ("content", "want"),
    [
        pytest.param(w64(), 2_000 / 88_200, id="just what it says"),
        pytest.param(w64(9_000, 8_024), 8_000 / 88_200, id="cut off"),
        pytest.param(w64(0, 0), None, id="nothing"),
        pytest.param(w64(0, 2**63 - 1), None, id="the largest number"),
        pytest.param(
            w64().replace(struct.pack("<HHI", 1, 1, 44_100), struct.pack("<HHI", 0x11, 1, 44_100)), None, id="ADPCM"
        ),
        pytest.param(w64()[:60], None, id="half a header"),
        pytest.param(b"", None, id="nothing at all"),
    ],
)
def test_what_a_w64_header_names(content: bytes, want: float | None) -> None:
    found = w64_length(io.BytesIO(content))
    assert (found.seconds if found else None) == want
