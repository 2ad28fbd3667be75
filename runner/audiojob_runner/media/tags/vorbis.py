"""Vorbis comments, as FLAC and Ogg hold them, and the pictures among them."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from audiojob_runner.media.tags.found import Found

MAX_COMMENTS: Final = 10_000
# A picture in text is a third longer than its bytes.
MAX_PACKET_BYTES: Final = 32 * 1024**2
MAX_PAGES: Final = 4_096
_NAMES: Final = {
    b"title": "title", b"artist": "artist", b"album": "album", b"date": "date", b"year": "date",
    b"comment": "comment", b"tracknumber": "track", b"genre": "genre",
}  # fmt: skip
_HEADS: Final = (b"\x03vorbis", b"OpusTags")
FLAC_COMMENTS, FLAC_PICTURE = 4, 6


@dataclass(frozen=True, slots=True)
class Page:
    """A page of an Ogg file: where it begins, its stream, and the places of its packets' parts in the file.

    ``open_end`` tells that the last part goes on in the next page of the stream.
    """

    at: int
    end: int
    serial: int
    parts: tuple[tuple[int, int], ...]
    open_end: bool


def read_flac(file: BinaryIO, start: int = 0) -> Found | None:
    """Comments and pictures of a FLAC file."""
    found = None
    for kind, at, size in flac_blocks(file, start):
        found = found or Found()
        if kind in (FLAC_COMMENTS, FLAC_PICTURE):
            file.seek(at)
            body = file.read(size)
            _add_comments(found, body) if kind == FLAC_COMMENTS else _add_picture(found, body)
    return found


def flac_blocks(file: BinaryIO, start: int = 0) -> Iterator[tuple[int, int, int]]:
    """Kind, place and size of each block before the sound."""
    file.seek(start)
    if file.read(4) != b"fLaC":
        return
    at = start + 4
    for _ in range(1_000):
        file.seek(at)
        head = file.read(4)
        if len(head) < 4:
            return
        size = int.from_bytes(head[1:], "big")
        yield head[0] & 0x7F, at + 4, size
        if head[0] & 0x80:
            return
        at += 4 + size


def read_ogg(file: BinaryIO) -> Found | None:
    """Comments of the first Vorbis or Opus stream."""
    parts = comment_packet(file)
    if parts is None:
        return None
    packet = read_parts(file, parts)
    found = Found()
    _add_comments(found, packet[head_bytes(packet) :])
    return found


def comment_packet(file: BinaryIO) -> list[tuple[int, int]] | None:
    """Where the packet of comments lies: places and sizes of its parts. None where there is none."""
    open_parts: dict[int, list[tuple[int, int]]] = {}
    for page in ogg_pages(file):
        for number, part in enumerate(page.parts):
            parts = open_parts.setdefault(page.serial, [])
            parts.append(part)
            if sum(size for _, size in parts) > MAX_PACKET_BYTES:
                return None
            if number == len(page.parts) - 1 and page.open_end:
                break
            at, size = parts[0]
            file.seek(at)
            if file.read(min(size, 8)).startswith(_HEADS):
                return parts
            open_parts[page.serial] = []
    return None


def head_bytes(packet: bytes) -> int:
    """How long the name is that a packet of :func:`comment_packet` begins with."""
    return len(next(head for head in _HEADS if packet.startswith(head)))


def read_parts(file: BinaryIO, parts: list[tuple[int, int]]) -> bytes:
    """The bytes of a packet."""
    pieces = []
    for at, size in parts:
        file.seek(at)
        pieces.append(file.read(size))
    return b"".join(pieces)


def ogg_pages(file: BinaryIO) -> Iterator[Page]:
    """The first pages of an Ogg file."""
    at = 0
    for _ in range(MAX_PAGES):
        file.seek(at)
        head = file.read(27)
        if len(head) < 27 or head[:4] != b"OggS":
            return
        lacing = file.read(head[26])
        place = at + 27 + len(lacing)
        parts, size = [], 0
        for value in lacing:
            size += value
            if value < 255:
                parts.append((place, size))
                place, size = place + size, 0
        open_end = bool(lacing) and lacing[-1] == 255
        if open_end:
            parts.append((place, size))
            place += size
        yield Page(at, place, int.from_bytes(head[14:18], "little"), tuple(parts), open_end)
        at = place


def split_comments(body: bytes) -> tuple[bytes, list[bytes], bytes] | None:
    """The vendor, the comments, and what is behind them; None where the block is not one."""
    try:
        (length,) = struct.unpack_from("<I", body)
        (count,) = struct.unpack_from("<I", body, 4 + length)
        vendor, at, comments = body[4 : 4 + length], 8 + length, []
        for _ in range(min(count, MAX_COMMENTS)):
            (size,) = struct.unpack_from("<I", body, at)
            if at + 4 + size > len(body):
                break
            comments.append(body[at + 4 : at + 4 + size])
            at += 4 + size
    except struct.error:
        return None
    return vendor, comments, body[at:]


def _add_comments(found: Found, body: bytes) -> None:
    split = split_comments(body)
    described: list[bytes] = []
    commented = False
    for comment in split[1] if split else []:
        name, _, value = comment.partition(b"=")
        name = name.lower()
        if name in _NAMES:
            found.add(_NAMES[name], value)
            commented |= name == b"comment"
        elif name == b"description":
            described.append(value)
        elif name == b"metadata_block_picture":
            try:
                _add_picture(found, base64.b64decode(value, validate=False))
            except binascii.Error:
                continue
    if not commented:
        found.add("comment", *described)


def _add_picture(found: Found, body: bytes) -> None:
    try:
        kind, length = struct.unpack_from(">II", body)
        if body[8 : 8 + length] == b"-->":
            return
        (described,) = struct.unpack_from(">I", body, 8 + length)
        at = 12 + length + described + 16
        (size,) = struct.unpack_from(">I", body, at)
    except struct.error:
        return
    found.add_picture(kind, body[at + 4 : at + 4 + size])
