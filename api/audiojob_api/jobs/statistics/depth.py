"""How many jobs of a namespace wait and run, in all and by queue, at one moment and over hours. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from audiojob_api.jobs.listing.rows import JobRow

ALL_QUEUES: Final = ""
"""The name of the queue that stands for all: each sample has it, and the others only where a job waits or runs."""
MOST_DEPTHS: Final = 5_000
"""Of one answer."""


@dataclass(slots=True)
class Depth:
    """Of one queue at one moment."""

    waiting: int = 0
    running: int = 0
    longest_ms: int = 0
    """How long the one that waits longest has waited."""

    def columns(self) -> dict[str, int]:
        """As the table has one sample."""
        return {
            "samples": 1,
            "waiting": self.waiting,
            "most_waiting": self.waiting,
            "running": self.running,
            "most_running": self.running,
            "longest_ms": self.longest_ms,
        }


class Sample:
    """One look at the jobs of a namespace, which may be taken in parts."""

    def __init__(self, now_ms: int) -> None:
        self.depths = {ALL_QUEUES: Depth()}
        self._now = now_ms

    def add(self, rows: Iterable[JobRow]) -> None:
        """More jobs. What waits for another job, its start time or its owner waits in no queue."""
        for row in rows:
            if row.has_ended:
                continue
            if row.holds_slot:
                for depth in self._of(row):
                    depth.running += 1
            elif row.is_in_line(self._now):
                waited = max(0, self._now - max(row.created, row.not_before or 0))
                for depth in self._of(row):
                    depth.waiting += 1
                    depth.longest_ms = max(depth.longest_ms, waited)

    def _of(self, row: JobRow) -> tuple[Depth, Depth]:
        return self.depths[ALL_QUEUES], self.depths.setdefault(row.queue, Depth())


class Named:
    """The queues of an hour that are told by name: callers may write any number of names into their jobs."""

    def __init__(self, most: int = 100) -> None:
        self._most = most
        self._hour = -1
        self._names: set[str] = set()

    def of(self, hour: int, sample: Sample) -> dict[str, Depth]:
        """The sample without the queues that are too many; those with the fewest waiting go first."""
        if hour != self._hour:
            self._hour, self._names = hour, {ALL_QUEUES}
        largest = sorted(sample.depths, key=lambda name: (-sample.depths[name].waiting, name))
        for name in largest:
            if len(self._names) > self._most:
                break
            self._names.add(name)
        return {name: depth for name, depth in sample.depths.items() if name in self._names}


@dataclass(frozen=True, slots=True)
class Depths:
    """An answer, by name and queue; ``truncated`` where the oldest hours, or queues of them, are left out."""

    items: Sequence[DepthOverTime]
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class DepthOverTime:
    """Of one queue, or of all where it has no name, in one group of hours."""

    name: str
    queue: str
    samples: int
    waiting: int
    most_waiting: int
    running: int
    most_running: int
    longest_ms: int

    def to_wire(self) -> dict[str, Any]:
        """The JSON form; a mean is over all samples of the namespace."""
        samples = max(1, self.samples)
        queue = {"queue": self.queue} if self.queue != ALL_QUEUES else {}
        return {
            **queue,
            "samples": self.samples,
            "meanWaiting": round(self.waiting / samples, 2),
            "mostWaiting": self.most_waiting,
            "meanRunning": round(self.running / samples, 2),
            "mostRunning": self.most_running,
            "longestWaitSeconds": round(self.longest_ms / 1_000, 1),
        }


def over_time(rows: Sequence[Any]) -> list[DepthOverTime]:
    """Sums as the table has them, by name and queue. A queue that is in no row of a sample was empty then."""
    samples = {str(row.name): int(row.samples) for row in rows if row.queue == ALL_QUEUES}
    return [
        DepthOverTime(
            str(row.name), row.queue, samples.get(str(row.name), int(row.samples)), int(row.waiting),
            int(row.most_waiting), int(row.running), int(row.most_running), int(row.longest_ms),
        )
        for row in rows
    ]  # fmt: skip
