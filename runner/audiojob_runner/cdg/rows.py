"""Lines of lyrics as rows of the screen: broken where they are too wide, each word with its pixels and times. Pure,
but for the function that draws."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Final

from audiojob_runner.cdg.bitmap import BLANK_ROW, ROW_WIDTH, Glyphs, Mask, placed, united
from audiojob_runner.cdg.packets import TILE_WIDTH
from audiojob_runner.karaoke.timed import SungLine
from audiojob_runner.typeset.clusters import pieces

USABLE_WIDTH: Final = ROW_WIDTH - 2 * TILE_WIDTH
SPACE_WIDTH: Final = 6
_RIGHT_TO_LEFT: Final = frozenset({"R", "AL"})

Draw = Callable[[Sequence[str], bool], Glyphs]
"""Draws the parts of one word; whether it is read from the right."""


@dataclass(frozen=True, slots=True)
class Part:
    """A word or syllable with its times, in milliseconds."""

    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class SungPart:
    """The pixels of a part in its row, and when it is sung."""

    mask: Mask
    start: float
    end: float
    from_right: bool = False


@dataclass(frozen=True, slots=True)
class ScreenRow:
    """A row of the screen. ``voice`` counts from 0."""

    parts: tuple[SungPart, ...]
    voice: int = 0

    @property
    def mask(self) -> Mask:
        """All pixels of the row."""
        return united(*(part.mask for part in self.parts))

    @property
    def start(self) -> float:
        """When its first part begins."""
        return min(part.start for part in self.parts)

    @property
    def end(self) -> float:
        """When its last part ends."""
        return max(part.end for part in self.parts)


@dataclass(frozen=True, slots=True)
class _Token:
    """Parts without spaces between them, drawn. ``apart``: a space is before it."""

    parts: tuple[Part, ...]
    glyphs: Glyphs
    from_right: bool | None  # None: it goes with the line
    apart: bool = True


def rows_of(line: SungLine, draw: Draw) -> list[ScreenRow]:
    """The rows of a line, as even as they can be; words without a single pixel are left out."""
    words = list[list[Part]]()
    for word in line.words:
        if not word.joined or not words:
            words.append([])
        words[-1].append(Part(word.text, word.start, word.end))
    tokens = [token for word in words for token in _tokens(word, line.to_left, draw)]
    rows = (_row(row, line.to_left, line.voice) for row in _evenly(tokens))
    return [row for row in rows if row.parts]


def _tokens(word: Sequence[Part], to_left: bool, draw: Draw) -> Iterator[_Token]:
    """The word; where it is wider than the screen, in pieces that are not."""
    token = _token(word, to_left, draw)
    if token.glyphs.width <= USABLE_WIDTH:
        yield token
        return
    smaller = list[list[Part]]()
    for cut in (cut for part in word for cut in _cut(part, to_left, draw)):
        if smaller and _token([*smaller[-1], cut], to_left, draw).glyphs.width <= USABLE_WIDTH:
            smaller[-1].append(cut)
        else:
            smaller.append([cut])
    for number, piece in enumerate(smaller):
        yield replace(_token(piece, to_left, draw), apart=number == 0)


def _cut(part: Part, to_left: bool, draw: Draw) -> Iterator[Part]:
    """The part in as many pieces as it takes, cut between characters."""
    cuts = list(accumulate(len(piece) for piece in pieces(part.text)))
    span = part.end - part.start
    at = 0
    while at < len(part.text):
        ends = [end for end in cuts if end > at]
        low, high = 0, len(ends) - 1
        while low < high:  # the longest piece that fits, or one character
            middle = (low + high + 1) // 2
            piece = Part(part.text[at : ends[middle]], 0, 0)
            if _token([piece], to_left, draw).glyphs.width <= USABLE_WIDTH:
                low = middle
            else:
                high = middle - 1
        start, end = (part.start + span * place / len(part.text) for place in (at, ends[low]))
        yield Part(part.text[at : ends[low]], start, end)
        at = ends[low]


def _token(parts: Sequence[Part], to_left: bool, draw: Draw) -> _Token:
    own = _from_right("".join(part.text for part in parts))
    return _Token(tuple(parts), draw([part.text for part in parts], to_left if own is None else own), own)


def _from_right(text: str) -> bool | None:
    """Which way the first letter that has a direction is read."""
    for character in text:
        kind = unicodedata.bidirectional(character)
        if kind in _RIGHT_TO_LEFT:
            return True
        if kind == "L":
            return False
    return None


def _width(tokens: Sequence[_Token]) -> int:
    spaces = sum(token.apart for token in tokens[1:])
    return sum(token.glyphs.width for token in tokens) + SPACE_WIDTH * spaces


def _filled(tokens: Sequence[_Token], limit: int) -> list[list[_Token]]:
    rows = list[list[_Token]]()
    for token in tokens:
        if rows and _width([*rows[-1], token]) <= limit:
            rows[-1].append(token)
        else:
            rows.append([token])
    return rows


def _evenly(tokens: Sequence[_Token]) -> list[list[_Token]]:
    """As few rows as it takes, and of these the narrowest."""
    best = _filled(tokens, USABLE_WIDTH)
    low, high = 0, USABLE_WIDTH
    while len(best) > 1 and low < high:
        middle = (low + high) // 2
        rows = _filled(tokens, middle)
        if len(rows) > len(best) or max(map(_width, rows)) > USABLE_WIDTH:
            low = middle + 1
        else:
            best, high = rows, middle
    return best


def _row(tokens: Sequence[_Token], to_left: bool, voice: int) -> ScreenRow:
    """In the middle of the screen."""
    x = max(0, (ROW_WIDTH - _width(tokens)) // 2)
    taken = BLANK_ROW
    found = list[SungPart]()
    ordered = _as_seen(tokens, to_left)
    for place, number in enumerate(ordered):
        token = tokens[number]
        # A space is before the one of two neighbours that is read later.
        x += SPACE_WIDTH if place and tokens[max(number, ordered[place - 1])].apart else 0
        from_right = to_left if token.from_right is None else token.from_right
        for part, mask in zip(token.parts, token.glyphs.parts, strict=True):
            own = placed(mask, x, token.glyphs.width, taken)
            taken = united(taken, own)
            if any(own):
                found.append(SungPart(own, part.start, part.end, from_right))
        x += token.glyphs.width
    return ScreenRow(tuple(sorted(found, key=lambda part: (part.start, part.end))), voice)


def _as_seen(tokens: Sequence[_Token], to_left: bool) -> list[int]:
    """Places of the words from left to right: those in the other direction than the line's keep their own order."""
    runs = list[list[int]]()
    for number, token in enumerate(tokens):
        other = token.from_right is not None and token.from_right != to_left
        if runs and other and tokens[runs[-1][0]].from_right == token.from_right:
            runs[-1].append(number)
        else:
            runs.append([number])
    if to_left:
        return [number for run in reversed(runs) for number in run]
    return [number for run in runs for number in reversed(run)]
