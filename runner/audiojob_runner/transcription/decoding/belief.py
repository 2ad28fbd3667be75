"""How far a note that may be there is believed: what the network says where it begins, before, and an octave off.

A strong begin makes a note likely, even a faint one; sound of the same pitch before it, or of a lower octave, makes it
likely that nobody struck it. The weights are fitted by ``bench/music/fit.py``, on pieces that no figure is reported of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from audiojob_runner.transcription.decoding.decode import Found
from audiojob_runner.transcription.network.model import LOWEST_PITCH, PITCHES

Matrix = NDArray[np.float32]

FEATURES = (
    "begin", "after", "soon after", "before", "begin again", "octave below", "begin above", "octave above", "length",
)  # fmt: skip
_LONG = 40  # frames: longer makes no difference


class Believer(Protocol):
    """Says of notes that may be there how likely they are."""

    def of(self, notes: Matrix, onsets: Matrix, found: Sequence[Found]) -> NDArray[np.float64]:
        """From 0 to 1, of each."""


@dataclass(frozen=True, slots=True)
class Belief:
    """Weights of a logistic regression over :data:`FEATURES`, and its constant."""

    weights: tuple[float, ...]
    constant: float

    def of(self, notes: Matrix, onsets: Matrix, found: Sequence[Found]) -> NDArray[np.float64]:
        """From 0 to 1, of each."""
        if not found:
            return np.zeros(0)
        rows = np.array([features(notes, onsets, note) for note in found])
        total = rows @ np.array(self.weights) + self.constant
        return np.asarray(1 / (1 + np.exp(-np.clip(total, -30, 30))), dtype=np.float64)


def features(notes: Matrix, onsets: Matrix, found: Found) -> tuple[float, ...]:
    """What :data:`FEATURES` names, of one note."""
    row, first = found.pitch - LOWEST_PITCH, found.first

    def sounds(away: int, begin: int, end: int) -> float:
        return float(_piece(notes, row + away, first + begin, first + end).mean())

    def begins(away: int, begin: int, end: int) -> float:
        return float(_piece(onsets, row + away, first + begin, first + end).max())

    return (
        found.onset,
        sounds(0, 0, 10),
        sounds(0, 0, 5),
        sounds(0, -6, -1),
        begins(0, 3, 10),
        sounds(-12, 0, 8),
        begins(12, -3, 4),
        sounds(12, 0, 8),
        min(found.end - found.first, _LONG) / _LONG,
    )


def _piece(matrix: Matrix, row: int, begin: int, end: int) -> Matrix:
    """A row's frames from ``begin`` to ``end``; a zero where there are none."""
    piece = matrix[max(0, begin) : max(0, end), row] if 0 <= row < PITCHES else matrix[:0, 0]
    return piece if len(piece) else np.zeros(1, np.float32)
