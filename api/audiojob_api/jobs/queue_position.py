"""A queued job's position and its estimated start, computed on request from the jobs of the read model.

The order is the operator's own (`audiojob_types.ordering`). Nothing of this is stored.
"""

from __future__ import annotations

import heapq
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from audiojob_types.base import format_time
from audiojob_types.constants import CONDITION_ADMITTED, CONDITION_PROGRESSING, DEFAULT_QUEUE
from audiojob_types.contract import Device
from audiojob_types.ordering import (
    DEFAULT_PRIORITY,
    RUN_TIME_WINDOW,
    Line,
    Run,
    RunTimes,
    Waiting,
    estimate_starts,
)
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import FINISHED_STATES, PhaseState, State

Object = dict[str, Any]
LineKey = tuple[str, bool]  # the queue, and whether it is the line for GPUs

REFRESH_SECONDS: Final = 1.0
# Queues are recomputed at most this small a share of the time.
_SHARE: Final = 20
# An estimate beyond this is worthless.
_FARTHEST_SECONDS: Final = 365 * 86_400
# These jobs wait for their turn alone: others wait behind them, and their start can be estimated.
_IN_LINE: Final = frozenset({Reason.WAITING_FOR_OPERATOR, Reason.QUEUE_FULL, Reason.WAITING_FOR_GPU})
# A queue on hold keeps its order, but there is no telling when it goes on.
_QUEUED: Final = _IN_LINE | {Reason.HELD}


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

    def __init__(self, jobs: Iterable[Object], now: datetime, ageing_seconds: int) -> None:
        self._now = now
        self._started: defaultdict[str, list[Object]] = defaultdict(list)
        self._expected: dict[tuple[str, str], float | None] = {}
        waiting: defaultdict[LineKey, list[Waiting]] = defaultdict(list)
        self._finished: list[Object] = []
        self._jobs: dict[str, Object] = {}
        for job in jobs:
            if _state(job) == State.SUCCEEDED:
                self._finished.append(job)
            elif _state(job) in FINISHED_STATES:
                continue
            elif _holds_slot(job):
                self._started[_queue(job)].append(job)
            elif self._is_in_line(job):
                waiting[_line(job)].append(_waiting(job))
                self._jobs[job["metadata"]["name"]] = job
        self._times: RunTimes | None = None
        self._lines = {key: Line(members, now, ageing_seconds) for key, members in waiting.items()}
        self._starts: dict[LineKey, list[float | None]] = {}

    def position(self, job: Object) -> QueuePosition | None:
        """The position of a job in state Queued that waits for its turn and nothing else; None for any other.

        A job that waits for its start time, for another job, or for a pipeline that does not exist is in no queue yet.
        """
        if _state(job) != State.QUEUED or _holds_slot(job) or not self._is_in_line(job):
            return None
        line = self._lines.get(_line(job))
        # The job may be newer than this snapshot: it would be the only one of its line, or take its turn among them.
        ahead = line.ahead(_waiting(job)) if line else 0
        return QueuePosition(ahead + 1, self._start(job, ahead))

    def _is_in_line(self, job: Object) -> bool:
        """Whether nothing but the queue keeps the job from starting."""
        spec, not_before = job.get("spec", {}), _not_before(job)
        return (
            _state(job) in (State.PENDING, State.QUEUED)
            and _reason(job) in _QUEUED
            and not spec.get("suspend")
            and not spec.get("cancel")
            and (not_before is None or not_before <= self._now)
        )

    def _start(self, job: Object, ahead: int) -> datetime | None:
        if _reason(job) not in _IN_LINE:
            return None
        seconds = self._starts_of(_line(job))[ahead]
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
            running = [each for each in started if _is_on_gpu(each)] if for_gpu else started
            first = [each for each in started if _waits_for_gpu_again(each)] if for_gpu else []
            line = [self._jobs[each.key[1]] for each in self._lines[key].jobs] if key in self._lines else []
            starts = estimate_starts(
                len(running), [self._left(each) for each in running], [self._expect(each) for each in (*first, *line)]
            )
            self._starts[key] = starts[len(first) :]
        return self._starts[key]

    def _left(self, job: Object) -> float | None:
        began, expected = _time(job.get("status", {}).get("startTime")), self._expect(job)
        if began is None or expected is None:
            return expected
        return max(0.0, expected - (self._now - began).total_seconds())

    def _expect(self, job: Object) -> float | None:
        """Seconds that the job will take: the recent median of its pipeline, on its device where that is known."""
        pipeline, device = job.get("spec", {}).get("pipeline", ""), _device(job)
        key = (pipeline, device or "")
        if key not in self._expected:
            if self._times is None:
                self._times = _run_times(self._finished)
            self._expected[key] = self._times.median(pipeline, device)
        return self._expected[key]


class QueuePositions:
    """Positions from the newest snapshot, which is taken on request, at most once in ``refresh_seconds``.

    With very many jobs it is taken less often, so that it never costs more than a small share of the time.
    """

    def __init__(
        self,
        jobs: Callable[[], Collection[Object]],
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

    def of(self, job: Object) -> QueuePosition | None:
        """The position of this job; None if it does not wait in a queue."""
        if _state(job) != State.QUEUED:
            return None
        began = time.monotonic()
        if self._snapshot is None or began >= self._good_until:
            self._snapshot = QueueSnapshot(self._source(), self._clock(), self._ageing)
            made = time.monotonic()
            self._good_until = made + max(self._refresh, _SHARE * (made - began))
        return self._snapshot.position(job)


def _run_times(finished: Iterable[Object]) -> RunTimes:
    """Of jobs that have succeeded. Times are compared as text first: there may be very many jobs."""
    groups: defaultdict[tuple[str, Device | None], list[Object]] = defaultdict(list)
    for job in finished:
        groups[job.get("spec", {}).get("pipeline", ""), _device(job)].append(job)
    runs = []
    for (pipeline, device), members in groups.items():
        for job in heapq.nlargest(RUN_TIME_WINDOW, members, key=lambda job: str(_status(job).get("completionTime"))):
            began, ended = _time(_status(job).get("startTime")), _time(_status(job).get("completionTime"))
            if began is not None and ended is not None:
                runs.append(Run(pipeline, device or Device.CPU, (ended - began).total_seconds(), ended))
    return RunTimes(runs)


def _waiting(job: Object) -> Waiting:
    metadata, spec = job["metadata"], job.get("spec", {})
    return Waiting(
        key=(metadata.get("namespace", ""), metadata["name"]),
        priority=spec.get("priority", DEFAULT_PRIORITY),
        created=_time(metadata["creationTimestamp"]) or datetime.max.replace(tzinfo=UTC),
    )


def _status(job: Object) -> Object:
    status: Object = job.get("status", {})
    return status


def _state(job: Object) -> str:
    state: str = _status(job).get("state", State.PENDING)
    return state


def _queue(job: Object) -> str:
    queue: str = job.get("spec", {}).get("queueName", DEFAULT_QUEUE)
    return queue


def _line(job: Object) -> LineKey:
    return _queue(job), _reason(job) == Reason.WAITING_FOR_GPU


def _condition(job: Object, kind: str) -> Object:
    conditions = _status(job).get("conditions", ())
    return next((each for each in conditions if each.get("type") == kind), {})


def _holds_slot(job: Object) -> bool:
    return _condition(job, CONDITION_ADMITTED).get("status") == "True" or _state(job) == State.RUNNING


def _reason(job: Object) -> str:
    reason: str = _condition(job, CONDITION_ADMITTED).get("reason", Reason.WAITING_FOR_OPERATOR)
    return reason


def _is_on_gpu(job: Object) -> bool:
    return any(
        phase.get("state") == PhaseState.RUNNING and phase.get("device") == Device.GPU
        for phase in _status(job).get("phases", ())
    )


def _waits_for_gpu_again(job: Object) -> bool:
    """Whether a job that has started waits for a GPU between two phases."""
    return _condition(job, CONDITION_PROGRESSING).get("reason") == Reason.WAITING_FOR_GPU


def _not_before(job: Object) -> datetime | None:
    return _time(job.get("spec", {}).get("startTime"))


def _device(job: Object) -> Device | None:
    """GPU if it waits for one or any phase ran on one, else what the job asks for; None where that is not known yet."""
    used = {phase.get("device") for phase in _status(job).get("phases", ())}
    asked = job.get("spec", {}).get("device")
    if Device.GPU in used or asked == Device.GPU or _reason(job) == Reason.WAITING_FOR_GPU:
        return Device.GPU
    known = _state(job) in FINISHED_STATES or asked == Device.CPU
    return Device.CPU if known else None


def _time(text: object) -> datetime | None:
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
