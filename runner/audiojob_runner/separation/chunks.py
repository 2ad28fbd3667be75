"""Splits a track into overlapping chunks for demucs, with their order and cross-fades. Pure arithmetic on samples.

The grid is that of ``demucs.apply.apply_model`` over the whole track, so that a track of any length, worked through
piece by piece, becomes what demucs would have made of it at once. As all pieces are known beforehand, a percentage
counted from them is true.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

# demucs' hybrid models fail on a last chunk of a few samples. Half a second is far above that. Other models fill up
# short chunks by themselves.
MIN_LAST_CHUNK: Final = 22_050
# With shifts, demucs draws each pass's start from this range.
MAX_SHIFT: Final = 22_050

Fade = NDArray[np.float32]


def segment_of(segment_seconds: float, sample_rate: int) -> int:
    """Samples of one full chunk."""
    return int(sample_rate * segment_seconds)


def stride_of(segment: int, overlap_percent: int) -> int:
    """Samples from the start of one chunk to that of the next."""
    return max(1, int((1 - overlap_percent / 100) * segment))


@dataclass(frozen=True, slots=True)
class Span:
    """What a network hears at once, in samples: ``segment`` in a full chunk, ``shortest`` at least."""

    segment: int
    shortest: int


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass of one model of the bag over a track of ``end`` samples. ``origin`` is where its first chunk begins:
    0, or with shifts a little before the track."""

    model: int
    origin: int
    end: int
    span: Span
    stride: int

    @property
    def segment(self) -> int:
        """Samples of a full chunk."""
        return self.span.segment

    @property
    def count(self) -> int:
        """How many chunks it takes."""
        return math.ceil((self.end - self.origin) / self.stride)

    def chunk(self, index: int) -> tuple[int, int]:
        """Start and length of a chunk. The last one may reach beyond the track, into silence."""
        start = self.origin + index * self.stride
        return start, min(self.segment, max(self.end - start, self.span.shortest))

    def fade(self, index: int) -> Fade:
        """By what a chunk's samples are multiplied so that all chunks together count once everywhere.

        demucs weighs each chunk by a triangle and divides by the sum of weights; both are here in one.
        """
        start, length = self.chunk(index)
        triangle = _triangle(self.segment)
        total = np.zeros(length)
        reach = math.ceil(self.segment / self.stride)
        for other in range(max(0, index - reach), min(self.count, index + reach + 1)):
            begin, size = self.chunk(other)
            low, high = max(start, begin), min(start + length, begin + size)
            if low < high:
                total[low - start : high - start] += triangle[low - begin : high - begin]
        return np.asarray(triangle[:length] / total, dtype=np.float32)

    def is_inner(self, index: int) -> bool:
        """Whether all its neighbours are full chunks, so that its fade is that of every other inner chunk."""
        reach = math.ceil(self.segment / self.stride)
        return index >= reach and self.chunk(index)[0] + reach * self.stride + self.segment <= self.end


@dataclass(frozen=True, slots=True)
class Chunk:
    """One call of a network: samples ``start`` to ``start + length`` of the track, heard in pass number ``number``."""

    start: int
    length: int
    number: int
    index: int


def plan_passes(samples: int, spans: Sequence[Span], overlap_percent: int, shifts: int, seed: int) -> tuple[Pass, ...]:
    """All passes over a track of so many samples; ``spans[m]`` is what model ``m`` hears at once.

    Shifts are drawn from ``seed`` in demucs' own order.
    """
    draw = random.Random(seed)  # noqa: S311 - music, no secrets
    passes = []
    for model, span in enumerate(spans):
        for _ in range(max(1, shifts)):
            origin = draw.randint(0, MAX_SHIFT) - MAX_SHIFT if shifts else 0
            passes.append(Pass(model, origin, samples, span, stride_of(span.segment, overlap_percent)))
    return tuple(passes)


def chunks_in_order(passes: Sequence[Pass]) -> Iterator[Chunk]:
    """The chunks of all passes by their start: what lies before the next chunk's start is finished."""

    def of_one(number: int) -> Iterator[Chunk]:
        for index in range(passes[number].count):
            yield Chunk(*passes[number].chunk(index), number, index)

    return heapq.merge(*(of_one(number) for number in range(len(passes))), key=lambda chunk: chunk.start)


def _triangle(segment: int) -> NDArray[np.float64]:
    half = segment // 2
    weight = np.concatenate([np.arange(1, half + 1), np.arange(segment - half, 0, -1)]).astype(np.float64)
    return np.asarray(weight / weight.max())
