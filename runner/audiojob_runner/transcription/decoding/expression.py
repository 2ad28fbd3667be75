"""How loud notes are, and how their pitch moves: what a player does beside the notes."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from audiojob_runner.transcription.decoding.decode import Found
from audiojob_runner.transcription.network.model import CONTOUR_STEPS, LOWEST_PITCH
from audiojob_runner.transcription.network.windows import FRAMES_A_SECOND
from audiojob_types.documents.notes import BEND_STEP_SECONDS, MAX_BENDS

Matrix = NDArray[np.float32]

_ATTACK: Final = 12  # frames in which a note reaches its level
_REFERENCE: Final = 0.95  # the share of notes that are quieter than the one with velocity 100
_LOUD: Final = 100
_QUIETEST: Final = 20
_REACH: Final = 5  # thirds of semitones that are looked at on each side
_LEAST_BEND: Final = 0.2  # semitones: what stays below is no bend


def attack_level(levels: Matrix, first: int) -> float:
    """How loud the sound becomes where a note begins. ``levels``: one for each frame."""
    return float(levels[first : first + _ATTACK].max(initial=0.0))


def velocities(levels: NDArray[np.float32]) -> list[int]:
    """MIDI's velocities of notes by their levels, relative to the loud ones of the recording.

    Synthesizers play a note at an amplitude of the square of its velocity.
    """
    if not len(levels):
        return []
    loud = float(np.quantile(levels, _REFERENCE)) or 1.0
    found = _LOUD * np.sqrt(np.maximum(levels, 0) / loud)
    return [int(each) for each in np.clip(np.rint(found), _QUIETEST, 127)]


def bends_of(contours: Matrix, note: Found) -> tuple[float, ...] | None:
    """Semitones off the note's pitch in each step, or None where it stays. ``contours``: thirds of semitones."""
    centre = (note.pitch - LOWEST_PITCH) * CONTOUR_STEPS
    low, high = max(0, centre - _REACH), min(contours.shape[1], centre + _REACH + 1)
    weights = np.square(contours[note.first : note.end, low:high].astype(np.float64))
    total = weights.sum(axis=1)
    offsets = (np.arange(low, high) - centre) / CONTOUR_STEPS
    frames = np.arange(len(total))
    steps = (frames / FRAMES_A_SECOND / BEND_STEP_SECONDS).astype(np.int64)
    count = min(int(steps[-1]) + 1, MAX_BENDS)
    sums = np.bincount(steps, weights @ offsets, count)[:count]
    mass = np.bincount(steps, total, count)[:count]
    found = np.where(mass > 1e-6, sums / np.maximum(mass, 1e-6), 0.0)
    if np.abs(found).max() < _LEAST_BEND:
        return None
    return tuple(float(each) for each in np.round(found, 2))
