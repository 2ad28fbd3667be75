"""Lines as rows that fit the frame: broken between words where that is possible, in rows of about the same width."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from audiojob_runner.karaoke.timed import Sung, SungLine, share
from audiojob_runner.lyrics.scripts import script_of
from audiojob_runner.typeset.clusters import UNSPACED, clusters, pieces

Measure = Callable[[str], float]


@dataclass(frozen=True, slots=True)
class Row:
    """What is shown side by side."""

    words: tuple[Sung, ...]
    voice: int = 0
    to_left: bool = False

    @property
    def start(self) -> int:
        """When its first word begins."""
        return min(word.start for word in self.words)

    @property
    def end(self) -> int:
        """When its last word ends."""
        return max(word.end for word in self.words)


@dataclass(frozen=True, slots=True)
class _Part:
    """What no row breaks: syllables of a word, or a letter of a script without spaces."""

    syllables: tuple[tuple[int, Sung], ...]  # with the number of the word that each is of
    width: float
    space: float  # before it, unless a row begins with it


def rows_of(line: SungLine, measure: Measure, widest: float) -> list[Row]:
    """The line in as few rows as it needs. ``measure`` and ``widest`` are in the same unit."""
    parts = list(_parts(line, measure, widest))
    if _width(parts) <= widest:
        return [Row(line.words, line.voice, line.to_left)]
    return [Row(tuple(_merged(row)), line.voice, line.to_left) for row in _balanced(parts, widest)]


def _parts(line: SungLine, measure: Measure, widest: float) -> Iterator[_Part]:
    space = measure(" ")
    number = 0
    for word in _units(line.words):
        text = "".join(each.text for each in word)
        width, gap = measure(text), 0.0 if number == 0 else space
        numbered = tuple(enumerate(word, number))
        number += len(word)
        whole = width <= widest and not any(script_of(each) in UNSPACED for each in text)
        if whole:
            yield _Part(numbered, width, gap)
            continue
        for place, syllable in numbered:
            yield from _broken(place, syllable, measure, widest, gap if place == numbered[0][0] else 0.0)


def _units(words: Sequence[Sung]) -> Iterator[list[Sung]]:
    """Words with the syllables that are joined to them."""
    unit = list[Sung]()
    for word in words:
        if unit and not word.joined:
            yield unit
            unit = []
        unit.append(word)
    if unit:
        yield unit


def _broken(number: int, word: Sung, measure: Measure, widest: float, gap: float) -> Iterator[_Part]:
    """A word without places to break: by letters, each with its share of the time."""
    unspaced = any(script_of(each) in UNSPACED for each in word.text)
    texts = pieces(word.text) if unspaced else clusters(word.text)
    texts = [part for text in texts for part in ([text] if measure(text) <= widest else clusters(text))]
    signs = [Sung(text, True, word.start, word.end) for text in texts]
    for place, sign in enumerate(share(signs, word.start, word.end)):
        first = place == 0
        yield _Part(
            ((number, replace(sign, joined=word.joined if first else True)),), measure(sign.text), gap if first else 0.0
        )


def _width(parts: Sequence[_Part]) -> float:
    return sum(part.width + (part.space if number else 0.0) for number, part in enumerate(parts))


def _balanced(parts: Sequence[_Part], widest: float) -> list[list[_Part]]:
    """As many rows as are needed at least, the widest of them as narrow as that number allows (nearly)."""
    best = _filled(parts, widest)
    least = _width(parts) / len(best)
    for tenth in range(10):
        tried = _filled(parts, least + (widest - least) * tenth / 10)
        if len(tried) == len(best):
            return tried
    return best


def _filled(parts: Sequence[_Part], widest: float) -> list[list[_Part]]:
    """Each row as full as it may be."""
    rows, used = list[list[_Part]](), 0.0
    for part in parts:
        if rows and used + part.space + part.width <= widest:
            rows[-1].append(part)
            used += part.space + part.width
        else:
            rows.append([part])
            used = part.width
    return rows


def _merged(parts: Sequence[_Part]) -> Iterator[Sung]:
    """The words of a row; what was broken and came to lie in one row is whole again."""
    last: tuple[int, Sung] | None = None
    for number, sung in (each for part in parts for each in part.syllables):
        if last is not None and last[0] == number:
            last = (number, replace(last[1], text=last[1].text + sung.text, end=sung.end))
            continue
        if last is not None:
            yield last[1]
        last = (number, sung)
    if last is not None:
        yield last[1]
