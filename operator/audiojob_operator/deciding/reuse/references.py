"""Jobs that refer to other jobs: their source is another's output, or they do again what another failed to do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from audiojob_operator.building.handed_in import content_handed_in, content_wanted
from audiojob_operator.building.precedence import phase_parameters, phases_before
from audiojob_operator.building.program import program_of
from audiojob_operator.deciding.reuse.keys import kept_until, lasts
from audiojob_operator.records.invalid import InvalidSpecError
from audiojob_operator.records.observed import Observed, Retried, Unreadable
from audiojob_operator.records.settings import Revision
from audiojob_types.parameters import InvalidParameters
from audiojob_types.resources.job import AudioJob, JobOutput, PhaseState, PhaseStatus, ResolvedSource, State
from audiojob_types.resources.pipeline import Phase

# ---------------------------------------------------------------- spec.source.jobRef


@dataclass(frozen=True, slots=True)
class NotYet:
    """The AudioJob ``job`` has not ended, does not exist yet, or cannot be read.

    ``unwatched``: no watch says when that ends. ``missing``: it does not exist.
    """

    job: str
    message: str
    unwatched: bool = False
    missing: bool = False


@dataclass(frozen=True, slots=True)
class NeverWill:
    """The other job has no such output and never will."""

    message: str


Lookup: TypeAlias = ResolvedSource | NotYet | NeverWill


def look_up_source(observed: Observed) -> Lookup | None:
    """What spec.source.jobRef leads to; None if the source is something else."""
    job = observed.job
    reference = job.spec.source.job_ref if job.spec.source else None
    if reference is None:
        return None
    if job.status.source is not None:
        return job.status.source  # kept from when the job started
    other = observed.source_job
    if other is None:
        message = f"There is no AudioJob {reference.name} in namespace {job.metadata.namespace}."
        return NotYet(reference.name, message, missing=True)
    if isinstance(other, Unreadable):
        message = (
            f"AudioJob {reference.name}, whose output is the source, cannot be read by this version of the operator "
            f"({other.problem}). Update the operator, or cancel this job."
        )
        return NotYet(reference.name, message, unwatched=True)
    state = other.status.state
    if not state.finished:
        return NotYet(reference.name, f"Waiting for AudioJob {reference.name} to finish.")
    if state is not State.SUCCEEDED:
        return NeverWill(f"AudioJob {reference.name}, whose output is the source, ended as {state}.")
    return _output_of(other, reference.output)


def _output_of(other: AudioJob, wanted: str | None) -> Lookup:
    outputs = [output for output in other.status.outputs if wanted in (None, output.name)]
    if wanted is None and len(outputs) > 1:
        # Without a name, the last phase's only output is what the job was made for.
        last = outputs[-1].phase
        outputs = [output for output in outputs if output.phase == last]
    names = ", ".join(output.name for output in other.status.outputs) or "none"
    if not outputs:
        return NeverWill(f"AudioJob {other.metadata.name} has no output {wanted}; it has {names}.")
    if wanted is None and len(outputs) > 1:
        return NeverWill(
            f"AudioJob {other.metadata.name} has several outputs ({names}); name one in source.jobRef.output."
        )
    output = outputs[-1]
    record = next(record for record in other.status.phases if record.name == output.phase)
    if record.manifest is None:
        return NeverWill(f"Phase {output.phase} of AudioJob {other.metadata.name} has no manifest.")
    return ResolvedSource(
        manifest=record.manifest,
        output=output.name,
        sha256=output.sha256,
        verified=output.verified,
        duration_milliseconds=output.duration_milliseconds,
    )


# ---------------------------------------------------------------- spec.retryOf


def look_up_retried(observed: Observed) -> NotYet | None:
    """Why the job that this one is a retry of cannot be told yet; None if it can be, or if this one is no retry.

    It is waited for, and not left out, as nobody asked for its work to be done again.
    """
    if not isinstance(observed.retried, Unreadable):
        return None
    name = observed.job.spec.retry_of
    message = (
        f"AudioJob {name}, which this job retries, cannot be read by this version of the operator "
        f"({observed.retried.problem}). Update the operator, or delete AudioJob {name} to have all of the work done."
    )
    return NotYet(str(name), message, unwatched=True)


def check_retried(observed: Observed) -> None:
    """Raises :class:`InvalidSpecError` if the job that this one is a retry of cannot be retried.

    One that is removed while the retry waits for its turn only leaves nothing to take over.
    """
    name = observed.job.spec.retry_of
    if name is None or isinstance(observed.retried, Unreadable):
        return
    if observed.retried is None:
        if observed.job.status.observed_generation is not None:
            return
        raise InvalidSpecError("spec.retryOf", f"there is no AudioJob {name}; leave retryOf out to do all of the work")
    state = observed.retried.job.status.state
    if not state.finished:
        raise InvalidSpecError(
            "spec.retryOf", f"AudioJob {name} has not finished ({state}); cancel it first, or leave retryOf out"
        )
    if state is State.SUCCEEDED:
        raise InvalidSpecError("spec.retryOf", f"AudioJob {name} has succeeded; there is nothing to try again")


def finished_before(observed: Observed, revision: Revision, now: datetime) -> tuple[list[PhaseStatus], list[JobOutput]]:
    """Phases of the retried job that need not be done again, and their outputs.

    Such a phase has succeeded, its files are kept for long enough, it does the same task with the same parameters and
    with what its review has handed in, and so do all phases that it reads from.
    """
    retried, pipeline = observed.retried, revision.spec
    if observed.job.spec.retry_of is None or not isinstance(retried, Retried) or retried.spec is None:
        return [], []
    old = {phase.name: phase for phase in retried.spec.phases}
    records = {record.name: record for record in retried.job.status.phases}
    kept: dict[str, PhaseStatus] = {}
    for phase in pipeline.phases:
        record = records.get(phase.name)
        if record is None or record.state is not PhaseState.SUCCEEDED or phase.name not in old:
            continue
        if not lasts(record.expires_time, kept_until(revision, phase, now)):
            continue
        handed = content_wanted(observed.job.spec, pipeline, phase.name)
        if handed != content_handed_in(retried.job.spec, retried.spec, record):
            continue
        if _same_work(observed.job, retried.job, phase, old[phase.name]) and set(phases_before(pipeline, phase)) <= set(
            kept
        ):
            kept[phase.name] = record
    outputs = [output for output in retried.job.status.outputs if output.phase in kept]
    return list(kept.values()), outputs


def _same_work(job: AudioJob, other: AudioJob, phase: Phase, before: Phase) -> bool:
    if phase.task is not before.task or phase.inputs != before.inputs:
        return False
    if phase.task.descriptor.publishes and job.spec.destination != other.spec.destination:
        return False
    if any(binding.from_ == "Job" for binding in phase.inputs) and (
        job.spec.source != other.spec.source or job.spec.inputs != other.spec.inputs
    ):
        return False
    if program_of(phase) != program_of(before):
        return False
    try:
        return phase_parameters(job.spec, phase) == phase_parameters(other.spec, before)
    except InvalidParameters:
        return False
