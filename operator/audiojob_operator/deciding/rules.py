"""The rules of a decision: each says what holds the job, or None. Their order in RULES is their precedence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from audiojob_operator.deciding.draft import Draft
from audiojob_operator.deciding.outcome import all_done, fail, job_error, queued, was_admitted
from audiojob_operator.deciding.phases import apply_outcomes, pause_phases, stop_phases
from audiojob_operator.deciding.policies.deadline import active_deadline, has_begun, queue_deadline
from audiojob_operator.deciding.policies.models import no_models_volume
from audiojob_operator.deciding.policies.ready import can_go_on, ready_phases
from audiojob_operator.deciding.policies.validity import check_spec
from audiojob_operator.deciding.policies.waiting import (
    no_model,
    no_pipeline,
    not_admitted,
    start_time_ahead,
    unprepared,
    unreadable_revision,
    unresolved_job,
)
from audiojob_operator.deciding.reuse.references import (
    NeverWill,
    NotYet,
    check_retried,
    look_up_retried,
    look_up_source,
)
from audiojob_operator.deciding.reused_phases import begin, facts, only_waits_for_others, take_finished
from audiojob_operator.deciding.revisions import make_revision, own_pipeline, revision_name
from audiojob_operator.deciding.status import Situation
from audiojob_operator.deciding.working import report_blockers, report_progress, start_or_end, warn_of_ignored_reviews
from audiojob_operator.records.changes import clip, updated
from audiojob_operator.records.invalid import InvalidSpecError
from audiojob_operator.records.observation import Failed
from audiojob_operator.records.observed import Unreadable
from audiojob_types.base import BAD_TIME, TIME_MESSAGE, format_time
from audiojob_types.contract import FailureClass
from audiojob_types.parameters import InvalidParameters
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import JobError, PhaseState, PhaseStatus, ResolvedSource, State

_UNWATCHED_AGAIN: Final = timedelta(seconds=300)  # another job may become readable, or go, unseen


def _bind(draft: Draft) -> Situation | None:
    """A job that has started keeps the pipeline that it started with."""
    observed = draft.observed
    name = revision_name(observed.job, observed.children)
    if name is None or not observed.namespace_prepared:
        return None
    revision = observed.revision
    if isinstance(revision, Unreadable):
        return _cancel(draft) or queued(draft, unreadable_revision(revision))
    if revision is None and observed.pipeline is not None:
        made = make_revision(own_pipeline(observed.job, observed.pipeline), observed.settings.images)
        revision = made if made.name == name else None
    if revision is None:
        message = f"The job's pipeline revision {name} was deleted, and its pipeline is another one now."
        return fail(draft, job_error(Reason.PIPELINE_NOT_FOUND, message, "Create the job again."))
    draft.bind(revision)
    return None


def _results(draft: Draft) -> Situation | None:
    """What is done is done: results come before cancelling, suspending and deadlines."""
    if draft.revision is None:
        return None
    apply_outcomes(draft)
    if draft.failure is not None:
        name, failed = draft.failure
        error = JobError(
            phase=name,
            reason=failed.reason,
            message=clip(failed.message),
            retryable=failed.failure_class is not FailureClass.PERMANENT,
            suggestion=clip(_way_out(draft, draft.phases[name], failed)),
            log_key=failed.log_key,
        )
        return fail(draft, error)
    return all_done(draft)


def _way_out(draft: Draft, record: PhaseStatus, failed: Failed) -> str:
    """What to do now that the operator does no more: of failures that another try may mend, how to ask for one."""
    if failed.failure_class is FailureClass.PERMANENT:
        return failed.suggestion
    attempts = f"{record.attempt} attempt{'' if record.attempt == 1 else 's'}"
    retry = f"create a job with retryOf: {draft.observed.job.metadata.name} to try again from this phase on."
    return f"Gave up after {attempts}; {retry} {failed.suggestion}".strip()


def _cancel(draft: Draft) -> Situation | None:
    if not draft.observed.job.spec.cancel:
        return None
    message = "The job was cancelled."
    stop_phases(draft, PhaseState.CANCELLED, Reason.CANCELLED, message)
    draft.emit(Reason.CANCELLED, message)
    return Situation(State.CANCELLED, Reason.CANCELLED, message, admitted=was_admitted(draft))


def _suspend(draft: Draft) -> Situation | None:
    """A suspended job holds no slot, and its clock stands still, as batch/v1 has it."""
    job = draft.observed.job
    if not job.spec.suspend:
        return None
    pause_phases(draft, Reason.SUSPENDED, "The attempt was stopped because the job is suspended.")
    draft.start_time = None
    message = "The job is suspended; set spec.suspend to false to go on."
    if job.status.state is not State.SUSPENDED:
        draft.emit(Reason.SUSPENDED, message, attempt=job.metadata.generation)
    return Situation(State.SUSPENDED, Reason.SUSPENDED, message, admitted=False)


def _drain(draft: Draft) -> Situation | None:
    """The queue takes its jobs back; they hold no slot until it admits them again."""
    observed = draft.observed
    if not observed.admitted.drained or not was_admitted(draft):
        return None
    message = observed.admitted.message
    pause_phases(draft, Reason.HELD, "The attempt was stopped because the queue is drained.")
    draft.start_time = None
    draft.emit(Reason.HELD, message, attempt=sum(record.attempt for record in draft.phases.values()))
    return Situation(State.QUEUED, Reason.HELD, message, admitted=False, waiting_since=draft.now)


def _times(draft: Draft) -> Situation | None:
    """A time that is none was stored before the API server refused such ones; nobody can mend it, a spec stays."""
    if draft.observed.job.spec.start_time != BAD_TIME:
        return None
    message = f"spec.startTime {TIME_MESSAGE}"
    stop_phases(draft, PhaseState.FAILED, Reason.INVALID_SPEC, message)
    return fail(draft, job_error(Reason.INVALID_SPEC, message))


def _fits(draft: Draft) -> Situation | None:
    """A job that cannot run as it is written fails before it waits for anything."""
    pipeline = draft.observed.pipeline
    if draft.revision is not None or not draft.observed.namespace_prepared:
        return None  # in another operator's namespace other libraries may be read, which are not known here
    try:
        check_retried(draft.observed)
        if pipeline is not None:
            check_spec(
                draft.observed.job, pipeline.spec, draft.observed.settings.libraries, draft.observed.settings.gpu
            )
    except (InvalidSpecError, InvalidParameters) as error:
        return fail(draft, job_error(Reason.INVALID_SPEC, str(error)))
    return None


def _source(draft: Draft) -> Situation | None:
    """Jobs that this one names: what the source is made by is found, not there yet, or never to come."""
    match look_up_retried(draft.observed) or look_up_source(draft.observed):
        case ResolvedSource() as found:
            draft.source = draft.source or found  # that of status, in which a phase may just have been confirmed
        case NotYet(unwatched=unwatched) as unresolved:
            draft.unresolved = unresolved
            draft.wake(draft.now + _UNWATCHED_AGAIN if unwatched else None)
        case NeverWill(message):
            return fail(draft, job_error(Reason.SOURCE_JOB_FAILED, message))
    return None


def _reuse(draft: Draft) -> Situation | None:
    """What others have done, or are at, needs no slot. Before a start only the whole of it counts."""
    observed, fresh = draft.observed, draft.revision is None
    if observed.reuse is None or draft.unresolved or not observed.namespace_prepared:
        return None
    if (fresh and observed.pipeline is None) or start_time_ahead(observed, draft.now) is not None:
        return None
    before = draft.mark()
    begin(draft)
    take_finished(draft)
    if draft.asks:  # no plan can be made before the answers are there
        return Situation(State.QUEUED, Reason.WAITING_FOR_SAME_WORK, "", admitted=False)
    if (done := all_done(draft)) is not None:
        return done
    waiting = report_blockers(draft) if only_waits_for_others(draft) else None
    if fresh:
        draft.back_to(before)
        draft.unbind()
    return waiting


def _models(draft: Draft) -> Situation | None:
    """A job that needs a model which nobody brings fails before it starts, unless that work is already done."""
    observed = draft.observed
    if draft.revision is not None or observed.pipeline is None or not observed.namespace_prepared:
        return None
    if observed.settings.models_claim:
        return None  # an administrator may have filled the volume by hand: the runner looks into it
    before = draft.mark()
    begin(draft)
    left = [phase for phase in draft.pipeline.phases if draft.phases[phase.name].state is not PhaseState.SUCCEEDED]
    draft.back_to(before)
    draft.unbind()
    found = no_models_volume(observed.job.spec, left, observed.models)
    return fail(draft, job_error(Reason.MODEL_MISSING, found.message, found.suggestion)) if found else None


def _review(draft: Draft) -> Situation | None:
    """A job that can do nothing without a review or a model waits for it, and not for a slot."""
    if draft.revision is None:
        return None
    if draft.observed.job.status.observed_generation != draft.observed.job.metadata.generation:
        warn_of_ignored_reviews(draft)
    ready = ready_phases(draft.pipeline, draft.phases)
    counted = draft.reviews.counted
    rejected = any(each.name in counted and not counted[each.name].approved for each in ready)
    if not rejected and (not ready or can_go_on(draft.pipeline, facts(draft), draft.now)):
        return None
    return start_or_end(draft) or report_progress(draft)


def _deadline(draft: Draft) -> Situation | None:
    job = draft.observed.job
    deadline = active_deadline(job, draft.pipeline if draft.revision else None, draft.start_time)
    if deadline is None:
        return None
    if draft.now < deadline:
        draft.wake(deadline)
        return None
    message = f"The job was not done by its deadline, {format_time(deadline)}."
    stop_phases(draft, PhaseState.FAILED, Reason.DEADLINE_EXCEEDED, message)
    return fail(draft, job_error(Reason.DEADLINE_EXCEEDED, message))


def _queue_timeout(draft: Draft) -> Situation | None:
    deadline = queue_deadline(draft.observed.job)
    if deadline is None or has_begun(draft.phases.values(), draft.observed.children):
        return None
    if draft.now < deadline:
        draft.wake(deadline)
        return None
    waited = draft.observed.job.status.message
    why = f"It waited because: {waited}" if waited else "The operator had not looked at it."
    message = f"The job had not begun by {format_time(deadline)}. {why}"
    stop_phases(draft, PhaseState.FAILED, Reason.QUEUE_TIMEOUT, message)
    error = job_error(Reason.QUEUE_TIMEOUT, message)
    return fail(draft, updated(error, {"retryable": True}))


def _wait(draft: Draft) -> Situation | None:
    observed = draft.observed
    wait = unprepared(observed)
    if wait is None and draft.revision is None:
        wait = no_pipeline(observed)
    if wait is None:
        wait = unresolved_job(draft.unresolved)
    if wait is None and not was_admitted(draft):
        wait = start_time_ahead(observed, draft.now)
        if wait is None and draft.revision is None:
            wait = no_model(observed, draft.now)
        wait = wait or not_admitted(observed)
    return queued(draft, wait) if wait is not None else None


RULES: Final[tuple[Callable[[Draft], Situation | None], ...]] = (
    _bind,
    _results,
    _cancel,
    _times,
    _suspend,
    _fits,
    _source,
    _deadline,
    _queue_timeout,
    _drain,
    _reuse,
    _models,
    _review,
    _wait,
)
