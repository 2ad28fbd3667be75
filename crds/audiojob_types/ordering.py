"""The order of waiting jobs and when they may start: one definition for the operator that admits them and for
everything that shows it.

Pure: the clock is passed in, nothing is read or written. Times are aware, durations are seconds.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Final, TypeAlias

from audiojob_types.constants import DEFAULT_QUEUE
from audiojob_types.contract import Device

Key: TypeAlias = tuple[str, str]  # (namespace, name) of an AudioJob

DEFAULT_PRIORITY: Final = 5
DEFAULT_AGEING_SECONDS: Final = 600
RUN_TIME_WINDOW: Final = 20


def effective_priority(priority: int, waited_seconds: float, ageing_seconds: int) -> int:
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
    return (-effective_priority(priority, waited, ageing_seconds), created, key)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job that waits for its start, as the order sees it. `user` is "" where nobody is known."""

    key: Key
    priority: int
    created: datetime
    queue: str = DEFAULT_QUEUE
    user: str = ""


def in_turn(waiting: Iterable[Waiting], now: datetime, ageing_seconds: int = DEFAULT_AGEING_SECONDS) -> list[Waiting]:
    """The jobs in the order in which they start."""
    return sorted(waiting, key=lambda each: _turn(each, now, ageing_seconds))


def position(
    key: Key, waiting: Iterable[Waiting], now: datetime, ageing_seconds: int = DEFAULT_AGEING_SECONDS
) -> int | None:
    """The job's place in its own queue, 1 for the one that starts next; None if it is not among `waiting`.

    Only jobs of the same namespace and queue count: in which order queues are served depends on their weights.
    """
    jobs = list(waiting)
    mine = next((each for each in jobs if each.key == key), None)
    if mine is None:
        return None
    turn = _turn(mine, now, ageing_seconds)
    same_queue = (each for each in jobs if each.key[0] == key[0] and each.queue == mine.queue)
    return 1 + sum(_turn(each, now, ageing_seconds) < turn for each in same_queue)


def _turn(each: Waiting, now: datetime, ageing_seconds: int) -> tuple[int, datetime, Key]:
    return sort_key(each.priority, each.created, each.key, now, ageing_seconds)


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


def estimate_start(slots: int, running: Iterable[float | None], ahead: Iterable[float | None]) -> float | None:
    """Seconds until a job may start that the jobs of `ahead` (in their order) go before; 0.0: now.

    `slots` jobs run at a time. `running` are the seconds that each running job has left, `ahead` the seconds that
    each waiting job will take. One whose seconds are unknown (None) is taken never to end: then the estimate is what
    the other slots allow, and None if they allow none. Starts are handed out one by one to the slot that is free
    first, as admission does.
    """
    return estimate_starts(slots, running, ahead)[-1]


def estimate_starts(slots: int, running: Iterable[float | None], line: Iterable[float | None]) -> list[float | None]:
    """The estimates of a whole line at once: one for each job of it, and one for a job that would join at its end."""
    if slots <= 0:
        return [*(None for _ in line), None]
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
