"""How far a recording is off A = 440 Hz: a mean over the peaks of its spectrum, on the circle of one semitone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]

SIZE: Final = 8_192
_LOWEST, _HIGHEST = 150.0, 2_000.0
_PEAKS: Final = 20  # of a block
# Peaks of one tuning lie close together; those of noise, speech and drums anywhere.
_LEAST_AGREEMENT: Final = 0.25
_WINDOW: Final = np.hanning(SIZE).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Tuning:
    """Cents from the nearest notes, -50 to 50, and how much the peaks agree on them, 0 to 1."""

    cents: float
    agreement: float

    @property
    def certain(self) -> bool:
        """Whether there is one tuning at all."""
        return self.agreement >= _LEAST_AGREEMENT


class TuningMeter:
    """Takes blocks of ``SIZE`` samples, and says how they are tuned."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._sum, self._weight = 0j, 0.0

    def take(self, block: Matrix) -> None:
        """One more block."""
        frequencies, heights = spectral_peaks(block, self._rate)
        angles = 2 * np.pi * 12 * np.log2(frequencies / 440)
        self._sum += complex(np.sum(heights * np.exp(1j * angles)))
        self._weight += float(np.sum(heights))

    def tuning(self) -> Tuning:
        """What all blocks together say."""
        if self._weight <= 0:
            return Tuning(0.0, 0.0)
        mean = self._sum / self._weight
        return Tuning(100 * math.atan2(mean.imag, mean.real) / (2 * math.pi), min(1.0, abs(mean)))


def spectral_peaks(block: Matrix, rate: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Frequencies and heights of the strongest peaks of a block, each between its bins."""
    spectrum = np.abs(np.fft.rfft(block * _WINDOW)).astype(np.float64) + 1e-12
    low, high = (int(frequency * SIZE / rate) for frequency in (_LOWEST, _HIGHEST))
    inner = spectrum[low:high]
    at = low + np.flatnonzero((inner > spectrum[low - 1 : high - 1]) & (inner >= spectrum[low + 1 : high + 1]))
    at = at[np.argsort(spectrum[at])[-_PEAKS:]]
    at = at[spectrum[at] > 0.02 * spectrum[at].max(initial=0.0)]
    before, here, after = (np.log(spectrum[at + step]) for step in (-1, 0, 1))
    bend = before - 2 * here + after
    shift = np.where(bend < 0, 0.5 * (before - after) / np.where(bend < 0, bend, -1.0), 0.0)
    return (at + shift) * rate / SIZE, spectrum[at]
