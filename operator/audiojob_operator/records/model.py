"""The records between the operator's pure core and its shell: what was observed, and what is to be done.

All of them are frozen, none does I/O or knows a clock. The shell (gather, apply) fills :class:`Observed` from its
caches and carries out a :class:`Plan`; everything between the two is a plain function.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

from audiojob_operator.records.libraries import Library
from audiojob_types.contract import Device, FailureClass, FolderStore, ManifestRef, PhaseResult, S3Store, Task
from audiojob_types.models import ModelBook
from audiojob_types.ordering import DEFAULT_AGEING_SECONDS
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import AudioJob, JobOutput, State
from audiojob_types.resources.pipeline import AudioPipeline, AudioPipelineSpec
from audiojob_types.resources.queue import AudioQueueSpec

Key: TypeAlias = tuple[str, str]  # (namespace, name) of an AudioJob
Object: TypeAlias = dict[str, Any]  # one Kubernetes object, or a part of one, as the API server's JSON

# ---------------------------------------------------------------- what children say (observe.py, diagnose.py)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why a pod has not started. Made by ``diagnose.diagnose_pod``.

    ``shown``: worth a line in status at once (a mere "the container is being created" is not).
    ``bounded``: nothing but a person can help, so that ``startTimeoutSeconds`` ends the attempt.
    ``expected``: nothing is wrong, so that nobody needs an event.
    """

    reason: Reason
    message: str
    suggestion: str
    shown: bool
    bounded: bool
    expected: bool = False


@dataclass(frozen=True, slots=True)
class PodObservation:
    """The pod of an attempt. ``terminating_until`` is the end of its grace period once it is being deleted."""

    name: str
    uid: str
    created: datetime
    node_name: str | None = None
    start_time: datetime | None = None  # when its node accepted it
    waiting: Diagnosis | None = None
    terminating_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """No outcome yet: waiting for its pod, starting or working."""


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The pod ended with 0 and left a valid result that names its manifest."""

    result: PhaseResult
    finished: datetime | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt ended without a result to use.

    ``disrupted`` failures are nobody's fault: not counted against the retry limit, but bounded.
    ``most`` lowers the retry limit for this kind of failure (``NoResult`` is tried once more, not more often).
    """

    failure_class: FailureClass
    reason: str  # a Reason, or the runner's own word
    message: str
    suggestion: str = ""
    log_key: str | None = None
    disrupted: bool = False
    most: int | None = None
    peak_memory_bytes: int | None = None
    finished: datetime | None = None
    retry_after_seconds: int | None = None  # what the source's site asked for


Outcome: TypeAlias = Running | Succeeded | Failed


@dataclass(frozen=True, slots=True)
class PhaseObservation:
    """One Job (one attempt of a phase) and what its pods say. Made by ``observe.observe_job(job, pods)``."""

    job_name: str
    job_uid: str
    phase: str
    attempt: int
    revision: str  # name of the pipeline revision that the Job was built from
    device: Device
    created: datetime
    outcome: Outcome
    pod: PodObservation | None = None
    deleting: bool = False  # the Job has a deletionTimestamp
    suspended: bool = False  # spec.suspend of the Job, as a queueing system sets it
    begun: datetime | None = None  # when the Job controller first looked at it
    gpus: int = 0
    device_reason: str | None = None
    memory_bytes: int | None = None  # asked for
    reuse_key: str | None = None
    finished: bool = False  # the Job has condition Complete or Failed, or its only pod has ended: nothing runs any more


# ---------------------------------------------------------------- settings and resolved pipelines


@dataclass(frozen=True, slots=True)
class Images:
    """Full image references, with tag or digest."""

    runner: str
    runner_torch: str

    def for_task(self, task: Task) -> str:
        """The image that holds the task's code."""
        return self.runner_torch if task.needs_torch else self.runner


@dataclass(frozen=True, slots=True)
class Disruption:
    """Times of pods whose node stops answering, or that are told to end. Seconds."""

    node_lost_seconds: int = 60  # Kubernetes' own default of 300 s would hold a job up for five minutes
    grace_seconds: int = 30
    lost_after_seconds: int = 60  # past its grace, a pod's node can no longer be answering


@dataclass(frozen=True, slots=True)
class DecideSettings:
    """The administrator's settings that decisions and pods depend on."""

    images: Images
    store: FolderStore | S3Store
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    models_claim: bool = False  # claim audiojob-models exists in job namespaces and is mounted for torch tasks
    allowed_cidrs: tuple[str, ...] = ()
    fetch_secret: bool = False  # Secret audiojob-fetch exists in job namespaces and is mounted for tasks that fetch
    min_progress_interval_milliseconds: int = 1_000
    download_reuse_seconds: int = 86_400  # what an address leads to changes with time
    disruption: Disruption = Disruption()
    libraries: tuple[Library, ...] = ()


@dataclass(frozen=True, slots=True)
class Revision:
    """A pipeline as a job uses it: resolved and immutable. ``name`` is ``<pipeline>-<hash of the content>``."""

    name: str
    pipeline: str
    spec: AudioPipelineSpec
    images: Images


# ---------------------------------------------------------------- who may start: admission

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
class SiteLimit:
    """How much may be asked of a host and its subdomains at once; None is no limit. Seconds between two starts."""

    host: str
    max_running: int | None = None
    pause_seconds: int = 0


@dataclass(frozen=True, slots=True)
class SiteRules:
    """The administrator's limits. ``max_per_host`` holds for every host that ``limits`` do not name."""

    limits: tuple[SiteLimit, ...] = ()
    max_per_host: int | None = None


@dataclass(frozen=True, slots=True)
class SiteUse:
    """One download that runs, is about to begin, or has ended a short while ago."""

    host: str
    started: datetime
    live: bool


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
    site_rules: SiteRules = SiteRules()
    site_uses: tuple[SiteUse, ...] = ()


# ---------------------------------------------------------------- work that another job has done, or does


@dataclass(frozen=True, slots=True)
class ReuseAsk:
    """A question of a decision: has anybody done the work of this key, or is anybody at it?

    The result must have been there since ``finished_since`` at the earliest, and be kept until ``kept_until``; None is
    any age, and for ever. ``priority`` is that of the job that asks.
    """

    key: str
    priority: int
    finished_since: datetime | None = None
    kept_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Donor:
    """A finished phase that did the work: of which job, what it published, when, and until when that is kept."""

    job: str
    phase: str
    manifest: ManifestRef
    outputs: tuple[JobOutput, ...]
    finished: datetime | None = None
    expires: datetime | None = None


@dataclass(frozen=True, slots=True)
class SameWork:
    """A job whose live attempt does the work. ``held``: the reason that keeps it from running, if any does."""

    job: str
    priority: int
    held: str = ""


@dataclass(frozen=True, slots=True)
class Fresh:
    """Nobody has done the work or is at it: whoever asked may."""


ReuseAnswer: TypeAlias = Donor | SameWork | Fresh


# ---------------------------------------------------------------- decide: input and output


@dataclass(frozen=True, slots=True)
class Refusal:
    """The API server's answer to a Job that it did not take. ``permanent``: the same Job will never be taken."""

    message: str
    permanent: bool


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An AudioJob that this version of the operator cannot read; ``problem`` names the field and what is wrong."""

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
    cache does not hold must be confirmed absent with a GET first (``resolve.unconfirmed_children`` names those).
    ``revision`` is the stored one that ``resolve.revision_name`` names; None if that is None or it is gone.
    ``known_revisions`` are names of revisions known to be stored in the job's namespace; unknown ones are created
    (AlreadyExists is success).
    ``gpus_per_node`` is the most that any Ready node offers. ``source_job`` is the one that spec.source.jobRef names,
    ``retried`` the one that spec.retryOf names; None if there is none of that name. ``cooling_until``: the host of the
    source is left alone until then. ``running`` is how many AudioJobs run in all.
    ``models``: where those that an administrator has fetched ahead stand; None if that is not done here.
    ``reuse`` answers by key what decisions have asked for (:class:`Plan`); None: nothing is taken over from other jobs.
    ``refused`` is set when the plan made from the same observation failed to create a Job: deciding again with it
    gives a plan that creates none, but records what is known and why nothing starts.
    """

    job: AudioJob
    raw_status: Object
    pipeline: AudioPipeline | None
    revision: Revision | None
    children: tuple[PhaseObservation, ...]
    namespace_prepared: bool
    admitted: Admission
    gpus_per_node: int
    settings: DecideSettings
    known_revisions: frozenset[str] = frozenset()
    refused: Refusal | None = None
    kueue_local_queue: str | None = None
    source_job: AudioJob | Unreadable | None = None
    retried: Retried | Unreadable | None = None
    cooling_until: datetime | None = None
    reuse: Mapping[str, ReuseAnswer] | None = None
    running: int = 0
    models: ModelBook | None = None


@dataclass(frozen=True, slots=True)
class JobRef:
    """A Job to delete: Background propagation, with the uid as precondition."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event on the AudioJob. ``name`` is the same for the same fact: AlreadyExists is success."""

    name: str
    type: Literal["Normal", "Warning"]
    reason: str
    message: str
    phase: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now, in this order: create_revision, create_jobs, events, status, delete_jobs, delete_self.

    Jobs come before the status that names them, so that a crash between the two is adopted by the next decision.
    Events come before the status write too: after a crash between them the same decision makes the same events again
    (their names are the same), whereas the other order would lose them. Job deletions come after the status that
    records why. A step that fails stops the rest; deciding again is always safe.

    ``status`` is a JSON Patch for the ``status`` subresource, or None for no change. ``requeue_after`` is in seconds.
    ``delete_self`` deletes the AudioJob (its TTL ran out) with its uid as precondition. ``asks`` stand alone: the
    decision depends on their answers, and is made again with them in ``Observed.reuse``.
    """

    create_revision: Object | None = None
    create_jobs: tuple[Object, ...] = ()
    events: tuple[EventRecord, ...] = ()
    status: tuple[Object, ...] | None = None
    delete_jobs: tuple[JobRef, ...] = ()
    delete_self: bool = False
    requeue_after: float | None = None
    state: State | None = None  # what the job's state is once this is done; for log lines and metrics
    asks: tuple[ReuseAsk, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing is to be written."""
        return not (
            self.create_revision
            or self.create_jobs
            or self.events
            or self.status
            or self.delete_jobs
            or self.delete_self
        )
