"""A queued job's position and its estimated start, computed on request from the jobs of the read model.

The order is the operator's own (`audiojob_types.ordering`). Nothing of this is stored.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from audiojob_api.jobs.listing.rows import MOVING, JobRow, moment, row_of
from audiojob_api.jobs.listing.steps import Steps, at_once, in_turns, measured, portions
from audiojob_types.base import format_time
from audiojob_types.contract import Device
from audiojob_types.ordering import (
    RUN_TIME_WINDOW,
    Line,
    Run,
    RunTimes,
    Waiting,
    estimate_starts,
)
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import FINISHED_STATES, State

Object = dict[str, Any]
LineKey = tuple[str, bool]  # the queue, and whether it is the line for GPUs

REFRESH_SECONDS: Final = 1.0
# Queues are recomputed at most this small a share of the time.
_SHARE: Final = 20
# An estimate beyond this is worthless.
_FARTHEST_SECONDS: Final = 365 * 86_400


@dataclass(frozen=True, slots=True)
class QueuePosition:
    """A job's position in its queue: 1 starts next. ``start`` is an estimate, None where there is no basis for one."""

    position: int
    start: datetime | None = None

    def to_wire(self) -> Object:
        """The JSON form of ``QueuePositionView``."""
        wire: Object = {"position": self.position, "ahead": self.position - 1}
        if self.start is not None:
            wire["estimatedStartTime"] = format_time(self.start)
        return wire


class QueueSnapshot:
    """The queues at one moment. Building it takes one cheap look at every job.

    Each queue has two lines: jobs that wait for a slot, and jobs that could have one and wait for a GPU.
    """

    def __init__(self, jobs: Iterable[JobRow], now: datetime, ageing_seconds: int) -> None:
        at_once(self._made_of(jobs, now, ageing_seconds))

    @classmethod
    def making(cls, jobs: Iterable[JobRow], now: datetime, ageing_seconds: int) -> Steps[QueueSnapshot]:
        """A snapshot, in steps, that need not look at finished jobs later."""
        snapshot = cls((), now, ageing_seconds)
        yield from snapshot._made_of(jobs, now, ageing_seconds)
        snapshot._times = yield from _run_times(snapshot._finished)
        return snapshot

    def _made_of(self, jobs: Iterable[JobRow], now: datetime, ageing_seconds: int) -> Steps[None]:
        self._now = now
        self._at = round(now.timestamp() * 1_000)
        self._started: defaultdict[str, list[JobRow]] = defaultdict(list)
        self._expected: dict[tuple[str, str], float | None] = {}
        waiting: defaultdict[LineKey, list[Waiting]] = defaultdict(list)
        self._finished: list[JobRow] = []
        self._jobs: dict[str, JobRow] = {}
        for portion in portions(jobs):
            yield
            for job in portion:
                if job.state == State.SUCCEEDED:
                    self._finished.append(job)
                elif job.state in FINISHED_STATES:
                    continue
                elif job.holds_slot:
                    self._started[job.queue].append(job)
                elif job.is_in_line(self._at):
                    waiting[_line(job)].append(_waiting(job))
                    self._jobs[job.name] = job
        yield
        self._times: RunTimes | None = None
        self._lines = {key: Line(members, now, ageing_seconds) for key, members in waiting.items()}
        self._starts: dict[LineKey, list[float | None]] = {}

    def position(self, job: JobRow) -> QueuePosition | None:
        """The position of a job in state Queued that waits for its turn and nothing else; None for any other.

        A job that waits for its start time, for another job, or for a pipeline that does not exist is in no queue yet.
        """
        if job.state != State.QUEUED or job.holds_slot or not job.is_in_line(self._at):
            return None
        line = self._lines.get(_line(job))
        # The job may be newer than this snapshot: it would be the only one of its line, or take its turn among them.
        ahead = line.ahead(_waiting(job)) if line else 0
        return QueuePosition(ahead + 1, self._start(job, ahead))

    def joining(self, queue: str, priority: int) -> QueuePosition:
        """The position of a job that would come now. Where nobody waits it starts at once, if the queue has room."""
        line = self._lines.get((queue, False))
        if line is None:
            return QueuePosition(1, self._now)
        ahead = line.ahead(Waiting(key=("", ""), priority=priority, created=self._now))
        held = any(self._jobs[each.key[1]].in_line not in MOVING for each in line.jobs)
        seconds = None if held else self._starts_of((queue, False))[ahead]
        return QueuePosition(ahead + 1, self._moment(seconds))

    def _start(self, job: JobRow, ahead: int) -> datetime | None:
        if job.in_line not in MOVING:
            return None
        return self._moment(self._starts_of(_line(job))[ahead])

    def _moment(self, seconds: float | None) -> datetime | None:
        if seconds is None or seconds > _FARTHEST_SECONDS:
            return None
        return self._now + timedelta(seconds=seconds)

    def _starts_of(self, key: LineKey) -> list[float | None]:
        """Seconds until each job of the line may start, and one that would join at its end.

        The queue's limit is not known here: as many run at once as run now while others wait. Jobs that wait for a
        GPU start after the jobs that hold one, and after those that have started and wait for one again.
        """
        if key not in self._starts:
            queue, for_gpu = key
            started = self._started.get(queue, [])
            running = [each for each in started if each.on_gpu] if for_gpu else started
            first = [each for each in started if each.waits_for_gpu_again] if for_gpu else []
            line = [self._jobs[each.key[1]] for each in self._lines[key].jobs] if key in self._lines else []
            starts = estimate_starts(
                len(running), [self._left(each) for each in running], [self._expect(each) for each in (*first, *line)]
            )
            self._starts[key] = starts[len(first) :]
        return self._starts[key]

    def _left(self, job: JobRow) -> float | None:
        expected = self._expect(job)
        if job.started is None or expected is None:
            return expected
        return max(0.0, expected - (self._at - job.started) / 1_000)

    def _expect(self, job: JobRow) -> float | None:
        """Seconds that the job will take: the recent median of its pipeline, on its device where that is known."""
        key = (job.pipeline, job.device or "")
        if key not in self._expected:
            if self._times is None:
                self._times = at_once(_run_times(self._finished))
            self._expected[key] = self._times.median(job.pipeline, job.device)
        return self._expected[key]


class QueuePositions:
    """Positions from the newest snapshot, which is taken on request, at most once in ``refresh_seconds``.

    With very many jobs it is taken less often, so that it never costs more than a small share of the time.
    """

    def __init__(
        self,
        jobs: Callable[[], Collection[JobRow]],
        ageing_seconds: int,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        refresh_seconds: float = REFRESH_SECONDS,
    ) -> None:
        self._source = jobs
        self._ageing = ageing_seconds
        self._clock = clock
        self._refresh = refresh_seconds
        self._snapshot: QueueSnapshot | None = None
        self._good_until = 0.0
        self._making: asyncio.Task[None] | None = None

    async def refresh(self) -> None:
        """Have a snapshot that :meth:`of` and :meth:`joining` need not make, which would stop everybody else."""
        if self._snapshot is not None and time.monotonic() < self._good_until:
            return
        if self._making is None or self._making.done():
            self._making = asyncio.create_task(self._make(), name="queue positions")
        await asyncio.shield(self._making)

    async def ready_for(self, *jobs: Object | None) -> None:
        """Refresh where any of these waits in a queue: no other has a position."""
        if any(job is not None and _is_queued(job) for job in jobs):
            await self.refresh()

    async def _make(self) -> None:
        work = QueueSnapshot.making(self._source(), self._clock(), self._ageing)
        self._keep(*await in_turns(measured(work)))

    def of(self, job: Object) -> QueuePosition | None:
        """The position of this job; None if it does not wait in a queue."""
        if not _is_queued(job):
            return None
        return self._newest().position(row_of(job, pack=False))

    def joining(self, queue: str, priority: int) -> QueuePosition:
        """The position of a job of this queue and priority that would come now."""
        return self._newest().joining(queue, priority)

    def _newest(self) -> QueueSnapshot:
        if self._snapshot is None or time.monotonic() >= self._good_until:
            began, made = time.monotonic(), QueueSnapshot(self._source(), self._clock(), self._ageing)
            return self._keep(made, time.monotonic() - began)
        return self._snapshot

    def _keep(self, snapshot: QueueSnapshot, seconds: float) -> QueueSnapshot:
        """``seconds``: how long it took to make."""
        self._snapshot = snapshot
        self._good_until = time.monotonic() + max(self._refresh, _SHARE * seconds)
        return snapshot


def _is_queued(job: Object) -> bool:
    return (job.get("status") or {}).get("state") == State.QUEUED


def _run_times(finished: Iterable[JobRow]) -> Steps[RunTimes]:
    """Of jobs that have succeeded, the newest of each pipeline: there may be very many."""
    groups: defaultdict[tuple[str, Device | None], list[JobRow]] = defaultdict(list)
    for portion in portions(finished):
        yield
        for job in portion:
            if job.started is not None and job.finished is not None:
                groups[job.pipeline, job.device].append(job)
    runs = []
    for (pipeline, device), members in groups.items():
        yield
        for job in heapq.nlargest(RUN_TIME_WINDOW, members, key=_end):
            seconds = (_end(job) - (job.started or 0)) / 1_000
            runs.append(Run(pipeline, device or Device.CPU, seconds, moment(_end(job))))
    return RunTimes(runs)


def _end(job: JobRow) -> int:
    return job.finished or 0


def _waiting(job: JobRow) -> Waiting:
    created = moment(job.created) if job.created else datetime.max.replace(tzinfo=UTC)
    return Waiting(key=(job.namespace, job.name), priority=job.priority, created=created)


def _line(job: JobRow) -> LineKey:
    return job.queue, job.in_line == Reason.WAITING_FOR_GPU
