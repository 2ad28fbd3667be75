"""Who may start: what a job asks admission for, and the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeAlias

from audiojob_operator.records.objects import Key
from audiojob_types.contract import Device
from audiojob_types.reasons import Reason

QueueKey: TypeAlias = tuple[str, str]  # (namespace, name) of an AudioQueue

SITE_GPUS: Final = ""
"""The kind of GPU that phases get whose pipeline names none; every other kind goes by the name of its resource."""

_WORKERS: Final = "worker pool "  # no resource is called so


def kind_of_workers(pool: str) -> str:
    """The kind of GPU that phases get with a worker of that pool. How many there are is not admission's to say: they
    count for the queue of the AudioJob alone.
    """
    return f"{_WORKERS}{pool}"


def is_of_workers(kind: str | None) -> bool:
    """Whether these GPUs come with workers."""
    return kind is not None and kind.startswith(_WORKERS)


@dataclass(frozen=True, slots=True)
class SiteAnswer:
    """Whether a job may begin one download from its site now, and if not, why; ``until`` if time alone ends it."""

    granted: bool
    message: str = ""
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether a job may run, and if not, why it waits.

    ``gpus`` is how many GPUs its phases may take now, beyond those of its live Jobs, all of the kind ``gpu_pool``.
    ``gpus_used`` of ``gpus_total`` are in use where the phases look for theirs. ``drained``: the job has started and
    its queue takes it back.
    ``site``: the answer for the next download from a site with a limit; None if there is no limit.
    """

    admitted: bool
    reason: Reason = Reason.ADMITTED
    message: str = "The job may run."
    gpus: int = 0
    gpus_used: int = 0
    gpus_total: int = 0
    gpu_pool: str = SITE_GPUS
    drained: bool = False
    site: SiteAnswer | None = None


@dataclass(frozen=True, slots=True)
class Rest:
    """The API server took no Job of the AudioJob of that uid: it asks for nothing before ``until``.

    Else it would be given, again and again, what it cannot use and others wait for.
    """

    uid: str
    until: datetime
    message: str


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """A phase that could start now if its site had room. ``only``: the job could do nothing else."""

    host: str
    only: bool
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class GpuRequest:
    """A phase that could start now if it had its GPUs. ``must``: it waits for ever; others use the CPU at ``until``.

    ``resource`` is the one that its pipeline names; None: the site's.
    """

    gpus: int
    must: bool
    until: datetime | None = None
    not_before: datetime | None = None
    resource: str | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """One unfinished job as admission sees it. ``holds_slot``: it has started and not given its slot back."""

    key: Key
    priority: int
    created: datetime
    holds_slot: bool
    queue: str = "default"
    user: str = ""
    requests: tuple[GpuRequest, ...] = ()
    fetch: FetchRequest | None = None

    @property
    def queue_key(self) -> QueueKey:
        """Its queue, which lies in its own namespace."""
        return self.key[0], self.queue


@dataclass(frozen=True, slots=True)
class Waiting:
    """So many AudioJobs wait, the first of them since then."""

    count: int
    since: datetime

    def __add__(self, other: Waiting) -> Waiting:
        return Waiting(self.count + other.count, min(self.since, other.since))


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits for admission, by queue and by what it waits for: GPUs, or a slot alone (CPU).

    ``gpus_wanted``: how many GPUs, by the pool of their kind.
    """

    waiting: Mapping[tuple[QueueKey, Device], Waiting] = field(default_factory=dict)
    gpus_wanted: Mapping[str, int] = field(default_factory=dict)
