"""A decision in the making: the phases as they will be, and what is to be created, emitted and reconciled again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from audiojob_operator.building.handed_in import Reviews, has_begun, takes
from audiojob_operator.building.names import event_name, output_prefix
from audiojob_operator.deciding.attempts.device import GpuSupply
from audiojob_operator.deciding.policies.blocker import Blocker
from audiojob_operator.deciding.reuse.references import NotYet
from audiojob_operator.records.admission import Rest
from audiojob_operator.records.changes import clip, updated
from audiojob_operator.records.objects import Object
from audiojob_operator.records.observation import Failed, PhaseObservation
from audiojob_operator.records.observed import Observed
from audiojob_operator.records.plan import EventRecord, Telling, TellingAgain
from audiojob_operator.records.reuse import ReuseAsk
from audiojob_operator.records.settings import Revision
from audiojob_operator.records.workers import Binding, OwnJob, WorkerWait, WorkTelling
from audiojob_types.constants import MAX_STATUS_OUTPUTS, MAX_STATUS_WARNINGS
from audiojob_types.contract import MAX_WARNING_CHARACTERS, OutputRef
from audiojob_types.progress import overall_percent
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import JobOutput, JobWarning, PhaseState, PhaseStatus, ResolvedSource
from audiojob_types.resources.pipeline import AudioPipelineSpec, Phase


@dataclass(frozen=True, slots=True)
class Mark:
    """A draft before phases were started."""

    jobs: list[Object]
    tellings: list[Telling | TellingAgain]
    bindings: list[Binding]
    work_tellings: list[WorkTelling]
    worker_waits: list[WorkerWait]
    own_jobs: list[OwnJob]
    phases: dict[str, PhaseStatus]
    outputs: list[JobOutput]
    warnings: list[JobWarning]
    events: list[EventRecord]
    start_time: datetime | None


@dataclass(slots=True)
class Draft:
    """Starts as what status says; ``phases`` keep the pipeline's order. ``failure`` is the first phase that failed."""

    observed: Observed
    now: datetime
    revision: Revision | None = None
    revision_is_new: bool = False
    made: Revision | None = None  # of the pipeline as it is now: made once, though it may be left and taken again
    start_time: datetime | None = None
    phases: dict[str, PhaseStatus] = field(default_factory=dict)
    outputs: list[JobOutput] = field(default_factory=list)
    warnings: list[JobWarning] = field(default_factory=list)
    jobs: list[Object] = field(default_factory=list)
    early_job: Object | None = None  # whose pod begins before its inputs are there
    kept: set[tuple[str, int]] = field(default_factory=set)  # early attempts that go on waiting
    tellings: list[Telling | TellingAgain] = field(default_factory=list)
    bindings: list[Binding] = field(default_factory=list)  # phases that are given to workers
    work_tellings: list[WorkTelling] = field(default_factory=list)
    worker_waits: list[WorkerWait] = field(default_factory=list)
    own_jobs: list[OwnJob] = field(default_factory=list)  # of phases that name a pool
    hung_workers: list[str] = field(default_factory=list)  # pods that have not begun in time what they were told
    gpus_left: GpuSupply | None = None  # after the phases that start; None: none were looked at
    events: list[EventRecord] = field(default_factory=list)
    wakes: list[datetime] = field(default_factory=list)
    failure: tuple[str, Failed] | None = None
    blockers: list[Blocker] = field(default_factory=list)
    source: ResolvedSource | None = None
    asks: list[ReuseAsk] = field(default_factory=list)
    rest: Rest | None = None
    unresolved: NotYet | None = None  # why a job that spec.source.jobRef or spec.retryOf names leads nowhere yet

    @classmethod
    def of(cls, observed: Observed, now: datetime) -> Draft:
        """The draft that changes nothing."""
        status = observed.job.status
        return cls(
            observed=observed,
            now=now,
            start_time=status.start_time,
            phases={phase.name: phase for phase in status.phases},
            outputs=list(status.outputs),
            warnings=list(status.warnings),
            source=status.source,
        )

    def bind(self, revision: Revision) -> None:
        """Take a pipeline: from here on every one of its phases has a record."""
        self.revision = revision
        observed = self.observed
        refused = observed.refused is not None and observed.refused.of_revision
        self.revision_is_new = (
            observed.revision is None and revision.name not in observed.known_revisions and not refused
        )
        self.phases = {phase.name: self._record(phase, revision.spec) for phase in revision.spec.phases}

    def _record(self, phase: Phase, pipeline: AudioPipelineSpec) -> PhaseStatus:
        record = self.phases.get(phase.name) or PhaseStatus(name=phase.name, task=phase.task)
        if not phase.gate or has_begun(record):
            return record
        return updated(record, {"review_takes": takes(pipeline, phase) or None})

    def unbind(self) -> None:
        """Leave the pipeline again: nothing of it has begun, and it may be another one when something does."""
        self.revision, self.phases = None, {}

    def mark(self) -> Mark:
        """What :meth:`back_to` takes back to, but for wakes: to look again too often does no harm."""
        return Mark(
            list(self.jobs),
            list(self.tellings),
            list(self.bindings),
            list(self.work_tellings),
            list(self.worker_waits),
            list(self.own_jobs),
            dict(self.phases),
            list(self.outputs),
            list(self.warnings),
            list(self.events),
            self.start_time,
        )

    def back_to(self, mark: Mark) -> None:
        """Forget what was started since."""
        self.jobs, self.phases, self.outputs = list(mark.jobs), dict(mark.phases), list(mark.outputs)
        self.warnings, self.tellings = list(mark.warnings), list(mark.tellings)
        self.bindings, self.work_tellings = list(mark.bindings), list(mark.work_tellings)
        self.worker_waits, self.own_jobs = list(mark.worker_waits), list(mark.own_jobs)
        self.events, self.start_time = list(mark.events), mark.start_time

    @property
    def pipeline(self) -> AudioPipelineSpec:
        """The bound pipeline."""
        assert self.revision is not None, "a pipeline is bound before its phases are looked at"
        return self.revision.spec

    @property
    def reviews(self) -> Reviews:
        """The job's reviews, as they count at the gates of the bound pipeline."""
        return Reviews.of(self.observed.job.spec, self.pipeline)

    @property
    def uid(self) -> str:
        """The AudioJob's uid."""
        return self.observed.job.metadata.uid

    def prefix(self, phase: str) -> str:
        """The phase's folder in the store."""
        return f"{output_prefix(self.observed.job.metadata.namespace, self.uid)}/{phase}"

    @property
    def current_phase(self) -> str | None:
        """The phase that runs, or ran last, here or in another job."""
        begun = [record for record in self.phases.values() if record.attempt > 0 or record.reused_from is not None]
        unfinished = [record for record in begun if not record.state.finished]
        current = unfinished[:1] or begun[-1:]
        return current[0].name if current else None

    def percent(self, *, done: bool) -> int:
        """What the finished phases amount to, which the runner's last report may have missed."""
        if done:
            return 100
        if self.revision is None:
            return 0
        weights = {phase.name: phase.weight for phase in self.pipeline.phases}
        finished = {name: 100 for name, record in self.phases.items() if record.state is PhaseState.SUCCEEDED}
        return overall_percent(weights, finished)

    @property
    def node_name(self) -> str | None:
        """The node of the current phase, once it is known."""
        return self.phases[self.current_phase].node_name if self.current_phase else None

    @property
    def folder(self) -> str:
        """The job's folder in the store; where other jobs did all of the work, that of the last of them."""
        done = list(self.phases.values())
        if done and all(record.reused_from is not None for record in done) and (ref := done[-1].manifest) is not None:
            return "/".join(ref.key.split("/")[:2])
        return output_prefix(self.observed.job.metadata.namespace, self.uid)

    def put_outputs(self, phase: str, outputs: Iterable[OutputRef]) -> None:
        """Put what a phase published in place of what it had published before.

        The last phases' outputs are what people came for; all of them are in the manifests.
        """
        others = [output for output in self.outputs if output.phase != phase]
        own = [JobOutput(**{**output.model_dump(), "phase": phase}) for output in outputs]
        self.outputs = [*others, *own][-MAX_STATUS_OUTPUTS:]

    def warn_of(self, phase: str, messages: Iterable[str]) -> None:
        """Put what a phase could not do in place of what was said of it before."""
        others = [warning for warning in self.warnings if warning.phase != phase]
        own = [JobWarning(phase=phase, message=clip(message, MAX_WARNING_CHARACTERS)) for message in messages]
        self.warnings = [*others, *own][:MAX_STATUS_WARNINGS]

    def child(self, phase: str, attempt: int) -> PhaseObservation | None:
        """The Job of an attempt."""
        for child in self.observed.children:
            if child.phase == phase and child.attempt == attempt:
                return child
        return None

    def place(self, phase: Phase) -> str:
        """``phase 2 of 3, separate``"""
        index = [each.name for each in self.pipeline.phases].index(phase.name)
        return f"phase {index + 1} of {len(self.pipeline.phases)}, {phase.name}"

    def emit(
        self,
        reason: Reason | str,
        message: str,
        *,
        kind: Literal["Normal", "Warning"] = "Normal",
        phase: str = "",
        attempt: int = 0,
    ) -> None:
        """An event. The same reason, phase and attempt are emitted once in a job's life."""
        name = event_name(self.observed.job.metadata.name, self.uid, reason, phase, attempt)
        self.events.append(EventRecord(name=name, type=kind, reason=str(reason), message=clip(message), phase=phase))

    def block(self, found: Blocker) -> None:
        """A ready phase does not start now."""
        self.blockers.append(replace(found, message=clip(found.message)))
        self.wake(found.until)

    def wake(self, at: datetime | None) -> None:
        """Look again then, even if nothing changes."""
        if at is not None:
            self.wakes.append(at)
