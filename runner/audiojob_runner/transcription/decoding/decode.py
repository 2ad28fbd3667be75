"""From how likely notes sound and begin, frame by frame, to notes.

Each local maximum of the onsets begins a note, which lasts as long as the note's own likelihood stays up. Later ones go
first, and take what they sound for: an earlier note of the same pitch, or of one beside it, ends there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audiojob_runner.transcription.network.model import LOWEST_PITCH, PITCHES

Matrix = NDArray[np.float32]

_STRIDE: Final = 256  # frames that are looked at together for a note's end


@dataclass(frozen=True, slots=True)
class Settings:
    """What counts as a note. Frames are of 11.6 ms."""

    onset: float = 0.4  # how likely a begin must be
    note: float = 0.3  # and how likely it must sound after it
    faint: float = 0.3  # the same, where by that it would be too short
    grace: int = 11  # frames that it may be below that
    least: int = 3  # frames that it lasts
    lowest: int = 21
    highest: int = 108


@dataclass(frozen=True, slots=True)
class Found:
    """One note, in frames. ``strength`` is the mean likelihood while it sounds, ``onset`` that of its begin."""

    first: int
    end: int
    pitch: int
    strength: float
    onset: float


def decode(
    notes: Matrix,
    onsets: Matrix,
    settings: Settings,
    begin: int = 0,
    believed: Callable[[Sequence[Found]], Sequence[bool]] | None = None,
) -> list[Found]:
    """Notes that begin in frames from ``begin`` on, in order. Those that are not ``believed`` end no other note."""
    begins = _onsets(onsets, settings, begin)
    found = _follow(notes, onsets, begins, settings)
    if believed is not None:
        kept = [note for note, is_one in zip(found, believed(found), strict=True) if is_one]
        begins = [(note.first, note.pitch - LOWEST_PITCH) for note in kept]
        found = _follow(notes, onsets, begins, settings)
    return sorted(found, key=lambda note: (note.first, note.pitch))


def _follow(notes: Matrix, onsets: Matrix, begins: Sequence[tuple[int, int]], settings: Settings) -> list[Found]:
    """The notes of these begins, which are frames and rows, the last ones first."""
    left = notes.copy()
    found = []
    for first, row in begins:
        last = _last(left[:, row], first, settings.note, settings.grace)
        if last - first <= settings.least:
            last = _last(left[:, row], first, settings.faint, settings.grace)
        if last - first <= settings.least:
            continue
        left[first:last, max(0, row - 1) : row + 2] = 0
        strength = float(notes[first:last, row].mean())
        found.append(Found(first, last, row + LOWEST_PITCH, strength, float(onsets[first, row])))
    return found


def _onsets(onsets: Matrix, settings: Settings, begin: int) -> list[tuple[int, int]]:
    """Frames and rows of local maxima that are high enough, the last ones first."""
    if len(onsets) < 3:
        return []
    inner = onsets[1:-1]
    peaks = (inner > onsets[:-2]) & (inner > onsets[2:]) & (inner >= settings.onset)
    low, high = (max(0, min(PITCHES, pitch - LOWEST_PITCH)) for pitch in (settings.lowest, settings.highest + 1))
    peaks[:, :low] = False
    peaks[:, high:] = False
    peaks[: max(0, begin - 1)] = False
    at, rows = np.nonzero(peaks)
    return list(zip((at + 1)[::-1].tolist(), rows[::-1].tolist(), strict=True))


def _last(sounding: NDArray[np.float32], first: int, least: float, grace: int) -> int:
    """The frame after the note's last one: before ``grace`` frames in a row that are too low."""
    low_run, at, frames = 0, first + 1, len(sounding)
    while at < frames - 1:
        piece = sounding[at : min(at + _STRIDE, frames - 1)] < least
        for low in piece.tolist():
            low_run = low_run + 1 if low else 0
            at += 1
            if low_run >= grace:
                return at - low_run
    return at - low_run
