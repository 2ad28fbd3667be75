"""Job and Pod status to one :class:`PhaseObservation`: the only place that reads what Kubernetes says of an attempt."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from pydantic import ValidationError

from audiojob_operator.deciding.children.diagnose import condition_of, container_status, diagnose_pod, parse_time
from audiojob_operator.records.changes import clean, clip
from audiojob_operator.records.objects import Object
from audiojob_operator.records.observation import Failed, Outcome, PhaseObservation, PodObservation, Running, Succeeded
from audiojob_operator.records.reuse import donor_from_text
from audiojob_types import constants as c
from audiojob_types.contract import COOL_DOWN_REASONS, EXIT_CODES, Device, FailureClass, PhaseResult, classify_exit_code
from audiojob_types.contract import Outcome as ResultOutcome
from audiojob_types.reasons import EXPLANATIONS, Reason
from audiojob_types.workers.order import WorkerEnd

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Why a node refused a pod that never ran: Kubernetes' words, and all that begin with OutOf (OutOfcpu, OutOfmemory).
_NEVER_RAN: Final = frozenset({"NodeAffinity", "UnexpectedAdmissionError", "NodeShutdown", "Terminated", "NodeLost"})
_SIGNAL_CODES: Final = {137: "killed", 143: "stopped"}
_NO_RESULT_LIMIT: Final = 2  # tried once more, not more often
_REASON: Final = re.compile(r"^[A-Z][A-Za-z0-9]*$")
_MAX_DETAIL: Final = 700
_MAX_LAST_WORDS: Final = 600  # a sentence stands before them
# What the reporter beside a program may end the attempt for.
_WATCHED: Final = frozenset({Reason.STALLED, Reason.SOFT_LIMIT})


def observe_job(job: Object, pods: Sequence[Object]) -> PhaseObservation:
    """What a Job and its pods say. ``pods`` are those whose controller owner is the Job; usually one.

    The Job must carry our labels (audiojobs.dev/phase and /attempt); raises KeyError or ValueError if it does not.
    """
    metadata = job["metadata"]
    labels, annotations = metadata["labels"], metadata.get("annotations") or {}
    pod = _telling_pod(pods)
    outcome = _outcome(job, pod)
    spec = job.get("spec", {})
    end = _job_end(job)
    return PhaseObservation(
        job_name=metadata["name"],
        job_uid=metadata.get("uid", ""),
        phase=labels[c.LABEL_PHASE],
        attempt=int(labels[c.LABEL_ATTEMPT]),
        revision=annotations.get(c.ANNOTATION_REVISION, ""),
        device=Device.GPU if annotations.get(c.ANNOTATION_DEVICE) == Device.GPU else Device.CPU,
        created=parse_time(metadata.get("creationTimestamp")) or _EPOCH,
        outcome=outcome,
        pod=_observe_pod(pod) if pod is not None else None,
        deleting="deletionTimestamp" in metadata,
        suspended=bool(spec.get("suspend")),
        kueue=c.KUEUE_QUEUE_LABEL in (job["metadata"].get("labels") or {}),
        begun=parse_time(job.get("status", {}).get("startTime")),
        gpus=gpus_of(job),
        device_reason=annotations.get(c.ANNOTATION_DEVICE_REASON),
        memory_bytes=_number(annotations.get(c.ANNOTATION_MEMORY)),
        reuse_key=annotations.get(c.ANNOTATION_REUSE_KEY),
        donor=donor_from_text(annotations.get(c.ANNOTATION_DONOR)),
        review_inputs=tuple(filter(None, annotations.get(c.ANNOTATION_REVIEW_INPUTS, "").split(","))),
        early=annotations.get(c.ANNOTATION_EARLY),
        told=pod is not None and is_told(pod),
        told_again=_told_again(pod) if pod is not None else 0,
        read=pod is not None and c.ANNOTATION_EARLY in annotations and _has_read(pod),
        failed_at=failed_at(job),
        finished=end is not None or (bool(pods) and all(_ended(each) for each in pods)),
    )


def is_told(pod: Object) -> bool:
    """Whether a pod that began early has been told its inputs."""
    return bool((pod["metadata"].get("annotations") or {}).get(c.ANNOTATION_INPUTS))


def _told_again(pod: Object) -> int:
    return _number((pod["metadata"].get("annotations") or {}).get(c.ANNOTATION_TOLD_AGAIN)) or 0


def waits_for_inputs(pod: Object) -> bool:
    """Whether a pod began early and was not told its inputs yet."""
    return (pod["metadata"].get("annotations") or {}).get(c.ANNOTATION_INPUTS) == ""


def _has_read(pod: Object) -> bool:
    """Whether a pod says that it has read its inputs. One that was killed says nothing, and may have.

    A runner of an earlier version knows nothing of them: it says what it makes of having none.
    """
    result = _result_of(_terminated(pod))
    return result is None or result.told is True


def failed_at(job: Object) -> datetime | None:
    """When the Job got its condition Failed; None if it has not."""
    end = _job_end(job)
    return parse_time(end.get("lastTransitionTime")) if end is not None and end.get("type") == "Failed" else None


def gpus_of(job: Object) -> int:
    """How many GPUs the Job's pod takes."""
    return _number((job["metadata"].get("annotations") or {}).get(c.ANNOTATION_GPUS)) or 0


def gpu_resource_of(job: Object) -> str:
    """The resource of those GPUs."""
    return (job["metadata"].get("annotations") or {}).get(c.ANNOTATION_GPU_RESOURCE) or c.GPU_RESOURCE


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None


def _telling_pod(pods: Sequence[Object]) -> Object | None:
    """The pod that holds the outcome: one that succeeded, else one that still lives, else the newest."""

    def rank(pod: Object) -> tuple[bool, bool, str, str]:
        metadata = pod["metadata"]
        succeeded = _result_of(_terminated(pod)) is not None and _terminated(pod).get("exitCode") == 0
        return succeeded, not _ended(pod), metadata.get("creationTimestamp", ""), metadata["name"]

    return max(pods, key=rank, default=None)


def _observe_pod(pod: Object) -> PodObservation:
    metadata, status = pod["metadata"], pod.get("status", {})
    return PodObservation(
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        created=parse_time(metadata.get("creationTimestamp")) or _EPOCH,
        node_name=pod.get("spec", {}).get("nodeName"),
        start_time=_idle_since(status),
        scheduled=_scheduled(pod),
        began=parse_time(_terminated(pod).get("startedAt")),
        waiting=diagnose_pod(pod),
        # The API server sets deletionTimestamp to the moment when the grace period ends.
        terminating_until=parse_time(metadata.get("deletionTimestamp")),
    )


def _scheduled(pod: Object) -> datetime | None:
    condition = condition_of(pod, "PodScheduled")
    if condition is None or condition.get("status") != "True":
        return None
    return parse_time(condition.get("lastTransitionTime"))


def _idle_since(status: Object) -> datetime | None:
    """When the pod's node accepted it, or its last container before the one that is to start ended."""
    ends = [each.get("state", {}).get("terminated", {}) for each in status.get("initContainerStatuses") or ()]
    times = [parse_time(status.get("startTime")), *(parse_time(end.get("finishedAt")) for end in ends)]
    return max((time for time in times if time is not None), default=None)


def _ended(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed") or bool(_terminated(pod))


def _terminated(pod: Object) -> Object:
    terminated: Object = container_status(pod).get("state", {}).get("terminated") or {}
    return terminated


def _job_end(job: Object) -> Object | None:
    for kind in ("Complete", "Failed"):
        condition = condition_of(job, kind)
        if condition is not None and condition.get("status") == "True":
            return condition
    return None


# ---------------------------------------------------------------- outcome


def _outcome(job: Object, pod: Object | None) -> Outcome:
    if _taken_back(job, pod):
        return Running()
    if pod is not None:
        # A Job may give up on a pod that its node still winds down; that pod will say why.
        contract = (job["metadata"].get("annotations") or {}).get(c.ANNOTATION_EXIT_CODES) == "Contract"
        return _pod_outcome(pod, contract=contract) if _ended(pod) else _watched_outcome(pod)
    end = _job_end(job)
    return Running() if end is None else _podless_outcome(end)


def _taken_back(job: Object, pod: Object | None) -> bool:
    """Whether Kueue has stopped the Job, so that its pod's end is no failure; the Job makes another one later.

    A Job that Kueue manages says itself when it has failed: pods of earlier admissions may linger beside the new one.
    """
    if c.KUEUE_QUEUE_LABEL not in job["metadata"]["labels"] or _job_end(job) is not None:
        return False
    return pod is None or _terminated(pod).get("exitCode") != 0


def _podless_outcome(end: Object) -> Outcome:
    """The Job has ended and its pod is gone with the result. The next attempt finds published work by its manifest."""
    finished = parse_time(end.get("lastTransitionTime"))
    if end.get("reason") == "PodFailurePolicy":
        return disrupted(Reason.DISRUPTED, end.get("message", ""), finished)
    if end.get("type") == "Complete":
        return disrupted(Reason.CHILD_LOST, "The pod is gone and its result with it.", finished)
    return failed(Reason.POD_LOST, "The pod ended and was removed before its result was read.", finished)


def _watched_outcome(pod: Object) -> Outcome:
    """What the reporter beside a program says of it. It cannot end the program itself; the Job's deletion does."""
    for status in pod.get("status", {}).get("initContainerStatuses") or ():
        if status.get("name") != c.CONTAINER_REPORT:
            continue
        for state in (status.get("state", {}), status.get("lastState", {})):
            terminated = state.get("terminated") or {}
            result = _result_of(terminated)
            if terminated.get("exitCode") and result is not None and result.reason in _WATCHED:
                finished = parse_time(terminated.get("finishedAt"))
                return exit_outcome(int(terminated["exitCode"]), terminated, result, finished)
    return Running()


def _pod_outcome(pod: Object, *, contract: bool) -> Outcome:
    terminated = _terminated(pod)
    is_program = container_status(pod).get("name") == c.CONTAINER_PROGRAM
    # What a program leaves is text for people: it must not pass for a result.
    result = None if is_program else _result_of(terminated)
    finished = parse_time(terminated.get("finishedAt"))
    code = terminated.get("exitCode")
    if code == 0 and (success := _success(result, finished)) is not None:
        return success
    disruption = condition_of(pod, "DisruptionTarget")
    if disruption is not None and disruption.get("status") == "True":
        return disrupted(Reason.DISRUPTED, disruption.get("message") or disruption.get("reason", ""), finished)
    refused = pod_level_failure(pod, finished)
    if refused is not None:
        return refused
    if code is None:
        return failed(Reason.POD_LOST, "The pod ended without saying how.", finished)
    if code == 0:
        return no_result("The process ended with exit code 0 and without a valid result.", finished)
    if is_program and terminated.get("reason") != "OOMKilled" and code not in _SIGNAL_CODES:
        return _program_outcome(int(code), terminated, finished, contract=contract)
    return exit_outcome(int(code), terminated, result, finished)


def reported_outcome(code: int, result: PhaseResult | None, finished: datetime | None = None) -> Outcome:
    """What a worker's report says, which is what a termination message and its exit code say of a phase's own pod."""
    if code == 0:
        return _success(result, finished) or no_result("The worker reported no valid result.", finished)
    return exit_outcome(code, {}, result, finished)


def no_result(message: str, finished: datetime | None = None) -> Failed:
    """The attempt ended, and left nothing that is a result."""
    return replace(failed(Reason.NO_RESULT, message, finished), most=_NO_RESULT_LIMIT)


def _success(result: PhaseResult | None, finished: datetime | None) -> Succeeded | None:
    if result is None or result.outcome is ResultOutcome.FAILED or result.manifest is None:
        return None
    return Succeeded(result, finished)


def pod_level_failure(pod: Object, finished: datetime | None) -> Failed | None:
    """What the pod's own status.reason says: the kubelet ended or refused the pod as a whole."""
    status = pod.get("status", {})
    reason, message = status.get("reason", ""), status.get("message", "")
    if reason == "Evicted":
        return failed(Reason.DISK_FULL, message, finished)
    if reason == "DeadlineExceeded":
        return failed(Reason.DEADLINE_EXCEEDED, "The attempt ran longer than hardLimitSeconds of its phase.", finished)
    if reason in _NEVER_RAN or reason.startswith("OutOf"):
        return disrupted(Reason.DISRUPTED, f"{reason}: {message}", finished)
    return None


def _program_outcome(code: int, terminated: Object, finished: datetime | None, *, contract: bool) -> Failed:
    """The end of an administrator's program. Its code means something only where the pipeline says so."""
    last_words = _tail(terminated.get("message") or terminated.get("reason") or "")
    message = f"The program ended with exit code {code}" + (f": {last_words}" if last_words else ".")
    if not (contract and code in EXIT_CODES):
        return failed(Reason.PROGRAM_FAILED, message, finished)
    failure_class, reason = classify_exit_code(code)
    return replace(failed(reason, message, finished), failure_class=failure_class)


def exit_outcome(code: int, terminated: Object, result: PhaseResult | None, finished: datetime | None) -> Failed:
    if terminated.get("reason") == "OOMKilled":
        message = "The process used more memory than it was given and was killed."
        return replace(failed(Reason.OUT_OF_MEMORY, message, finished), failure_class=FailureClass.MEMORY)
    failure_class, reason = classify_exit_code(code)
    if result is None:
        if code in _SIGNAL_CODES:
            message = f"The process was {_SIGNAL_CODES[code]} (exit code {code})."
            return failed(Reason.STOPPED, message, finished)
        detail = _cut(terminated.get("message") or terminated.get("reason") or "")
        message = f"The process ended with exit code {code}" + (f": {detail}" if detail else ".")
        return replace(failed(reason, message, finished), failure_class=failure_class)
    own = result.reason if _REASON.match(result.reason) else str(reason)
    if own in COOL_DOWN_REASONS:
        failure_class = FailureClass.COOL_DOWN
    return Failed(
        failure_class=failure_class,
        reason=own,
        message=clean(result.message) or f"The process ended with exit code {code}.",
        suggestion=clean(result.suggestion) or _suggestion(own),
        log_key=result.log_key,
        peak_memory_bytes=result.peak_memory_bytes,
        usage=result.usage,
        finished=finished,
        retry_after_seconds=result.retry_after_seconds,
        refused_by=result.refused_by,
    )


def failed(reason: Reason, message: str, finished: datetime | None) -> Failed:
    return Failed(
        failure_class=FailureClass.RETRY,
        reason=reason,
        message=_cut(message) or EXPLANATIONS[reason].meaning,
        suggestion=EXPLANATIONS[reason].suggestion,
        finished=finished,
    )


def disrupted(reason: Reason, message: str, finished: datetime | None) -> Failed:
    return replace(failed(reason, message, finished), disrupted=True)


def _suggestion(reason: str) -> str:
    return EXPLANATIONS[Reason(reason)].suggestion if reason in set(Reason) else ""


def worker_end(serve: Object) -> WorkerEnd | None:
    """The last words of the container ``serve``, as it terminated; None where they are none."""
    try:
        return WorkerEnd.read(serve.get("message") or "")
    except ValidationError:
        return None


def _result_of(terminated: Object) -> PhaseResult | None:
    """The termination message, if it is a result; pods write it, so anything may stand there."""
    message = terminated.get("message", "")
    if not message:
        return None
    try:
        return PhaseResult.read(message)
    except ValidationError:
        return None


def _cut(text: str) -> str:
    return clip(" ".join(text.split()), _MAX_DETAIL)


def _tail(text: str) -> str:
    """The end of a log, where the cause usually stands, as one line that may be printed."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    text = clean(" ".join(printable.split()))  # before it is cut: half a URL is none
    return text if len(text) <= _MAX_LAST_WORDS else f"…{text[1 - _MAX_LAST_WORDS :]}"
