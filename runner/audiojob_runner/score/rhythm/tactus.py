"""Which multiple of a pulse people count as the beat, and whether they halve it or divide it by three."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

import numpy as np

from audiojob_runner.score.rhythm.evidence import TWELFTHS, Candidate, candidates
from audiojob_runner.score.rhythm.onsets import FloatArray, Groups

RATIOS: Final = tuple(map(Fraction, ("1/3", "1/2", "2/3", "3/4", "1", "4/3", "3/2", "2", "3")))
"""Beats in one pulse."""
_SLOWEST, _FASTEST = 30.0, 300.0
_NEAR: Final = 0.06  # of a beat
_HALVES, _FIRST_THIRD, _SWINGS = 0.35, 0.08, 110.0


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


def choices(groups: Groups, per_minute: float) -> list[tuple[Fraction, Candidate]]:
    """Every beat that may be the one, with its ratio. ``per_minute``: pulses."""
    return [
        (ratio, each)
        for ratio in RATIOS
        if ratio == 1 or _SLOWEST <= per_minute * float(ratio) <= _FASTEST
        for each in candidates(groups, groups.places * float(ratio), per_minute * float(ratio))
    ]


def tactus_of(groups: Groups, per_minute: float, given: Mapping[int, float] | None = None) -> Tactus:
    """The likeliest beat. ``per_minute``: pulses; ``given``: by division how many beats a minute there would be."""
    found = [
        Tactus(ratio, Fraction(each.twelfth, TWELFTHS), each.division, each.score(per_minute * float(ratio), given))
        for ratio, each in choices(groups, per_minute)
        if not given or each.division in given
    ]
    best = max(found, key=lambda each: each.score)
    if not given and best.division == 3 and _swung(groups, best, per_minute * float(best.ratio)):
        return replace(best, division=2)
    return best


def _swung(groups: Groups, tactus: Tactus, per_minute: float) -> bool:
    """Whether thirds are halves that are played unevenly: hardly anything is at the first third, and it is not slow."""
    phases, soft = tactus.places(groups.places) % 1, np.sqrt(groups.weights)
    first, half, second = (soft @ (np.abs(phases - place) < _NEAR) for place in (1 / 3, 1 / 2, 2 / 3))
    return bool(half <= _HALVES * (first + second) and first < _FIRST_THIRD * second and per_minute >= _SWINGS)
