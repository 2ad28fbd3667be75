"""The order of waiting jobs and when they may start: one definition for the operator that admits them and for
everything that shows it.

Pure: the clock is passed in, nothing is read or written. Times are aware, durations are seconds.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Final, TypeAlias

from audiojob_types.contract import Device

Key: TypeAlias = tuple[str, str]  # (namespace, name) of an AudioJob

DEFAULT_PRIORITY: Final = 5
DEFAULT_AGEING_SECONDS: Final = 600
RUN_TIME_WINDOW: Final = 20


def aged_priority(priority: int, waited_seconds: float, ageing_seconds: int) -> int:
    """A job's priority after waiting: one more for every `ageing_seconds` waited (0: no ageing).

    Not capped, so that no stream of urgent jobs keeps another waiting for ever: whoever has waited
    long enough outranks every newcomer. A clock that runs behind (negative waiting) takes nothing off.
    """
    if ageing_seconds <= 0:
        return priority
    return priority + int(max(0.0, waited_seconds) // ageing_seconds)


def sort_key(
    priority: int, created: datetime, key: Key, now: datetime, ageing_seconds: int
) -> tuple[int, datetime, Key]:
    """Sorts ascending, the job to start first at the front: most urgent after ageing, then oldest, then name.

    `key` is (namespace, name); `created` and `now` are aware times.
    """
    waited = (now - created).total_seconds()
    return (-aged_priority(priority, waited, ageing_seconds), created, key)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job that waits for its start, as the order sees it."""

    key: Key
    priority: int
    created: datetime


class Line:
    """Jobs that wait for the same thing, in the order in which they start. Made once, asked often."""

    def __init__(self, waiting: Iterable[Waiting], now: datetime, ageing_seconds: int = DEFAULT_AGEING_SECONDS) -> None:
        """`waiting` in any order; `now` is the moment at which the jobs' ages count."""
        self._now = now
        self._ageing = ageing_seconds
        self.jobs: Final = tuple(sorted(waiting, key=self._turn))
        self._turns = [self._turn(each) for each in self.jobs]

    def ahead(self, each: Waiting) -> int:
        """How many of the line start before this job, which need not be in it."""
        return bisect_left(self._turns, self._turn(each))

    def _turn(self, each: Waiting) -> tuple[int, datetime, Key]:
        return sort_key(each.priority, each.created, each.key, self._now, self._ageing)


@dataclass(frozen=True, slots=True)
class Run:
    """A job that has run to its end: how many seconds it took, on which device, and when it ended."""

    pipeline: str
    device: Device
    seconds: float
    ended: datetime


class RunTimes:
    """How long jobs take, from the newest `RUN_TIME_WINDOW` runs of each pipeline and device."""

    def __init__(self, runs: Iterable[Run]) -> None:
        """Runs in any order. Those of less than 0 seconds, which clocks that were set can make, are passed over."""
        groups: dict[tuple[str, Device], list[Run]] = {}
        for run in runs:
            if run.seconds >= 0:
                groups.setdefault((run.pipeline, run.device), []).append(run)
        self._seconds = {
            group: [run.seconds for run in heapq.nlargest(RUN_TIME_WINDOW, members, key=_newest)]
            for group, members in groups.items()
        }

    def median(self, pipeline: str, device: Device | None = None) -> float | None:
        """Median seconds of the pipeline's recent runs on that device, None: on any; None if there are none."""
        devices = tuple(Device) if device is None else (device,)
        seconds = [one for each in devices for one in self._seconds.get((pipeline, each), ())]
        return median(seconds) if seconds else None


def _newest(run: Run) -> tuple[datetime, float]:
    return run.ended, run.seconds


def estimate_starts(slots: int, running: Iterable[float | None], line: Sequence[float | None]) -> list[float | None]:
    """Seconds until each job of `line` may start, and last until one may that joins at its end; 0.0: now.

    `slots` jobs run at a time. `running` are the seconds that each running job has left, `line` the seconds that each
    waiting job will take, in their order. One whose seconds are unknown (None) is taken never to end: then an estimate
    is what the other slots allow, and None if they allow none. Starts are handed out one by one to the slot that is
    free first, as admission does.
    """
    if slots <= 0:
        return [None] * (len(line) + 1)
    left = sorted(max(0.0, _or_endless(seconds)) for seconds in running)
    # Where more run than there are slots (a limit was lowered), the first to end free none.
    free_at = left[-slots:] + [0.0] * (slots - len(left))
    heapq.heapify(free_at)
    starts = [free_at[0]]
    for seconds in line:
        heapq.heapreplace(free_at, free_at[0] + max(0.0, _or_endless(seconds)))
        starts.append(free_at[0])
    return [start if math.isfinite(start) else None for start in starts]


def _or_endless(seconds: float | None) -> float:
    return math.inf if seconds is None else seconds
