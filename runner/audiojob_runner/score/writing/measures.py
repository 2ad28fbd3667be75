"""Lines as measures: rests where nothing is, ties where a chord needs several signs, tuplets beat by beat."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from audiojob_runner.score.model import Event, Lyric, Note, Time, Value, Voice
from audiojob_runner.score.rhythm.metre import TICKS
from audiojob_runner.score.writing.timed import Chord, Grid, Timed
from audiojob_runner.score.writing.values import Sign, in_tuplet, split

Lyrics = Callable[[Chord], tuple[Lyric, ...]]
Heads = Callable[[Timed, Timed | None], Note]
"""Writes a note, given the one that the line goes on with."""


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A chord or a rest within a bar."""

    start: int
    end: int
    chord: Chord | None
    following: Chord | None = None


@dataclass(frozen=True, slots=True)
class Writer:
    """How a line's chords become notes."""

    time: Time
    grid: Grid
    note: Heads
    lyrics: Lyrics

    def voices(self, chords: Sequence[Chord], number: int, *, always: bool) -> list[Voice | None]:
        """A voice for each bar. ``always``: also where nothing is played, as a rest of the whole bar."""
        found = list[Voice | None]()
        stretches = _stretches(chords, self.grid)
        for (start, end), within in zip(bars(self.grid), stretches, strict=True):
            if any(each.chord for each in within):
                found.append(Voice(tuple(self._events(within, (start, end), hidden=not always)), number))
            elif always:
                rest = Event(Fraction(end - start, TICKS), Value.WHOLE, whole_bar=True)
                found.append(Voice((rest,), number))
            else:
                found.append(None)
        return found

    def _events(self, within: Sequence[_Stretch], bar: tuple[int, int], *, hidden: bool) -> Iterator[Event]:
        origin = bar[1] - self.grid.bar  # a pickup is the end of a bar
        tuplets = _tuplets(within, origin)
        for stretch in within:
            signs = list(self._signs(stretch, origin, tuplets))
            for sign in signs:
                if stretch.chord is None:
                    yield Event(sign.quarters, sign.value, sign.dots, sign.tuplet, hidden=hidden)
                    continue
                start, end = sign.start + origin, sign.end + origin
                notes = tuple(self._notes(stretch, from_before=start > stretch.chord.start, on=end < stretch.chord.end))
                lyrics = self.lyrics(stretch.chord) if start == stretch.chord.start else ()
                yield Event(sign.quarters, sign.value, sign.dots, sign.tuplet, notes, lyrics)

    def _notes(self, stretch: _Stretch, *, from_before: bool, on: bool) -> Iterator[Note]:
        assert stretch.chord is not None
        following = stretch.following.notes[-1] if stretch.following else None
        for each in stretch.chord.notes:
            note = self.note(each, following if each is stretch.chord.notes[-1] else None)
            yield Note(note.pitch, note.key, note.velocity, on, from_before, note.head)

    def _signs(self, stretch: _Stretch, origin: int, tuplets: dict[int, bool]) -> Iterator[Sign]:
        start, end = stretch.start - origin, stretch.end - origin
        while start < end:
            beat = start // TICKS * TICKS
            if beat in tuplets:
                until = min(end, beat + TICKS)
                yield from in_tuplet(start, until, beat, sextuplet=tuplets[beat])
            else:
                until = min((each for each in tuplets if start < each < end), default=end)
                yield from split(start, until, self.time, rest=stretch.chord is None)
            start = until


def bars(grid: Grid) -> list[tuple[int, int]]:
    """Where each bar begins and ends."""
    found = [(grid.first, grid.downbeat)] if grid.first < grid.downbeat else []
    start = grid.downbeat
    while len(found) < grid.count:
        found.append((start, start + grid.bar))
        start += grid.bar
    return found


def _stretches(chords: Sequence[Chord], grid: Grid) -> list[list[_Stretch]]:
    """For each bar what fills it: chords cut at barlines, and rests between them."""
    found = list[list[_Stretch]]()
    number = 0
    for start, end in bars(grid):
        place, within = start, list[_Stretch]()
        while number < len(chords) and chords[number].start < end:
            chord = chords[number]
            left, right = max(chord.start, start), min(chord.end, end)
            if left > place:
                within.append(_Stretch(place, left, None))
            following = chords[number + 1] if number + 1 < len(chords) else None
            within.append(_Stretch(left, right, chord, following))
            place = right
            if chord.end > end:
                break
            number += 1
        if place < end:
            within.append(_Stretch(place, end, None))
        found.append(within)
    return found


def _tuplets(within: Sequence[_Stretch], origin: int) -> dict[int, bool]:
    """Beats, in ticks from the bar's origin, in which something begins or ends at thirds; whether at sixths too."""
    places = {place - origin for stretch in within for place in (stretch.start, stretch.end)}
    found = {place // TICKS * TICKS for place in places if place % TICKS % 3}
    return {beat: any(beat < place < beat + TICKS and (place - beat) % 8 for place in places) for beat in sorted(found)}
