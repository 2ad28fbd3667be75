"""Reads the length in a WAV file's header, which ffprobe does not report."""

from __future__ import annotations

import struct
from typing import BinaryIO, Final

# PCM, float, and "extensible", which holds one of both. Other codings have no fixed number of bytes a second.
_EVEN_FORMATS: Final = frozenset({0x0001, 0x0003, 0xFFFE})
# Programs that write to a pipe cannot go back and fill in the size; they leave one of these.
_UNKNOWN_SIZES: Final = frozenset({0, 0x7FFF_FFFF, 0xFFFF_FFFF})
_MAX_CHUNKS: Final = 64


def wav_seconds(file: BinaryIO) -> float | None:
    """Seconds of sound that the header of a RIFF/WAVE file promises, or None where it promises nothing."""
    head = file.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return None
    byte_rate = 0
    for _ in range(_MAX_CHUNKS):
        chunk = file.read(8)
        if len(chunk) < 8:
            return None
        name, size = struct.unpack("<4sI", chunk)
        if name == b"data":
            return size / byte_rate if byte_rate and size not in _UNKNOWN_SIZES else None
        if name == b"fmt ":
            fields = file.read(12)
            if len(fields) < 12:
                return None
            coding, _, _, byte_rate = struct.unpack("<HHII", fields)
            if coding not in _EVEN_FORMATS:
                return None
            file.seek(size + size % 2 - 12, 1)
        else:
            file.seek(size + size % 2, 1)  # chunks start at even offsets
    return None
