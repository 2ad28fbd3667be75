"""What a runner tells of its own use, as far as it can be true: pure.

A pod writes it, and may write anything. A figure that the operator's own clock and what the pod was given rule out is
left out; the result that came with it stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from audiojob_types.progress import PhaseUsage

# More than any machine does, where nothing nearer is known.
_MOST_CORES: Final = 1_024
_MOST_BYTES_PER_SECOND: Final = 100 * 10**9
_MOST_BYTES_OF_A_GPU: Final = 2**40


@dataclass(frozen=True, slots=True)
class Given:
    """What the attempt had: seconds, by the operator's clock; cores, None where they had no limit; GPUs."""

    seconds: float
    cores: float | None = None
    gpus: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """What an attempt took, by its own word; None is not known. ``start_seconds``: until its task began."""

    cpu_seconds: float | None = None
    media_seconds: float | None = None
    work_seconds: float | None = None
    start_seconds: float | None = None
    gpu_peak_bytes: float | None = None
    read_bytes: float | None = None
    written_bytes: float | None = None


def believed(told: PhaseUsage | None, given: Given) -> Usage:
    """What can be true of it. Nothing was told by earlier runners, nor by a process that was killed."""
    if told is None:
        return Usage()
    seconds = given.seconds
    work = _up_to(seconds, told.work_milliseconds, 1_000)
    return Usage(
        cpu_seconds=_up_to(seconds * (given.cores or _MOST_CORES), told.cpu_milliseconds, 1_000),
        # Without the time that it took, it would say that the work took none.
        media_seconds=None if work is None else _up_to(None, told.media_milliseconds, 1_000),
        work_seconds=work,
        start_seconds=_up_to(seconds, told.start_milliseconds, 1_000),
        gpu_peak_bytes=_up_to(given.gpus * _MOST_BYTES_OF_A_GPU, told.gpu_peak_bytes or None),
        read_bytes=_up_to(seconds * _MOST_BYTES_PER_SECOND, told.read_bytes),
        written_bytes=_up_to(seconds * _MOST_BYTES_PER_SECOND, told.written_bytes),
    )


def _up_to(most: float | None, told: int | None, unit: int = 1) -> float | None:
    """The figure in units, unless it is more than can be."""
    if told is None or (most is not None and told > most * unit):
        return None
    return told / unit
