"""How demucs cuts a track into chunks, so that its events become a true percentage. Pure arithmetic on samples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

# demucs' hybrid models fail on a last chunk of a few samples. Half a second is far above that.
MIN_LAST_CHUNK: Final = 22_050
# With shifts, demucs draws each pass's start from this range.
MAX_SHIFT: Final = 22_050


def stride_of(segment_seconds: float, overlap_percent: int, sample_rate: int) -> int:
    """Samples from the start of one chunk to that of the next."""
    return max(1, int((1 - overlap_percent / 100) * int(sample_rate * segment_seconds)))


def padded_length(samples: int, strides: Sequence[int], jitter: int) -> int:
    """The length, at least ``samples``, at which no pass of any model ends in a tiny chunk.

    ``jitter`` is how much longer a pass may turn out at random. Where a stride is too small to give room for both,
    ``samples`` is as good as any (only models that pad by themselves are used with such strides).
    """
    length = max(samples, MIN_LAST_CHUNK)
    roomy = [stride for stride in strides if stride >= 2 * MIN_LAST_CHUNK + jitter]
    for _ in range(len(roomy) + 1):
        before = length
        for stride in roomy:
            last = (length - 1) % stride + 1
            if last < MIN_LAST_CHUNK:
                length += MIN_LAST_CHUNK - last
            elif last + jitter > stride:
                length += stride - last + MIN_LAST_CHUNK
        if length == before:
            break
    return length


@dataclass
class ChunkCounter:
    """Counts demucs' ``end`` events. ``chunks[m]`` is the number of chunks in one pass of model ``m`` of the bag."""

    chunks: Sequence[int]
    passes: int
    done: int = 0
    _pass: int = field(default=0, init=False)
    _in_pass: int = field(default=0, init=False)

    @classmethod
    def plan(cls, length: int, strides: Sequence[int], shifts: int) -> ChunkCounter:
        """The counter for one track of ``length`` samples (after padding)."""
        longest = length + (MAX_SHIFT if shifts else 0)
        return cls(chunks=[math.ceil(longest / stride) for stride in strides], passes=max(1, shifts))

    @property
    def total(self) -> int:
        """Chunks in all passes; with shifts, a pass may take one less."""
        return sum(self.chunks) * self.passes

    @property
    def fraction(self) -> float:
        """How much is done, 0-1. Passes may end a chunk early, so finished passes count as whole."""
        model = min(self._pass // self.passes, len(self.chunks) - 1)
        whole = sum(self.chunks[index // self.passes] for index in range(self._pass))
        return min(1.0, (whole + min(self._in_pass, self.chunks[model])) / self.total)

    def see(self, event: Mapping[str, Any]) -> None:
        """Take one event of demucs' callback. The first of a new pass ends the pass before it."""
        current = int(event.get("model_idx_in_bag", 0)) * self.passes + int(event.get("shift_idx", 0))
        if current > self._pass:
            self._pass, self._in_pass = min(current, len(self.chunks) * self.passes - 1), 0
        if event.get("state") == "end":
            self._in_pass += 1
            self.done += 1
