"""The mix to separate: a WAV file read as a stream, once for its statistics and once for its samples."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
import soundfile
from numpy.typing import NDArray

from audiojob_runner.errors import PhaseError
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason

SAMPLE_RATE: Final = 44_100
CHANNELS: Final = 2
_WAV_CONTAINERS: Final = frozenset({"WAV", "WAVEX", "RF64"})
_BLOCK_SAMPLES: Final = 1 << 18  # 6 s; 2 MiB of stereo float32

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of the whole file mixed to one channel: what demucs takes off and divides by before it listens."""

    mean: float
    deviation: float

    @property
    def scale(self) -> float:
        """The divisor; never zero."""
        return self.deviation + 1e-8


def check_source(source: Path) -> int:
    """Samples of a 44.1 kHz stereo WAV. Raises :class:`PhaseError` for any other file."""
    try:
        info = soundfile.info(source)
    except soundfile.LibsndfileError as error:
        raise _refused(Reason.NOT_MEDIA, "The input is not a WAV file") from error
    if info.format not in _WAV_CONTAINERS or info.samplerate != SAMPLE_RATE or info.channels != CHANNELS:
        raise _refused(
            Reason.NOT_MEDIA,
            f"The input is {info.format} with {info.channels} channels at {info.samplerate} Hz, "
            f"not WAV with {CHANNELS} at {SAMPLE_RATE}",
        )
    if info.frames == 0:
        raise PhaseError(ExitCode.NOT_MEDIA, Reason.EMPTY_MEDIA, "The input has 0 seconds of sound.")
    return int(info.frames)


def measure(source: Path, samples: int, on_block: Callable[[], None]) -> Statistics:
    """The first pass. ``on_block`` is called now and then; it may raise to stop.

    Raises :class:`PhaseError`: CorruptMedia for NaN, infinity, or a file that ends too early.
    """
    count, mean, squares = 0, 0.0, 0.0
    for block in soundfile.blocks(source, blocksize=_BLOCK_SAMPLES, dtype="float32", always_2d=True):
        on_block()
        mono = np.add(block[:, 0], block[:, 1], dtype=np.float64) * 0.5
        # Chan's way to join the statistics of two pieces: no sum of squares that swamps a small deviation.
        size, average = len(mono), float(mono.mean())
        if not math.isfinite(average):  # one sample that is no number makes the mean none
            raise _refused(Reason.CORRUPT_MEDIA, "The input holds numbers that are no sound (NaN or infinity)")
        shift, total = average - mean, count + size
        squares += float(((mono - average) ** 2).sum()) + shift**2 * count * size / total
        mean += shift * size / total
        count = total
    if count != samples:
        raise _refused(Reason.CORRUPT_MEDIA, f"The input ends after {count} of {samples} samples")
    return Statistics(mean=mean, deviation=(squares / (count - 1)) ** 0.5 if count > 1 else 0.0)


class MixFile:
    """The second pass: any window of the file, as long as windows do not go back behind what was let go."""

    def __init__(self, source: Path, samples: int) -> None:
        self._samples = samples
        self._file = soundfile.SoundFile(source)
        self._held: Samples = np.zeros((CHANNELS, 0), dtype=np.float32)
        self._start = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def window(self, start: int, stop: int, outside: float = 0.0) -> Samples:
        """A copy of shape (2, ``stop - start``). Before the file and after it there is ``outside``."""
        low, high = max(0, start), min(stop, self._samples)
        if low >= high:
            return np.full((CHANNELS, stop - start), outside, dtype=np.float32)
        if low < self._start:
            raise ValueError(f"sample {low} was let go; the first one held is {self._start}")
        self._read_to(high)
        held = self._held[:, low - self._start : high - self._start]
        if (low, high) == (start, stop):
            return held.copy()
        return np.pad(held, ((0, 0), (low - start, stop - high)), constant_values=outside)

    def let_go(self, before: int) -> None:
        """Say that no window will begin before this sample."""
        unneeded = min(before - self._start, self._held.shape[1])
        # In large steps, as the rest is copied.
        if unneeded >= _BLOCK_SAMPLES:
            self._held = self._held[:, unneeded:].copy()
            self._start += unneeded

    def _read_to(self, stop: int) -> None:
        missing = stop - self._start - self._held.shape[1]
        if missing <= 0:
            return
        block = self._file.read(max(missing, _BLOCK_SAMPLES), dtype="float32", always_2d=True)
        if len(block) < missing:
            raise _refused(Reason.CORRUPT_MEDIA, "The input became shorter while it was read")
        self._held = np.concatenate([self._held, block.T], axis=1)


def _refused(reason: Reason, message: str) -> PhaseError:
    return PhaseError(
        ExitCode.NOT_MEDIA, reason, f"{message}.", "Run Normalize first, and give its output to Separate."
    )
