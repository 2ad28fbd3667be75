"""The input of a decision: everything that was observed of one AudioJob.

Frozen, like all records; none does I/O or knows a clock. ``reconciling.gather`` fills :class:`Observed` from caches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from audiojob_operator.records.admission import Admission
from audiojob_operator.records.objects import Object
from audiojob_operator.records.observation import PhaseObservation
from audiojob_operator.records.plan import JobRef
from audiojob_operator.records.reuse import ReuseAnswer
from audiojob_operator.records.settings import DecideSettings, Revision
from audiojob_operator.records.workers import PoolView
from audiojob_types.models import ModelBook
from audiojob_types.resources.job import AudioJob
from audiojob_types.resources.pipeline import AudioPipeline, AudioPipelineSpec


@dataclass(frozen=True, slots=True)
class Refusal:
    """The API server's answer to a Job that it did not take, or to the pipeline's revision (``of_revision``).

    ``permanent``: the same object will never be taken.
    """

    message: str
    permanent: bool
    of_revision: bool = False


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An object that this version of the operator cannot read; ``problem`` names the field and what is wrong."""

    problem: str


@dataclass(frozen=True, slots=True)
class Retried:
    """The job that another one is a retry of, and the pipeline that it ran (None if its revision is gone)."""

    job: AudioJob
    spec: AudioPipelineSpec | None


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that one decision depends on.

    ``raw_status`` is the status exactly as stored (the JSON Patch tests compare with it); ``{}`` if there is none.
    ``children`` are the Jobs whose controller owner is this AudioJob's *uid*. A Job that status calls Running and the
    cache does not hold must be confirmed absent with a GET first (``revisions.unconfirmed_children`` names those).
    ``revision`` is the stored one that ``revisions.revision_name`` names; None if that is None or it is gone, and
    :class:`Unreadable` if it has values of a later version.
    ``known_revisions`` are names of revisions known to be stored in the job's namespace; unknown ones are created
    (AlreadyExists is success).
    ``gpus_per_node`` is the most that a Ready node offers, or one that an autoscaler adds would, by resource.
    ``source_job`` is the one that spec.source.jobRef names, ``retried`` the one that spec.retryOf names; None if there
    is none of that name. ``cooling_until``: the host of the source is not asked until then. ``running`` is how many
    AudioJobs run in all.
    ``models``: where those that an administrator has fetched ahead stand; None if that is not done here.
    ``reuse`` answers by key what decisions have asked for (:class:`Plan`); None: nothing is taken over from other jobs.
    ``may_begin_early``: whether a phase's pod may begin while the phase before works. False while others wait for what
    it would take, None where no phase does (the setting, or a right that is missing). ``without_room``: phases of its
    pipeline whose pods have begun early in vain lately.
    ``queue_max_gpus``: the job's queue has no more GPUs than these at a time, so that those of workers too must be
    granted; None: it has no limit, or Kueue counts them.
    ``pools``: the worker pools that phases name, by name; those that do not exist are left out.
    ``refused`` is set when the plan made from the same observation failed to create a Job, or the revision: deciding
    again with it gives a plan that creates none, but records what is known and why nothing starts.
    """

    job: AudioJob
    raw_status: Object
    pipeline: AudioPipeline | None
    revision: Revision | Unreadable | None
    children: tuple[PhaseObservation, ...]
    namespace_prepared: bool
    admitted: Admission
    gpus_per_node: Mapping[str, int]
    settings: DecideSettings
    known_revisions: frozenset[str] = frozenset()
    refused: Refusal | None = None
    kueue_local_queue: str | None = None
    queue_max_gpus: int | None = None
    source_job: AudioJob | Unreadable | None = None
    retried: Retried | Unreadable | None = None
    cooling_until: datetime | None = None
    reuse: Mapping[str, ReuseAnswer] | None = None
    running: int = 0
    models: ModelBook | None = None
    may_begin_early: bool | None = None
    without_room: frozenset[str] = frozenset()
    pools: Mapping[str, PoolView] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LiveJob:
    """A Job that has not ended and that nobody has asked to end. ``on_node``: a node has its pod."""

    ref: JobRef
    on_node: bool


@dataclass(frozen=True, slots=True)
class Parked:
    """An AudioJob on which the operator fails, as far as it is seen without what it may fail on. ``what``: the fault.

    ``at_work``: a Job or pod of it has not ended, or is on its way out. ``prepared``: jobs run in its namespace.
    """

    job: AudioJob
    raw_status: Object
    what: str
    live: Sequence[LiveJob]
    at_work: bool
    prepared: bool = True
