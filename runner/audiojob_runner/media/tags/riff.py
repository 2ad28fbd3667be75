"""Tags in WAV and AIFF files: the list of INFO texts, and ID3 tags in a chunk of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Final, Literal

from audiojob_runner.media.tags.found import Found
from audiojob_runner.media.tags.id3 import read_id3
from audiojob_runner.media.tags.text import MAX_TEXT_BYTES

MAX_CHUNKS: Final = 1_000
_NAMES: Final = {
    b"INAM": "title", b"IART": "artist", b"IPRD": "album", b"ICRD": "date", b"ICMT": "comment", b"IGNR": "genre",
    b"ITRK": "track", b"IPRT": "track", b"NAME": "title", b"AUTH": "artist", b"ANNO": "comment",
}  # fmt: skip


def read_riff(file: BinaryIO, size: int) -> list[Found]:
    """Of a WAV or AIFF file: the ID3 tag, then the texts."""
    head = file.read(12)
    order: Literal["big", "little"] = "big" if head.startswith(b"FORM") else "little"
    tags, texts = [], Found()
    for name, at, length in _chunks(file, 12, size, order):
        if name.lower() == b"id3 ":
            found = read_id3(file, at)
            tags += [found] if found else []
        elif name == b"LIST":
            file.seek(at)
            if file.read(4) == b"INFO":
                for info, place, count in _chunks(file, at + 4, at + length, order):
                    _add(file, texts, info, place, count)
        elif order == "big":
            _add(file, texts, name, at, length)
    return [*tags, texts]


def _add(file: BinaryIO, texts: Found, name: bytes, at: int, length: int) -> None:
    if name in _NAMES:
        file.seek(at)
        texts.add(_NAMES[name], file.read(min(length, MAX_TEXT_BYTES)).partition(b"\0")[0])


def _chunks(file: BinaryIO, at: int, end: int, order: Literal["big", "little"]) -> Iterator[tuple[bytes, int, int]]:
    for _ in range(MAX_CHUNKS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8 or at + 8 > end:
            return
        size = int.from_bytes(head[4:], order)
        yield head[:4], at + 8, min(size, end - at - 8)
        at += 8 + size + size % 2  # chunks start at even offsets
