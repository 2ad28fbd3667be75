"""The operator's whole judgement: what was observed and the time, to what is to be done.

Level-triggered: everything is recomputed from the spec, the Jobs that exist and the facts in status that only grow
(attempts, failures, results). The order of the rules in :func:`_situation` is their precedence.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, Literal

from audiojob_operator.building.names import output_prefix
from audiojob_operator.deciding.attempts.attempt import clip
from audiojob_operator.deciding.draft import Draft
from audiojob_operator.deciding.phases import EndJobError, pause_phases, settle, start_ready, stop_phases
from audiojob_operator.deciding.policies.deadline import active_deadline, has_begun, queue_deadline
from audiojob_operator.deciding.policies.ready import can_go_on, ready_phases
from audiojob_operator.deciding.policies.review import pointless_reviews, review_of
from audiojob_operator.deciding.policies.ttl import expiry, expiry_of
from audiojob_operator.deciding.policies.validity import check_spec
from audiojob_operator.deciding.policies.waiting import (
    Wait,
    no_model,
    no_pipeline,
    not_admitted,
    start_time_ahead,
    unprepared,
    unresolved_job,
)
from audiojob_operator.deciding.reuse.references import (
    NeverWill,
    NotYet,
    check_retried,
    look_up_retried,
    look_up_source,
)
from audiojob_operator.deciding.reused_phases import at_others, begin, only_waits_for_others, take_finished
from audiojob_operator.deciding.revisions import make_revision, own_pipeline, revision_name, revision_object
from audiojob_operator.deciding.status import Situation, conditions_for, holds_slot, is_finished, status_patch
from audiojob_operator.records.invalid import InvalidSpecError
from audiojob_operator.records.model import JobRef, Observed, Plan, Refusal
from audiojob_types import constants as c
from audiojob_types.base import format_time
from audiojob_types.contract import FailureClass
from audiojob_types.parameters import InvalidParameters
from audiojob_types.reasons import EXPLANATIONS, Reason
from audiojob_types.resources.job import AudioJobStatus, JobError, PhaseState, ResolvedSource, State

_SOONEST_SECONDS: Final = 0.1
_UNTOLD_AGAIN: Final = timedelta(seconds=300)  # another job may become readable, or go, without a word
_REFUSED_AGAIN: Final = timedelta(seconds=30)  # a quota or a missing permission is not given back in an instant
# Reasons to wait that only a person can end: told as an event when they appear.
_TOLD: Final = frozenset(
    {Reason.NAMESPACE_NOT_PREPARED, Reason.PIPELINE_NOT_FOUND, Reason.QUEUE_NOT_FOUND, Reason.MODEL_MISSING}
)
# Reasons why a started job holds no place, from the one that ends sooner: its state, and the type of its event.
_PLACELESS: Final[dict[Reason, tuple[State, Literal["Normal", "Warning"]]]] = {
    Reason.MODEL_MISSING: (State.QUEUED, "Warning"),
    Reason.AWAITING_REVIEW: (State.SUSPENDED, "Normal"),
}
# Reasons whose message has numbers of the moment: written when the reason changes, not when the numbers do.
_WITH_NUMBERS: Final = frozenset({Reason.QUEUE_FULL, Reason.WAITING_FOR_GPU, Reason.SITE_BUSY})
# What may hold ready phases back, the soonest to end first.
_HOLDS: Final = (
    Reason.BACKING_OFF,
    Reason.WAITING_FOR_GPU,
    Reason.COOLING_DOWN,
    Reason.SITE_BUSY,
    Reason.WAITING_FOR_SAME_WORK,
    Reason.MODEL_MISSING,
    Reason.AWAITING_REVIEW,
)


def decide(observed: Observed, now: datetime) -> Plan:
    """What to do about one AudioJob. Pure: the same arguments always give the same plan."""
    job = observed.job
    if job.metadata.deletion_timestamp is not None:
        return Plan()  # its Jobs go with it, by their ownerReferences
    if is_finished(job):
        return _decide_finished(observed, now)
    draft = Draft.of(observed, now)
    situation = _situation(draft)
    return Plan(asks=tuple(draft.asks)) if draft.asks else _plan(draft, situation)


def _decide_finished(observed: Observed, now: datetime) -> Plan:
    pipeline = observed.revision.spec if observed.revision else None
    end = expiry(observed.job, pipeline)
    expired = end is not None and now >= end
    return Plan(
        delete_jobs=_leftovers(observed, frozenset()),
        delete_self=expired,
        requeue_after=None if end is None or expired else _seconds(end, now),
        state=observed.job.status.state,
    )


# ---------------------------------------------------------------- the rules, in their order


def _situation(draft: Draft) -> Situation:
    for rule in _RULES:
        situation = rule(draft)
        if situation is not None:
            return situation
    return _working(draft)


def _bind(draft: Draft) -> Situation | None:
    """A job that has started keeps the pipeline that it started with."""
    observed = draft.observed
    name = revision_name(observed.job, observed.children)
    if name is None or not observed.namespace_prepared:
        return None
    revision = observed.revision
    if revision is None and observed.pipeline is not None:
        made = make_revision(own_pipeline(observed.job, observed.pipeline), observed.settings.images)
        revision = made if made.name == name else None
    if revision is None:
        message = f"The job's pipeline revision {name} was deleted, and its pipeline is another one now."
        return _fail(draft, _error(Reason.PIPELINE_NOT_FOUND, message, "Create the job again."))
    draft.bind(revision)
    return None


def _results(draft: Draft) -> Situation | None:
    """What is done is done: results come before cancelling, suspending and deadlines."""
    if draft.revision is None:
        return None
    settle(draft)
    if draft.failure is not None:
        name, failed = draft.failure
        error = JobError(
            phase=name,
            reason=failed.reason,
            message=clip(failed.message),
            retryable=failed.failure_class is not FailureClass.PERMANENT,
            suggestion=clip(failed.suggestion),
            log_key=failed.log_key,
        )
        return _fail(draft, error)
    return _all_done(draft)


def _all_done(draft: Draft) -> Situation | None:
    if any(record.state is not PhaseState.SUCCEEDED for record in draft.phases.values()):
        return None
    count = len(draft.phases)
    message = f"All {count} phases succeeded." if count > 1 else "The phase succeeded."
    draft.tell(Reason.COMPLETED, message)
    return Situation(State.SUCCEEDED, Reason.COMPLETED, message, admitted=True)


def _cancel(draft: Draft) -> Situation | None:
    if not draft.observed.job.spec.cancel:
        return None
    message = "The job was cancelled."
    stop_phases(draft, PhaseState.CANCELLED, Reason.CANCELLED, message)
    draft.tell(Reason.CANCELLED, message)
    return Situation(State.CANCELLED, Reason.CANCELLED, message, admitted=_let_in(draft))


def _suspend(draft: Draft) -> Situation | None:
    """A suspended job holds no place, and its clock stands still, as batch/v1 has it."""
    job = draft.observed.job
    if not job.spec.suspend:
        return None
    pause_phases(draft, Reason.SUSPENDED, "The attempt was stopped because the job is suspended.")
    draft.start_time = None
    message = "The job is suspended; set spec.suspend to false to go on."
    if job.status.state is not State.SUSPENDED:
        draft.tell(Reason.SUSPENDED, message, attempt=job.metadata.generation)
    return Situation(State.SUSPENDED, Reason.SUSPENDED, message, admitted=False)


def _drain(draft: Draft) -> Situation | None:
    """The queue takes its jobs back; they hold no place until it lets them in again."""
    observed = draft.observed
    if not observed.admitted.drained or not _let_in(draft):
        return None
    message = observed.admitted.message
    pause_phases(draft, Reason.HELD, "The attempt was stopped because the queue is drained.")
    draft.start_time = None
    draft.tell(Reason.HELD, message, attempt=sum(record.attempt for record in draft.phases.values()))
    return Situation(State.QUEUED, Reason.HELD, message, admitted=False)


def _fits(draft: Draft) -> Situation | None:
    """A job that cannot run as it is written fails before it waits for anything."""
    pipeline = draft.observed.pipeline
    if draft.revision is not None or not draft.observed.namespace_prepared:
        return None  # in another operator's namespace other libraries may be read, which are not known here
    try:
        check_retried(draft.observed)
        if pipeline is not None:
            check_spec(draft.observed.job, pipeline.spec, draft.observed.settings.libraries)
    except (InvalidSpecError, InvalidParameters) as error:
        return _fail(draft, _error(Reason.INVALID_SPEC, str(error)))
    return None


def _source(draft: Draft) -> Situation | None:
    """Jobs that this one names: what the source is made by is found, not there yet, or never to come."""
    match look_up_retried(draft.observed) or look_up_source(draft.observed):
        case ResolvedSource() as found:
            draft.source = found
        case NotYet(message, untold):
            draft.unresolved = message
            draft.wake(draft.now + _UNTOLD_AGAIN if untold else None)
        case NeverWill(message):
            return _fail(draft, _error(Reason.SOURCE_JOB_FAILED, message))
    return None


def _reuse(draft: Draft) -> Situation | None:
    """What others have done, or are at, needs no place. Before a start only the whole of it counts."""
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
    if (done := _all_done(draft)) is not None:
        return done
    waiting = _held(draft) if only_waits_for_others(draft) else None
    if fresh:
        draft.back_to(before)
        draft.unbind()
    return waiting


def _review(draft: Draft) -> Situation | None:
    """A job that can do nothing without a review or a model waits for it, and not for a place."""
    if draft.revision is None:
        return None
    spec, models = draft.observed.job.spec, draft.observed.models
    unready = models.unready if models else frozenset()
    if draft.observed.job.status.observed_generation != draft.observed.job.metadata.generation:
        _tell_pointless_reviews(draft)
    ready = ready_phases(draft.pipeline, draft.phases)
    rejected = any(review is not None and not review.approved for review in (review_of(spec, each) for each in ready))
    if not rejected and (not ready or can_go_on(spec, draft.pipeline, draft.phases, unready, at_others(draft))):
        return None
    return _start_or_end(draft) or _progress(draft)


def _tell_pointless_reviews(draft: Draft) -> None:
    for review in pointless_reviews(draft.observed.job.spec, draft.pipeline):
        gates = ", ".join(phase.name for phase in draft.pipeline.phases if phase.gate) or "none"
        message = f"The pipeline does not stop before {review.phase}; phases with a gate: {gates}."
        draft.tell(Reason.REVIEW_IGNORED, message, kind="Warning", phase=review.phase)


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
    return _fail(draft, _error(Reason.DEADLINE_EXCEEDED, message))


def _queue_timeout(draft: Draft) -> Situation | None:
    deadline = queue_deadline(draft.observed.job)
    if deadline is None or has_begun(draft.phases.values(), draft.observed.children):
        return None
    if draft.now < deadline:
        draft.wake(deadline)
        return None
    waited = draft.observed.job.status.message or "it was not looked at"
    message = f"The job had not begun by {format_time(deadline)}. It waited because: {waited}"
    stop_phases(draft, PhaseState.FAILED, Reason.QUEUE_TIMEOUT, message)
    error = _error(Reason.QUEUE_TIMEOUT, message)
    return _fail(draft, error.model_copy(update={"retryable": True}))


def _wait(draft: Draft) -> Situation | None:
    observed = draft.observed
    wait = unprepared(observed)
    if wait is None and draft.revision is None:
        wait = no_pipeline(observed)
    if wait is None:
        wait = unresolved_job(draft.unresolved)
    if wait is None and not _let_in(draft):
        wait = start_time_ahead(observed, draft.now)
        if wait is None and draft.revision is None:
            wait = no_model(observed, draft.now)
        wait = wait or not_admitted(observed)
    return _queued(draft, wait) if wait is not None else None


_RULES: Final[tuple[Callable[[Draft], Situation | None], ...]] = (
    _bind,
    _results,
    _cancel,
    _suspend,
    _fits,
    _source,
    _deadline,
    _queue_timeout,
    _drain,
    _reuse,
    _review,
    _wait,
)


def _working(draft: Draft) -> Situation:
    """Start what may start, and say what runs."""
    observed = draft.observed
    if draft.revision is None:
        begin(draft)
        _tell_pointless_reviews(draft)
        if (done := _all_done(draft)) is not None:
            return done
    before = draft.mark()
    if (end := _start_or_end(draft)) is not None:
        return end
    if draft.jobs and observed.refused is not None:
        draft.back_to(before)
        return _refused(draft, observed.refused)
    return _progress(draft)


def _start_or_end(draft: Draft) -> Situation | None:
    """Start what may start; the job's end where a phase brings it, and then nothing has been started."""
    before = draft.mark()
    try:
        start_ready(draft)
    except (InvalidSpecError, InvalidParameters) as error:
        draft.back_to(before)
        return _fail(draft, _error(Reason.INVALID_SPEC, str(error)))
    except EndJobError as error:
        draft.back_to(before)
        return _end(draft, error)
    return None


def _refused(draft: Draft, refusal: Refusal) -> Situation:
    """What is known is recorded, and the Job that was not taken is tried again later, or never."""
    message = f"The API server refuses the next Job: {refusal.message}"
    if refusal.permanent:
        return _fail(draft, _error(Reason.CREATE_REFUSED, message))
    draft.wake(draft.now + _REFUSED_AGAIN)
    if any(record.state is PhaseState.RUNNING for record in draft.phases.values()):
        return _progress(draft)
    if draft.observed.job.status.pipeline_revision is None and all(each.attempt == 0 for each in draft.phases.values()):
        draft.unbind()
    return Situation(State.QUEUED, Reason.CREATE_REFUSED, clip(message), admitted=_let_in(draft))


def _progress(draft: Draft) -> Situation:
    running = [phase for phase in draft.pipeline.phases if draft.phases[phase.name].state is PhaseState.RUNNING]
    records = [draft.phases[phase.name] for phase in running]
    healthy = [phase for phase, record in zip(running, records, strict=True) if record.reason is None]
    if healthy:
        places = " and ".join(draft.place(phase) for phase in healthy)
        message = f"{places[0].upper()}{places[1:]}, {'is' if len(healthy) == 1 else 'are'} running."
        return Situation(State.RUNNING, Reason.RUNNING, message, admitted=True)
    for record in records:
        message = f"Phase {record.name} cannot start: {record.message}"
        return Situation(State.QUEUED, record.reason or Reason.POD_STARTING, clip(message), admitted=True)
    return _held(draft)


def _held(draft: Draft) -> Situation:
    """Nothing runs: say what the soonest of the ready phases waits for."""
    hold = min(draft.holds, key=lambda each: _HOLDS.index(each.reason))
    if hold.reason is Reason.WAITING_FOR_SAME_WORK:
        draft.start_time = None  # as below
        return Situation(State.QUEUED, hold.reason, hold.message, admitted=False)
    if hold.reason in _PLACELESS:
        draft.start_time = None  # people take their time; the job's clock stands still and its place is free
        if not _says(draft, hold.reason):
            draft.tell(hold.reason, hold.message, kind=_PLACELESS[hold.reason][1], phase=hold.phase)
        return Situation(_PLACELESS[hold.reason][0], hold.reason, hold.message, admitted=False)
    state = State.RUNNING if hold.reason is Reason.BACKING_OFF else State.QUEUED
    return Situation(state, hold.reason, _steady(draft, hold.reason, hold.message), admitted=True)


def _steady(draft: Draft, reason: Reason, message: str) -> str:
    """The message to write: numbers that change all the time are not worth a write each."""
    stored = draft.observed.job.status.message
    return stored if stored and reason in _WITH_NUMBERS and _says(draft, reason) else message


def _says(draft: Draft, reason: Reason) -> bool:
    """Whether status tells this reason already."""
    conditions = draft.observed.job.status.conditions
    return any(condition.type == c.CONDITION_PROGRESSING and condition.reason == reason for condition in conditions)


def _queued(draft: Draft, wait: Wait) -> Situation:
    draft.wake(wait.until)
    before = {condition.reason for condition in draft.observed.job.status.conditions}
    if wait.reason in _TOLD and wait.reason not in before:
        draft.tell(wait.reason, wait.message, kind="Warning")
    message = _steady(draft, wait.reason, wait.message)
    return Situation(State.QUEUED, wait.reason, message, admitted=_let_in(draft))


def _end(draft: Draft, error: EndJobError) -> Situation:
    suggestion = EXPLANATIONS[error.reason].suggestion
    return _fail(
        draft, JobError(phase=error.phase, reason=error.reason, message=clip(str(error)), suggestion=suggestion)
    )


def _fail(draft: Draft, error: JobError) -> Situation:
    stop_phases(draft, PhaseState.CANCELLED, Reason.CANCELLED, "Stopped because the job failed.")
    where = f"Phase {error.phase}: " if error.phase else ""
    message = clip(f"{where}{error.message}")
    draft.tell(error.reason, f"{message} {error.suggestion}".strip(), kind="Warning", phase=error.phase or "")
    return Situation(State.FAILED, error.reason, message, admitted=_let_in(draft), error=error)


def _error(reason: Reason, message: str, suggestion: str = "") -> JobError:
    return JobError(reason=reason, message=clip(message), suggestion=suggestion or EXPLANATIONS[reason].suggestion)


def _let_in(draft: Draft) -> bool:
    """Whether admission let the job in before, or a Job of it shows that it did, be it over or not."""
    running = any(record.state is PhaseState.RUNNING for record in draft.phases.values())
    return running or draft.start_time is not None or holds_slot(draft.observed.job)


# ---------------------------------------------------------------- the plan


def _plan(draft: Draft, situation: Situation) -> Plan:
    observed = draft.observed
    job, settled = observed.job, situation.state.finished
    live = frozenset(
        (record.name, record.attempt)
        for record in draft.phases.values()
        if record.state is PhaseState.RUNNING and not settled
    )
    # One that has ended is looked at again when its time to live has passed.
    wakes = [expiry_of(job.spec, draft.revision, draft.now)] if settled else draft.wakes
    create_revision = None
    if draft.revision is not None and draft.revision_is_new:
        create_revision = revision_object(draft.revision, job.metadata.namespace)
    return Plan(
        create_revision=create_revision,
        create_jobs=tuple(draft.jobs),
        events=tuple(draft.events),
        status=status_patch(
            job.metadata.uid,
            observed.raw_status,
            _status(draft, situation),
            draft.percent(done=situation.state is State.SUCCEEDED),
        ),
        delete_jobs=_leftovers(observed, live),
        requeue_after=_seconds(min(wakes), draft.now) if wakes else None,
        state=situation.state,
    )


def _status(draft: Draft, situation: Situation) -> AudioJobStatus:
    job, bound = draft.observed.job, draft.revision
    metadata = job.metadata
    return AudioJobStatus(
        observed_generation=metadata.generation,
        state=situation.state,
        conditions=conditions_for(situation, job.status.conditions, metadata.generation, draft.now),
        start_time=draft.start_time,
        completion_time=draft.now if situation.state.finished else None,
        message=clip(situation.message),
        phase=draft.current_phase or job.status.phase,
        pipeline_revision=bound.name if bound else job.status.pipeline_revision,
        source=draft.source,
        output_prefix=output_prefix(metadata.namespace, metadata.uid) if bound else job.status.output_prefix,
        phases=tuple(draft.phases.values()),
        outputs=tuple(draft.outputs),
        error=situation.error,
    )


def _leftovers(observed: Observed, live: frozenset[tuple[str, int]]) -> tuple[JobRef, ...]:
    """Jobs that run although their attempt is over."""
    return tuple(
        JobRef(name=child.job_name, uid=child.job_uid)
        for child in observed.children
        if not child.finished and not child.deleting and (child.phase, child.attempt) not in live
    )


def _seconds(moment: datetime, now: datetime) -> float:
    return max(_SOONEST_SECONDS, (moment - now).total_seconds())
