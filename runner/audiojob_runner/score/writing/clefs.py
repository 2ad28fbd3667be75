"""Clefs by what is played, bar by bar: few ledger lines, and few changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from audiojob_runner.score.model import STEPS, Clef, Pitch

_CHANGE_COSTS: Final = 14.0  # ledger lines, of all notes
_MIDDLE_LINES: Final = {"G": 4 * 7 + 4, "F": 3 * 7 + 3, "C": 4 * 7}
"""Steps above C0 of the pitch on the line of the sign."""
_REACH: Final = 5  # steps from the middle line that need no ledger line
_BELOW_FIRST: Final = 0.05  # what a clef costs that is not the instrument's usual one, a note


def step_of(pitch: Pitch) -> int:
    """How many steps of the staff a pitch is above C0."""
    return pitch.octave * 7 + STEPS.index(pitch.step)


def clefs_of(bars: Sequence[Sequence[Pitch]], allowed: Sequence[Clef]) -> list[Clef]:
    """The clef of each bar, of those that are allowed."""
    if len(allowed) == 1:
        return [allowed[0]] * len(bars)
    best = [0.0] * len(allowed)
    came = list[list[int]]()
    for pitches in bars:
        steps = [step_of(pitch) for pitch in pitches]
        cheapest = min(range(len(allowed)), key=lambda number: best[number])
        origins = [
            number if best[number] <= best[cheapest] + _CHANGE_COSTS else cheapest for number in range(len(allowed))
        ]
        best = [
            best[origin]
            + _CHANGE_COSTS * (origin != number)
            + _ledgers(steps, allowed[number])
            + bool(number) * _BELOW_FIRST * len(steps)
            for number, origin in enumerate(origins)
        ]
        came.append(origins)
    chosen = min(range(len(allowed)), key=lambda number: best[number])
    found = list[Clef]()
    for origins in reversed(came):
        found.append(allowed[chosen])
        chosen = origins[chosen]
    return found[::-1]


def _ledgers(steps: Sequence[int], clef: Clef) -> float:
    middle = _MIDDLE_LINES.get(clef.sign, 0) + (3 - clef.line) * 2 + 7 * clef.octaves
    return sum(max(abs(step - middle) - _REACH, 0) / 2 for step in steps)
