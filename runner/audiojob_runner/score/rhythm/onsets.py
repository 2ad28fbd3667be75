"""When something begins, of all parts, and how much it says about the beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audiojob_runner.score.heard import Drum, PartNotes

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_LOUDEST: Final = 127
_LOW_KEY, _LOW_WEIGHT = 50, 1.8  # what is below carries the beat
_LENGTH_COUNTS, _SHORT_WEIGHT = 1.0, 0.3
_HIT_WEIGHTS: Final = {Drum.KICK: 2.0, Drum.SNARE: 1.4, Drum.CRASH: 1.4}
_OTHER_HIT_WEIGHT: Final = 0.7
_TOGETHER_SECONDS: Final = 0.03
_NO_KEY: Final = 128


@dataclass(frozen=True)
class Onsets:
    """Beginnings in order of time. Hits of drums have the key -1."""

    times: FloatArray
    ends: FloatArray
    keys: IntArray
    weights: FloatArray

    @cached_property
    def starts_here(self) -> float:
        """When the first one is."""
        return float(self.times[0])

    @cached_property
    def ends_here(self) -> float:
        """When all is over."""
        return float(max(self.ends.max(), self.times[-1]))

    @property
    def pitched(self) -> Onsets:
        """Without drums."""
        chosen = self.keys >= 0
        return Onsets(self.times[chosen], self.ends[chosen], self.keys[chosen], self.weights[chosen])


def onsets_of(parts: Sequence[PartNotes]) -> Onsets:
    """All notes and hits, the sooner the earlier."""
    rows = [
        (note.start, note.end, note.key, note.velocity / _LOUDEST * _weight(note.end - note.start, note.key))
        for part in parts
        for note in part.notes
    ]
    rows += [
        (hit.start, hit.start, -1, hit.velocity / _LOUDEST * _HIT_WEIGHTS.get(hit.drum, _OTHER_HIT_WEIGHT))
        for part in parts
        for hit in part.hits
    ]
    table = np.array(sorted(rows), dtype=np.float64).reshape(-1, 4)
    return Onsets(table[:, 0], table[:, 1], table[:, 2].astype(np.int64), table[:, 3])


def _weight(length: float, key: int) -> float:
    return (_SHORT_WEIGHT + min(length, _LENGTH_COUNTS)) * (_LOW_WEIGHT if key < _LOW_KEY else 1.0)


@dataclass(frozen=True, slots=True)
class Groups:
    """What begins together, in pulses."""

    places: FloatArray
    weights: FloatArray
    low: IntArray  # the lowest key; drums do not count


def groups_of(onsets: Onsets, places: FloatArray) -> Groups:
    """Onsets that are at most 30 ms after the one before are one."""
    number = np.concatenate([[0], np.cumsum(np.diff(onsets.times) > _TOGETHER_SECONDS)])
    count = int(number[-1]) + 1
    weights = np.bincount(number, onsets.weights, count).astype(np.float64)
    low = np.full(count, _NO_KEY, dtype=np.int64)
    np.minimum.at(low, number, np.where(onsets.keys >= 0, onsets.keys, _NO_KEY))
    return Groups(
        np.bincount(number, onsets.weights * places, count).astype(np.float64) / np.maximum(weights, 1e-9), weights, low
    )
