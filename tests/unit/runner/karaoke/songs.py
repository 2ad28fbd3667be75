"""Lines for tests of karaoke: words at times, written down in a short form."""

from __future__ import annotations

from audiojob_runner.karaoke.timed import Sung, SungLine
from audiojob_types.documents.lyrics import Line, Lyrics, Origin, Place, Timing, Word


def sung(text: str, start: int, each: int = 500, *, voice: int = 0, stanza: bool = False) -> SungLine:
    """Words of that many milliseconds each, one after the other. ``-`` before a word joins it to the one before."""
    words = tuple(
        Sung(word.removeprefix("-"), word.startswith("-"), start + number * each, start + (number + 1) * each)
        for number, word in enumerate(text.split())
    )
    return SungLine(words, voice, stanza)


def line(text: str, start: int | None, end: int | None, times: tuple[tuple[int, int] | None, ...] = ()) -> Line:
    """A line of the record."""
    words = []
    for number, word in enumerate(text.split()):
        begin, last = (times[number] if number < len(times) else None) or (None, None)
        words.append(Word(text=word, start_milliseconds=begin, end_milliseconds=last))
    return Line(words=tuple(words), start_milliseconds=start, end_milliseconds=end)


def record(*lines: Line) -> Lyrics:
    """The record of these lines."""
    return Lyrics(timing=Timing.WORDS, origin=Origin(place=Place.INPUT), lines=lines)
