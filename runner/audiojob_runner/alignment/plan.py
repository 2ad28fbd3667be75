"""Which words need times, where they may be, and lines with the times that were found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise

from audiojob_types.documents.lyrics import Line, Word


@dataclass(frozen=True, slots=True)
class Gap:
    """Words of one line, ``first`` up to ``last``, that are sung between two known times, in milliseconds."""

    line: int
    first: int
    last: int
    start: int
    end: int

    def of(self, lines: Sequence[Line]) -> tuple[Word, ...]:
        """The words."""
        return lines[self.line].words[self.first : self.last]


@dataclass(frozen=True, slots=True)
class Placed:
    """When a word is sung, in milliseconds, and how sure that is; ``derived``: its share of a known time."""

    start: int
    end: int
    confidence: float
    derived: bool = False


def gaps_of(number: int, line: Line) -> Iterator[Gap]:
    """The words of a line that has times which have none of their own, or only a share of others'."""
    if line.start_milliseconds is None or line.end_milliseconds is None:
        return
    at = 0
    for missing, group in groupby(line.words, _is_missing):
        words = list(group)
        if missing:
            start, end = words[0].start_milliseconds, words[-1].end_milliseconds
            yield Gap(
                number,
                at,
                at + len(words),
                line.start_milliseconds if start is None else start,
                line.end_milliseconds if end is None else end,
            )
        at += len(words)


def _is_missing(word: Word) -> bool:
    return word.start_milliseconds is None or word.derived


def filled(line: Line, gap: Gap, placed: Sequence[Placed]) -> Line:
    """The line with times for the words of the gap."""
    words = [
        word.model_copy(
            update={
                "start_milliseconds": each.start,
                "end_milliseconds": each.end,
                "derived": each.derived,
                "confidence": round(each.confidence, 2),
            }
        )
        for word, each in zip(line.words[gap.first : gap.last], placed, strict=True)
    ]
    return line.model_copy(update={"words": (*line.words[: gap.first], *words, *line.words[gap.last :])})


def kept(line: Line) -> Line:
    """The line; words whose times were given are certain."""
    words = tuple(
        word if _is_missing(word) or word.confidence is not None else word.model_copy(update={"confidence": 1.0})
        for word in line.words
    )
    return line.model_copy(update={"words": words})


def spread(words: Sequence[Word], times: Callable[[Sequence[float]], list[int]], confidence: float) -> list[Placed]:
    """Each word has as much of the time as it has of the letters; ``times`` tells when shares (0 to 1) are over."""
    passed = [0, *accumulate(len(word.text) for word in words)]
    edges = times([letters / passed[-1] for letters in passed])
    return [Placed(start, end, confidence, derived=True) for start, end in pairwise(edges)]


def with_times(line: Line, start: int, end: int) -> Line:
    """The line between two times."""
    return line.model_copy(update={"start_milliseconds": start, "end_milliseconds": end})


def moved(line: Line, start: int, end: int) -> Line:
    """The line and its words, as much of them as is between two times, and nothing of it outside."""

    def within(time: int | None) -> int | None:
        return None if time is None else min(max(time, start), end)

    words = tuple(
        word.model_copy(
            update={
                "start_milliseconds": within(word.start_milliseconds),
                "end_milliseconds": within(word.end_milliseconds),
            }
        )
        for word in line.words
    )
    update = {
        "start_milliseconds": within(line.start_milliseconds),
        "end_milliseconds": within(line.end_milliseconds),
        "words": words,
    }
    return line.model_copy(update=update)
