"""SRT and WebVTT: cues of one or more rows between two times, in WebVTT also with times within the text."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from audiojob_runner.lyrics.draft import MAX_RAW_CHARACTERS, Draft, Piece, Row, Rows, UnusableError, milliseconds
from audiojob_types.documents.lyrics import Form

_TIME: Final = r"(-?)(?:([0-9]{1,4}):)?([0-9]{1,2}):([0-9]{1,2})(?:[,.]([0-9]{1,6}))?"
_CUE: Final = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?:\s.*)?")
_INDEX: Final = re.compile(r"\s*[0-9]{1,9}\s*")
# A tag never holds another one's beginning: what is left of a broken one is text.
_MARKUP: Final = re.compile(rf"<(?:{_TIME}|([^<>]{{0,400}}))>")
_STAMP: Final = re.compile(rf"<{_TIME}>")
_OVERRIDE: Final = re.compile(r"\{\\[^{}]*\}")
_VOICE: Final = re.compile(r"v(?:\.[^\s]*)?\s+(.+)")
_LANGUAGE: Final = re.compile(r"Language:\s*(\S{1,40})")
# A site's machine-made captions scroll: each cue repeats the row before, and one of this length stands between two.
_SCROLL_MILLISECONDS: Final = 50
_MAX_CUE_CHARACTERS: Final = 4 * MAX_RAW_CHARACTERS


@dataclass(slots=True)
class _Cue:
    start: int
    end: int
    rows: list[str] = field(default_factory=list)


def has_cues(text: str) -> bool:
    """Whether any line is the times of a cue."""
    return any("-->" in line and _CUE.fullmatch(line) for line in text.splitlines())


def has_times_within(text: str) -> bool:
    """Whether there are times within the text of cues, which SRT has not."""
    return _STAMP.search(text) is not None


def read_srt(text: str) -> Draft:
    """Cues of SRT. Raises :class:`UnusableError`."""
    cues = list(_cues(text.splitlines(), spaces=True))
    if not cues:
        raise UnusableError("The lyrics are no SRT: no line is like '00:00:12,500 --> 00:00:15,000'.")
    rows = Rows()
    for cue in cues:
        text = _STAMP.sub("", _OVERRIDE.sub("", " ".join(cue.rows)))  # signs of other forms; tags go with all markup
        rows.add([Row((Piece(text),), cue.start, cue.end)])
    return Draft(Form.SRT, tuple(rows.found))


def read_webvtt(text: str) -> Draft:
    """Cues of WebVTT; notes, styles and regions are passed over. Raises :class:`UnusableError`."""
    lines = text.splitlines()
    cues = list(_cues(lines, spaces=False))
    if not cues:
        raise UnusableError("The lyrics are no WebVTT: no line is like '00:12.500 --> 00:15.000'.")
    if any(_scrolls(cue, after) for cue, after in pairwise(cues)):
        cues = list(_without_scrolling(cues))
    rows = Rows()
    for cue in cues:
        pieces, voice = _pieces(" ".join(cue.rows))
        rows.add([Row(_timed(pieces, cue), cue.start, cue.end, voice)])
    head = "\n".join(lines[:20]).partition("-->")[0]
    language = _LANGUAGE.search(head)
    return Draft(Form.WEBVTT, tuple(rows.found), language=language[1] if language else "")


def _cues(lines: list[str], spaces: bool) -> Iterator[_Cue]:
    """The cues, also where the empty line between two is missing. ``spaces``: a line of spaces is an empty one too."""
    cue: _Cue | None = None
    for line in lines:
        found = _CUE.fullmatch(line) if "-->" in line else None
        if found:
            if cue is not None:
                # The number of this one, where no empty line was before it.
                if cue.rows and _INDEX.fullmatch(cue.rows[-1]):
                    cue.rows.pop()
                yield cue
            groups = found.groups()
            cue = _Cue(milliseconds(*groups[:5]), milliseconds(*groups[5:]))
        elif not (line.strip() if spaces else line):
            if cue is not None:
                yield cue
            cue = None
        elif cue is not None:
            cue.rows.append(line)
    if cue is not None:
        yield cue


def _scrolls(cue: _Cue, after: _Cue) -> bool:
    """Whether a cue is there only for the moment in which its row moves up, and another one comes below it."""
    if cue.end - cue.start > _SCROLL_MILLISECONDS or not cue.rows or len(after.rows) < 2:
        return False
    return _bare(cue.rows[0]) == _bare(after.rows[0])


def _without_scrolling(cues: list[_Cue]) -> Iterator[_Cue]:
    """Each row once, in the cue that brings it."""
    before = ""
    for cue in cues:
        rows = [row for row in cue.rows if _bare(row)]
        if rows and _bare(rows[0]) == before:
            del rows[0]
        if rows and cue.end - cue.start > _SCROLL_MILLISECONDS:
            before = _bare(rows[-1])
            yield _Cue(cue.start, cue.end, rows)


def _bare(row: str) -> str:
    return " ".join(_MARKUP.sub("", row).split())


def _pieces(text: str) -> tuple[list[Piece], str]:
    """The text between the times that are in it, and the voice that sings it. Raises :class:`UnusableError`."""
    if len(text) > _MAX_CUE_CHARACTERS:
        raise UnusableError(f"A cue of the lyrics has {len(text):,} characters. Write what is sung line by line.")
    parts: list[tuple[int | None, list[str]]] = [(None, [])]
    at, voice, ruby = 0, "", False
    for tag in _MARKUP.finditer(text):
        if not ruby:
            parts[-1][1].append(text[at : tag.start()])
        at = tag.end()
        *time, name = tag.groups()
        if name is None:
            parts.append((milliseconds(*time), []))
        elif spoken := _VOICE.fullmatch(name):
            voice = voice or spoken[1]
        elif name in ("rt", "/rt", "/ruby"):  # how a character is read, above it
            ruby = name == "rt"
    if not ruby:
        parts[-1][1].append(text[at:])
    return [Piece(html.unescape("".join(texts)), start) for start, texts in parts], html.unescape(voice)


def _timed(pieces: list[Piece], cue: _Cue) -> tuple[Piece, ...]:
    """With the ends: each piece goes on to the time after it. What is before the first time begins with the cue."""
    if len(pieces) == 1:
        return tuple(pieces)
    starts = [cue.start if piece.start is None else piece.start for piece in pieces]
    ends = [*starts[1:], cue.end]
    timed = (Piece(piece.text, start, end) for piece, start, end in zip(pieces, starts, ends, strict=True))
    return tuple(piece for piece in timed if piece.text)
