"""When somebody sings at all: where the voice is loud enough, and texts without times spread over that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
from numpy.typing import NDArray

# Ten a second: 3 h are 108,000 numbers.
STEP_MILLISECONDS: Final = 100
_LOUD_PERCENTILE: Final = 95
_BELOW_LOUD: Final = 10 ** (-30 / 20)  # what is 30 dB below the loud parts is breath, or music that leaked
_LEAST: Final = 1e-3  # and -60 dB of full scale is silence, whatever else there is
_BLOCK_STEPS: Final = 100


@dataclass(frozen=True, slots=True)
class Activity:
    """For each step of 0.1 s whether somebody sings."""

    sung: NDArray[np.bool_]

    def between(self, start: int, end: int) -> Callable[[Sequence[float]], list[int]]:
        """A function that tells when shares (0 to 1) of what is sung between two times are over, in milliseconds.

        Where nothing is sung, shares of the time itself.
        """
        first, last = start // STEP_MILLISECONDS, -(-end // STEP_MILLISECONDS)
        edges = np.clip(np.arange(first, last + 1) * STEP_MILLISECONDS, start, end)
        sung = np.zeros(last - first, dtype=bool)
        known = self.sung[first:last]
        sung[: len(known)] = known
        if sung.any():
            begin, stop = np.flatnonzero(sung)[[0, -1]]
            edges, sung = edges[begin : stop + 2], sung[begin : stop + 1]
        weights = np.diff(edges) * sung if sung.any() else np.diff(edges)
        passed = np.concatenate([[0.0], np.cumsum(weights)]) / max(1.0, float(weights.sum()))

        def times(shares: Sequence[float]) -> list[int]:
            return [round(float(np.interp(share, passed, edges))) for share in shares]

        return times


def measure(path: Path) -> Activity:
    """Of a WAV file with one channel, read in blocks."""
    with soundfile.SoundFile(path) as file:
        step = file.samplerate * STEP_MILLISECONDS // 1_000
        levels = [
            np.sqrt(np.mean(np.pad(block, (0, -len(block) % step)).reshape(-1, step) ** 2, axis=1))
            for block in file.blocks(blocksize=step * _BLOCK_STEPS, dtype="float32")
        ]
    level = np.concatenate(levels) if levels else np.zeros(0, dtype=np.float32)
    loud = float(np.percentile(level, _LOUD_PERCENTILE)) if len(level) else 0.0
    return Activity(level > max(_LEAST, loud * _BELOW_LOUD))
