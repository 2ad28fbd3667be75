"""A score as it sounds when it is played as written: what MIDI gets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from audiojob_runner.score.model import Part, Score, Staff

_PAIR: Final = Fraction(1)
_OFF_BEAT: Final = Fraction(1, 2)
_SWUNG: Final = Fraction(2, 3)


@dataclass(frozen=True, slots=True)
class Sounding:
    """A note that sounds. Ties are one note."""

    start: Fraction  # in quarters
    end: Fraction
    key: int
    velocity: int


def sounding(part: Part, *, swing: bool = False) -> list[Sounding]:
    """The notes of a part in order. ``swing``: off-beat eighths come on the third triplet."""
    notes = [note for staff in part.staves for note in _of_staff(staff)]
    if swing:
        notes = [replace(note, start=swung(note.start), end=swung(note.end)) for note in notes]
    return sorted(notes, key=lambda note: (note.start, note.key, note.end))


def swung(place: Fraction) -> Fraction:
    """Where a place is when eighths swing. The halves of a beat become two thirds and one."""
    within = place % _PAIR
    if within <= _OFF_BEAT:
        return place - within + within * _SWUNG / _OFF_BEAT
    return place - within + _SWUNG + (within - _OFF_BEAT) * (1 - _SWUNG) / (1 - _OFF_BEAT)


def seconds_of(score: Score, place: Fraction) -> float:
    """When a place is reached as it is played by the tempo marks, from its beginning."""
    time = 0.0
    for number, mark in enumerate(score.tempos):
        end = score.tempos[number + 1].place if number + 1 < len(score.tempos) else place
        time += float(min(end, place) - mark.place) * 60 / mark.quarters_per_minute
        if end >= place:
            break
    return time


def _of_staff(staff: Staff) -> Iterator[Sounding]:
    begun = dict[tuple[int, int], tuple[Fraction, int]]()  # voice and key: where a tied note began, how loud
    bar = Fraction(0)
    for measure in staff.measures:
        place = bar
        for voice in measure.voices:
            place = bar
            for event in voice.events:
                end = place + event.duration
                for note in event.notes:
                    start, velocity = place, note.velocity
                    if note.tied_from:
                        start, velocity = begun.pop((voice.number, note.key), (place, note.velocity))
                    if note.tied_on:
                        begun[voice.number, note.key] = (start, velocity)
                    else:
                        yield Sounding(start, end, note.key, velocity)
                place = end
        bar = place
