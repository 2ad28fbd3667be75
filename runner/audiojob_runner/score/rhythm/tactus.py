"""Which multiple of a pulse people count as the beat, and whether they halve it or divide it by three."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

import numpy as np

from audiojob_runner.score.rhythm.onsets import FloatArray, IntArray, Onsets

RATIOS: Final = tuple(map(Fraction, ("1/3", "1/2", "2/3", "3/4", "1", "4/3", "3/2", "2", "3")))
"""Beats in one pulse."""
_TWELFTHS: Final = 12
_COSTS: Final = {
    2: {0: 0.0, 6: 1.0, 3: 2.0, 9: 2.0, 4: 2.2, 8: 2.2},
    3: {0: 0.0, 4: 1.0, 8: 1.0, 2: 2.2, 6: 2.0, 10: 2.2},
}
"""By division: how odd it is that something begins at these twelfths of a beat."""
_ELSEWHERE: Final = 5.0
_TOGETHER_SECONDS: Final = 0.03
_SPREAD_SECONDS, _SPREAD_BEATS = 0.018, 0.012
_SLOWEST, _FASTEST = 30.0, 300.0
# Chosen by chance search on 200 pieces, half of them of bench/music/pieces.py with seeds from 2000 on.
_LEVEL, _EMPTY, _ON, _ON_LOUD, _IN_THREE = 1.4, 1.1, 0.15, 1.2, 0.27
_BETWEEN, _MOST = 0.12, 0.6
_HALVES, _FIRST_THIRD, _SWINGS = 0.35, 0.08, 110.0
_USUAL, _OCTAVES, _GIVEN_OCTAVES = 85.0, 0.57, 0.05


@dataclass(frozen=True, slots=True)
class Groups:
    """What begins together, in pulses."""

    places: FloatArray
    weights: FloatArray
    low: IntArray  # the lowest key; drums do not count


@dataclass(frozen=True, slots=True)
class Tactus:
    """The beat, of pulses: ``ratio`` beats in one, the first of them ``offset`` beats late; divided by ``division``."""

    ratio: Fraction
    offset: Fraction
    division: int
    score: float

    def places(self, pulses: FloatArray) -> FloatArray:
        """Beats of places in pulses."""
        return pulses * float(self.ratio) - float(self.offset)


def groups_of(onsets: Onsets, places: FloatArray) -> Groups:
    """Onsets that are at most 30 ms after the one before are one."""
    number = np.concatenate([[0], np.cumsum(np.diff(onsets.times) > _TOGETHER_SECONDS)])
    count = int(number[-1]) + 1
    weights = np.bincount(number, onsets.weights, count).astype(np.float64)
    low = np.full(count, 128, dtype=np.int64)
    np.minimum.at(low, number, np.where(onsets.keys >= 0, onsets.keys, 128))
    return Groups(
        np.bincount(number, onsets.weights * places, count).astype(np.float64) / np.maximum(weights, 1e-9), weights, low
    )


def tactus_of(groups: Groups, per_minute: float, given: Mapping[int, float] | None = None) -> Tactus:
    """The likeliest beat. ``per_minute``: pulses; ``given``: by division how many beats a minute there would be."""
    found = [
        each
        for ratio in RATIOS
        if ratio == 1 or _SLOWEST <= per_minute * float(ratio) <= _FASTEST
        for each in _of_ratio(groups, per_minute, ratio, given)
    ]
    best = max(found, key=lambda each: each.score)
    return best if given else replace(best, division=_division(groups, best, per_minute * float(best.ratio)))


def _division(groups: Groups, tactus: Tactus, per_minute: float) -> int:
    """By what lies between the beats: more of it nearer to thirds than to halves and quarters.

    Where hardly anything is at the first third, and it is not slow, it is swing: halves that are played unevenly.
    """
    phases = tactus.places(groups.places) % 1
    off = (phases > _BETWEEN) & (phases < 1 - _BETWEEN)
    thirds, quarters = (np.abs(phases * parts - np.rint(phases * parts)) / parts for parts in (3, 4))
    soft = np.sqrt(groups.weights) * off
    if soft @ (thirds < quarters) <= _MOST * soft.sum():
        return 2
    first, half, second = (soft @ (np.abs(phases - place) < _BETWEEN / 2) for place in (1 / 3, 1 / 2, 2 / 3))
    if half > _HALVES * (first + second):
        return 2
    return 2 if first < _FIRST_THIRD * second and per_minute >= _SWINGS else 3


def _of_ratio(
    groups: Groups, per_minute: float, ratio: Fraction, given: Mapping[int, float] | None
) -> Iterator[Tactus]:
    places = groups.places * float(ratio)
    loud, soft = groups.weights / groups.weights.sum(), np.sqrt(groups.weights)
    soft = soft / soft.sum()
    tempo = per_minute * float(ratio)
    spread = max(_SPREAD_SECONDS * tempo / 60, _SPREAD_BEATS)
    beats = int(places.max() - places.min()) + 1
    for twelfth in range(_TWELFTHS):
        offset = twelfth / _TWELFTHS
        on = np.cos(2 * np.pi * (places - offset))
        near = np.rint(places - offset)[on > 0.8]
        empty = 1 - len(np.unique(near)) / beats
        evidence = _ON * (on @ soft) + _ON_LOUD * (on @ loud) - _EMPTY * empty
        for division in given or _COSTS:
            usual, octaves = (given[division], _GIVEN_OCTAVES) if given else (_USUAL, _OCTAVES)
            prior = -0.5 * (np.log2(tempo / usual) / octaves) ** 2
            odd = _oddness((places - offset) % 1, division, spread) @ soft
            yield Tactus(
                ratio,
                Fraction(twelfth, _TWELFTHS),
                division,
                float(evidence + prior - _LEVEL * odd - (division == 3) * _IN_THREE),
            )


def _oddness(phases: FloatArray, division: int, spread: float) -> FloatArray:
    found = np.full(len(phases), _ELSEWHERE)
    for twelfth, cost in _COSTS[division].items():
        away = np.abs((phases - twelfth / _TWELFTHS + 0.5) % 1 - 0.5)
        found = np.minimum(found, cost + np.minimum((away / spread) ** 2 / 2, 4.0))
    return found
