"""What decisions see of the workers of a pool, and what they want of them."""

from __future__ import annotations

from dataclasses import dataclass

from audiojob_types.contract import Device
from audiojob_types.tasks import Task


@dataclass(frozen=True, slots=True)
class Seat:
    """A worker that can take a phase now: its pod is ready, built from the pool as it is, and has none."""

    job_name: str
    pod_name: str
    pod_uid: str
    node_name: str | None = None


@dataclass(frozen=True, slots=True)
class PoolView:
    """A pool as one AudioJob's decision sees it.

    ``closed``: it takes no phase (maxWorkers is 0, or it is being deleted). ``seats``: free ones, the best first.
    ``busy`` of ``most`` workers have a phase; ``ahead`` phases have waited for longer.
    """

    name: str
    tasks: frozenset[Task]
    device: Device
    any_input: bool
    closed: bool
    kueue_local_queue: str | None
    memory_bytes: int
    seats: tuple[Seat, ...]
    busy: int
    workers: int
    most: int
    ahead: int


@dataclass(frozen=True, slots=True)
class Binding:
    """A phase is given to that worker. Its status says so first; then the worker is told."""

    pool: str
    phase: str
    attempt: int
    seat: Seat


@dataclass(frozen=True, slots=True)
class WorkTelling:
    """A worker's pod is told a phase that its AudioJob's status gives to it."""

    pod: str
    pod_uid: str
    uid: str  # of the AudioJob
    phase: str
    attempt: int
    phase_file: str  # a PhaseInput as JSON
