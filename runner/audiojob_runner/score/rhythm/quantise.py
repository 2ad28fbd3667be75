"""Onsets to written places: each beat of a part takes the plainest grid that fits what is played in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from audiojob_runner.score.rhythm.onsets import FloatArray, IntArray

_SIMPLE: Final = {1: 0.0, 2: 0.3, 4: 1.0, 3: 3.0, 8: 7.0, 6: 7.0}
_COMPOUND: Final = {1: 0.0, 3: 0.2, 6: 1.0, 12: 7.0}
"""By parts of a beat: what they cost beside the errors."""
_EXACT_SECONDS, _LOOSE_SECONDS = 0.012, 0.035  # how far players are off, at the least and at the most
_SPREAD_OF_MEDIAN: Final = 2.2  # above a normal distribution's
_WORST: Final = 8.0
_TOGETHER_SECONDS: Final = 0.045
_COLLISION: Final = 2.5  # two things that are played one after the other and written as one

_LONG, _HALF = 2 / 3, 1 / 2
_SWING_NEAR: Final = 0.07
_SWING_SHARE, _SWING_OTHERS, _SWING_FEWEST = 0.6, 0.15, 8


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How ticks are counted: of a beat, and how long one lasts."""

    beat: int
    seconds: float  # of a beat
    compound: bool


def quantised(ticks: FloatArray, rhythm: Rhythm) -> IntArray:
    """Whole ticks on the grids of their beats. ``ticks`` ascend."""
    if not len(ticks):
        return np.zeros(0, dtype=np.int64)
    beats = np.floor(ticks / rhythm.beat)
    within = ticks / rhythm.beat - beats
    numbers = (beats - beats[0]).astype(np.int64)
    grids = _COMPOUND if rhythm.compound else _SIMPLE
    spread = _spread(within, rhythm)
    apart = np.diff(ticks, prepend=-np.inf) * rhythm.seconds / rhythm.beat > _TOGETHER_SECONDS
    slots, costs = [], []
    for parts, price in grids.items():
        slot = np.rint(within * parts)
        errors = np.minimum((within - slot / parts) ** 2 * (rhythm.seconds / spread) ** 2 / 2, _WORST)
        hit = apart & (np.diff(beats * parts + slot, prepend=-np.inf) == 0)
        slots.append(slot * (rhythm.beat // parts))
        costs.append(np.bincount(numbers, errors + _COLLISION * hit) + price)
    chosen = np.argmin(np.array(costs), axis=0)[numbers]
    found: IntArray = (beats * rhythm.beat + np.array(slots)[chosen, np.arange(len(ticks))]).astype(np.int64)
    return np.maximum.accumulate(found)


def _spread(within: FloatArray, rhythm: Rhythm) -> float:
    """By how many seconds players are off: most of what they play is on the usual grid."""
    parts = 6 if rhythm.compound else 4
    off = float(np.median(np.abs(within * parts - np.rint(within * parts)))) / parts * rhythm.seconds
    return min(max(_SPREAD_OF_MEDIAN * off, _EXACT_SECONDS), _LOOSE_SECONDS)


def swings(ticks: FloatArray, rhythm: Rhythm) -> bool:
    """Whether halves of beats are played long and short: much at two thirds, and hardly anything at one."""
    if rhythm.compound:
        return False
    within = (ticks / rhythm.beat) % 1
    off = within[(within > _SWING_NEAR) & (within < 1 - _SWING_NEAR)]
    long = int((np.abs(off - _LONG) < _SWING_NEAR).sum())
    first = int((np.abs(off - (1 - _LONG)) < _SWING_NEAR).sum())
    return long >= _SWING_FEWEST and long > _SWING_SHARE * len(off) and first < _SWING_OTHERS * long


def straightened(ticks: FloatArray, rhythm: Rhythm) -> FloatArray:
    """As if it were played without swing."""
    beats = np.floor(ticks / rhythm.beat)
    within = ticks / rhythm.beat - beats
    even = np.where(within < _LONG, within * _HALF / _LONG, _HALF + (within - _LONG) * (1 - _HALF) / (1 - _LONG))
    found: FloatArray = (beats + even) * rhythm.beat
    return found
