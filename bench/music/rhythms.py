"""Metres, and what one bar of each is filled with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np


@dataclass(frozen=True)
class Metre:
    """A time signature. ``beat`` is its length in quarters: 1, or 1.5 in compound metres."""

    numerator: int
    denominator: int
    beat: float = 1.0

    @property
    def quarters(self) -> float:
        """The length of a bar."""
        return self.numerator * 4 / self.denominator

    @property
    def beats(self) -> int:
        return round(self.quarters / self.beat)

    @property
    def compound(self) -> bool:
        return self.beat != 1.0


METRES: Final = (Metre(4, 4), Metre(3, 4), Metre(6, 8, 1.5), Metre(2, 4))

# Fillings of one beat by their parts; the first ones are easy.
_SIMPLE: Final = ((1.0,), (0.5, 0.5), (0.75, 0.25), (0.25, 0.25, 0.5), (0.5, 0.25, 0.25), (0.25,) * 4, (1 / 3,) * 3)
_COMPOUND: Final = ((1.5,), (1.0, 0.5), (0.5,) * 3, (0.75, 0.25, 0.5), (0.25, 0.25, 0.5, 0.5))


def rhythm(
    metre: Metre, level: float, chance: np.random.Generator, closing: bool = False
) -> list[tuple[float, float, bool]]:
    """One bar as start, length (in quarters) and whether it sounds. ``level``, 0 to 1, is how hard it may be."""
    if closing:
        return [(0.0, metre.quarters, True)]
    known = _COMPOUND if metre.compound else _SIMPLE
    fillings = known[: 2 + round(level * (len(known) - 2))]
    found: list[tuple[float, float, bool]] = []
    at = 0.0
    while at < metre.quarters - 1e-6:
        left = metre.quarters - at
        if left >= 2 * metre.beat and chance.random() < 0.25:
            found.append((at, 2 * metre.beat, True))
            at += 2 * metre.beat
            continue
        for length in fillings[int(chance.integers(len(fillings)))]:
            found.append((at, length, at == 0 or chance.random() > 0.08))
            at += length
        at = round(at * 12) / 12
    return _tied(found, level, metre, chance)


def _tied(
    bar: list[tuple[float, float, bool]], level: float, metre: Metre, chance: np.random.Generator
) -> list[tuple[float, float, bool]]:
    """In harder pieces a note off the beat may last over the next beat."""
    if len(bar) < 3 or level < 0.6 or chance.random() > 0.3:
        return bar
    at = int(chance.integers(1, len(bar) - 1))
    start, length, sounds = bar[at]
    if start % metre.beat == 0:
        return bar
    return [*bar[:at], (start, length + bar[at + 1][1], sounds), *bar[at + 2 :]]
