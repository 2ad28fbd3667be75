"""Sound that a program wrote to a pipe, in containers whose header ffmpeg then refuses: AIFF, W64 and RF64.

Such a program cannot go back and fill in the sizes. It leaves 0, or the largest number that it knows. ffmpeg takes that
as it is in WAV and CAF, where the file's own size says the rest; here it is given a copy with the sizes filled in.
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from audiojob_runner.media.lengths.wav import is_placeholder

# What is written over: places in the file, and bytes.
Patches = tuple[tuple[int, bytes], ...]

_MAX_CHUNKS: Final = 64
_AIFF_SIZE: Final = 0xFFFF_FFFF
# Of AIFF-C, the codings of a fixed number of bytes a sample; 0 is as many as its bits take.
_AIFC_BYTES: Final = {
    b"NONE": 0, b"twos": 0, b"sowt": 0, b"in24": 3, b"in32": 4, b"fl32": 4, b"FL32": 4, b"fl64": 8, b"FL64": 8,
    b"ulaw": 1, b"ULAW": 1, b"alaw": 1, b"ALAW": 1,
}  # fmt: skip
_W64_RIFF: Final = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_W64_WAVE: Final = bytes.fromhex("77617665f3acd3118cd100c04f8edb8a")
_W64_DATA: Final = bytes.fromhex("64617461f3acd3118cd100c04f8edb8a")
_W64_HEAD_BYTES: Final = 24  # of a chunk, counted in its size
# ffmpeg takes larger ones for negative.
_MOST: Final = 1 << 63


@contextmanager
def readable(source: Path, folder: Path) -> Iterator[Path]:
    """The file itself, or for the time being a copy in ``folder`` whose header says how long its sound is."""
    if not _missing(source):
        yield source
        return
    copy = folder / f"sized{source.suffix}"
    try:
        shutil.copyfile(source, copy)
        fill_in(copy)
        yield copy
    finally:
        copy.unlink(missing_ok=True)


def fill_in(path: Path) -> None:
    """Write the sizes into a file of our own."""
    patches = _missing(path)
    if patches:
        with path.open("r+b") as file:
            for place, content in patches:
                file.seek(place)
                file.write(content)


def _missing(path: Path) -> Patches:
    with path.open("rb") as file:
        return missing_sizes(file, path.stat().st_size)


def missing_sizes(file: BinaryIO, size: int) -> Patches:
    """What a header that names no length has to say; nothing for any other file."""
    head = file.read(40)
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return _aiff(file, size)
    if head[:16] == _W64_RIFF and head[24:] == _W64_WAVE:
        return _w64(file, size)
    if head[:4] in (b"RF64", b"BW64") and head[8:16] == b"WAVEds64":
        return _rf64(file, size)
    return ()


def _aiff(file: BinaryIO, size: int) -> Patches:
    frame_bytes = frames_at = 0
    at = 12
    for _ in range(_MAX_CHUNKS):
        file.seek(at)
        name, length = _chunk(file.read(8))
        if name == b"COMM":
            frames_at, frame_bytes = at + 10, _frame_bytes(file.read(min(length, 22)))
        elif name == b"SSND":
            return _aiff_sound(file, at, size, frames_at, frame_bytes) if frame_bytes else ()
        elif not name:
            break
        at += 8 + length + length % 2
    return ()


def _aiff_sound(file: BinaryIO, at: int, size: int, frames_at: int, frame_bytes: int) -> Patches:
    """``at`` is where the chunk of the sound begins, with its size and what is before the first sample."""
    file.seek(4)
    (whole,) = struct.unpack(">I", file.read(4))
    file.seek(frames_at)
    (frames,) = struct.unpack(">I", file.read(4))
    file.seek(at + 4)
    fields = file.read(8)
    if len(fields) < 8:
        return ()
    length, offset = struct.unpack(">II", fields)
    room = size - at - 8
    empty = length <= 8 + offset and not (frames == 0 and whole in (size - 8, size - 7))
    unknown = empty or is_placeholder(length, room)
    sound = (room if unknown else min(length, room)) - 8 - offset
    named = not unknown and whole >= 4 and frames < 1 << 31
    if named or not 0 < sound <= _AIFF_SIZE - 8 - offset or at + 8 > size:
        return ()
    return (
        (4, struct.pack(">I", min(size - 8, _AIFF_SIZE))),
        (frames_at, struct.pack(">I", sound // frame_bytes)),
        (at + 4, struct.pack(">I", 8 + offset + sound)),
    )


def _chunk(head: bytes) -> tuple[bytes, int]:
    return (head[:4], int.from_bytes(head[4:], "big")) if len(head) == 8 else (b"", 0)


def _frame_bytes(comm: bytes) -> int:
    """Bytes that one sample of all channels takes; 0 where that is not fixed, or not known."""
    if len(comm) < 18:
        return 0
    channels, bits = int.from_bytes(comm[:2], "big"), int.from_bytes(comm[6:8], "big")
    coding = comm[18:] or b"NONE"  # which only AIFF-C names
    return channels * (_AIFC_BYTES[coding] or (bits + 7) // 8) if coding in _AIFC_BYTES else 0


def _w64(file: BinaryIO, size: int) -> Patches:
    at = 40
    for _ in range(_MAX_CHUNKS):
        file.seek(at)
        head = file.read(_W64_HEAD_BYTES)
        length = int.from_bytes(head[16:], "little")
        if head[:16] == _W64_DATA:
            room = size - at
            if room <= _W64_HEAD_BYTES or not (length <= _W64_HEAD_BYTES or length >= _MOST >> 1):
                return ()
            return (16, struct.pack("<Q", size)), (at + 16, struct.pack("<Q", room))
        if len(head) < _W64_HEAD_BYTES or length < _W64_HEAD_BYTES:
            break
        at += length + -length % 8
    return ()


def _rf64(file: BinaryIO, size: int) -> Patches:
    file.seek(20)
    fields = file.read(24)
    if len(fields) < 24 or all(value < _MOST for value in struct.unpack("<QQQ", fields)):
        return ()
    # The size of the sound 0 is "read to the end" here as it is in WAV.
    return ((20, struct.pack("<QQQ", size - 8, 0, 0)),)
