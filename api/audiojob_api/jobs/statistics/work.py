"""How long a phase takes for media of a length, from sums over the times when it has run. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from audiojob_api.jobs.statistics.sums import WHOLE, Key, Sum
from audiojob_types.contract import Device
from audiojob_types.resources.job import PhaseState

_FEW: Final = 3
# Lengths that differ by less say nothing of what a minute more costs.
_ALIKE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Work:
    """Successful runs of a phase on one device. ``measured`` of them had media of known length, and no retry."""

    runs: int = 0
    seconds: float = 0.0
    measured: int = 0
    minutes: float = 0.0
    squares: float = 0.0
    """Minutes by minutes."""
    measured_seconds: float = 0.0
    products: float = 0.0
    """Minutes by seconds."""

    def seconds_for(self, minutes: float | None) -> float | None:
        """What one run takes: a line through those that are known. None where there is no run.

        Neither what a start costs nor what a minute costs is below nothing, whatever the line says.
        """
        if not self.runs:
            return None
        if minutes is None or not self.measured or self.minutes <= 0:
            return self.seconds / self.runs
        count = self.measured
        length, time = self.minutes / count, self.measured_seconds / count
        spread = self.squares / count - length * length
        if count < _FEW or spread <= (_ALIKE * length) ** 2:
            return time * minutes / length
        slope = (self.products / count - length * time) / spread
        if slope <= 0:
            return time
        start = time - slope * length
        return start + slope * minutes if start >= 0 else minutes * self.products / self.squares


Works = Mapping[tuple[str, Device], Work]
"""By phase and device."""


def works_of(sums: Mapping[Key, Sum]) -> Works:
    """What the sums of one pipeline's jobs say."""
    found: dict[tuple[str, Device], Work] = {}
    for key, each in sums.items():
        if key.phase != WHOLE and key.state == PhaseState.SUCCEEDED and (device := _device(key.device)) is not None:
            old = found.get((key.phase, device), Work())
            found[key.phase, device] = _added(old, each)
    return found


def works_of_rows(rows: Any) -> Works:
    """The same of rows of a database, each with the columns of `Sum`, a phase and a device."""
    return {
        (row.phase, device): Work(
            int(row.count), int(row.sum_ms) / 1_000, int(row.media_count), float(row.media_minutes),
            float(row.media_squares), float(row.media_seconds), float(row.media_products),
        )
        for row in rows
        if (device := _device(row.device)) is not None
    }  # fmt: skip


def _device(name: str) -> Device | None:
    return Device(name) if name in frozenset(Device) else None


def _added(old: Work, more: Sum) -> Work:
    media = more.media
    return Work(
        old.runs + more.count, old.seconds + more.sum_ms / 1_000, old.measured + media.count,
        old.minutes + media.minutes, old.squares + media.squares, old.measured_seconds + media.seconds,
        old.products + media.products,
    )  # fmt: skip
