"""Resamples a stream, with the same result as for the whole signal at once."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import torch
from julius.resample import ResampleFrac
from numpy.typing import NDArray

Samples = NDArray[np.float32]

_BLOCK_SECONDS: Final = 4


def resampled_length(samples: int, old: int, new: int) -> int:
    """Samples after a change of the rate: as long in seconds, at least one."""
    return max(1, samples * new // old)


class StreamResampler:
    """Takes samples at the rate ``old``, ``samples`` in all, and gives them back at ``new``: a windowed sinc."""

    def __init__(self, old: int, new: int, samples: int) -> None:
        divisor = math.gcd(old, new)
        self._old, self._new = old // divisor, new // divisor
        self._same = old == new
        self._resample = None if self._same else ResampleFrac(old, new)
        self._samples, self._length = samples, resampled_length(samples, old, new)
        self._step = _BLOCK_SECONDS * old
        # Whole periods of the ratio on both sides, wider than the filter.
        self._margin = self._old * math.ceil(100 / min(self._old, 100))
        self._held: Samples = np.zeros((2, 0), dtype=np.float32)
        self._fed = self._held_start = self._given = 0

    def feed(self, block: Samples) -> Samples:
        """What is ready after these samples of shape (2, n). The last block brings all the rest."""
        if self._same:
            return block
        self._held = np.concatenate([self._held, block], axis=1)
        self._fed += block.shape[1]
        last = self._fed >= self._samples
        ready = []
        while self._fed - self._position() >= self._step + self._margin:
            ready.append(self._convert(self._step))
        if last and self._given < self._length:
            ready.append(self._convert(None))
        return np.concatenate(ready, axis=1) if ready else np.zeros((2, 0), dtype=np.float32)

    def _position(self) -> int:
        """The sample of the input at which what was given so far ends."""
        return self._given // self._new * self._old

    def _convert(self, count: int | None) -> Samples:
        """The next ``count`` samples of the input, or all that is left; the margin around them is heard too."""
        assert self._resample is not None
        position = self._position()
        stop = self._fed if count is None else position + count + self._margin
        with torch.inference_mode():
            piece = torch.from_numpy(np.ascontiguousarray(self._held[:, : stop - self._held_start]))
            heard: Samples = self._resample(piece, full=True).numpy()
        first = (position - self._held_start) * self._new // self._old
        wanted = self._length - self._given if count is None else count * self._new // self._old
        given = heard[:, first : first + wanted]
        self._given += given.shape[1]
        unneeded = max(0, self._position() - self._margin - self._held_start)
        if count is not None:
            self._held = self._held[:, unneeded:].copy()
            self._held_start += unneeded
        return given
