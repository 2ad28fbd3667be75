"""Which hand plays what on a keyboard: both stay where they are, span an octave, and do not cross."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from audiojob_runner.score.writing.timed import Timed

_SPAN, _TOO_WIDE = 12, 1.5  # semitones, and what each one beyond them costs
_FINGERS, _TOO_MANY = 5, 4.0
_MOVES: Final = 0.08  # a hand by a semitone
_STAYS: Final = 0.3  # how much of a hand's place is where it was, where the rest is what it plays
_CROSSES: Final = 0.5  # a semitone that a hand plays beyond the place of the other
_HOLDS, _HELD = 1.0, 6.0  # a hand that holds something for as many ticks plays nothing else
_RIGHT_LOW, _LEFT_HIGH, _STRANGE = 57, 63, 0.5
_RIGHT_HOME, _LEFT_HOME = 69.0, 48.0


@dataclass(frozen=True, slots=True)
class _Hands:
    """The cheapest way to play all until now, and where it leaves the hands."""

    cost: float
    right: float
    left: float
    lower: int  # notes of the group that the left hand plays, from the lowest
    right_until: float = 0.0  # ticks: how long it holds what it plays
    left_until: float = 0.0
    before: _Hands | None = None


def hands_of(notes: Sequence[Timed]) -> tuple[list[Timed], list[Timed]]:
    """Notes of the right hand and of the left one. ``notes`` are in order of their starts."""
    groups = [sorted(group, key=lambda note: note.key) for _, group in groupby(notes, key=lambda note: note.start)]
    states = [_Hands(0.0, _RIGHT_HOME, _LEFT_HOME, 0)]
    for group in groups:
        states = [
            min((_played(state, group, lower) for state in states), key=lambda each: each.cost)
            for lower in range(len(group) + 1)
        ]
    found = list[int]()
    state: _Hands | None = min(states, key=lambda each: each.cost)
    while state is not None and state.before is not None:
        found.append(state.lower)
        state = state.before
    right, left = list[Timed](), list[Timed]()
    for group, lower in zip(groups, reversed(found), strict=True):
        left += group[:lower]
        right += group[lower:]
    return right, left


def _played(state: _Hands, group: Sequence[Timed], lower: int) -> _Hands:
    cost, right, left = state.cost, state.right, state.left
    right_until, left_until = state.right_until, state.left_until
    start = group[0].start
    if lower:
        low, high = group[0].key, group[lower - 1].key
        cost += _shape(high - low, lower) + _STRANGE * max(high - _LEFT_HIGH, 0) + _busy(left_until - start)
        cost += _CROSSES * max(high - state.right, 0.0) + _MOVES * abs((low + high) / 2 - left)
        left = _STAYS * left + (1 - _STAYS) * (low + high) / 2
        left_until = max(note.end for note in group[:lower])
    if lower < len(group):
        low, high = group[lower].key, group[-1].key
        cost += (
            _shape(high - low, len(group) - lower) + _STRANGE * max(_RIGHT_LOW - low, 0) + _busy(right_until - start)
        )
        cost += _CROSSES * max(state.left - low, 0.0) + _MOVES * abs((low + high) / 2 - right)
        right = _STAYS * right + (1 - _STAYS) * (low + high) / 2
        right_until = max(note.end for note in group[lower:])
    return _Hands(cost, right, left, lower, right_until, left_until, state)


def _busy(ticks: float) -> float:
    """What it costs to play while a hand still holds something for some time."""
    return _HOLDS * min(max(ticks / _HELD, 0.0), 1.0)


def _shape(span: int, count: int) -> float:
    return _TOO_WIDE * max(span - _SPAN, 0) + _TOO_MANY * max(count - _FINGERS, 0)
