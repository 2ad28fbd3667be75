"""A job that may run: start what may start, and say what runs or what is waited for."""

from __future__ import annotations

from datetime import timedelta
from typing import Final, Literal

from audiojob_operator.deciding.draft import Draft
from audiojob_operator.deciding.outcome import all_done, end_job, fail, job_error, status_says, steady, waiting_since
from audiojob_operator.deciding.overlap.early import look_ahead
from audiojob_operator.deciding.phases import EndJobError, start_ready
from audiojob_operator.deciding.policies.review import ignored_reviews
from audiojob_operator.deciding.reused_phases import begin
from audiojob_operator.deciding.status import Situation
from audiojob_operator.records.admission import Rest
from audiojob_operator.records.changes import clip
from audiojob_operator.records.invalid import InvalidSpecError
from audiojob_operator.records.observed import Refusal
from audiojob_types.parameters import InvalidParameters
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import PhaseState, State

_REFUSED_AGAIN: Final = timedelta(seconds=30)  # a quota or a missing permission is not given back in an instant
# Reasons why a started job holds no slot: its state, and the type of its event if there is one.
_WITHOUT_SLOT: Final[dict[Reason, tuple[State, Literal["Normal", "Warning"] | None]]] = {
    Reason.WAITING_FOR_SAME_WORK: (State.QUEUED, None),
    Reason.MODEL_MISSING: (State.QUEUED, "Warning"),
    Reason.AWAITING_REVIEW: (State.SUSPENDED, "Normal"),
}
# What may block ready phases, the soonest to end first.
_SOONEST_FIRST: Final = (
    Reason.STARTED_EARLY,
    Reason.BACKING_OFF,
    Reason.TOLD_TO_WORKER,
    Reason.WAITING_FOR_WORKER,
    Reason.WAITING_FOR_GPU,
    Reason.COOLING_DOWN,
    Reason.SITE_BUSY,
    Reason.WAITING_FOR_SAME_WORK,
    Reason.MODEL_MISSING,
    Reason.AWAITING_REVIEW,
)


def start_and_report(draft: Draft) -> Situation:
    """Start what may start, and say what runs."""
    observed = draft.observed
    if draft.revision is None:
        begin(draft)
        warn_of_ignored_reviews(draft)
        if (done := all_done(draft)) is not None:
            return done
    before = draft.mark()
    if (end := start_or_end(draft)) is not None:
        return end
    if observed.refused is not None and (draft.jobs or observed.refused.of_revision):
        draft.back_to(before)
        return _refused(draft, observed.refused)
    look_ahead(draft)
    return report_progress(draft)


def start_or_end(draft: Draft) -> Situation | None:
    """Start what may start; the job's end where a phase brings it, and then nothing has been started."""
    before = draft.mark()
    try:
        start_ready(draft)
    except (InvalidSpecError, InvalidParameters) as error:
        draft.back_to(before)
        return fail(draft, job_error(Reason.INVALID_SPEC, str(error)))
    except EndJobError as error:
        draft.back_to(before)
        return end_job(draft, error)
    return None


def _refused(draft: Draft, refusal: Refusal) -> Situation:
    """What is known is recorded, and the Job that was not taken is tried again later, or never."""
    what = "its pipeline's revision" if refusal.of_revision else "the next Job"
    message = f"The API server refuses {what}: {refusal.message}"
    fresh = draft.observed.job.status.pipeline_revision is None
    fresh = fresh and all(each.attempt == 0 for each in draft.phases.values())
    if fresh and (refusal.of_revision or not refusal.permanent):
        draft.unbind()
    if refusal.permanent:
        return fail(draft, job_error(Reason.CREATE_REFUSED, message))
    until = draft.now + _REFUSED_AGAIN
    draft.wake(until)
    draft.rest = Rest(draft.uid, until, clip(message))
    if any(record.state is PhaseState.RUNNING or record.told_ahead for record in draft.phases.values()):
        return report_progress(draft)
    draft.start_time = None  # others can use the slot, and the job's clock stands still
    since = waiting_since(draft, Reason.CREATE_REFUSED)
    return Situation(State.QUEUED, Reason.CREATE_REFUSED, draft.rest.message, admitted=False, waiting_since=since)


def report_progress(draft: Draft) -> Situation:
    """Say what runs, what cannot start, or what is waited for."""
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
    return report_blockers(draft)


def report_blockers(draft: Draft) -> Situation:
    """Nothing runs: say what the soonest of the ready phases waits for."""
    found = min(draft.blockers, key=lambda each: _SOONEST_FIRST.index(each.reason))
    if found.needs_slot:
        state = State.RUNNING if found.reason is Reason.BACKING_OFF else State.QUEUED
        return Situation(state, found.reason, steady(draft, found.reason, found.message), admitted=True)
    draft.start_time = None  # people and other jobs take their time; the job's clock stands still and its slot is free
    state, kind = _WITHOUT_SLOT[found.reason]
    if kind is not None and not status_says(draft, found.reason):
        draft.emit(found.reason, found.message, kind=kind, phase=found.phase)
    return Situation(state, found.reason, found.message, admitted=False, waiting_for=found.other)


def warn_of_ignored_reviews(draft: Draft) -> None:
    """Reviews of phases that have no gate, and inputs that nobody reads, are likely a mistake."""
    spec = draft.observed.job.spec
    for place, phase, message in ignored_reviews(spec, draft.pipeline, draft.reviews, draft.phases):
        draft.emit(Reason.REVIEW_IGNORED, message, kind="Warning", phase=phase, attempt=place)
