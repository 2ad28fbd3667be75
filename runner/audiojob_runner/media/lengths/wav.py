"""Reads the length in a WAV file's header, which ffprobe does not report."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import BinaryIO, Final

# PCM, float, and "extensible", which holds one of both. Other codings have no fixed number of bytes a second.
_EVEN_FORMATS: Final = frozenset({0x0001, 0x0003, 0xFFFE})
# Programs that write to a pipe cannot go back and fill in the size. They leave 0, the largest number that they know
# (of 31, 32 bits), or that number less what their headers take, rounded to their blocks.
_PLACEHOLDERS: Final = (range(1), range(0x7F00_0000, 0x8001_0000), range(0xFFFF_0000, 1 << 32))
_MAX_CHUNKS: Final = 64
_CHUNK_NAME: Final = re.compile(rb"[\x20-\x7e]{4}")


@dataclass(frozen=True, slots=True)
class WavLength:
    """``seconds`` are what the header promises, None where it promises nothing.

    ``goes_on`` tells that sound follows behind the end that the header names: a recorder that stopped before it
    brought the header up to date, or more than 32 bits can count.
    """

    seconds: float | None = None
    goes_on: bool = False


def is_placeholder(size: int, room: int) -> bool:
    """Whether a size stands for "not known yet". ``room`` is how many bytes there are: a size that fits is true."""
    return not 0 < size <= room and any(size in sizes for sizes in _PLACEHOLDERS)


def wav_length(file: BinaryIO, file_size: int) -> WavLength:
    """What the header of a RIFF/WAVE file promises."""
    head = file.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return WavLength()
    byte_rate = 0
    for _ in range(_MAX_CHUNKS):
        chunk = file.read(8)
        if len(chunk) < 8:
            break
        name, size = struct.unpack("<4sI", chunk)
        if name == b"data":
            return _promise(file, size, byte_rate, file_size)
        if name == b"fmt ":
            fields = file.read(12)
            if len(fields) < 12:
                break
            coding, _, _, byte_rate = struct.unpack("<HHII", fields)
            if coding not in _EVEN_FORMATS:
                break
            file.seek(size + size % 2 - 12, 1)
        else:
            file.seek(size + size % 2, 1)  # chunks start at even offsets
    return WavLength()


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
