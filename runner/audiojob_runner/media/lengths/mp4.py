"""Reads in MP4 files how many samples of a track are played: its samples' durations, its edit list, and Apple's tag.

ffmpeg cuts what an edit list leaves out before the sound, but not the padding of the last frame behind it.
"""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass
from typing import BinaryIO, Final

from audiojob_runner.media.tags.mp4 import Atom, children

_MAX_TABLE_BYTES: Final = 4 * 1024**2
_MAX_FRAGMENTS: Final = 100_000
# " 00000000 00000840 000001CA 00000000003F31F6 …": of the numbers the second to fourth are priming, padding, samples.
_APPLE: Final = re.compile(rb"\s*[0-9A-F]{8} ([0-9A-F]{8}) [0-9A-F]{8} ([0-9A-F]{16})\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Edit:
    """A part of the film: ``length`` in units of the film, from ``begin`` of the track in its own."""

    length: int
    begin: int


def mp4_samples(file: BinaryIO, size: int, index: int, rate: int) -> int | None:
    """Samples a channel that are played of the track of that index. None where the file leaves it open."""
    whole = Atom(b"", 0, 0, size)
    film = _find(file, whole, b"moov")
    tracks = [] if film is None else [each for each in children(file, film) if each.name == b"trak"]
    if film is None or index >= len(tracks):
        return None
    track = tracks[index]
    timescale = _timescale(file, _find(file, track, b"mdia", b"mdhd"))
    length = _table_length(file, _find(file, track, b"mdia", b"minf", b"stbl", b"stts"))
    extended = _find(file, film, b"mvex")
    if extended is not None and length is not None:
        length = _fragments_length(file, whole, extended, _track_number(file, track), length)
    if not timescale or not length:
        return None
    begin, end = _edited(_edits(file, track), length, timescale, _timescale(file, _find(file, film, b"mvhd")))
    apple = _apple(file, film)
    if apple is not None and begin in (0, apple[0]) and sum(apple) <= math.ceil(length * rate / timescale):
        return apple[1]
    return round((end - begin) * rate / timescale) if end > begin else None


def _edited(edits: list[_Edit], length: int, timescale: int, film_timescale: int) -> tuple[int, int]:
    """From where to where the track is played; from 0 to 0 where parts of it are put together anew."""
    shown = [edit for edit in edits if edit.begin >= 0]  # the others are silence before it
    if not shown:
        return 0, length
    if len(shown) > 1:
        return 0, 0
    (edit,) = shown
    if not edit.length or not film_timescale:
        return edit.begin, length
    unit = timescale / film_timescale
    end = edit.begin + edit.length * unit
    # Films count in coarse units, often milliseconds: within one of them the track knows better.
    return edit.begin, length if abs(end - length) <= max(1.0, unit) else min(round(end), length)


def _edits(file: BinaryIO, track: Atom) -> list[_Edit]:
    content = _content(file, _find(file, track, b"edts", b"elst"))
    form = ">QqI" if content[:1] == b"\x01" else ">IiI"
    step = struct.calcsize(form)
    rows = range(8, len(content) - step + 1, step)
    return [_Edit(*struct.unpack_from(form, content, at)[:2]) for at in rows]


def _table_length(file: BinaryIO, atom: Atom | None) -> int | None:
    content = _content(file, atom)
    count = int.from_bytes(content[4:8], "big")
    if len(content) < 8 + 8 * count:
        return None
    rows = struct.iter_unpack(">II", content[8 : 8 + 8 * count])
    return sum(int(number) * int(each) for number, each in rows)


def _fragments_length(file: BinaryIO, whole: Atom, extended: Atom, number: int, length: int) -> int | None:
    """With what is in fragments behind; None where they leave gaps, or are cut off."""
    usual = {
        int.from_bytes(content[4:8], "big"): int.from_bytes(content[12:16], "big")
        for content in (_content(file, each) for each in children(file, extended) if each.name == b"trex")
    }
    last = whole.begin
    for atom in children(file, whole, _MAX_FRAGMENTS):
        last = atom.end
        if atom.name != b"moof":
            continue
        for part in children(file, atom):
            added = _fragment(file, part, number, usual.get(number, 0), length) if part.name == b"traf" else 0
            if added is None:
                return None
            length += added
    return length if last == whole.end else None


def _fragment(file: BinaryIO, part: Atom, number: int, usual: int, begin: int) -> int | None:
    """How long one fragment's part of the track is; None where it does not follow on."""
    head = _content(file, _find(file, part, b"tfhd"))
    flags = int.from_bytes(head[1:4], "big")
    if int.from_bytes(head[4:8], "big") != number:
        return 0
    if flags & 0x08:
        at = 8 + 8 * bool(flags & 0x01) + 4 * bool(flags & 0x02)
        usual = int.from_bytes(head[at : at + 4], "big")
    time = _content(file, _find(file, part, b"tfdt"))
    if time and int.from_bytes(time[4 : 12 if time[0] else 8], "big") != begin:
        return None
    return sum(_run(_content(file, each), usual) for each in children(file, part) if each.name == b"trun")


def _run(content: bytes, usual: int) -> int:
    flags, count = int.from_bytes(content[1:4], "big"), int.from_bytes(content[4:8], "big")
    if not flags & 0x100:
        return count * usual
    at = 8 + 4 * bool(flags & 0x01) + 4 * bool(flags & 0x04)
    step = 4 * sum(bool(flags & each) for each in (0x100, 0x200, 0x400, 0x800))
    return sum(
        int.from_bytes(content[row : row + 4], "big") for row in range(at, min(len(content), at + count * step), step)
    )


def _apple(file: BinaryIO, film: Atom) -> tuple[int, int] | None:
    """Priming and samples of iTunes' tag."""
    listed = _find(file, film, b"udta", b"meta", b"ilst")
    for item in children(file, listed) if listed is not None else ():
        if item.name == b"----" and b"iTunSMPB" in _content(file, _find(file, item, b"name")):
            found = _APPLE.match(_content(file, _find(file, item, b"data"))[8:])
            return (int(found[1], 16), int(found[2], 16)) if found else None
    return None


def _timescale(file: BinaryIO, head: Atom | None) -> int:
    """Of a film's or a track's head."""
    content = _content(file, head)
    at = 20 if content[:1] == b"\x01" else 12
    return int.from_bytes(content[at : at + 4], "big")


def _track_number(file: BinaryIO, track: Atom) -> int:
    content = _content(file, _find(file, track, b"tkhd"))
    at = 20 if content[:1] == b"\x01" else 12
    return int.from_bytes(content[at : at + 4], "big")


def _find(file: BinaryIO, parent: Atom, *names: bytes) -> Atom | None:
    """The first atom of that name inside, and so on."""
    found: Atom | None = parent
    for name in names:
        found = None if found is None else next((each for each in children(file, found) if each.name == name), None)
    return found


def _content(file: BinaryIO, atom: Atom | None) -> bytes:
    """What is in it; nothing where it is not there or too large to be true."""
    if atom is None or atom.end - atom.begin > _MAX_TABLE_BYTES:
        return b""
    file.seek(atom.begin)
    return file.read(atom.end - atom.begin)
