"""The tags of MP4 files: moov, udta, meta, ilst, and in it for each tag one or more atoms of data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from audiojob_runner.media.tags.found import FRONT_COVER, MAX_PICTURE_BYTES, Found
from audiojob_runner.media.tags.text import MAX_TEXT_BYTES, decode_utf16

MAX_ATOMS: Final = 10_000
_NAMES: Final = {
    b"\xa9nam": "title", b"\xa9ART": "artist", b"\xa9alb": "album", b"\xa9day": "date", b"\xa9cmt": "comment",
    b"\xa9gen": "genre",
}  # fmt: skip
_COVER: Final = b"covr"
_WIDE_TEXT: Final = 2


@dataclass(frozen=True, slots=True)
class Atom:
    """One atom: its name, where it begins, and where its contents begin and end."""

    name: bytes
    at: int
    begin: int
    end: int


def read_mp4(file: BinaryIO, size: int) -> Found | None:
    """What the list of tags holds."""
    items = list(tag_items(file, size))
    found = Found()
    for item, data in items:
        file.seek(data.begin)
        kind = int.from_bytes(file.read(4), "big") & 0xFFFFFF
        file.read(4)
        length = data.end - data.begin - 8
        if item.name == _COVER:
            if length <= MAX_PICTURE_BYTES:
                # The first one is the front by custom; the format does not say.
                found.add_picture(FRONT_COVER, file.read(length))
        elif item.name in _NAMES:
            raw = file.read(min(length, MAX_TEXT_BYTES))
            found.add(_NAMES[item.name], decode_utf16(raw, "utf-16-be") if kind == _WIDE_TEXT else raw)
    return found if items else None


def tag_items(file: BinaryIO, size: int) -> Iterator[tuple[Atom, Atom]]:
    """Each tag, with each of its atoms of data."""
    inside: list[Atom] = [Atom(b"", 0, 0, size)]
    for name in (b"moov", b"udta", b"meta", b"ilst"):
        inside = [child for parent in inside for child in children(file, parent) if child.name == name]
    for listed in inside:
        for item in children(file, listed):
            for data in children(file, item):
                if data.name == b"data" and data.end - data.begin >= 8:
                    yield item, data


def children(file: BinaryIO, parent: Atom, most: int = MAX_ATOMS) -> Iterator[Atom]:
    """The atoms inside another one."""
    at = parent.begin
    if parent.name == b"meta":
        file.seek(at)
        # QuickTime leaves out the version that others begin with.
        at += 0 if file.read(8)[4:] in (b"hdlr", b"ilst", b"keys") else 4
    for _ in range(most):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8 or at + 8 > parent.end:
            return
        size, begin = int.from_bytes(head[:4], "big"), at + 8
        if size == 1:
            size, begin = int.from_bytes(head[8:16], "big"), at + 16
        end = parent.end if size == 0 else at + size
        if end < begin or end > parent.end:
            return
        yield Atom(head[4:8], at, begin, end)
        at = end
