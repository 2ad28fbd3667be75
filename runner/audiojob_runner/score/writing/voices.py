"""One or two lines of a staff: chords that fill the time to the next one where they were held nearly as long."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from statistics import median
from typing import Final

from audiojob_runner.score.rhythm.metre import TICKS
from audiojob_runner.score.writing.timed import Chord, Grid, Timed

_FILLED: Final = 0.4  # of the time to the next chord
_FILLED_LONG: Final = 0.75  # where that is longer than a bar
_LENGTHS: Final = (6, 12, 24, 36, 48, 72, 96)
_LENGTHS_COMPOUND: Final = (6, 12, 24, 36, 72)
_LENGTHS_TRIPLET: Final = (8, 16)
_HELD_BEATS: Final = 1.0  # beyond the next chord: then a note is a line of its own
_PEDAL: Final = 0.4  # of the notes that are held: then it is the pedal that holds them


@dataclass(frozen=True, slots=True)
class Lines:
    """What a staff's voices play. The second one has what is held while the first one moves, or the other way round."""

    first: tuple[Chord, ...]
    second: tuple[Chord, ...] = ()


def lines_of(notes: Sequence[Timed], grid: Grid, *, two: bool = True) -> Lines:
    """The lines of notes in any order. ``two``: a second one may be made."""
    lines = _lines(on_one_grid(notes), grid, two=two)
    return Lines(fitted(lines.first), fitted(lines.second))


def _lines(notes: Sequence[Timed], grid: Grid, *, two: bool) -> Lines:
    groups = [list(group) for _, group in groupby(notes, key=lambda note: note.start)]
    held = _held(groups, grid) if two else {}
    if not held or sum(map(len, held.values())) > _PEDAL * len(notes):
        return Lines(tuple(filled(groups, grid)))
    moving, staying = list[list[Timed]](), list[list[Timed]]()
    for number, group in enumerate(groups):
        long = held.get(number, [])
        rest = [note for note in group if note not in long]
        if rest:
            moving.append(rest)
        if long:
            (staying if rest or _ends_later(long, groups, number) else moving).append(long)
    above, below = tuple(filled(moving, grid)), tuple(_clipped(staying, grid))
    return _ordered(above, below, grid)


def _held(groups: Sequence[Sequence[Timed]], grid: Grid) -> dict[int, list[Timed]]:
    """By number of its group: notes that last on while two other things begin in their bar."""
    found = defaultdict[int, list[Timed]](list)
    taken = 0.0  # where the last held note ends: there is one line of them only
    for number, group in enumerate(groups):
        following = groups[number + 1 : number + 3]
        if len(following) < 2:
            break
        start, barline = group[0].start, grid.barline_after(group[0].start)
        until = max(following[0][0].start + _HELD_BEATS * grid.beat, following[1][0].start + 1)
        long = [note for note in group if min(note.end, barline) >= until]
        if long and start >= taken and following[1][0].start < barline:
            found[number] = long
            taken = min(max(note.end for note in long), float(barline))
    return found


def _ends_later(long: Sequence[Timed], groups: Sequence[Sequence[Timed]], number: int) -> bool:
    return number + 1 < len(groups) and max(note.end for note in long) > groups[number + 1][0].start


def _clipped(groups: Sequence[Sequence[Timed]], grid: Grid) -> Iterator[Chord]:
    """Held chords: each ends at a beat, at the latest at its barline or where the next one begins."""
    for number, group in enumerate(groups):
        start = group[0].start
        latest = grid.barline_after(start)
        if number + 1 < len(groups):
            latest = min(latest, groups[number + 1][0].start)
        end = grid.downbeat + round((median(note.end for note in group) - grid.downbeat) / grid.beat) * grid.beat
        if latest - end <= grid.beat or end <= start:
            end = latest
        yield Chord(start, min(end, latest), _sorted(group))


def _ordered(one: tuple[Chord, ...], other: tuple[Chord, ...], grid: Grid) -> Lines:
    """In each bar the higher line is the first; a bar in which nothing is held has the first line only."""
    first, second = list[Chord](), list[Chord]()
    held = dict[int, list[Chord]]()
    for chord in other:
        held.setdefault(grid.barline_after(chord.start), []).append(chord)
    for barline, chords in groupby(one, key=lambda chord: grid.barline_after(chord.start)):
        moving, staying = list(chords), held.pop(barline, [])
        if staying and _mean(staying) > _mean(moving) and all(chord.end <= barline for chord in moving):
            moving, staying = staying, moving
        first += moving
        second += staying
    for late in held.values():
        second += late
    return Lines(
        tuple(_cut(sorted(first, key=lambda chord: chord.start))),
        tuple(_cut(sorted(second, key=lambda each: each.start))),
    )


def _cut(chords: Sequence[Chord]) -> Iterator[Chord]:
    """None lasts on into the next one."""
    for chord, following in pairwise(chords):
        yield Chord(chord.start, min(chord.end, following.start), chord.notes)
    yield from chords[-1:]


def _mean(chords: Sequence[Chord]) -> float:
    keys = [note.key for chord in chords for note in chord.notes]
    return sum(keys) / len(keys)


def filled(groups: Sequence[Sequence[Timed]], grid: Grid) -> Iterator[Chord]:
    """A line's chords, which end at written places and never overlap."""
    for number, group in enumerate(groups):
        start = group[0].start
        held = median(note.end for note in group) - start
        if number + 1 < len(groups):
            following = groups[number + 1][0].start
        else:
            following = min(grid.barline_after(start + max(int(held) - grid.bar // 8, 0)), grid.end)
        gap = following - start
        if held > gap * (_FILLED if gap <= grid.bar else _FILLED_LONG):
            end = following
        else:
            end = min(start + _rounded(held, start - grid.downbeat, grid), following)
        yield Chord(start, end, _sorted(group))


def _rounded(held: float, place: int, grid: Grid) -> int:
    """The value nearest to how long something was held, by ratio."""
    if place % 3:
        left = TICKS - place % TICKS
        return min(_nearest(held, _LENGTHS_TRIPLET), left)
    lengths = _LENGTHS_COMPOUND if grid.beat == 36 else _LENGTHS
    fitting = [each for each in lengths if place % 6 == 0 or each % 6 == 0]
    return _nearest(held, fitting)


def _nearest(held: float, lengths: Sequence[int]) -> int:
    return min(lengths, key=lambda each: max(held, 1.0) / each if held > each else each / max(held, 1.0))


def fitted(chords: Sequence[Chord]) -> tuple[Chord, ...]:
    """Ends within beats that are divided by three are at sixths of them, as all beginnings are."""
    tuplets = {place // TICKS for chord in chords for place in (chord.start, chord.end) if place % 3}
    found = list[Chord]()
    for number, chord in enumerate(chords):
        end = chord.end
        if end // TICKS in tuplets and end % TICKS % 4:
            end = max(round(end / 4) * 4, chord.start + 4)
            if number + 1 < len(chords):
                end = min(end, chords[number + 1].start)
        found.append(Chord(chord.start, end, chord.notes))
    return tuple(found)


def on_one_grid(notes: Sequence[Timed]) -> list[Timed]:
    """Beginnings within a beat that has thirds are at sixths of it. In order of their starts."""
    tuplets = {note.start // TICKS for note in notes if note.start % 3}
    moved = [
        replace(note, start=round(note.start / 4) * 4) if note.start // TICKS in tuplets and note.start % 4 else note
        for note in notes
    ]
    return sorted(moved, key=lambda note: (note.start, note.key))


def _sorted(notes: Sequence[Timed]) -> tuple[Timed, ...]:
    """From low to high, each key once."""
    return tuple(sorted({note.key: note for note in notes}.values(), key=lambda note: note.key))
