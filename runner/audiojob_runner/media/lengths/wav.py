"""Reads the length in the header of a WAV file, RF64 included, which ffprobe does not report."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import BinaryIO, Final

# PCM, float, and "extensible", which holds one of both. Other codings have no fixed number of bytes a second.
_EVEN_FORMATS: Final = frozenset({0x0001, 0x0003, 0xFFFE})
# Microsoft's and IMA's ADPCM: blocks of a fixed number of samples, the last one padded, and no delay before them.
_BLOCK_FORMATS: Final = frozenset({0x0002, 0x0011})
# Programs that write to a pipe cannot go back and fill in the size. They leave 0, the largest number that they know
# (of 31, 32 bits), or that number less what their headers take, rounded to their blocks.
_PLACEHOLDERS: Final = (range(1), range(0x7F00_0000, 0x8001_0000), range(0xFFFF_0000, 1 << 32))
_LARGE_PLACEHOLDER: Final = 1 << 62
_MAX_CHUNKS: Final = 64
_CHUNK_NAME: Final = re.compile(rb"[\x20-\x7e]{4}")


@dataclass(frozen=True, slots=True)
class WavLength:
    """``seconds`` are what the header promises, None where it promises nothing.

    ``goes_on`` tells that sound follows behind the end that the header names: a recorder that stopped before it
    brought the header up to date, or more than 32 bits can count. ``padded``: what is decoded behind ``seconds`` is
    the padding of the last block. ``unnamed``: the header names no length, and ffmpeg takes that for an end.
    """

    seconds: float | None = None
    goes_on: bool = False
    padded: bool = False
    unnamed: bool = False


@dataclass(frozen=True, slots=True)
class _Blocks:
    """How sound is coded in blocks, by the format chunk."""

    rate: int
    size: int
    samples: int


def is_placeholder(size: int, room: int) -> bool:
    """Whether a size stands for "not known yet". ``room`` is how many bytes there are: a size that fits is true."""
    return not 0 < size <= room and any(size in sizes for sizes in _PLACEHOLDERS)


def wav_length(file: BinaryIO, file_size: int) -> WavLength:
    """What the header of a RIFF/WAVE file promises."""
    head = file.read(12)
    large = head[:4] in (b"RF64", b"BW64")
    if not (large or head[:4] == b"RIFF") or head[8:] != b"WAVE":
        return WavLength()
    byte_rate, blocks, samples, large_size = 0, None, 0, 0
    for _ in range(_MAX_CHUNKS):
        chunk = file.read(8)
        if len(chunk) < 8:
            break
        name, size = struct.unpack("<4sI", chunk)
        end = file.tell() + size + size % 2  # chunks start at even offsets
        if name == b"data" and large:
            return _large_promise(file, large_size, byte_rate, file_size)
        if name == b"data":
            return _counted(size, blocks, samples) if blocks else _promise(file, size, byte_rate, file_size)
        if name == b"fmt ":
            fields = file.read(min(size, 20))
            if len(fields) < 12:
                break
            coding, _, _, byte_rate = struct.unpack("<HHII", fields[:12])
            blocks = _blocks(coding, fields)
            if coding not in _EVEN_FORMATS and not blocks:
                break
        elif name == b"ds64":
            large_size = int.from_bytes(file.read(16)[8:], "little")
        elif name == b"fact":
            samples = int.from_bytes(file.read(min(size, 4)), "little")
        file.seek(end)
    return WavLength()


def _blocks(coding: int, fields: bytes) -> _Blocks | None:
    """How a coding of blocks is laid out; None for other codings, and where the chunk does not say it."""
    if coding not in _BLOCK_FORMATS or len(fields) < 20:
        return None
    rate, _, block_size, _, _, samples = struct.unpack("<IIHHHH", fields[4:20])
    return _Blocks(rate, block_size, samples) if rate and block_size and samples else None


def _counted(size: int, blocks: _Blocks, samples: int) -> WavLength:
    """By the samples that the ``fact`` chunk counts. A count that does not end in the last block is none of these."""
    count = -(-size // blocks.size)
    if not (count - 1) * blocks.samples < samples <= count * blocks.samples:
        return WavLength()
    return WavLength(samples / blocks.rate, padded=True)


def _large_promise(file: BinaryIO, size: int, byte_rate: int, file_size: int) -> WavLength:
    if size == 0 or size >= _LARGE_PLACEHOLDER:
        return WavLength(unnamed=True)
    return _promise(file, size, byte_rate, file_size)


def _promise(file: BinaryIO, size: int, byte_rate: int, file_size: int) -> WavLength:
    room = file_size - file.tell()
    if not byte_rate or is_placeholder(size, room):
        return WavLength()
    if size < room and not _ends_well(file, file.tell() + size, file_size):
        return WavLength(goes_on=True)
    return WavLength(size / byte_rate)


def _ends_well(file: BinaryIO, end: int, file_size: int) -> bool:
    """Whether what follows the sound is chunks, padding or tags, and not more sound."""
    for start in (end + end % 2, end):  # some programs leave out the byte that makes a chunk even
        file.seek(start)
        rest = file.read(128)
        if not rest.strip(b"\0"):
            return file_size - start <= len(rest) or not file.read(4_096).strip(b"\0")
        if rest[:3] in (b"ID3", b"TAG"):
            return True
        if len(rest) >= 8 and _CHUNK_NAME.fullmatch(rest[:4]):
            size = int.from_bytes(rest[4:8], "little")
            if start + 8 + size <= file_size + 1:
                return True
    return file_size - end < 8
