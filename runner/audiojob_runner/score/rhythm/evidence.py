"""What speaks for a beat: where in it things begin, how much is on it, how many beats are empty, how fast it would be.

A candidate is a beat and how it is divided. Each is given figures, whose sum by weights says how likely it is: the
weights are those of a choice among the candidates of a piece, fitted by ``bench/music/fit_beat.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from audiojob_runner.score.rhythm.onsets import FloatArray, Groups

TWELFTHS: Final = 12
"""Of a beat: how many places are tried as its begin."""
DIVISIONS: Final = (2, 3)
COMMON: Final = ("loud on it", "long on it", "begins on it", "empty", "oddness")
BY_DIVISION: Final = {
    2: ("tempo", "tempo squared", "halves", "quarters", "thirds", "elsewhere"),
    3: ("tempo", "tempo squared", "first third", "second third", "sixths", "half", "elsewhere", "three"),
}
# By bench/music/fit_beat.py.
_COMMON: Final = (8.62, 3.20, 8.54, -8.20, -3.17)
_BY_DIVISION: Final[dict[int, tuple[float, ...]]] = {
    2: (0.43, -6.39, 26.53, 12.43, -7.03, -8.27),
    3: (-3.33, -3.07, 8.90, 31.63, -15.86, -9.19, -8.62, -0.03),
}
_GIVEN_OCTAVES: Final = 0.03
_ODD: Final = {
    2: {0: 0.0, 6: 1.0, 3: 2.0, 9: 2.0, 4: 2.2, 8: 2.2},
    3: {0: 0.0, 4: 1.0, 8: 1.0, 2: 2.2, 6: 2.0, 10: 2.2},
}
"""By division: how odd it is that something begins at these twelfths of a beat."""
_ELSEWHERE: Final = 5.0
_FURTHEST: Final = 4.0
_SPREAD_SECONDS, _SPREAD_BEATS = 0.018, 0.012
_WIDER: Final = 1.5
_ON: Final = 0.8  # the cosine of what is on the beat
_LONGEST: Final = 2.0  # beats that a gap counts for
_USUAL: Final = 85.0


@dataclass(frozen=True)
class Candidate:
    """Beats that begin ``twelfth`` twelfths late, each divided into so many, and what speaks for them."""

    twelfth: int
    division: int
    figures: tuple[float, ...]

    def score(self, tempo: float, given: Mapping[int, float] | None = None) -> float:
        """How likely it is, as a logarithm. ``given``: by division the beats a minute that were told."""
        weights = np.array(_COMMON + _BY_DIVISION[self.division])
        figures = np.array(self.figures)
        if not given:
            return float(weights @ figures)
        weights[len(COMMON) : len(COMMON) + 2] = 0.0  # what is usual does not matter
        off = np.log2(tempo / given[self.division]) / _GIVEN_OCTAVES
        return float(weights @ figures - 0.5 * off**2)


def candidates(groups: Groups, places: FloatArray, tempo: float) -> list[Candidate]:
    """All of one tempo. ``places``: of the groups, in beats."""
    soft = np.sqrt(groups.weights)
    soft = soft / soft.sum()
    gaps = np.minimum(np.diff(places, append=places[-1] + _LONGEST), _LONGEST)
    kinds = [_shared(each) for each in (groups.weights, soft * gaps)]
    spread = max(_SPREAD_SECONDS * tempo / 60, _SPREAD_BEATS)
    at = _shares(places, soft, _WIDER * spread)
    beats = int(places.max() - places.min()) + 1
    found = list[Candidate]()
    for twelfth in range(TWELFTHS):
        late = places - twelfth / TWELFTHS
        on = np.cos(2 * np.pi * late)
        empty = 1 - len(np.unique(np.rint(late)[on > _ON])) / beats
        turned = np.roll(at, -twelfth)
        common = [*(float(on @ kind) for kind in kinds), float(turned[0]), empty]
        for division in DIVISIONS:
            odd = float(_oddness(late % 1, division, spread) @ soft)
            own = _own(turned, division, float(np.log2(tempo / _USUAL)))
            found.append(Candidate(twelfth, division, (*common, odd, *own)))
    return found


def _own(at: FloatArray, division: int, octaves: float) -> tuple[float, ...]:
    """The figures of a division: the tempo, and the shares of what begins at its places. ``at``: by twelfths."""
    known = float(sum(at[list(_ODD[division])]))
    elsewhere = 1 - min(known, 1.0)
    tempo = (octaves, octaves**2)
    if division == 2:
        return (*tempo, float(at[6]), float(at[3] + at[9]), float(at[4] + at[8]), elsewhere)
    return (*tempo, float(at[4]), float(at[8]), float(at[2] + at[10]), float(at[6]), elsewhere, 1.0)


def _shared(weights: FloatArray) -> FloatArray:
    """As shares of all."""
    found: FloatArray = weights / max(float(weights.sum()), 1e-9)
    return found


def _shares(places: FloatArray, soft: FloatArray, spread: float) -> FloatArray:
    """How much begins at each twelfth of a beat; what is a little off counts less."""
    twelfths = np.arange(TWELFTHS) / TWELFTHS
    away = np.abs((places[None, :] - twelfths[:, None] + 0.5) % 1 - 0.5)
    found: FloatArray = np.exp(-0.5 * (away / spread) ** 2) @ soft
    return found


def _oddness(phases: FloatArray, division: int, spread: float) -> FloatArray:
    found = np.full(len(phases), _ELSEWHERE)
    for twelfth, cost in _ODD[division].items():
        away = np.abs((phases - twelfth / TWELFTHS + 0.5) % 1 - 0.5)
        found = np.minimum(found, cost + np.minimum((away / spread) ** 2 / 2, _FURTHEST))
    return found
