"""Stretches of a bar as notated values: split at beats, with dots where one sign is read at a glance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Final

from audiojob_runner.score.model import Place, Time, Tuplet, Value
from audiojob_runner.score.rhythm.metre import TICKS

_PLAIN: Final = {int(value.quarters * TICKS): value for value in Value if value.quarters * TICKS >= 3}
_SIGNS: Final = {
    **{ticks: (value, 0) for ticks, value in _PLAIN.items()},
    **{ticks * 3 // 2: (value, 1) for ticks, value in _PLAIN.items() if ticks % 2 == 0},
}
"""Ticks of what one sign stands for: its value and dots."""
_TRIPLETS: Final = {8: Value.EIGHTH, 16: Value.QUARTER}
_SEXTUPLETS: Final = {4: Value.SIXTEENTH, 8: Value.EIGHTH, 16: Value.QUARTER}
_FINEST: Final = 3


@dataclass(frozen=True, slots=True)
class Sign:
    """A notated value and its ticks."""

    start: int
    end: int
    value: Value
    dots: int = 0
    tuplet: Tuplet | None = None

    @property
    def quarters(self) -> Fraction:
        """How long it is."""
        return Fraction(self.end - self.start, TICKS)


@lru_cache(maxsize=16_384)
def split(start: int, end: int, time: Time, *, rest: bool) -> tuple[Sign, ...]:
    """Signs for a stretch of ticks within a bar, outside of tuplets."""
    if _is_one(start, end, time, rest=rest):
        value, dots = _SIGNS[end - start]
        return (Sign(start, end, value, dots),)
    cut = _strongest(start, end, time)
    return split(start, cut, time, rest=rest) + split(cut, end, time, rest=rest)


def levels(time: Time) -> tuple[int, ...]:
    """Ticks of the levels of a bar, from the bar itself to the finest."""
    bar, beat = int(time.quarters * TICKS), int(time.beat * TICKS)
    beats = bar // beat
    found = [bar]
    if beats % 2 == 0 and beats > 2:
        found.append(bar // 2)
    found.append(beat)
    found += [12] if time.compound else []
    while found[-1] % 2 == 0 and found[-1] > _FINEST:
        found.append(found[-1] // 2)
    return tuple(dict.fromkeys(found))


def _level(tick: int, time: Time) -> int:
    """The strongest level that a place is on: 0 is the barline."""
    return next((number for number, ticks in enumerate(levels(time)) if tick % ticks == 0), len(levels(time)))


def _inside(start: int, end: int, time: Time) -> int:
    """The strongest level of a place between two others."""
    return next(
        (number for number, ticks in enumerate(levels(time)) if (start // ticks + 1) * ticks < end), len(levels(time))
    )


def _strongest(start: int, end: int, time: Time) -> int:
    ticks = levels(time)[_inside(start, end, time)]
    return (start // ticks + 1) * ticks


def _is_one(start: int, end: int, time: Time, *, rest: bool) -> bool:
    length = end - start
    if length not in _SIGNS:
        return False
    all_levels = levels(time)
    inside, first, last = _inside(start, end, time), _level(start, time), _level(end, time)
    if inside >= len(all_levels):
        return True
    beat = int(time.beat * TICKS)
    if time.compound and (length > beat or start // beat != (end - 1) // beat):
        return start % beat == 0 and end % beat == 0
    if rest:
        return first <= inside and (_SIGNS[length][1] == 0 or time.compound)
    if first <= inside or last <= inside:
        return True
    ticks = all_levels[inside]
    below = ticks // 2
    syncopated = below in all_levels and length == 2 * below and first == last == all_levels.index(below)
    return syncopated and all_levels.index(below) == inside + 1


def in_tuplet(start: int, end: int, beat: int, *, sextuplet: bool) -> Iterator[Sign]:
    """Signs within one beat that is divided by three or six. ``beat`` is where the beat begins."""
    signs = _SEXTUPLETS if sextuplet else _TRIPLETS
    actual, normal = (6, 4) if sextuplet else (3, 2)
    while start < end:
        length = max(ticks for ticks in signs if ticks <= end - start and (start - beat) % min(ticks, 8) == 0)
        place = Place.START if start == beat else Place.STOP if start + length == beat + TICKS else Place.MIDDLE
        yield Sign(start, start + length, signs[length], 0, Tuplet(actual, normal, place))
        start += length
