"""APE tags at the end of a file, as some MP3 files have them."""

from __future__ import annotations

import struct
from typing import BinaryIO, Final

from audiojob_runner.media.tags.found import FRONT_COVER, Found

MAX_TAG_BYTES: Final = 32 * 1024**2
MAX_ITEMS: Final = 1_000
_FOOTER: Final = struct.Struct("<8sIIII8x")
_NAMES: Final = {
    b"title": "title", b"artist": "artist", b"album": "album", b"year": "date", b"comment": "comment",
    b"track": "track", b"genre": "genre",
}  # fmt: skip


def read_ape(file: BinaryIO, size: int) -> Found | None:
    """The tag at the end of the file, or before its ID3v1 tag."""
    for end in (size, size - 128):
        if end < _FOOTER.size:
            continue
        file.seek(end - _FOOTER.size)
        magic, _, length, count, _ = _FOOTER.unpack(file.read(_FOOTER.size))
        if magic == b"APETAGEX" and _FOOTER.size <= length <= min(end, MAX_TAG_BYTES):
            file.seek(end - length)
            return _read_items(file.read(length - _FOOTER.size), count)
    return None


def _read_items(body: bytes, count: int) -> Found:
    found, at = Found(), 0
    for _ in range(min(count, MAX_ITEMS)):
        if at + 8 > len(body):
            break
        size, flags = struct.unpack_from("<II", body, at)
        name, ended, _ = body[at + 8 : at + 8 + 256].partition(b"\0")
        begin = at + 8 + len(name) + 1
        if not ended or begin + size > len(body):
            break
        value, binary, name = body[begin : begin + size], flags >> 1 & 3 == 1, name.lower()
        if name in _NAMES and not binary:
            found.add(_NAMES[name], *value.split(b"\0"))
        elif name.startswith(b"cover art") and binary:
            # A file name goes before the picture.
            found.add_picture(FRONT_COVER if b"front" in name else 4, value.partition(b"\0")[2])
        at = begin + size
    return found
