"""What the network says around where a note may begin: of its own pitch, of those beside it, and of its partials.

A struck string sounds at the octave, the twelfth and the second octave as well, and the network often tells those as
notes of their own. So the same is asked of every pitch that one of them may be taken for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audiojob_runner.transcription.decoding.decode import Found
from audiojob_runner.transcription.network.model import LOWEST_PITCH, PITCHES

Matrix = NDArray[np.float32]

_AROUND: Final = (-24, -19, -12, -7, -5, -1, 1, 5, 7, 12, 19, 24)
_BEFORE: Final = (-24, -19, -12, 12)
_SOUNDS: Final = {
    "after": (0, 10),
    "soon after": (0, 5),
    "later": (10, 20),
    "before": (-6, -1),
    "long before": (-16, -6),
}
_BEGINS: Final = {"begin": (0, 1), "begin again": (3, 10), "begin before": (-10, -3), "long before that": (-25, -10)}
"""Frames, from the note's first one."""
_NEAR: Final = (-3, 4)
_SOUNDING: Final = (0, 8)
_JUST_BEFORE: Final = (-6, -1)
_AT_ONCE: Final = (-1, 2)
REACH: Final = 25  # frames before a note that are looked at
_AFTER: Final = 20
_LONG: Final = 40  # frames: longer makes no difference
_MIDDLE, _WIDE = 61, 20  # MIDI's pitches: so that none of the figures is large
_MANY: Final = 5.0

SURROUNDINGS: Final = (
    *_SOUNDS, *_BEGINS, *(f"begin {step:+}" for step in _AROUND), *(f"sound {step:+}" for step in _AROUND),
    *(f"before {step:+}" for step in _BEFORE), "length", "pitch", "pitch squared", "begins at once",
)  # fmt: skip


def surroundings(notes: Matrix, onsets: Matrix, found: Sequence[Found]) -> Matrix:
    """A row of :data:`SURROUNDINGS` for each of these notes."""
    widest = max(_AROUND)
    margins = ((REACH, _AFTER + 1), (widest, widest))
    sounding, beginning = np.pad(notes, margins), np.pad(onsets, margins)
    first = np.array([note.first for note in found], dtype=np.int64)
    row = np.array([note.pitch - LOWEST_PITCH for note in found], dtype=np.int64)
    length = np.array([note.end - note.first for note in found], dtype=np.float32)

    def frames(matrix: Matrix, step: int, span: tuple[int, int]) -> Matrix:
        at = first[:, None] + REACH + np.arange(*span)
        piece: Matrix = matrix[at, row[:, None] + widest + step]
        return piece

    at_once = beginning[first[:, None] + REACH + np.arange(*_AT_ONCE)].sum(axis=2).max(axis=1)
    height = (row + LOWEST_PITCH - _MIDDLE) / _WIDE
    columns = [
        *(frames(sounding, 0, span).mean(axis=1) for span in _SOUNDS.values()),
        *(frames(beginning, 0, span).max(axis=1) for span in _BEGINS.values()),
        *(frames(beginning, step, _NEAR).max(axis=1) for step in _AROUND),
        *(frames(sounding, step, _SOUNDING).mean(axis=1) for step in _AROUND),
        *(frames(sounding, step, _JUST_BEFORE).mean(axis=1) for step in _BEFORE),
        np.minimum(length, _LONG) / _LONG,
        height,
        height**2,
        at_once / _MANY,
    ]
    assert notes.shape[1] == PITCHES
    return np.stack(columns, axis=1).astype(np.float32)
