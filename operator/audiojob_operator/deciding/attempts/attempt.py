"""What the end of an attempt makes of its phase."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from audiojob_operator.deciding.attempts.cooldown import next_try
from audiojob_operator.deciding.attempts.device import may_fall_back
from audiojob_operator.deciding.attempts.memory import base_request, grown_request
from audiojob_operator.deciding.attempts.retry import MAX_DISRUPTIONS, gives_up, next_attempt_time
from audiojob_operator.records.changes import clip, updated
from audiojob_operator.records.observation import Failed, PhaseObservation, Succeeded
from audiojob_operator.records.settings import MAX_COOL_DOWN_SECONDS
from audiojob_types.contract import Device, FailureClass, ManifestRef
from audiojob_types.outside.question import question
from audiojob_types.reasons import EXPLANATIONS, Reason
from audiojob_types.resources.job import CoolDown, PhaseState, PhaseStatus, Retry
from audiojob_types.resources.podtemplate import Resources


@dataclass(frozen=True, slots=True)
class AttemptPolicy:
    """The rules that hold for one phase of one job. ``wish`` is the effective device: Auto, GPU or CPU."""

    uid: str
    wish: str
    retry: Retry
    resources: Resources
    max_cool_down_seconds: int = MAX_COOL_DOWN_SECONDS


def next_attempt(record: PhaseStatus) -> int:
    """The number of the phase's next attempt: one that began early has taken its own, whatever became of it."""
    return max(record.attempt, record.early_attempt or 0) + 1


def adopted(record: PhaseStatus, child: PhaseObservation, expires: datetime | None = None) -> PhaseStatus:
    """The phase with an attempt whose Job exists but was never recorded: the operator ended between the two writes."""
    begun = Start(
        attempt=child.attempt,
        job_name=child.job_name,
        device=child.device,
        device_reason=child.device_reason,
        memory_bytes=child.memory_bytes,
        by_kueue=child.suspended,
        reuse_key=child.reuse_key,
        expires=expires,
        review_inputs=child.review_inputs,
    )
    return started(record, begun, child.created)


@dataclass(frozen=True, slots=True)
class Start:
    """An attempt that begins. ``by_kueue``: Kueue decides when. ``expires``: its results may be swept then."""

    attempt: int
    job_name: str
    device: Device
    device_reason: str | None
    memory_bytes: int | None
    by_kueue: bool = False
    reuse_key: str | None = None
    expires: datetime | None = None
    review_inputs: tuple[str, ...] = ()
    pod_uid: str | None = None  # of the worker that is given the attempt


def started(record: PhaseStatus, begun: Start, at: datetime) -> PhaseStatus:
    """The phase with a new attempt. Its startTime stays that of the first one."""
    waiting = EXPLANATIONS[Reason.WAITING_FOR_KUEUE].meaning if begun.by_kueue else None
    return updated(
        record,
        {
            "state": PhaseState.RUNNING,
            "attempt": begun.attempt,
            "job_name": begun.job_name,
            "pod_uid": begun.pod_uid,
            "bound_time": at if begun.pod_uid is not None else None,
            "worker_wait_start_time": None,
            "gpu_wait_start_time": record.gpu_wait_start_time if begun.pod_uid is None else None,
            "device": begun.device,
            "device_reason": begun.device_reason,
            "memory_request_bytes": begun.memory_bytes,
            "reuse_key": begun.reuse_key,
            "expires_time": begun.expires,
            "start_time": record.start_time or at,
            "review_start_time": None,
            "review_inputs": begun.review_inputs or None,
            "next_attempt_time": None,
            "cool_down": None,
            "kueue_start_time": None,
            "node_name": None,
            "log_key": None,
            "reason": Reason.WAITING_FOR_KUEUE if begun.by_kueue else None,
            "message": waiting,
        },
    )


def never_told(record: PhaseStatus) -> PhaseStatus:
    """The phase after an attempt that began early and was not told its inputs: nothing of it counts."""
    return updated(record, {"state": PhaseState.WAITING, "reason": None, "message": None, "node_name": None})


def after_success(record: PhaseStatus, success: Succeeded, child: PhaseObservation, now: datetime) -> PhaseStatus:
    """The phase, done."""
    return updated(
        record,
        {
            "state": PhaseState.SUCCEEDED,
            "completion_time": success.finished or now,
            "manifest": success.result.manifest,
            "output_prefix": folder_of(success.result.manifest),
            "log_key": success.result.log_key,
            "review_asked": question(asked) if (asked := success.result.review_asked) is not None else None,
            "memory_bytes": success.result.peak_memory_bytes,
            "node_name": _node(child),
            "reason": None,
            "message": clip(success.result.message) or None,
        },
    )


def after_failure(
    record: PhaseStatus, failed: Failed, policy: AttemptPolicy, child: PhaseObservation | None, now: datetime
) -> PhaseStatus:
    """The phase after a failed attempt: Waiting for the next one, or Failed for good."""
    update: dict[str, object] = {
        "state": PhaseState.WAITING,
        "reason": failed.reason,
        "message": clip(failed.message),
        "node_name": _node(child) or record.node_name,
        "log_key": failed.log_key,
        "memory_bytes": failed.peak_memory_bytes or record.memory_bytes,
        "cool_down": None,
        "gpu_wait_start_time": None,
    }
    final = False
    if failed.failure_class is FailureClass.PERMANENT:
        final = True
    elif failed.disrupted:
        update["disruptions"] = record.disruptions + 1
        final = record.disruptions + 1 > MAX_DISRUPTIONS
    elif failed.failure_class is FailureClass.DEVICE and may_fall_back(policy.wish, record.device or Device.CPU):
        expired = failed.reason == Reason.GPU_WAIT_EXPIRED
        reason = Reason.GPU_WAIT_EXPIRED if expired else Reason.GPU_FAILED_BEFORE
        update |= {"device": Device.CPU, "device_reason": reason}
    elif failed.failure_class is FailureClass.MEMORY and (more := _more_memory(record, policy)) is not None:
        update["memory_request_bytes"] = more
    elif failed.failure_class is FailureClass.COOL_DOWN:
        times = record.disruptions + 1
        final = times > MAX_DISRUPTIONS
        update["disruptions"] = times
        update |= _cool_down(failed, times, policy, now) if not final else {"next_attempt_time": None}
    else:
        failures = record.failures + 1
        update["failures"] = failures
        final = gives_up(policy.retry, failures, failed.most)
        seed = f"{policy.uid}/{record.name}/{record.attempt}"
        update["next_attempt_time"] = None if final else next_attempt_time(policy.retry, failures, seed, now)
    if final:
        update |= {"state": PhaseState.FAILED, "completion_time": failed.finished or now}
    return updated(record, update)


def _cool_down(failed: Failed, times: int, policy: AttemptPolicy, now: datetime) -> dict[str, object]:
    until = next_try(times, failed.retry_after_seconds, policy.max_cool_down_seconds, now)
    refused = CoolDown(host=failed.refused_by, time=now) if failed.refused_by else None
    return {"next_attempt_time": until, "cool_down": refused}


def folder_of(manifest: ManifestRef | None) -> str | None:
    """The folder of the store that holds the manifest and the files that it lists."""
    return manifest.key.rpartition("/")[0] or None if manifest is not None else None


def _more_memory(record: PhaseStatus, policy: AttemptPolicy) -> int | None:
    return grown_request(policy.resources, record.memory_request_bytes or base_request(policy.resources, ()))


def _node(child: PhaseObservation | None) -> str | None:
    return child.pod.node_name if child is not None and child.pod is not None else None
