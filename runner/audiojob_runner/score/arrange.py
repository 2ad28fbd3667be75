"""From what was heard to what is written: the way through all decisions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

import numpy as np

from audiojob_runner.score.harmony.chords import chords_of
from audiojob_runner.score.harmony.key import key_of
from audiojob_runner.score.harmony.spelling import Speller
from audiojob_runner.score.heard import HeardNote, Options, PartNotes
from audiojob_runner.score.levels import simplified
from audiojob_runner.score.model import Bar, Direction, Key, Mode, Part, Score, TempoMark, Timeline
from audiojob_runner.score.rhythm.metre import TICKS, Metre, metre_of
from audiojob_runner.score.rhythm.onsets import FloatArray, onsets_of
from audiojob_runner.score.rhythm.quantise import Rhythm, quantised, straightened, swings
from audiojob_runner.score.writing.drums import KEYS, drums_of
from audiojob_runner.score.writing.ending import ended, played_bars
from audiojob_runner.score.writing.measures import bars
from audiojob_runner.score.writing.staff import Page, part_of
from audiojob_runner.score.writing.timed import Grid, Timed
from audiojob_runner.score.writing.words import placed

_HIGHEST_KEY, _HIGHEST_VELOCITY = 127, 127
_SHORTEST_SECONDS: Final = 0.01
_MOST_SECONDS: Final = 24 * 3_600.0
_LONGEST_BARS: Final = 8  # that a note may last on at the end
_NO_KEY: Final = Key(0, Mode.MAJOR)
_SLOWEST, _FASTEST = 10.0, 1_000.0  # quarters a minute that are played
_TEMPO_CHANGES: Final = 0.01


class NothingToWriteError(ValueError):
    """No part has a note or a hit."""


@dataclass(frozen=True, slots=True)
class _Heard:
    """Parts without what nobody can write, and what was left out."""

    parts: list[PartNotes]
    warnings: list[str]


def arrange(parts: Sequence[PartNotes], options: Options | None = None) -> Score:
    """The score of some parts, in their order. Raises :class:`NothingToWriteError`."""
    options = options or Options()
    heard = _cleaned(parts)
    if not any(part.notes or part.hits for part in heard.parts):
        raise NothingToWriteError("no notes: nothing was heard that can be written")
    onsets = onsets_of(heard.parts)
    metre = metre_of(onsets, options)
    rhythm = _rhythm(metre)
    ticks = metre.ticks(onsets.times)
    swing = metre.found and swings(ticks, rhythm)
    everything = sorted((note for part in heard.parts for note in part.notes), key=lambda note: (note.start, note.key))
    key = options.key or key_of(everything)
    warnings = [*heard.warnings, *_doubts(metre, key)]
    written = simplified(heard.parts, options.level)
    timed = [_timed(part, metre, rhythm, swing=swing) for part in written]
    grid = _grid(timed, metre)
    page = Page(metre.time, grid, key or _NO_KEY)
    made = list[Part]()
    for part, notes in zip(written, timed, strict=True):
        words, left_out = placed(part.words, notes)
        warnings += [f"{part.name}: {left_out} words are sung where no note was heard"] * bool(left_out)
        if part.hits:
            made.append(drums_of(part.name, notes, page))
        if part.notes:
            made.append(part_of(part.name, part.instrument, notes, page, words))
    if options.chord_symbols:
        all_timed = [note for part in heard.parts if part.notes for note in _timed(part, metre, rhythm, swing=swing)]
        made = _with_chords(made, all_timed, page)
    measured = _bars(metre, grid)[: played_bars(made)]
    last = measured[-1]
    return Score(
        bars=measured,
        parts=tuple(ended(part, measured) for part in made),
        key=key or _NO_KEY,
        tempos=tuple(mark for mark in _tempos(metre, grid) if mark.place < last.place + last.length),
        timeline=_shifted(metre.timeline, grid.first),
        title=options.title,
        composer=options.composer,
        steady=metre.steady,
        swing=swing,
        directions=_directions(metre, swing=swing),
        warnings=tuple(warnings),
    )


def _cleaned(parts: Sequence[PartNotes]) -> _Heard:
    found, warnings = list[PartNotes](), list[str]()
    for part in parts:
        notes = sorted(filter(_is_note, part.notes), key=lambda note: (note.start, note.key))
        notes = [
            replace(note, end=max(note.end, note.start + _SHORTEST_SECONDS), velocity=_velocity(note.velocity))
            for note in notes
        ]
        hits = sorted((hit for hit in part.hits if _is_time(hit.start)), key=lambda hit: hit.start)
        hits = [replace(hit, velocity=_velocity(hit.velocity)) for hit in hits]
        left_out = len(part.notes) + len(part.hits) - len(notes) - len(hits)
        if left_out:
            warnings.append(f"{part.name}: {left_out} notes are beyond MIDI's keys or have no time: they are left out")
        words = [word for word in part.words if _is_time(word.start) and _is_time(word.end) and word.text.strip()]
        found.append(replace(part, notes=notes, hits=hits, words=words))
    return _Heard([part for part in found if part.notes or part.hits], warnings)


def _is_note(note: HeardNote) -> bool:
    return 0 <= note.key <= _HIGHEST_KEY and _is_time(note.start) and _is_time(note.end)


def _is_time(seconds: float) -> bool:
    return math.isfinite(seconds) and 0 <= seconds <= _MOST_SECONDS


def _velocity(velocity: int) -> int:
    return min(max(velocity, 1), _HIGHEST_VELOCITY)


def _rhythm(metre: Metre) -> Rhythm:
    """Quarters are divided, and dotted quarters where the time is compound."""
    beat = metre.beat if metre.time.compound else TICKS
    line = metre.timeline
    quarters = float(line.places[-1] - line.places[0])
    return Rhythm(beat, (line.seconds[-1] - line.seconds[0]) / quarters * beat / TICKS, metre.time.compound)


def _timed(part: PartNotes, metre: Metre, rhythm: Rhythm, *, swing: bool) -> list[Timed]:
    """The part's notes or hits at written places, in their order."""
    rows = [(note.start, note.end, note.key, note.velocity) for note in part.notes]
    rows = rows or [(hit.start, hit.start, KEYS[hit.drum], hit.velocity) for hit in part.hits]
    starts = _places([row[0] for row in rows], metre, rhythm, swing=swing)
    ends = _places([row[1] for row in rows], metre, rhythm, swing=swing)
    return [
        Timed(start, max(end, start + 1.0), row[2], row[3], row[0])
        for start, end, row in zip(quantised(starts, rhythm).tolist(), ends.tolist(), rows, strict=True)
    ]


def _places(seconds: Sequence[float], metre: Metre, rhythm: Rhythm, *, swing: bool) -> FloatArray:
    ticks = metre.ticks(np.array(seconds, dtype=np.float64))
    return straightened(ticks, rhythm) if swing else ticks


def _grid(timed: Sequence[Sequence[Timed]], metre: Metre) -> Grid:
    """Bars from the first note's on. Where that is late in its bar, the bar is a pickup."""
    bar = metre.bar
    start = min(note.start for notes in timed for note in notes)
    end = max(min(note.end, note.start + _LONGEST_BARS * bar) for notes in timed for note in notes)
    last = max(note.start for notes in timed for note in notes)
    barline = start // bar * bar
    thirds = any(note.start // TICKS == start // TICKS and note.start % 3 for notes in timed for note in notes)
    unit = TICKS if thirds else TICKS // 2  # a pickup is some eighths long
    first = start // unit * unit
    pickup = first - barline >= bar / 2
    first = first if pickup else barline
    downbeat = barline + bar if pickup else barline
    over = max(math.ceil(end) - bar // 8, last + 1)  # a bar is not begun for the sound that fades
    count = int(pickup) + max(-(-(over - downbeat) // bar), 1 - int(pickup))
    return Grid(first, downbeat, bar, metre.beat, count)


def _bars(metre: Metre, grid: Grid) -> tuple[Bar, ...]:
    number = 0 if grid.first < grid.downbeat else 1
    return tuple(
        Bar(number + index, Fraction(start - grid.first, TICKS), metre.time, Fraction(end - start, TICKS))
        for index, (start, end) in enumerate(bars(grid))
    )


def _shifted(line: Timeline, first: int) -> Timeline:
    return Timeline(tuple(place - Fraction(first, TICKS) for place in line.places), line.seconds)


def _tempos(metre: Metre, grid: Grid) -> tuple[TempoMark, ...]:
    """One mark where the tempo is steady; else the mean is printed, and each bar's own is played."""
    line = _shifted(metre.timeline, grid.first)
    length = Fraction(grid.end - grid.first, TICKS)
    mean = TempoMark(Fraction(0), _between(line, Fraction(0), length), printed=metre.found)
    found = [mean]
    if metre.steady or not metre.found:
        return (mean,)
    for start, end in bars(grid)[1:]:
        place, until = Fraction(start - grid.first, TICKS), Fraction(end - grid.first, TICKS)
        tempo = _between(line, place, until)
        if abs(tempo / found[-1].quarters_per_minute - 1) > _TEMPO_CHANGES:
            found.append(TempoMark(place, tempo, printed=False))
    return tuple(found)


def _between(line: Timeline, place: Fraction, until: Fraction) -> float:
    return min(max(60 * float(until - place) / (line.time(until) - line.time(place)), _SLOWEST), _FASTEST)


def _directions(metre: Metre, *, swing: bool) -> tuple[Direction, ...]:
    texts = ["Swing"] * swing + ["Free rhythm"] * (not metre.found)
    return tuple(Direction(Fraction(0), text) for text in texts)


def _doubts(metre: Metre, key: Key | None) -> Iterator[str]:
    if not metre.found:
        yield "no tempo was found: the notes keep to no beat, and are written in plain bars as they were played"
    elif not metre.steady:
        yield "the tempo changes: bars follow it, and the tempo that is printed is the mean"
    if key is None:
        yield "no key was found: it is written without a key signature"


def _with_chords(parts: Sequence[Part], notes: Sequence[Timed], page: Page) -> list[Part]:
    """Chord symbols above the first part with pitches that reads what it sounds, else as the first one reads them."""
    found = list(parts)
    pitched = [number for number, part in enumerate(found) if not part.percussion]
    number = next((each for each in pitched if _down(found[each]) % 12 == 0), next(iter(pitched), None))
    if number is not None:
        part, down = found[number], _down(found[number])
        moved = [replace(note, key=note.key - down) for note in notes] if down else notes
        found[number] = replace(part, chords=chords_of(moved, page.time, page.grid, Speller(part.key)))
    return found


def _down(part: Part) -> int:
    return part.transposition.keys if part.transposition else 0
