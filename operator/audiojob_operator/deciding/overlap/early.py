"""Pods that began early: one begins, stays or goes; is taken for the attempt that it was meant for, and told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from math import ceil
from typing import Final

from audiojob_operator.building.job import build_job, mounts_digest
from audiojob_operator.building.phase_input import phase_file
from audiojob_operator.deciding.attempts.attempt import Start, next_attempt, started
from audiojob_operator.deciding.attempts.memory import base_request
from audiojob_operator.deciding.draft import Draft
from audiojob_operator.deciding.overlap.candidate import (
    chosen_device,
    eta_seconds,
    is_at_work,
    is_due,
    is_suited,
    plain_successor,
)
from audiojob_operator.deciding.overlap.requests import Begun, attempt_request, early_request
from audiojob_operator.records.changes import updated
from audiojob_operator.records.invalid import InvalidSpecError
from audiojob_operator.records.observation import PhaseObservation, Running
from audiojob_operator.records.plan import Telling, TellingAgain
from audiojob_types.constants import TOLD_AGAIN_SECONDS
from audiojob_types.contract import MAX_PHASE_INPUT_BYTES
from audiojob_types.parameters import InvalidParameters
from audiojob_types.reasons import EXPLANATIONS, Reason
from audiojob_types.resources.job import MAX_ATTEMPTS, PhaseState, PhaseStatus
from audiojob_types.resources.pipeline import Phase

_PLACED_WITHIN: Final = timedelta(seconds=5)  # else there is no room, or a quota leaves none
_LOOK_AGAIN: Final = timedelta(seconds=5)  # somebody may wait by now for what it holds
_SLACK_BYTES: Final = 8 * 1024  # a pod's annotations together may have 256 KiB; of those of others nothing is known
_MOST_BYTES: Final = 256 * 1024 - _SLACK_BYTES - MAX_PHASE_INPUT_BYTES


def live_early(draft: Draft, phase: str) -> PhaseObservation | None:
    """The Job of the phase that began early and waits to be told its inputs."""
    record = draft.phases[phase]
    if record.early_attempt is None or record.early_attempt <= record.attempt:
        return None
    child = draft.child(phase, record.early_attempt)
    if child is None or not child.early or child.deleting or child.finished:
        return None
    return child if isinstance(child.outcome, Running) else None


def noted(draft: Draft, record: PhaseStatus) -> PhaseStatus:
    """The phase with its early attempt, if the status write that names it was lost; not called StartedEarly yet."""
    early = [child.attempt for child in draft.observed.children if child.phase == record.name and child.early]
    latest = max(early, default=0)
    if latest > max(record.attempt, record.early_attempt or 0):
        record = updated(record, {"early_attempt": latest})
    if record.reason == Reason.STARTED_EARLY:
        record = updated(record, {"reason": None, "message": None})
    return record


def look_ahead(draft: Draft) -> None:
    """While a phase works, let the pod of the next one begin, or leave it; what is not left here goes with the plan."""
    found = plain_successor(draft) if draft.observed.may_begin_early else None
    if found is None:
        return
    phase, before = found
    if (child := live_early(draft, phase.name)) is not None:
        if _may_stay(draft, child, before):
            _stays(draft, phase, child.attempt)
    elif is_at_work(before) and is_suited(draft, phase, before) and is_due(draft, phase, before):
        _begin(draft, phase, before)


def _may_stay(draft: Draft, child: PhaseObservation, before: PhaseObservation) -> bool:
    """Whether the pod has found room, and the phase before will not keep it waiting in vain."""
    eta = eta_seconds(draft, before)
    if eta is not None and eta > draft.observed.settings.overlap.max_hold_seconds:
        return False
    pod = child.pod
    if pod is not None and pod.terminating_until is not None:
        return False
    if pod is None or pod.node_name is None:
        end = (pod.created if pod is not None else child.created) + _PLACED_WITHIN
        draft.wake(end)
        return draft.now < end
    return True


def _stays(draft: Draft, phase: Phase, attempt: int) -> None:
    draft.kept.add((phase.name, attempt))
    draft.wake(draft.now + _LOOK_AGAIN)
    told = {"reason": Reason.STARTED_EARLY, "message": EXPLANATIONS[Reason.STARTED_EARLY].meaning}
    draft.phases[phase.name] = updated(draft.phases[phase.name], told)


def _begin(draft: Draft, phase: Phase, before: PhaseObservation) -> None:
    """Its Job, unless it cannot be built: that is said when its turn comes."""
    record = draft.phases[phase.name]
    use = chosen_device(draft, phase, draft.gpus_left) if draft.gpus_left is not None else None
    attempt = next_attempt(record)
    if use is None or attempt > MAX_ATTEMPTS:
        return
    begun = Begun(attempt, use.device, use.reason, base_request(phase.resources, ()))
    until = draft.now + timedelta(seconds=draft.observed.settings.overlap.max_hold_seconds)
    try:
        request = early_request(draft, phase, begun, before.phase, until)
        if len(phase_file(request).encode()) > _MOST_BYTES:
            return
        draft.early_job = build_job(request)
    except (InvalidSpecError, InvalidParameters):
        return
    draft.phases[phase.name] = updated(record, {"early_attempt": attempt})
    _stays(draft, phase, attempt)


# ---------------------------------------------------------------- its turn


def take_early(draft: Draft, phase: Phase, child: PhaseObservation) -> PhaseStatus | None:
    """The phase at work in the pod that began early, which is told its inputs; None where another must begin.

    Raises ``InvalidParameters`` or ``InvalidSpecError`` for what cannot be built.
    """
    record = draft.phases[phase.name]
    request = attempt_request(draft, phase, _begun(child))
    if request.donor is not None or mounts_digest(request) != child.early or draft.observed.may_begin_early is None:
        return None
    begun = Start(
        attempt=child.attempt,
        job_name=child.job_name,
        device=child.device,
        device_reason=child.device_reason,
        memory_bytes=child.memory_bytes,
        reuse_key=request.reuse_key,
        expires=request.expires,
        review_inputs=request.review_inputs,
    )
    draft.start_time = draft.start_time or draft.now
    tell(draft, phase, child)
    return started(record, begun, draft.now)


def tell_untold(draft: Draft) -> None:
    """Phases that are at work by their status, and whose pod was not told: the operator ended between the two."""
    for phase, _, child in _at_work(draft):
        if not child.told:
            tell(draft, phase, child)


def tell(draft: Draft, phase: Phase, child: PhaseObservation) -> None:
    """Tell the pod its inputs, once there is one: its Job may be younger than it."""
    pod = child.pod
    if pod is None or not isinstance(child.outcome, Running) or child.deleting:
        return
    request = attempt_request(draft, phase, _begun(child))
    limit = request.limit_seconds
    if limit is not None and pod.start_time is not None:
        limit += max(0, ceil((draft.now - pod.start_time).total_seconds()))
    draft.tellings.append(Telling(pod.name, pod.uid, phase_file(request), limit))


def tell_again(draft: Draft) -> None:
    """Pods that were told their inputs and report nothing.

    The kubelet may lose a change of an annotation that comes while it renews the mounted file for an earlier one. It
    then finds it in its next look at the pod, after 60 to 90 s, or as soon as something else of the pod changes.
    """
    for phase, record, child in _at_work(draft):
        report = draft.observed.job.status.progress.get(phase.name)
        silent = report is None or report.attempt != record.attempt
        if not (child.told and silent) or not isinstance(child.outcome, Running) or child.deleting or child.pod is None:
            continue
        if record.start_time is None or child.told_again >= len(TOLD_AGAIN_SECONDS):
            continue
        due = record.start_time + timedelta(seconds=TOLD_AGAIN_SECONDS[child.told_again])
        if draft.now >= due:
            draft.tellings.append(TellingAgain(child.pod.name, child.pod.uid, child.told_again + 1))
        else:
            draft.wake(due)


def _at_work(draft: Draft) -> Iterator[tuple[Phase, PhaseStatus, PhaseObservation]]:
    """Phases that are at work, by their status, in a pod that began early."""
    for phase in draft.pipeline.phases:
        record = draft.phases[phase.name]
        child = draft.child(phase.name, record.attempt)
        if record.state is PhaseState.RUNNING and child is not None and child.early:
            yield phase, record, child


def _begun(child: PhaseObservation) -> Begun:
    return Begun(child.attempt, child.device, child.device_reason or "", child.memory_bytes or 0)
