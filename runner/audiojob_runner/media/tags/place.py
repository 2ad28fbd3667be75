"""Writes what ffmpeg cannot: several values of one tag, and comments of MP3 as players look for them.

ffmpeg knows one value for each name. So it is given all of them with a run of control characters between, which no tag
of ours has otherwise, as long as what the format puts there. Then they are replaced within the file: nothing moves.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Final

from audiojob_runner.media.tags.found import TagValue, joined
from audiojob_runner.media.tags.id3 import frames_of, to_syncsafe
from audiojob_runner.media.tags.mp4 import tag_items
from audiojob_runner.media.tags.vorbis import (
    FLAC_COMMENTS,
    comment_packet,
    flac_blocks,
    head_bytes,
    ogg_pages,
    read_parts,
    split_comments,
)

_MARK: Final = "\x1f"
_MARKS: Final = re.compile(rb"\x1f+")
# Names that the format has other words for than ffmpeg.
_VORBIS_NAMES: Final = {"track": "TRACKNUMBER", "comment": "DESCRIPTION"}
_ATOM_BYTES: Final = 16
_LANGUAGE: Final = b"eng"


class TagForm(StrEnum):
    """How a container holds tags."""

    ID3 = "ID3"
    VORBIS = "Vorbis"
    MP4 = "MP4"
    SINGLE = "Single"  # one text a name, or of several only what ffmpeg cannot write


def value_for(form: TagForm, name: str, value: TagValue) -> str:
    """The text that ffmpeg is given."""
    if isinstance(value, str):
        return value
    if form is TagForm.SINGLE or name == "track":
        return joined(value, "; ")
    length = {
        TagForm.ID3: 1,
        TagForm.VORBIS: 4 + len(_VORBIS_NAMES.get(name, name)) + 1,
        TagForm.MP4: _ATOM_BYTES,
    }[form]
    return joined(value, _MARK * length)


def has_several(tags: Mapping[str, TagValue]) -> bool:
    """Whether any tag has more than one value."""
    return any(not isinstance(value, str) for value in tags.values())


def place_values(path: Path, form: TagForm, tags: Mapping[str, TagValue]) -> None:
    """Put the values apart in a file that ffmpeg has written from texts of :func:`value_for`."""
    if form is TagForm.SINGLE or not (has_several(tags) or (form is TagForm.ID3 and tags.get("comment"))):
        return
    with path.open("r+b") as file:
        if form is TagForm.ID3:
            _rewrite_id3(file)
        elif form is TagForm.MP4:
            _split_atoms(file, path.stat().st_size)
        elif file.read(4) == b"fLaC":
            for kind, at, size in list(flac_blocks(file)):
                if kind == FLAC_COMMENTS:
                    _write(file, [(at, size)], 0)
        else:
            _rewrite_ogg(file)


def _rewrite_id3(file: BinaryIO) -> None:
    file.seek(0)
    head = file.read(10)
    frames = []
    end = 10
    for name, at, size, flags in list(frames_of(file)):
        file.seek(at)
        end = at + size
        placed, body = _comment(name, file.read(size))
        # In a tag with several values all texts are Latin-1 or UTF-8: see `id3_version`.
        body = _MARKS.sub(b"\0", body) if placed.startswith(b"T") or placed == b"COMM" else body
        length = to_syncsafe(len(body)) if head[3] == 4 else len(body).to_bytes(4, "big")
        frames.append(placed + length + flags.to_bytes(2, "big") + body)
    written = b"".join(frames)
    file.seek(10)
    file.write(written + bytes(end - 10 - len(written)))  # what got shorter is padding at the end


def id3_version(tags: Mapping[str, TagValue]) -> int:
    """2.3 is what car radios read, but only 2.4 has several values."""
    return 4 if has_several(tags) else 3


def _comment(name: bytes, body: bytes) -> tuple[bytes, bytes]:
    """A text frame that is called comment, as the comment frame that it should be; other frames as they are."""
    if name != b"TXXX":
        return name, body
    described = {
        0: b"comment\0",
        1: b"\xff\xfe" + "comment\0".encode("utf-16-le"),
        3: b"comment\0",
    }.get(body[0] if body else 9)
    if described is None or not body[1:].startswith(described):
        return name, body
    without = b"\xff\xfe\0\0" if body[0] == 1 else b"\0"
    return b"COMM", body[:1] + _LANGUAGE + without + body[1 + len(described) :]


def _split_atoms(file: BinaryIO, size: int) -> None:
    for _, data in list(tag_items(file, size)):
        file.seek(data.begin)
        kind, body = file.read(8), file.read(data.end - data.begin - 8)
        if _MARK.encode() * _ATOM_BYTES not in body:
            continue
        values = body.split(_MARK.encode() * _ATOM_BYTES)
        file.seek(data.at)
        file.writelines(struct.pack(">I4s", _ATOM_BYTES + len(value), b"data") + kind + value for value in values)


def _rewrite_ogg(file: BinaryIO) -> None:
    parts = comment_packet(file)
    if parts is None:
        return
    _write(file, parts, head_bytes(read_parts(file, parts)))
    last = parts[-1][0] + parts[-1][1]
    for page in ogg_pages(file):
        if page.at > last:
            break
        file.seek(page.at)
        content = bytearray(file.read(page.end - page.at))
        content[22:26] = bytes(4)
        content[22:26] = _ogg_checksum(content).to_bytes(4, "little")
        file.seek(page.at)
        file.write(content)


def _write(file: BinaryIO, parts: list[tuple[int, int]], skip: int) -> None:
    """Comments with their values apart, over those in these parts of the file; ``skip`` bytes are before them."""
    packet = read_parts(file, parts)
    split = split_comments(packet[skip:])
    if split is None:
        return
    vendor, comments, rest = split
    apart = []
    for comment in comments:
        name, equals, value = comment.partition(b"=")
        apart += [name + equals + each for each in _MARKS.split(value)]
    body = struct.pack("<I", len(vendor)) + vendor + struct.pack("<I", len(apart))
    body += b"".join(struct.pack("<I", len(comment)) + comment for comment in apart)
    written = packet[:skip] + body + rest
    if len(written) != len(packet):
        raise ValueError("the marks between values are not as long as what goes there")
    at = 0
    for place, size in parts:
        file.seek(place)
        file.write(written[at : at + size])
        at += size


def _checksum_table() -> list[int]:
    table = []
    for value in range(256):
        rest = value << 24
        for _ in range(8):
            rest = (rest << 1 ^ 0x04C1_1DB7 if rest & 0x8000_0000 else rest << 1) & 0xFFFF_FFFF
        table.append(rest)
    return table


_TABLE: Final = _checksum_table()


def _ogg_checksum(content: bytes | bytearray) -> int:
    rest = 0
    for byte in content:
        rest = (rest << 8 & 0xFFFF_FFFF) ^ _TABLE[rest >> 24 ^ byte]
    return rest
