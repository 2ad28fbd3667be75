"""How fast it goes, where: the strongest period of what begins, in windows, followed from one to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from audiojob_runner.score.rhythm.onsets import FloatArray, IntArray, Onsets

FRAMES_PER_SECOND: Final = 100
_SLOWEST, _FASTEST = 30.0, 300.0  # beats a minute
_STEPS: Final = 480  # of equal ratios between them: half a percent
_WINDOW_SECONDS, _HOP_SECONDS = 12.0, 4.0
_FOURIER: Final = 8_192
_USUAL, _OCTAVES = 90.0, 0.55  # the prior: a normal distribution over the logarithm of the tempo
_NEAR_OCTAVES: Final = 0.4  # of the main tempo, where it changes
_NOISE: Final = 0.15  # of the strongest period: what is below comes from the window's edges, not from the notes
_OVERTONES: Final = 0.5  # what the subdivision counts
_CHANGE_COSTS: Final = 1.2  # a change of tempo by 1 % from window to window


@dataclass(frozen=True, slots=True)
class Tempos:
    """The period of the beat, in seconds, at some times."""

    times: FloatArray
    periods: FloatArray

    def at(self, times: FloatArray) -> FloatArray:
        """Periods at other times: in between by straight lines, constant beyond."""
        found: FloatArray = np.interp(times, self.times, self.periods)
        return found


def accents(onsets: Onsets) -> FloatArray:
    """How much begins in each frame of 10 ms. Frame 0 is at 0 s."""
    place = onsets.times * FRAMES_PER_SECOND
    first = place.astype(np.int64)
    found = np.zeros(int(onsets.ends_here * FRAMES_PER_SECOND) + 3)
    np.add.at(found, first, onsets.weights * (1 - (place - first)))
    np.add.at(found, first + 1, onsets.weights * (place - first))
    return found


def tempos_of(onsets: Onsets, given: float | None = None) -> Tempos:
    """The beat's period all along. ``given``: beats a minute that are known; only what is near them is looked for."""
    tempos = _SLOWEST * (_FASTEST / _SLOWEST) ** (np.arange(_STEPS) / (_STEPS - 1))
    signal = accents(onsets)
    window = int(_WINDOW_SECONDS * FRAMES_PER_SECOND)
    hop = int(_HOP_SECONDS * FRAMES_PER_SECOND)
    first = int(onsets.starts_here * FRAMES_PER_SECOND)
    starts = np.arange(first - window // 2, max(len(signal) - window // 2, first - window // 2 + 1), hop)
    strengths = np.array([_strengths(signal, start, window, tempos) for start in starts.tolist()])
    prior = -0.5 * (np.log2(tempos / _USUAL) / _OCTAVES) ** 2
    if given is not None:
        prior = -0.5 * (np.log2(tempos / given) / (_OCTAVES / 10)) ** 2
    # The whole says which of the periods that fit each window is the beat; windows say how it changes.
    mean = strengths.mean(axis=0)
    whole = np.where(mean > _NOISE * mean.max(), mean * np.exp(prior), 0)
    main = tempos[int(np.argmax(whole))]
    near = np.exp(-0.5 * (np.log2(tempos / main) / _NEAR_OCTAVES) ** 2)
    path = _path(strengths * near)
    return Tempos((starts + window / 2) / FRAMES_PER_SECOND, 60 / tempos[path])


def _strengths(signal: FloatArray, start: int, window: int, tempos: FloatArray) -> FloatArray:
    """How strong each tempo is in a window: itself, and half of its stronger subdivision."""
    left, right = max(start, 0), min(start + window, len(signal))
    if right <= left:
        return np.zeros(len(tempos))
    shape = np.hanning(window)[left - start : right - start]
    piece = signal[left:right] * shape
    total = piece.sum()
    if total <= 0:
        return np.zeros(len(tempos))
    spectrum = np.abs(np.fft.rfft(piece, _FOURIER)) / total
    bins = np.arange(len(spectrum)) * FRAMES_PER_SECOND / _FOURIER
    one, two, three = (np.interp(tempos / 60 * ratio, bins, spectrum) for ratio in (1, 2, 3))
    found: FloatArray = one + _OVERTONES * np.minimum(np.maximum(two, three), 2 * one)
    return found


def _path(strengths: FloatArray) -> IntArray:
    """The strongest way through the windows that changes little."""
    steps = np.arange(strengths.shape[1])
    reach = 12  # steps from window to window: 6 %
    best = strengths[0].copy()
    came = np.zeros(strengths.shape, dtype=np.int64)
    costs = _CHANGE_COSTS * (np.arange(-reach, reach + 1) / 2) ** 2 / 100
    for number in range(1, len(strengths)):
        padded = np.pad(best, reach, constant_values=-np.inf)
        around = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1) - costs
        chosen = np.argmax(around, axis=1)
        came[number] = steps + chosen - reach
        best = around[steps, chosen] + strengths[number]
    path = np.empty(len(strengths), dtype=np.int64)
    path[-1] = int(np.argmax(best))
    for number in range(len(strengths) - 1, 0, -1):
        path[number - 1] = came[number, path[number]]
    return path
