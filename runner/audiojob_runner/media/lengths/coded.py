"""Reads how many samples of MP3 and Ogg Opus files are played, without the padding that ffprobe counts too.

These are notes of the encoder, not lengths: files that were put together or cut keep the note of a part. They serve for
files that we have written ourselves.
"""

from __future__ import annotations

from typing import BinaryIO, Final

from audiojob_runner.media.tags.id3 import id3_end

_HEAD_BYTES: Final = 256
_TAIL_BYTES: Final = 128 * 1024
_FRAMES, _BYTES, _TABLE, _QUALITY = 1, 2, 4, 8  # what a Xing header says that it holds


def mp3_samples(file: BinaryIO) -> int | None:
    """By the Xing header and LAME's part of it, in the first frame."""
    file.seek(id3_end(file))
    head = file.read(_HEAD_BYTES)
    if len(head) < _HEAD_BYTES or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:  # no frame of layer III
        return None
    first_version, mono = head[1] & 0x18 == 0x18, head[3] & 0xC0 == 0xC0
    at = 4 + ((17 if mono else 32) if first_version else (9 if mono else 17))
    flags = int.from_bytes(head[at + 4 : at + 8], "big")
    if head[at : at + 4] not in (b"Xing", b"Info") or not flags & _FRAMES:
        return None
    frames = int.from_bytes(head[at + 8 : at + 12], "big")
    at += 12 + 4 * bool(flags & _BYTES) + 100 * bool(flags & _TABLE) + 4 * bool(flags & _QUALITY)
    padding = int.from_bytes(head[at + 21 : at + 24], "big")
    return max(0, frames * (1152 if first_version else 576) - (padding >> 12) - (padding & 0xFFF))


def opus_samples(file: BinaryIO, size: int) -> int | None:
    """By the position of the last page, at 48,000 a second."""
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    at = head.find(b"OpusHead")
    file.seek(max(0, size - _TAIL_BYTES))
    tail = file.read(_TAIL_BYTES)
    last = tail.rfind(b"OggS")
    if head[:4] != b"OggS" or at < 0 or len(tail) < last + 18 or last < 0:
        return None
    skipped = int.from_bytes(head[at + 10 : at + 12], "little")
    return max(0, int.from_bytes(tail[last + 6 : last + 14], "little") - skipped)
