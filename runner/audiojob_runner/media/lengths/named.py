"""Reads the lengths in the headers of AU, CAF and W64 files, which ffprobe does not report as they are."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import BinaryIO, Final

from audiojob_runner.media.lengths.wav import is_placeholder

# Of FLAC, where a program that writes to a pipe leaves the largest number instead of 0: of 31, 32 and 36 bits.
UNKNOWN_TOTALS: Final = frozenset({(1 << 31) - 1, (1 << 32) - 1, (1 << 36) - 1})
_MAX_CHUNKS: Final = 64
_W64_TAIL: Final = bytes.fromhex("f3acd3118cd100c04f8edb8a")
_W64_HEAD_BYTES: Final = 24  # of a chunk, counted in its size
# PCM, float, and "extensible", which holds one of both.
_EVEN_FORMATS: Final = frozenset({0x0001, 0x0003, 0xFFFE})
_LARGEST: Final = 1 << 62


# Of AU, bytes a sample by the number of the coding: logarithms, integers, floats.
_AU_BYTES: Final = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}


@dataclass(frozen=True, slots=True)
class NamedLength:
    """``seconds`` are played. ``padded``: what is decoded behind them is padding, as are ``lead_seconds`` before."""

    seconds: float
    padded: bool = False
    lead_seconds: float = 0.0


def au_length(file: BinaryIO) -> NamedLength | None:
    """What an AU file says; None where it says nothing, as one that was written to a pipe."""
    head = file.read(24)
    if head[:4] != b".snd" or len(head) < 24:
        return None
    start, size, coding, rate, channels = struct.unpack(">IIIII", head[4:])
    room = file.seek(0, os.SEEK_END) - start
    byte_rate = _AU_BYTES.get(coding, 0) * rate * channels
    if not byte_rate or not size or is_placeholder(size, room):
        return None
    return NamedLength(size / byte_rate, padded=size < room)


def w64_length(file: BinaryIO) -> NamedLength | None:
    """What a W64 file of PCM says; None where it says nothing."""
    at, byte_rate = 40, 0
    for _ in range(_MAX_CHUNKS):
        file.seek(at)
        head = file.read(_W64_HEAD_BYTES)
        length = int.from_bytes(head[16:], "little")
        if len(head) < _W64_HEAD_BYTES or not _W64_HEAD_BYTES < length < _LARGEST or head[4:16] != _W64_TAIL:
            break
        if head[:4] == b"data":
            return NamedLength((length - _W64_HEAD_BYTES) / byte_rate) if byte_rate else None
        if head[:4] == b"fmt ":
            fields = file.read(12)
            coding, _, _, byte_rate = struct.unpack("<HHII", fields) if len(fields) == 12 else (0, 0, 0, 0)
            byte_rate = byte_rate if coding in _EVEN_FORMATS else 0
        at += length + -length % 8
    return None


def caf_length(file: BinaryIO) -> NamedLength | None:
    """What a CAF file says: by its table of packets, or by its size where it is PCM. None where it says nothing."""
    if file.read(4) != b"caff":
        return None
    at, rate, frame_bytes, seconds = 8, 0.0, 0, None
    for _ in range(_MAX_CHUNKS):
        file.seek(at)
        head = file.read(12)
        if len(head) < 12:
            break
        name, length = head[:4], int.from_bytes(head[4:], "big", signed=True)
        if name == b"desc":
            rate, frame_bytes = _described(file.read(32))
        elif name == b"pakt" and rate > 0:
            return _packets(file.read(24), rate)
        elif name == b"data" and rate > 0 and frame_bytes and length > 4:
            seconds = NamedLength((length - 4) / frame_bytes / rate)  # an edit count comes first
        if length < 0:  # the sound goes on to the end
            break
        at += 12 + length
    return seconds


def _described(content: bytes) -> tuple[float, int]:
    """Samples a second, and bytes of one of all channels: 0 where packets differ."""
    if len(content) < 32:
        return 0.0, 0
    rate, coding, _, packet_bytes, packet_frames = struct.unpack(">d4sIII", content[:24])
    even = coding == b"lpcm" and packet_frames == 1
    return (rate if 0 < rate < 1e7 else 0.0), packet_bytes if even else 0


def _packets(content: bytes, rate: float) -> NamedLength | None:
    if len(content) < 24:
        return None
    _, valid, priming, remainder = struct.unpack(">qqii", content)
    if not 0 < valid < _LARGEST or priming < 0 or remainder < 0:
        return None
    return NamedLength(valid / rate, padded=priming > 0 or remainder > 0, lead_seconds=priming / rate)
