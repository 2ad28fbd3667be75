"""The words of a record as they are sung: each with a time, none after the song's end. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from audiojob_runner.errors import PhaseError
from audiojob_runner.lyrics.clean import Removed, clean
from audiojob_runner.lyrics.draft import counted
from audiojob_runner.lyrics.scripts import direction_of
from audiojob_runner.typeset.clusters import clusters
from audiojob_types.contract import ExitCode
from audiojob_types.documents.lyrics import Direction, Line, Lyrics, Word
from audiojob_types.reasons import Reason

NO_TIMES: Final = "The lyrics have no times: nobody knows when to show which word."
VOICES: Final = 2


@dataclass(frozen=True, slots=True)
class Sung:
    """A word or syllable, from and to milliseconds."""

    text: str
    joined: bool
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class SungLine:
    """A line of words in the order of reading. ``voice`` counts from 0."""

    words: tuple[Sung, ...]
    voice: int = 0
    stanza: bool = False
    to_left: bool = False

    @property
    def start(self) -> int:
        """When its first word begins."""
        return min(word.start for word in self.words)

    @property
    def end(self) -> int:
        """When its last word ends."""
        return max(word.end for word in self.words)

    @property
    def text(self) -> str:
        """The words as one text."""
        return text_of(self.words)


def text_of(words: Sequence[Sung]) -> str:
    """Words as one text."""
    return "".join(word.text if word.joined else f" {word.text}" for word in words).lstrip(" ")


def sung_lines(lyrics: Lyrics, length: int) -> tuple[list[SungLine], list[str]]:
    """The lines by their times, and sentences on what was left out.

    Raises :class:`PhaseError` where no line has a time.
    """
    if lyrics.lines and all(line.start_milliseconds is None for line in lyrics.lines):
        raise PhaseError(
            ExitCode.USAGE, Reason.INVALID_SPEC, NO_TIMES, "Give lyrics with times (LRC), or let Align find them first."
        )
    removed, voices = Removed(), _voices(lyrics.lines)
    found = list[SungLine]()
    untimed = late = 0
    for line in lyrics.lines:
        if line.start_milliseconds is None:
            untimed += 1
            continue
        words = tuple(_within(_clean(_spread(line), removed), length))
        if not words:
            late += line.start_milliseconds >= length
            continue
        to_left = direction_of(text_of(words)) is Direction.RIGHT_TO_LEFT or _has_right_to_left(words)
        found.append(SungLine(words, voices.get(line.voice, 0), line.stanza, to_left))
    warnings = [f"{counted(untimed, 'line')} without a time left out."] if untimed else []
    warnings += [f"{counted(late, 'line')} left out that would begin after the end of the song."] if late else []
    if dropped := removed.pictures + removed.controls + removed.marks:
        warnings.append(f"{counted(dropped, 'character')} of the lyrics left out that cannot be seen or shown.")
    return sorted(found, key=lambda line: line.start), warnings


def shown_lines(lines: Sequence[SungLine], lacks: Callable[[str], Sequence[str]]) -> list[SungLine]:
    """The lines without words of which nothing can be shown."""
    found = list[SungLine]()
    for line in lines:
        words = [word for word in line.words if len(lacks(word.text)) < len(clusters(word.text))]
        if words:
            words[0] = replace(words[0], joined=False)
            found.append(replace(line, words=tuple(words)))
    return found


def _voices(lines: Sequence[Line]) -> dict[str | None, int]:
    """Who sings, by numbers: in the order of the first line of each; who comes third is the first again."""
    names = dict.fromkeys(line.voice for line in lines if line.voice is not None)
    return {name: number % VOICES for number, name in enumerate(names)}


def _spread(line: Line) -> Iterator[Sung]:
    """The words; those without times share what is between those that have some, by letters."""
    begin, last = line.start_milliseconds or 0, line.end_milliseconds or 0
    at, waiting = begin, list[Word]()
    for word in line.words:
        start, end = word.start_milliseconds, word.end_milliseconds
        if start is None or end is None:
            waiting.append(word)
            continue
        yield from share(waiting, at, max(at, start))
        waiting.clear()
        yield Sung(word.text, word.joined, start, end)
        at = max(at, end)
    yield from share(waiting, at, max(at, last))


def share(words: Sequence[Word | Sung], start: int, end: int) -> Iterator[Sung]:
    """Each word with its share of a time, by letters."""
    letters = sum(len(word.text) for word in words)
    done = 0
    for word in words:
        begin = start + (end - start) * done // letters
        done += len(word.text)
        yield Sung(word.text, word.joined, begin, start + (end - start) * done // letters)


def _clean(words: Iterator[Sung], removed: Removed) -> Iterator[Sung]:
    """As Lyrics leaves them: the record may be somebody's own."""
    for word in words:
        text = "".join(clean(word.text, removed).split())
        if text:
            yield replace(word, text=text)


def _within(words: Iterator[Sung], length: int) -> Iterator[Sung]:
    """The words that begin before the end, in order of time: none before the one that is read before it."""
    at = 0
    for word in words:
        start = max(at, word.start)
        if start < length:
            yield replace(word, start=start, end=min(length, max(start, word.end)))
            at = start


def _has_right_to_left(words: Sequence[Sung]) -> bool:
    return any(direction_of(word.text) is Direction.RIGHT_TO_LEFT for word in words)
