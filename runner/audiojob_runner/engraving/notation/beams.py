"""Which notes are beamed together: those within a beat, and eighths within half a bar of four quarters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from itertools import groupby
from typing import Final

from audiojob_runner.score.model import Event, Time, Value

FLAGS: Final[dict[Value, int]] = {
    Value.EIGHTH: 1,
    Value.SIXTEENTH: 2,
    Value.THIRTY_SECOND: 3,
    Value.SIXTY_FOURTH: 4,
}


class Beam(StrEnum):
    """What one beam does at a note, named as MusicXML names it."""

    BEGIN = "begin"
    CONTINUE = "continue"
    END = "end"
    FORWARD = "forward hook"
    BACKWARD = "backward hook"


@dataclass(frozen=True, slots=True)
class _Placed:
    number: int
    place: Fraction  # within a full bar
    flags: int  # 0: a rest, or a value without any
    plain: bool  # an eighth that is nothing else


def beams_of(events: Sequence[Event], time: Time, length: Fraction) -> list[tuple[Beam, ...]]:
    """For each event of a voice its beams, from the first one on; none where it has flags or is no note.

    ``length`` is that of the bar: a pickup's notes are beamed as at the end of a full one.
    """
    found: list[tuple[Beam, ...]] = [()] * len(events)
    for group in _groups(list(_placed(events, time.quarters - length)), time):
        flags = [each.flags for each in group]
        for at, each in enumerate(group):
            found[each.number] = tuple(_level(flags, at, level) for level in range(1, each.flags + 1))
    return found


def _placed(events: Sequence[Event], place: Fraction) -> Iterator[_Placed]:
    for number, event in enumerate(events):
        flags = FLAGS.get(event.value, 0) if event.notes else 0
        plain = event.value is Value.EIGHTH and event.tuplet is None and not event.dots
        yield _Placed(number, place, flags, plain and bool(flags))
        place += event.duration


def _groups(placed: Sequence[_Placed], time: Time) -> Iterator[list[_Placed]]:
    """Runs of two and more notes with flags within one beat, or within half a bar where all in it are eighths."""
    half = Fraction(2) if time.unit == 4 and time.beats in (2, 4) else None
    wide = set[Fraction]()
    if half is not None:
        for start, within in groupby(placed, lambda each: each.place // half):
            if all(each.plain for each in within):
                wide.add(Fraction(start))

    def span(each: _Placed) -> tuple[Fraction, bool, bool]:
        if half is not None and each.place // half in wide:
            return Fraction(each.place // half), True, each.flags > 0
        return Fraction(each.place // time.beat), False, each.flags > 0

    for (_, _, flagged), run in groupby(placed, span):
        group = list(run)
        if flagged and len(group) > 1:
            yield group


def _level(flags: Sequence[int], at: int, level: int) -> Beam:
    before = at > 0 and flags[at - 1] >= level
    after = at + 1 < len(flags) and flags[at + 1] >= level
    if before and after:
        return Beam.CONTINUE
    if before or after:
        return Beam.END if before else Beam.BEGIN
    return Beam.FORWARD if at == 0 else Beam.BACKWARD


def needs_bracket(events: Sequence[Event], beams: Sequence[tuple[Beam, ...]]) -> bool:
    """Whether a tuplet is more than its beam shows: a rest, a value without flags, or several beams are in it."""
    inside = [each[0] if each else None for each in beams[: len(events)]]
    one = inside[0] is Beam.BEGIN and inside[-1] is Beam.END and set(inside[1:-1]) <= {Beam.CONTINUE}
    return not one
