"""demucs over a track of any length in memory that does not grow with it.

``demucs.api`` holds the whole track several times over. Here each chunk goes through ``demucs.apply.apply_model`` by
itself, with the statistics of the whole file, and is faded into its neighbours on demucs' own grid (see
:mod:`audiojob_runner.separation.chunks`): the same numbers, but for rounding, and finished samples leave at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from demucs.apply import BagOfModels, TensorChunk, apply_model
from numpy.typing import NDArray

from audiojob_runner.separation.accelerator import Accelerator
from audiojob_runner.separation.chunks import (
    MIN_LAST_CHUNK,
    Chunk,
    Fade,
    Pass,
    Span,
    chunks_in_order,
    plan_passes,
    segment_of,
)
from audiojob_runner.separation.mixfile import CHANNELS, SAMPLE_RATE, MixFile, Statistics

BLOCK_SAMPLES: Final = 1 << 18  # 6 s: finished samples leave in pieces of about this size

Sources = NDArray[np.float32]

_TensorChunk: Any = TensorChunk  # demucs is typed in part


@dataclass(frozen=True, slots=True)
class Block:
    """A finished piece of the track: ``mix`` of shape (2, n), and ``sources`` of shape (sources, 2, n)."""

    mix: NDArray[np.float32]
    sources: Sources


class Separation:
    """One model over one track. ``passes`` is the whole plan, so ``total`` is known before anything is heard."""

    def __init__(self, model: Any, samples: int, overlap_percent: int, shifts: int, seed: int) -> None:
        bag = isinstance(model, BagOfModels)
        self.networks: list[Any] = list(model.models) if bag else [model]
        self.sources: list[str] = list(model.sources)
        self.samples = samples
        spans = [_span_of(network) for network in self.networks]
        self.passes = plan_passes(samples, spans, overlap_percent, shifts, seed)
        self.total = sum(one.count for one in self.passes)
        self._shares = _shares(model.weights if bag else [[1.0] * len(self.sources)], max(1, shifts))
        self._inner_fades: dict[int, Fade] = {}

    def blocks(
        self, mix: MixFile, statistics: Statistics, accelerator: Accelerator, on_chunk: Callable[[int], None]
    ) -> Iterator[Block]:
        """The finished pieces, in order and without gaps. ``on_chunk`` gets the number of chunks done; it may raise.

        Raises :class:`PhaseError` for a GPU that fails or has too little memory.
        """
        longest = max(one.segment for one in self.passes)
        adding = _Adding(len(self.sources), BLOCK_SAMPLES + 3 * longest)
        order = chunks_in_order(self.passes)
        chunk = next(order, None)
        done = 0
        while chunk is not None:
            heard = self._hear(chunk, mix, statistics, accelerator)
            adding.add(chunk.start, heard)
            done += 1
            on_chunk(done)
            chunk = next(order, None)
            frontier = self.samples if chunk is None else min(max(chunk.start, 0), self.samples)
            if frontier - adding.start >= (1 if chunk is None else BLOCK_SAMPLES):
                start = adding.start
                finished = adding.take(frontier)
                finished *= np.float32(statistics.scale)
                finished += np.float32(statistics.mean)
                yield Block(mix.window(start, frontier), finished)
            if chunk is not None:
                mix.let_go(min(adding.start, chunk.start - longest))

    def _hear(self, chunk: Chunk, mix: MixFile, statistics: Statistics, accelerator: Accelerator) -> Sources:
        """One chunk through its network: faded, and reduced to its share of the result."""
        one = self.passes[chunk.number]
        network = self.networks[one.model]
        valid = network.valid_length(chunk.length) if hasattr(network, "valid_length") else chunk.length
        before = (valid - chunk.length) // 2  # as TensorChunk.padded reaches out
        window = mix.window(chunk.start - before, chunk.start - before + valid, outside=statistics.mean)
        window -= np.float32(statistics.mean)
        window /= np.float32(statistics.scale)
        piece = _TensorChunk(torch.from_numpy(window)[None], before, chunk.length)
        heard = accelerator.run(
            lambda: apply_model(network, piece, shifts=0, split=False, device=accelerator.device)[0], one.model
        )
        result: Sources = heard.float().cpu().numpy()
        result *= self._fade(chunk, one)
        result *= self._shares[one.model][:, None, None]
        return result

    def _fade(self, chunk: Chunk, one: Pass) -> Fade:
        if not one.is_inner(chunk.index):
            return one.fade(chunk.index)
        if chunk.number not in self._inner_fades:
            self._inner_fades[chunk.number] = one.fade(chunk.index)
        return self._inner_fades[chunk.number]


class _Adding:
    """What has been added up but is not finished: a window that slides along the track."""

    def __init__(self, sources: int, capacity: int) -> None:
        self.start = 0
        self._sum: Sources = np.zeros((sources, CHANNELS, capacity), dtype=np.float32)

    def add(self, start: int, piece: Sources) -> None:
        """Add a piece at its place; what would lie before the track is dropped."""
        skipped = max(0, self.start - start)
        low = start + skipped - self.start
        self._sum[..., low : low + piece.shape[-1] - skipped] += piece[..., skipped:]

    def take(self, stop: int) -> Sources:
        """Take out everything before ``stop``."""
        count = stop - self.start
        taken = self._sum[..., :count].copy()
        rest = self._sum.shape[-1] - count
        self._sum[..., :rest] = self._sum[..., count:]
        self._sum[..., rest:] = 0
        self.start = stop
        return taken


def _span_of(network: Any) -> Span:
    shortest = 1 if hasattr(network, "valid_length") else MIN_LAST_CHUNK
    return Span(segment_of(network.segment, SAMPLE_RATE), shortest)


def _shares(weights: Sequence[Sequence[float]], passes: int) -> list[NDArray[np.float32]]:
    """By what each model's sources are multiplied, so that the passes of all models make one mean."""
    table = np.asarray(weights, dtype=np.float64)
    return list((table / table.sum(axis=0) / passes).astype(np.float32))
