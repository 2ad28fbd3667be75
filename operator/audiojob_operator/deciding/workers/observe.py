"""A phase that a worker has, as its AudioJob's status and the worker's pod show it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from pydantic import ValidationError

from audiojob_operator.building.telling import read_order
from audiojob_operator.deciding.children.diagnose import condition_of, parse_time
from audiojob_operator.deciding.children.observe import (
    disrupted,
    failed,
    no_result,
    pod_level_failure,
    reported_outcome,
    worker_end,
)
from audiojob_operator.records.objects import Object
from audiojob_operator.records.observation import Failed, Outcome, PhaseObservation, PodObservation, Running
from audiojob_types import constants as c
from audiojob_types.contract import Device, ExitCode, FailureClass
from audiojob_types.progress import PhaseProgressReport
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import AudioJob, PhaseStatus
from audiojob_types.workers.order import ReportedEnd
from audiojob_types.workers.pod import CONTAINER_SERVE, CONTAINER_WORK

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_KILLED: Final = 137


@dataclass(frozen=True, slots=True)
class _Attempt:
    """The attempt, what was reported of it, and what the worker's pod was told."""

    uid: str
    record: PhaseStatus
    report: PhaseProgressReport | None

    @property
    def taken_up(self) -> bool:
        return self.report is not None and self.report.begun is True


def observe_bound(job: AudioJob, record: PhaseStatus, pod: Object | None) -> PhaseObservation:
    """What a phase's worker says of it. ``pod`` is that of the phase's ``podUID``; None if it is gone."""
    report = job.status.progress.get(record.name)
    current = report if report is not None and report.attempt == record.attempt else None
    attempt = _Attempt(job.metadata.uid, record, current)
    order = read_order((pod["metadata"].get("annotations") or {}).get(c.ANNOTATION_WORK, "")) if pod else None
    told = order is not None and any(
        (each.uid, each.phase, each.attempt) == (attempt.uid, record.name, record.attempt) for each in order.told
    )
    outcome = _reported(attempt) or _seen(attempt, pod, told=told, readable=order is not None)
    bound = record.bound_time or _EPOCH
    return PhaseObservation(
        job_name=record.job_name or "",
        job_uid="",  # nobody deletes it for the phase
        phase=record.name,
        attempt=record.attempt,
        revision="",
        device=record.device or Device.CPU,
        created=bound,
        outcome=outcome,
        pod=_observe_pod(pod, bound) if pod is not None else None,
        memory_bytes=record.memory_request_bytes,
        worker=True,
        told=told,
        taken_up=attempt.taken_up,
        finished=pod is None or _has_ended(pod),
    )


def _observe_pod(pod: Object, bound: datetime) -> PodObservation:
    """The pod is older than the attempt, which took nothing of it before."""
    metadata = pod["metadata"]
    return PodObservation(
        name=metadata["name"],
        uid=metadata["uid"],
        created=bound,
        node_name=pod.get("spec", {}).get("nodeName"),
        start_time=bound,
        terminating_until=parse_time(metadata.get("deletionTimestamp")),
    )


def _reported(attempt: _Attempt) -> Outcome | None:
    """What stands in the status. That of an earlier attempt, which nobody has taken away, says nothing."""
    if attempt.report is None or attempt.report.result is None:
        return None
    try:
        end = ReportedEnd.read(attempt.report.result)
    except ValidationError:
        return no_result("The worker's report of the attempt's end cannot be read.")
    return _outcome_of(attempt, end, None) if end.attempt == attempt.record.attempt else None


def _outcome_of(attempt: _Attempt, end: ReportedEnd, finished: datetime | None) -> Outcome:
    outcome = reported_outcome(end.exit_code, end.result, finished)
    if not isinstance(outcome, Failed):
        return outcome
    if not attempt.taken_up:
        return disrupted(Reason.CHILD_LOST, f"The worker did not begin the attempt: {outcome.message}", finished)
    if end.exit_code == ExitCode.STOPPED:  # with its pool, its node, or by a person: nothing is wrong with the phase
        return disrupted(Reason.CHILD_LOST, f"The worker was stopped: {outcome.message}", finished)
    if outcome.reason == Reason.OUT_OF_MEMORY:
        return replace(outcome, failure_class=FailureClass.MEMORY)
    return outcome


def _seen(attempt: _Attempt, pod: Object | None, *, told: bool, readable: bool) -> Outcome:
    """What the pod says of an attempt whose end was not reported."""
    if pod is None:
        return disrupted(Reason.CHILD_LOST, "The worker that had the attempt is gone.", None)
    if (end := _end_of(attempt, pod)) is not None:
        return end
    if not readable:
        return disrupted(Reason.CHILD_LOST, f"The annotation {c.ANNOTATION_WORK} of the worker is no order.", None)
    if attempt.taken_up and not told:
        return disrupted(Reason.CHILD_LOST, "The worker was told something else while it had the attempt.", None)
    return Running()


def _end_of(attempt: _Attempt, pod: Object) -> Outcome | None:
    """How the worker itself ended; None while it works."""
    serve, work = _terminated(pod, CONTAINER_SERVE), _terminated(pod, CONTAINER_WORK)
    if not _has_ended(pod):
        return None
    finished = parse_time((serve or {}).get("finishedAt"))
    if (left := _left(attempt, serve or {})) is not None:
        return _outcome_of(attempt, left, finished)
    disruption = condition_of(pod, "DisruptionTarget")
    if disruption is not None and disruption.get("status") == "True":
        return disrupted(Reason.DISRUPTED, disruption.get("message") or disruption.get("reason", ""), finished)
    if attempt.taken_up:
        if (refused := pod_level_failure(pod, finished)) is not None:
            return refused
        if serve is not None and serve.get("exitCode") == ExitCode.TEMPORARY and work is not None:
            return _end_of_work(work, _words_of(serve), finished)
    return disrupted(Reason.CHILD_LOST, f"The worker ended: {_words_of(serve or {})}", finished)


def _has_ended(pod: Object) -> bool:
    """It ends when its container ``serve`` does."""
    final = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
    return final or _terminated(pod, CONTAINER_SERVE) is not None


def _end_of_work(work: Object, words: str, finished: datetime | None) -> Failed:
    """The container that did the phase has ended under it."""
    # With exit code 0 only a process of an earlier phase was killed.
    if work.get("exitCode") and (work.get("reason") == "OOMKilled" or work.get("exitCode") == _KILLED):
        message = "The worker used more memory than it was given and was killed."
        return replace(failed(Reason.OUT_OF_MEMORY, message, finished), failure_class=FailureClass.MEMORY)
    return failed(Reason.TEMPORARY_FAILURE, f"The worker ended under the attempt: {words}", finished)


def _left(attempt: _Attempt, serve: Object) -> ReportedEnd | None:
    """The end of the attempt, where the worker could not report it."""
    end = worker_end(serve)
    wanted = (attempt.uid, attempt.record.name, attempt.record.attempt)
    unreported = end.unreported if end is not None else ()
    return next((each for each in unreported if (each.uid, each.phase, each.attempt) == wanted), None)


def _words_of(serve: Object) -> str:
    end = worker_end(serve)
    if end is not None and end.message:
        return end.message
    return str(serve.get("reason") or f"exit code {serve.get('exitCode', 'unknown')}")


def _terminated(pod: Object, container: str) -> Object | None:
    for status in pod.get("status", {}).get("containerStatuses") or ():
        if status.get("name") == container:
            found: Object | None = (status.get("state") or {}).get("terminated")
            return found
    return None
