"""Situations that a decision ends in, wherever it ends: waiting, failed, all done."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from audiojob_operator.deciding.draft import Draft
from audiojob_operator.deciding.phases import EndJobError, stop_phases
from audiojob_operator.deciding.policies.waiting import Wait
from audiojob_operator.deciding.status import Situation, holds_slot
from audiojob_operator.records.changes import clip, updated
from audiojob_types import constants as c
from audiojob_types.base import format_time
from audiojob_types.reasons import EXPLANATIONS, Reason
from audiojob_types.resources.job import JobError, PhaseState, State

# Reasons to wait that only a person can end: recorded as an event when they appear.
_TOLD: Final = frozenset(
    {
        Reason.NAMESPACE_NOT_PREPARED,
        Reason.PIPELINE_NOT_FOUND,
        Reason.QUEUE_NOT_FOUND,
        Reason.MODEL_MISSING,
        Reason.REVISION_UNREADABLE,
    }
)
# Reasons to wait for others: an event says so, but not of a wait of a moment.
_WORTH_AN_EVENT: Final = frozenset(
    {Reason.QUEUE_FULL, Reason.HELD, Reason.WAITING_FOR_GPU, Reason.WAITING_FOR_JOB, Reason.SITE_BUSY}
)
_EVENT_AFTER: Final = timedelta(seconds=60)
_MISSING_TIMEOUT: Final = timedelta(days=1)
# Reasons whose message has numbers of the moment: written when the reason changes, not when the numbers do.
_WITH_NUMBERS: Final = frozenset(
    {Reason.QUEUE_FULL, Reason.WAITING_FOR_GPU, Reason.WAITING_FOR_WORKER, Reason.SITE_BUSY}
)


def all_done(draft: Draft) -> Situation | None:
    """The job's success, once every phase has succeeded."""
    if any(record.state is not PhaseState.SUCCEEDED for record in draft.phases.values()):
        return None
    count = len(draft.phases)
    message = f"All {count} phases succeeded." if count > 1 else "The phase succeeded."
    draft.emit(Reason.COMPLETED, message)
    return Situation(State.SUCCEEDED, Reason.COMPLETED, message, admitted=True)


def fail(draft: Draft, error: JobError) -> Situation:
    """The job's failure; attempts that still run are stopped."""
    stop_phases(draft, PhaseState.CANCELLED, Reason.CANCELLED, "Stopped because the job failed.")
    where = f"Phase {error.phase}: " if error.phase else ""
    message = clip(f"{where}{error.message}")
    draft.emit(error.reason, f"{message} {error.suggestion}".strip(), kind="Warning", phase=error.phase or "")
    return Situation(State.FAILED, error.reason, message, admitted=was_admitted(draft), error=error)


def end_job(draft: Draft, error: EndJobError) -> Situation:
    """The failure that a phase brings before it starts, such as a rejected review."""
    suggestion = EXPLANATIONS[error.reason].suggestion
    return fail(
        draft, JobError(phase=error.phase, reason=error.reason, message=clip(str(error)), suggestion=suggestion)
    )


def job_error(reason: Reason, message: str, suggestion: str = "") -> JobError:
    """An error of the job as a whole, with the reason's own suggestion unless there is a better one."""
    return JobError(reason=reason, message=clip(message), suggestion=suggestion or EXPLANATIONS[reason].suggestion)


def queued(draft: Draft, wait: Wait) -> Situation:
    """The job waits; an event says so at once where only a person can help, else when it has waited for a while.

    What does not exist is waited for as long as spec.queueTimeoutSeconds says, or for a day.
    """
    since = waiting_since(draft, wait.reason)
    if wait.missing and draft.observed.job.spec.queue_timeout_seconds is None:
        if draft.now >= since + _MISSING_TIMEOUT:
            return _give_up(draft, wait, since)
        draft.wake(since + _MISSING_TIMEOUT)
    draft.wake(wait.until)
    before = {condition.reason for condition in draft.observed.job.status.conditions}
    if wait.reason in _TOLD and wait.reason not in before:
        draft.emit(wait.reason, wait.message, kind="Warning")
    message = steady(draft, wait.reason, wait.message)
    if wait.reason in _WORTH_AN_EVENT:
        if draft.now >= since + _EVENT_AFTER:
            draft.emit(wait.reason, f"Waiting since {format_time(since)}: {message}")
        else:
            draft.wake(since + _EVENT_AFTER)
    return Situation(
        State.QUEUED,
        wait.reason,
        message,
        admitted=was_admitted(draft),
        waiting_for=wait.other,
        waiting_since=since,
    )


def waiting_since(draft: Draft, reason: Reason) -> datetime:
    """When the job began to wait for this reason."""
    stored = draft.observed.job.status.wait_start_time
    return stored if stored is not None and status_says(draft, reason) else draft.now


def _give_up(draft: Draft, wait: Wait, since: datetime) -> Situation:
    message = f"The job has waited since {format_time(since)} for what does not exist: {wait.message}"
    error = job_error(Reason.QUEUE_TIMEOUT, message)
    return fail(draft, updated(error, {"retryable": True}))


def steady(draft: Draft, reason: Reason, message: str) -> str:
    """The message to write: numbers that change all the time are not worth a write each."""
    stored = draft.observed.job.status.message
    return stored if stored and reason in _WITH_NUMBERS and status_says(draft, reason) else message


def status_says(draft: Draft, reason: Reason) -> bool:
    """Whether status shows this reason already."""
    conditions = draft.observed.job.status.conditions
    return any(condition.type == c.CONDITION_PROGRESSING and condition.reason == reason for condition in conditions)


def was_admitted(draft: Draft) -> bool:
    """Whether admission let the job in before, or a Job of it shows that it did, be it over or not."""
    running = any(record.state is PhaseState.RUNNING or record.told_ahead for record in draft.phases.values())
    return running or draft.start_time is not None or holds_slot(draft.observed.job)
