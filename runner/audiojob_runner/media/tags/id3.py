"""ID3 tags: versions 2.2 to 2.4 at the beginning of a file or in a chunk, and version 1 at its end."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from audiojob_runner.media.tags.found import MAX_PICTURE_BYTES, Found
from audiojob_runner.media.tags.text import MAX_TEXT_BYTES, decode_utf16

MAX_TAG_BYTES: Final = 64 * 1024**2
MAX_FRAMES: Final = 10_000
_NAMES: Final = {
    "TIT2": "title", "TT2": "title", "TPE1": "artist", "TP1": "artist", "TALB": "album", "TAL": "album",
    "TRCK": "track", "TRK": "track", "TCON": "genre", "TCO": "genre", "TDRC": "date", "TYER": "date", "TYE": "date",
}  # fmt: skip
_COMMENTS: Final = ("COMM", "COM")
_PICTURES: Final = ("APIC", "PIC")
_READ: Final = frozenset({*_NAMES, *_COMMENTS, *_PICTURES, "TXXX"})
_ID: Final = re.compile(rb"[A-Z0-9]{3,4}")
# A genre by its number in a list; ffmpeg has the list.
_NUMBERED: Final = re.compile(r"\(?\d{1,3}\)?.*")
# Comments that programs leave for themselves.
_PROGRAMS: Final = ("iTun", "Songs-DB", "ID3v1")


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame: its name, and its body as it was before compression and the like."""

    name: str
    body: bytes


def read_id3(file: BinaryIO, start: int = 0) -> Found | None:
    """The tag that begins there, or None."""
    found = Found()
    frames = list(wanted_frames(file, start, _READ))
    comments: list[tuple[str, list[str | bytes]]] = []
    for frame in frames:
        if frame.name in _COMMENTS and len(frame.body) > 4:
            description, *values = texts_of(frame.body[0], frame.body[4:])
            comments.append((_plain(description), values))
        elif frame.name == "TXXX" and frame.body:
            description, *values = texts_of(frame.body[0], frame.body[1:])
            if _plain(description).lower() == "comment":  # as ffmpeg writes it
                comments.append(("~", values))
        elif frame.name in _PICTURES:
            _add_picture(found, frame)
        elif frame.body and frame.name in _NAMES:
            values = texts_of(frame.body[0], frame.body[1:])
            if _NAMES[frame.name] == "genre":
                values[:] = [value for value in values if not _NUMBERED.fullmatch(_plain(value))]
            found.add(_NAMES[frame.name], *values)
    # The one without a description is the comment that people see.
    for _, values in sorted(comments, key=lambda each: each[0] != "")[:1]:
        found.add("comment", *values)
    return found if frames else None


def read_id3v1(file: BinaryIO, size: int) -> Found | None:
    """The tag of 128 bytes at the end, or None."""
    if size < 128:
        return None
    file.seek(size - 128)
    block = file.read(128)
    if not block.startswith(b"TAG"):
        return None
    found = Found()
    for name, first, last in (("title", 3, 33), ("artist", 33, 63), ("album", 63, 93), ("date", 93, 97)):
        found.add(name, block[first:last].partition(b"\0")[0])
    found.add("comment", block[97 : 125 if block[125] == 0 else 127].partition(b"\0")[0])
    if block[125] == 0 and block[126]:
        found.add("track", str(block[126]))
    return found


def id3_end(file: BinaryIO) -> int:
    """Where a file begins that may have a tag before it."""
    file.seek(0)
    head = file.read(10)
    return 10 + syncsafe(head[6:10]) if head[:3] == b"ID3" and len(head) == 10 else 0


def frames_of(file: BinaryIO, start: int = 0) -> Iterator[tuple[bytes, int, int, int]]:
    """Of the tag that begins there: each frame's name, place and size in ``file``, and its flags."""
    file.seek(start)
    head = file.read(10)
    if len(head) < 10 or head[:3] != b"ID3" or head[3] not in (2, 3, 4):
        return
    version, size = head[3], syncsafe(head[6:10])
    at, end = start + 10, start + 10 + size
    if head[5] & 0x40 and version > 2:
        extended = file.read(4)
        at += syncsafe(extended) if version == 4 else 4 + int.from_bytes(extended, "big")
    length = 6 if version == 2 else 10
    for _ in range(MAX_FRAMES):
        file.seek(at)
        head = file.read(length)
        name = head[: 3 if version == 2 else 4]
        if at + length > end or len(head) < length or not _ID.fullmatch(name):
            return
        count = int.from_bytes(head[3:6], "big") if version == 2 else _frame_size(file, at, head, version, end)
        flags = int.from_bytes(head[8:10], "big") if version > 2 else 0
        if at + length + count > end:
            return
        yield name, at + length, count, flags
        at += length + count


def wanted_frames(file: BinaryIO, start: int, names: Collection[str]) -> Iterator[Frame]:
    """The frames of these names in the tag that begins there, readable as they are."""
    file.seek(start)
    head = file.read(10)
    if len(head) < 10 or head[:3] != b"ID3" or syncsafe(head[6:10]) > MAX_TAG_BYTES:
        return
    version = head[3]
    if head[5] & 0x80 and version < 4:
        body = file.read(syncsafe(head[6:10])).replace(b"\xff\0", b"\xff")
        file, start = io.BytesIO(head[:5] + bytes([head[5] & 0x7F]) + to_syncsafe(len(body)) + body), 0
    for raw, at, size, flags in frames_of(file, start):
        name = raw.decode("ascii")
        picture = name in _PICTURES
        if name not in names:
            continue
        limit = MAX_PICTURE_BYTES + 1024 if picture else MAX_TEXT_BYTES
        if picture and size > limit:
            continue
        file.seek(at)
        plain = _plain_body(file.read(min(size, limit)), flags, version, limit)
        if plain is not None:
            yield Frame(name, plain)


def _frame_size(file: BinaryIO, at: int, head: bytes, version: int, end: int) -> int:
    plain = int.from_bytes(head[4:8], "big")
    if version == 3 or any(byte & 0x80 for byte in head[4:8]):
        return plain
    safe = syncsafe(head[4:8])
    if safe == plain:
        return safe
    # Some programs write plain numbers where the version wants others: what the next frame begins behind is right.
    return plain if not _frame_or_end(file, at + 10 + safe, end) and _frame_or_end(file, at + 10 + plain, end) else safe


def _frame_or_end(file: BinaryIO, at: int, end: int) -> bool:
    if at >= end:
        return at == end
    file.seek(at)
    name = file.read(4)
    return name == bytes(4) or bool(_ID.fullmatch(name))


def _plain_body(body: bytes, flags: int, version: int, limit: int) -> bytes | None:
    """The body without what its flags say was done to it; None where that cannot be undone."""
    if version == 3:
        packed, encrypted, grouped, unsync, counted = flags & 0x80, flags & 0x40, flags & 0x20, 0, flags & 0x80
    else:
        packed, encrypted, grouped = flags & 0x08, flags & 0x04, flags & 0x40
        unsync, counted = flags & 0x02, flags & 0x01
    if encrypted:
        return None
    body = body[bool(grouped) + (4 if counted else 0) :]
    if unsync:
        body = body.replace(b"\xff\0", b"\xff")
    if packed:
        try:
            body = zlib.decompressobj().decompress(body, limit)
        except zlib.error:
            return None
    return body


def texts_of(encoding: int, raw: bytes) -> list[str | bytes]:
    """The texts that a frame holds one behind the other."""
    if encoding in (1, 2):
        default = "utf-16-be" if encoding == 2 and not _looks_swapped(raw) else None
        pieces = _split_wide(raw)
        marked = next((piece[:2] for piece in pieces if piece[:2] in (b"\xff\xfe", b"\xfe\xff")), b"")
        # Only the first of several values needs a mark.
        order = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}.get(marked, default)
        return [decode_utf16(piece, order) for piece in pieces]
    return list(raw.split(b"\0"))


def _looks_swapped(raw: bytes) -> bool:
    return raw[1::2].count(0) > raw[0::2].count(0)


def _split_wide(raw: bytes) -> list[bytes]:
    pieces, begin = [], 0
    for at in range(0, len(raw) - 1, 2):
        if raw[at] == raw[at + 1] == 0:
            pieces.append(raw[begin:at])
            begin = at + 2
    return [*pieces, raw[begin:]]


def _plain(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _add_picture(found: Found, frame: Frame) -> None:
    body = frame.body
    if frame.name == "PIC":
        mime, rest = body[1:4], body[4:]
    else:
        mime, _, rest = body[1:].partition(b"\0")
    if mime == b"-->" or len(rest) < 2:  # an address, which nobody here will ask
        return
    kind, rest = rest[0], rest[1:]
    if body[0] in (1, 2):
        end = next((at for at in range(0, min(len(rest) - 1, 1024), 2) if rest[at] == rest[at + 1] == 0), None)
        data = rest[end + 2 :] if end is not None else b""
    else:
        data = rest.partition(b"\0")[2]
    found.add_picture(kind, data)


def syncsafe(raw: bytes) -> int:
    """A size of seven bits a byte, as heads and version 2.4 have it."""
    size = 0
    for byte in raw:
        size = size << 7 | byte & 0x7F
    return size


def to_syncsafe(size: int) -> bytes:
    """The four bytes of such a size."""
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
