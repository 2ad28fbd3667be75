"""What is seen of pools and their workers, what decisions on AudioJobs see of it, and what they want of a worker."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from audiojob_operator.records.objects import Key, Object
from audiojob_types.contract import Device
from audiojob_types.ordering import DEFAULT_PRIORITY
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import PhaseState
from audiojob_types.tasks import Task
from audiojob_types.workers.order import WorkOrder
from audiojob_types.workers.pool import AudioWorkerPool


@dataclass(frozen=True, slots=True)
class Seat:
    """A worker that can take a phase now: its pod is ready, built from the pool as it is, and has none.

    Or one at work that can be told its next phase; ``order_bytes`` is how long what it is told is by now.
    """

    job_name: str
    pod_name: str
    pod_uid: str
    node_name: str | None = None
    order_bytes: int = 0


@dataclass(frozen=True, slots=True)
class PoolView:
    """A pool as one AudioJob's decision sees it.

    ``closed``: it takes no phase (maxWorkers is 0, or it is being deleted). ``seats``: free ones, the best first; those
    that the AudioJob itself has are among them.
    ``busy`` of ``most`` workers have a phase; ``ahead`` phases go before those of the AudioJob.
    ``next_seats``: those at work on one phase of another AudioJob, which can be told their next one;
    ``ahead_untold`` phases go before them that no worker is told yet. ``alone``: pods that are told a phase of
    the AudioJob ahead, and have no other any more.
    Each worker has ``gpus`` of ``gpu_resource``, none with device CPU.
    """

    name: str
    tasks: frozenset[Task]
    device: Device
    any_input: bool
    closed: bool
    kueue_local_queue: str | None
    memory_bytes: int
    scratch_bytes: int
    seats: tuple[Seat, ...]
    busy: int
    workers: int
    most: int
    ahead: int
    gpus: int = 0
    gpu_resource: str = ""
    next_seats: tuple[Seat, ...] = ()
    ahead_untold: int = 0
    alone: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Binding:
    """A phase is given to that worker. Its status says so first; then the worker is told.

    ``ahead``: it is at work on another one.
    """

    pool: str
    phase: str
    attempt: int
    seat: Seat
    ahead: bool = False


class Place(NamedTuple):
    """Among those that wait for a pool: the more urgent come first, then those that have waited for longer."""

    rank: int
    since: datetime


@dataclass(frozen=True, slots=True)
class WorkerWait:
    """A phase waits for a worker of that pool. ``priority`` is its AudioJob's."""

    phase: str
    pool: str
    since: datetime
    priority: int = DEFAULT_PRIORITY

    @property
    def place(self) -> Place:
        """Its place among others."""
        return Place(-self.priority, self.since)


class WhyOwnJob(StrEnum):
    """Why an attempt of a phase that names a pool has a Job of its own: words of docs/workers.md."""

    NO_SUCH_POOL = "NoSuchPool"
    POOL_CLOSED = "PoolClosed"
    WAIT_EXPIRED = "WaitExpired"
    NO_OTHER_WORKER = "NoOtherWorker"
    OTHER_DEVICE = "OtherDevice"
    OTHER_TASK = "OtherTask"
    OTHER_IMAGE = "OtherImage"
    OTHER_QUEUE = "OtherQueue"
    MORE_GPUS = "MoreGpus"
    MORE_MEMORY = "MoreMemory"
    MORE_SCRATCH = "MoreScratch"
    REUSE = "Reuse"
    FOREIGN_INPUT = "ForeignInput"
    ORDER_TOO_LONG = "OrderTooLong"


def why_no_worker(pool: PoolView | None) -> WhyOwnJob | None:
    """Why no phase that names the pool gets a worker of it, whatever it is; None if some may."""
    if pool is None:
        return WhyOwnJob.NO_SUCH_POOL
    return WhyOwnJob.POOL_CLOSED if pool.closed else None


@dataclass(frozen=True, slots=True)
class OwnJob:
    """An attempt has a Job of its own, though its phase names that pool."""

    phase: str
    pool: str
    why: WhyOwnJob


@dataclass(frozen=True, slots=True)
class PoolNumbers:
    """A pool as metrics show it. ``waits_since``: since when the first of the ``waiting`` phases does."""

    starting: int
    idle: int
    busy: int
    desired: int
    most: int
    waiting: int
    waits_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class WorkTelling:
    """A worker's pod is told a phase that its AudioJob's status gives to it."""

    pod: str
    pod_uid: str
    uid: str  # of the AudioJob
    phase: str
    attempt: int
    phase_file: str  # a PhaseInput as JSON


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """A pool, and what tells the workers apart that are as it says now (``built_from``).

    ``problem``: why no worker can be made of it. ``gpu_resource`` is that of the workers' GPUs, "" without any.
    """

    pool: AudioWorkerPool
    built_from: str
    problem: str = ""
    gpu_resource: str = ""

    @property
    def gpus(self) -> int:
        """How many each worker has."""
        return self.pool.spec.gpus if self.gpu_resource else 0

    @property
    def essence(self) -> object:
        """What of a pool matters to others: its status is ours."""
        return self.built_from, self.problem, self.closed, self.pool.spec

    @property
    def closed(self) -> bool:
        """Whether it takes no phase."""
        return bool(self.problem) or not self.pool.spec.max_workers or self.pool.metadata.deletion_timestamp is not None


@dataclass(frozen=True, slots=True)
class WorkerPod:
    """A worker's pod. ``up``: both its containers run. ``order_text`` is its annotation as it stands, ``order`` what it
    says; None where that cannot be read.

    ``trouble`` keeps it from its start, and only a person can help. ``phases`` are those that it says it has ended.
    """

    name: str
    uid: str
    order_text: str = ""
    order: WorkOrder | None = None
    node_name: str | None = None
    up: bool = False
    ended: bool = False
    terminating: bool = False
    trouble: str = ""
    message: str = ""
    phases: int = 0

    def tells(self, uid: str, phase: str, attempt: int) -> bool:
        """Whether it is told that phase."""
        told = self.order.told if self.order is not None else ()
        return any((each.uid, each.phase, each.attempt) == (uid, phase, attempt) for each in told)


@dataclass(frozen=True, slots=True)
class Worker:
    """A Job of a pool, and its pod."""

    job_name: str
    job_uid: str
    number: int
    built_from: str
    created: datetime
    deleting: bool = False
    finished: bool = False
    failed: bool = False
    pod: WorkerPod | None = None

    @property
    def live(self) -> bool:
        """Whether it works, or will."""
        return not (
            self.finished or self.deleting or (self.pod is not None and (self.pod.ended or self.pod.terminating))
        )

    @property
    def stays(self) -> bool:
        """Whether it does not end for want of work."""
        order = self.pod.order if self.pod is not None else None
        return order is not None and order.idle_seconds is None

    @property
    def seat(self) -> Seat:
        """As it can take a phase. Only of a worker that has a pod."""
        pod = self.pod
        assert pod is not None, "only a pod that is up is a seat"
        return Seat(self.job_name, pod.name, pod.uid, pod.node_name, len(pod.order_text.encode()))


@dataclass(frozen=True, slots=True)
class Bound:
    """A phase that its AudioJob's status gives to a worker's pod. ``since`` is when that was first seen (monotonic).

    ``ahead``: it is told as the next one; ``since`` is when the pod had no other any more.
    """

    key: Key
    uid: str
    phase: str
    attempt: int
    begun: bool = False
    since: float = 0.0
    ahead: bool = False

    @property
    def identity(self) -> tuple[str, str, int]:
        """What tells it from others, as orders do."""
        return self.uid, self.phase, self.attempt


def is_told_ahead(record: Object) -> bool:
    """Whether the record of a phase, as its status has it, says that a worker is told it ahead."""
    waits = record.get("state", PhaseState.WAITING) == PhaseState.WAITING
    return waits and record.get("reason") == Reason.TOLD_TO_WORKER and bool(record.get("podUID"))
