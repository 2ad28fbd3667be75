"""What an attempt that status calls Running really is at this moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from audiojob_operator.records.observation import (
    Diagnosis,
    Failed,
    Outcome,
    PhaseObservation,
    PodObservation,
    Running,
    Succeeded,
)
from audiojob_operator.records.reuse import Donor
from audiojob_operator.records.settings import Disruption
from audiojob_types.contract import FailureClass
from audiojob_types.reasons import EXPLANATIONS, Reason
from audiojob_types.resources.pipeline import Phase

NO_POD_AFTER: Final = timedelta(seconds=30)  # the Job controller makes the pod when it first looks at the Job
UNSEEN_AFTER: Final = timedelta(seconds=300)  # with thousands of new Jobs it takes minutes to come to one
_USUAL: Final = Disruption()


@dataclass(frozen=True, slots=True)
class Verdict:
    """``problem`` is why it has not started; ``wake`` when to look again though nothing changes."""

    outcome: Outcome
    problem: Diagnosis | None = None
    wake: datetime | None = None


def judge(
    child: PhaseObservation | None,
    phase: Phase,
    prefix: str,
    now: datetime,
    *,
    ran: bool = False,
    disruption: Disruption = _USUAL,
) -> Verdict:
    """The verdict on an attempt. ``prefix`` is the phase's folder in the store, where its manifest must lie.

    ``ran``: Kueue has let it start before. ``disruption``: how long a pod
    may take to end.
    """
    if child is None:
        return Verdict(_lost(Reason.CHILD_LOST, "The Job of the attempt was deleted."))
    match child.outcome:
        case Succeeded() as success:
            return Verdict(_checked(success, prefix, child.donor))
        case Failed() as failed:
            return Verdict(failed)
        case Running():
            return _running(child, phase, now, ran=ran, disruption=disruption)


def _checked(success: Succeeded, prefix: str, donor: Donor | None) -> Outcome:
    """A result is written by the pod: its manifest counts only where that phase of that job may publish.

    Or it is the donor's that the attempt was offered.
    """
    manifest = success.result.manifest
    if donor is not None and manifest == donor.manifest:
        return success
    if manifest is not None and manifest.key.startswith(f"{prefix}/") and ".." not in manifest.key.split("/"):
        return success
    return not_its_own(success)


def not_its_own(success: Succeeded) -> Failed:
    """What becomes of a pod that names another's result as its own."""
    return Failed(
        failure_class=FailureClass.RETRY,
        reason=Reason.NO_RESULT,
        message="The result names a manifest outside the phase's own folder.",
        suggestion=EXPLANATIONS[Reason.NO_RESULT].suggestion,
        most=2,
        finished=success.finished,
    )


def _running(child: PhaseObservation, phase: Phase, now: datetime, *, ran: bool, disruption: Disruption) -> Verdict:
    if child.deleting:
        return Verdict(_lost(Reason.CHILD_LOST, "The Job of the attempt is being deleted."))
    if child.suspended:
        return Verdict(Running(), problem=_kueue(Reason.EVICTED_BY_KUEUE if ran else Reason.WAITING_FOR_KUEUE))
    if child.pod is None:
        return _without_pod(child, now)
    pod = child.pod
    if pod.terminating_until is not None:
        return _ending(pod, pod.terminating_until, disruption, now)
    if pod.waiting is not None:
        return _waiting(pod, pod.waiting, phase, now)
    return Verdict(Running())


def _ending(pod: PodObservation, until: datetime, disruption: Disruption, now: datetime) -> Verdict:
    lost = until + timedelta(seconds=disruption.lost_after_seconds)
    if now < lost:
        return Verdict(Running(), wake=lost)
    where = f" on node {pod.node_name}" if pod.node_name else ""
    message = f"The pod{where} did not end within {disruption.lost_after_seconds} s past its grace."
    return Verdict(_lost(Reason.POD_LOST, message))


def _waiting(pod: PodObservation, problem: Diagnosis, phase: Phase, now: datetime) -> Verdict:
    shown = problem if problem.shown else None
    if not problem.bounded:
        return Verdict(Running(), problem=shown)
    end = (pod.start_time or pod.created) + timedelta(seconds=phase.start_timeout_seconds)
    if now < end:
        return Verdict(Running(), problem=shown, wake=end)
    reason = Reason.START_TIMEOUT if problem.reason is Reason.POD_STARTING else problem.reason
    return Verdict(
        Failed(
            failure_class=FailureClass.PERMANENT,
            reason=reason,
            message=f"{problem.message} The pod could not start for {phase.start_timeout_seconds} s.",
            suggestion=problem.suggestion,
        )
    )


def _without_pod(child: PhaseObservation, now: datetime) -> Verdict:
    # A Job that nobody has looked at stands in the controller's line, which is no trouble of this job.
    late = child.created + UNSEEN_AFTER if child.begun is None else child.begun + NO_POD_AFTER
    if now < late:
        return Verdict(Running(), wake=late)
    # A quota may hold the pod back for as long as it likes, so this waits; deadlines bound it.
    problem = Diagnosis(
        reason=Reason.POD_STARTING,
        message=f"Kubernetes has not created the pod; kubectl describe job {child.job_name} shows why.",
        suggestion="Check the namespace's quotas and that ServiceAccount audiojob-runner exists.",
        shown=True,
        bounded=False,
    )
    return Verdict(Running(), problem=problem)


def _kueue(reason: Reason) -> Diagnosis:
    explained = EXPLANATIONS[reason]
    return Diagnosis(reason, explained.meaning, explained.suggestion, shown=True, bounded=False, expected=True)


def _lost(reason: Reason, message: str) -> Failed:
    return Failed(
        failure_class=FailureClass.RETRY,
        reason=reason,
        message=message,
        suggestion=EXPLANATIONS[reason].suggestion,
        disrupted=True,
    )
