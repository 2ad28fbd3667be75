"""LRC: ``[mm:ss.xx]`` before a line, several times for one that is repeated; ``<mm:ss.xx>`` before a word."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from audiojob_runner.lyrics.draft import Draft, Piece, Row, Rows, milliseconds
from audiojob_types.documents.lyrics import Form

# [01:02.50], as programs also write it: [01:02], [1:02.5], [01:02:50], [01:02.500], [00:01:02.50], [-00:01.00]
_TIME: Final = r"([+-]?)(?:([0-9]{1,2}):(?=[0-9]+:[0-9]+\.))?([0-9]{1,4}):([0-9]{1,2})(?:[.:]([0-9]{1,6}))?"
_STAMP: Final = re.compile(rf"\[ ?{_TIME} ?\]")
_WORD_STAMP: Final = re.compile(rf"<{_TIME}>|\[{_TIME}\]")
_TAG: Final = re.compile(r"\[([A-Za-z#][A-Za-z#_]{0,30}) ?:([^\]]*)\]?")
_OFFSET: Final = re.compile(r"[+-]?[0-9]{1,7}")


def has_stamps(text: str) -> bool:
    """Whether any line begins with a time."""
    return any(_STAMP.match(line.lstrip()) for line in text.splitlines())


def read_lrc(text: str) -> Draft:
    """Lines with times, words with times where they have some. Raises
    :class:`~audiojob_runner.lyrics.draft.UnusableError`."""
    rows, tags = Rows(), dict[str, str]()
    stanza = False
    for raw in text.splitlines():
        line = raw.strip()
        if _STAMP.match(line):
            rows.add(_stamped(line, stanza and bool(rows.found)))
        elif tag := _TAG.match(line):
            tags.setdefault(tag[1].lower(), tag[2].strip())
        elif line:
            rows.add([Row((Piece(line),), stanza=stanza and bool(rows.found))])
        stanza = not line
    offset = int(tags["offset"]) if _OFFSET.fullmatch(tags.get("offset", "")) else 0
    return Draft(
        Form.LRC,
        tuple(_earlier(row, offset) for row in rows.found),
        title=tags.get("ti", ""),
        artist=tags.get("ar", ""),
        language=tags.get("la", "") or tags.get("lang", ""),
    )


def _stamped(line: str, stanza: bool) -> Iterator[Row]:
    """The row at each of its times."""
    starts, at = [], 0
    while stamp := _STAMP.match(line, at):
        starts.append(milliseconds(*stamp.groups()))
        at = stamp.end()
    row = Row(_pieces(line[at:].lstrip()), starts[0], stanza=stanza)
    yield row
    for start in starts[1:]:
        yield replace(_earlier(row, starts[0] - start), repeated=True)


def _pieces(text: str) -> tuple[Piece, ...]:
    """Each word goes on to the time after it."""
    found = list[Piece]()
    at, start = 0, None
    for stamp in _WORD_STAMP.finditer(text):
        groups = stamp.groups()
        time = milliseconds(*groups[:5]) if groups[2] is not None else milliseconds(*groups[5:])
        if piece := text[at : stamp.start()]:
            found.append(Piece(piece, start, time if start is not None else None))
        at, start = stamp.end(), time
    if text[at:]:
        found.append(Piece(text[at:], start))
    return tuple(found)


def _earlier(row: Row, offset: int) -> Row:
    def moved(time: int | None) -> int | None:
        return None if time is None else time - offset

    pieces = tuple(replace(piece, start=moved(piece.start), end=moved(piece.end)) for piece in row.pieces)
    return replace(row, pieces=pieces, start=moved(row.start), end=moved(row.end))
