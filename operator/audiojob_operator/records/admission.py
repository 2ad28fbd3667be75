"""Who may start: what admission knows of all jobs, what they ask for, and its answer to one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from audiojob_operator.records.objects import Key
from audiojob_operator.records.sites import SiteRules, SiteUse
from audiojob_types.ordering import DEFAULT_AGEING_SECONDS
from audiojob_types.reasons import Reason
from audiojob_types.resources.queue import AudioQueueSpec

QueueKey: TypeAlias = tuple[str, str]  # (namespace, name) of an AudioQueue


@dataclass(frozen=True, slots=True)
class SiteAnswer:
    """Whether a job may begin one download from its site now, and if not, why; ``until`` if time alone ends it."""

    granted: bool
    message: str = ""
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether a job may start, and if not, why it waits.

    ``gpus`` is how many GPUs its phases may take now, beyond those of its live Jobs. ``drained``: the job has started
    and its queue takes it back. ``gpus_used`` of ``gpus_total`` are in use where the phases look for theirs.
    ``site``: the answer for the next download from a site with a limit; None if there is no limit.
    """

    admitted: bool
    reason: Reason = Reason.ADMITTED
    message: str = "The job may run."
    gpus: int = 0
    gpus_used: int = 0
    gpus_total: int = 0
    drained: bool = False
    site: SiteAnswer | None = None


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """A phase that could start now if its site had room. ``only``: the job could do nothing else."""

    host: str
    only: bool
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class GpuRequest:
    """A phase that could start now if it had its GPUs. ``must``: it waits for ever; others use the CPU at ``until``."""

    gpus: int
    must: bool
    until: datetime | None = None
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """One unfinished job as admission sees it.

    ``holds_slot``: started, or admitted a moment ago ("assumed"). ``gpus_held`` are those of live Jobs, and of Jobs
    that are about to be made.
    """

    key: Key
    priority: int
    created: datetime
    holds_slot: bool
    queue: str = "default"
    user: str = ""
    gpus_held: int = 0
    requests: tuple[GpuRequest, ...] = ()
    fetch: FetchRequest | None = None

    @property
    def queue_key(self) -> QueueKey:
        """Its queue, which lies in its own namespace."""
        return self.key[0], self.queue


@dataclass(frozen=True, slots=True)
class AdmissionSnapshot:
    """All unfinished jobs that want to run, and what there is.

    ``max_running`` None is no limit; ``gpus`` None is no limit either (the scheduler decides). ``queues`` are those
    that exist. ``gpus_strict``: ``gpus`` is the administrator's number; else it is what nodes offer, and a phase that
    must have a GPU may ask for a first one, so that a cluster autoscaler sees it wait.

    ``gpus_leaving``: those of Jobs that live though their AudioJob is no candidate (suspended, cancelled, ended,
    unreadable, deleted). They count in the pool, and in their queue where it is known.
    """

    candidates: tuple[Candidate, ...]
    max_running: int | None = None
    gpus: int | None = None
    gpus_strict: bool = False
    gpus_leaving: Mapping[QueueKey, int] = field(default_factory=dict)
    queues: Mapping[QueueKey, AudioQueueSpec] = field(default_factory=dict)
    ageing_seconds: int = DEFAULT_AGEING_SECONDS
    site_rules: SiteRules = field(default_factory=SiteRules)
    site_uses: tuple[SiteUse, ...] = ()
