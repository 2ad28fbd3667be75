"""The phases of a started job: what became of their attempts, and which start next."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from audiojob_operator.building.inputs import input_durations
from audiojob_operator.building.job import build_job
from audiojob_operator.building.precedence import effective_device, effective_retry, retention_seconds
from audiojob_operator.deciding.attempts.attempt import (
    AttemptPolicy,
    Start,
    adopted,
    after_failure,
    after_success,
    never_told,
    next_attempt,
    started,
)
from audiojob_operator.deciding.attempts.device import (
    DeviceRequest,
    GpuSupply,
    Use,
    WaitForGpu,
    choose_device,
    unscheduled_until,
)
from audiojob_operator.deciding.attempts.memory import next_request
from audiojob_operator.deciding.attempts.verdict import UNSEEN_AFTER, Verdict, judge, not_its_own
from audiojob_operator.deciding.draft import Draft
from audiojob_operator.deciding.overlap.early import live_early, noted, take_early, tell_again, tell_untold
from audiojob_operator.deciding.overlap.requests import Begun, attempt_request
from audiojob_operator.deciding.policies.blocker import Blocker, blocker
from audiojob_operator.deciding.policies.deadline import active_deadline
from audiojob_operator.deciding.policies.ready import ready_phases
from audiojob_operator.deciding.policies.review import review_end
from audiojob_operator.deciding.reused_phases import (
    facts,
    handed,
    inputs_read,
    take_finished,
    take_offered,
    without_lost_files,
)
from audiojob_operator.deciding.workers.ahead import begun_ahead
from audiojob_operator.deciding.workers.own_job import own_job_text
from audiojob_operator.deciding.workers.seat import after_worker, look_after_told, overdue, tell_bound, with_worker
from audiojob_operator.records.changes import clip, updated
from audiojob_operator.records.observation import Failed, Outcome, PhaseObservation, Running, Succeeded
from audiojob_operator.records.workers import OwnJob, WhyOwnJob, why_no_worker
from audiojob_types.base import format_time
from audiojob_types.contract import Device, FailureClass
from audiojob_types.reasons import EXPLANATIONS, Reason
from audiojob_types.resources.job import MAX_ATTEMPTS, PhaseState, PhaseStatus
from audiojob_types.resources.pipeline import Phase

_STOPPABLE: Final = (PhaseState.RUNNING, PhaseState.WAITING)


class EndJobError(Exception):
    """The job must end as Failed because of what holds one of its phases back."""

    def __init__(self, phase: str, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.phase, self.reason = phase, reason


def apply_outcomes(draft: Draft) -> None:
    """Bring every phase up to what its Jobs say, adopting Jobs whose status write was lost."""
    for phase in draft.pipeline.phases:
        draft.phases[phase.name] = _settle_phase(draft, phase)


def _settle_phase(draft: Draft, phase: Phase) -> PhaseStatus:
    record = draft.phases[phase.name]
    while not record.state.finished:
        if record.told_ahead:
            child = draft.child(phase.name, record.attempt)
            if child is None or not child.taken_up:
                break
            record = begun_ahead(draft, record)
            _tell_start(draft, phase, record, first=True)
            draft.start_time = draft.start_time or draft.now
        elif record.state is PhaseState.RUNNING:
            child = draft.child(phase.name, record.attempt)
            verdict = judge(
                child,
                phase,
                draft.prefix(phase.name),
                draft.now,
                ran=record.kueue_start_time is not None,
                disruption=draft.observed.settings.disruption,
            )
            late = None
            if child is not None and isinstance(verdict.outcome, Running):
                late = overdue(draft, phase, record, child) or _gpu_wait_expired(draft, phase, record, child)
            if child is not None and _counts_nothing(draft, child, late or verdict.outcome):
                record = never_told(record)
                continue
            match late or verdict.outcome:
                case Running():
                    return _working(draft, _as_placed(draft, record, child), verdict)
                case Succeeded() as success:
                    assert child is not None, "only a Job's pod succeeds"
                    draft.phases[phase.name] = record
                    record = _succeeded(draft, phase, success, child)
                case Failed() as failed:
                    record = _failed(draft, phase, record, failed)
        else:
            record = noted(draft, record)
            child = draft.child(phase.name, next_attempt(record))
            if child is None:
                break
            first = record.attempt == 0
            assert draft.revision is not None, "a pipeline is bound before its phases are looked at"
            kept = retention_seconds(draft.revision, phase)
            expires = child.created + timedelta(seconds=kept) if kept is not None else None
            record = adopted(record, child, expires)
            _tell_start(draft, phase, record, first=first)
            draft.start_time = draft.start_time or child.created
    return record


def _counts_nothing(draft: Draft, child: PhaseObservation, outcome: Outcome) -> bool:
    """Whether the attempt was not told its inputs, or not taken up by its worker: it has ended before, or will."""
    if child.worker:
        return not child.taken_up and isinstance(outcome, Failed) and outcome.disrupted
    return child.never_told or (child.early is not None and not child.told and draft.observed.may_begin_early is None)


def _gpu_wait_expired(draft: Draft, phase: Phase, record: PhaseStatus, child: PhaseObservation) -> Failed | None:
    """A pod that has found no free GPU for gpuWaitSeconds gives way to one on the CPU."""
    wish = effective_device(draft.observed.job.spec, phase)
    until = unscheduled_until(wish, phase, record, child)
    if until is None or draft.now < until:
        draft.wake(until)
        return None
    return Failed(
        failure_class=FailureClass.DEVICE,
        reason=Reason.GPU_WAIT_EXPIRED,
        message=f"No node had a free GPU for {phase.gpu_wait_seconds} s.",
        suggestion=EXPLANATIONS[Reason.GPU_WAIT_EXPIRED].suggestion,
    )


def _as_placed(draft: Draft, record: PhaseStatus, child: PhaseObservation | None) -> PhaseStatus:
    """A live attempt with its node, which is worth no write of its own (`status_patch`), and its start by Kueue."""
    if child is None:
        return record
    if child.kueue and not child.suspended and record.kueue_start_time is None:
        record = updated(record, {"kueue_start_time": draft.now})
    if child.pod is not None and child.pod.node_name:
        record = updated(record, {"node_name": child.pod.node_name})
    return record


def _working(draft: Draft, record: PhaseStatus, verdict: Verdict) -> PhaseStatus:
    """A live attempt: only why it has not started is written, and only when the reason changes."""
    draft.wake(verdict.wake)
    problem = verdict.problem
    if problem is None:
        return updated(record, {"reason": None, "message": None})
    if record.reason == problem.reason:
        return record  # numbers in the message change all the time
    if problem.expected:
        return updated(record, {"reason": problem.reason, "message": clip(problem.message)})
    draft.emit(
        problem.reason,
        f"Phase {record.name} cannot start: {problem.message} {problem.suggestion}",
        kind="Warning",
        phase=record.name,
        attempt=record.attempt,
    )
    return updated(record, {"reason": problem.reason, "message": clip(problem.message)})


def _succeeded(draft: Draft, phase: Phase, success: Succeeded, child: PhaseObservation) -> PhaseStatus:
    record = draft.phases[phase.name]
    confirmed = inputs_read(draft, phase, success)
    if child.donor is not None and success.result.manifest == child.donor.manifest:
        if not confirmed:
            return _failed(draft, phase, record, not_its_own(success))
        return take_offered(draft, phase, child.donor)
    if not confirmed:
        record = updated(record, {"reuse_key": None})
    draft.put_outputs(record.name, success.result.outputs)
    draft.warn_of(record.name, success.result.warnings)
    return after_success(record, success, child, draft.now)


def _failed(draft: Draft, phase: Phase, record: PhaseStatus, failed: Failed) -> PhaseStatus:
    spec = draft.observed.job.spec
    policy = AttemptPolicy(
        uid=draft.uid,
        wish=effective_device(spec, phase),
        retry=effective_retry(spec, phase, draft.pipeline),
        resources=phase.resources,
        max_cool_down_seconds=draft.observed.settings.max_cool_down_seconds,
    )
    if (again := without_lost_files(draft, phase, record, failed)) is not None:
        return again
    child = draft.child(phase.name, record.attempt)
    if child is not None and child.worker and failed.failure_class is FailureClass.MEMORY:
        record = after_worker(draft, phase, record)
    after = after_failure(record, failed, policy, child, draft.now)
    if after.state is PhaseState.FAILED:
        draft.failure = draft.failure or (phase.name, failed)
        return after
    when = f"at {format_time(after.next_attempt_time)}" if after.next_attempt_time else "at once"
    where = " on the CPU" if after.device is not record.device else ""
    if (after.memory_request_bytes or 0) > (record.memory_request_bytes or 0):
        where = f" with {(after.memory_request_bytes or 0) // 1024**2} MiB of memory"
    draft.emit(
        Reason.PHASE_RETRIED,
        f"Attempt {record.attempt} of phase {phase.name} failed ({failed.reason}): {failed.message} "
        f"It is retried {when}{where}.",
        kind="Warning",
        phase=phase.name,
        attempt=record.attempt,
    )
    return after


def start_ready(draft: Draft) -> None:
    """Create the next attempt of every phase that may have one now, and note what holds the others back.

    Raises ``InvalidParameters`` or ``InvalidSpecError`` for what cannot be built, :class:`EndJobError` for a review
    that ends the job, or for attempts without end.
    """
    observed = draft.observed
    site = observed.settings.gpu
    supply = GpuSupply(
        granted=observed.admitted.gpus,
        per_node=observed.gpus_per_node,
        resource=observed.admitted.gpu_pool or site.resource_name,
        used=observed.admitted.gpus_used,
        total=observed.admitted.gpus_total,
        managed=observed.kueue_local_queue is not None,
    )
    take_finished(draft)
    tell_untold(draft)
    tell_again(draft)
    told = _look_after_told(draft, supply)
    tell_bound(draft)
    for phase in ready_phases(draft.pipeline, draft.phases):
        record = draft.phases[phase.name]
        if phase.name in told or _is_blocked(draft, phase, record):
            continue
        if (early := live_early(draft, phase.name)) is not None:
            _start_early(draft, phase, early)
            continue
        given = with_worker(draft, phase, supply)
        if isinstance(given, PhaseStatus):
            draft.phases[phase.name] = given
            if given.state is PhaseState.RUNNING:
                _tell_start(draft, phase, given, first=record.attempt == 0)
            if given.with_worker and observed.queue_max_gpus is not None and phase.worker_pool is not None:
                supply = supply.take(observed.pools[phase.worker_pool.name].gpus)
            continue
        wanted = DeviceRequest(effective_device(observed.job.spec, phase), phase, site.resource_of(phase))
        match choose_device(wanted, record, supply, draft.now):
            case WaitForGpu(message, until):
                since = record.gpu_wait_start_time or draft.now
                draft.phases[phase.name] = updated(record, {"gpu_wait_start_time": since})
                draft.block(Blocker(phase.name, Reason.WAITING_FOR_GPU, message, until))
            case Use() as use:
                if use.device is Device.GPU:
                    supply = supply.take(phase.gpus)
                draft.phases[phase.name] = _start(draft, phase, use, given)
    draft.gpus_left = supply


def _look_after_told(draft: Draft, supply: GpuSupply) -> frozenset[str]:
    told = look_after_told(draft, supply)
    for phase in draft.pipeline.phases:
        record = draft.phases[phase.name]
        if phase.name in told and record.state is PhaseState.RUNNING:
            _tell_start(draft, phase, record, first=True)
    return told


def _start_early(draft: Draft, phase: Phase, early: PhaseObservation) -> None:
    """The phase goes on in the pod that began early. One that does not suit goes first: never two Jobs of a phase."""
    if (taken := take_early(draft, phase, early)) is not None:
        draft.phases[phase.name] = taken
        if (use := phase.worker_pool) is not None:  # it had begun before there was a pool for it
            why = why_no_worker(draft.observed.pools.get(use.name)) or WhyOwnJob.POOL_CLOSED
            draft.own_jobs.append(OwnJob(phase.name, use.name, why))
        draft.wake(active_deadline(draft.observed.job, draft.pipeline, draft.start_time))
        return
    message = f"Phase {phase.name} begins anew: the pod that began early does not suit."
    draft.block(Blocker(phase.name, Reason.STARTED_EARLY, message, draft.now + timedelta(seconds=1)))


def _is_blocked(draft: Draft, phase: Phase, record: PhaseStatus) -> bool:
    """Whether the phase must not start yet, whatever device there is. Raises :class:`EndJobError`."""
    if (end := review_end(draft.reviews, phase, draft.phases, draft.now)) is not None:
        raise EndJobError(phase.name, *end)
    if record.attempt >= MAX_ATTEMPTS:
        message = f"The phase has had {MAX_ATTEMPTS} attempts, and no further one can be recorded."
        raise EndJobError(phase.name, Reason.TOO_MANY_ATTEMPTS, message)
    found = blocker(phase, facts(draft), draft.now)
    if found is None:
        return False
    if found.reason is Reason.AWAITING_REVIEW:
        since = record.review_start_time or draft.now
        draft.phases[phase.name] = updated(record, {"review_start_time": since})
    draft.block(found)
    return True


def _start(draft: Draft, phase: Phase, use: Use, own: OwnJob | None) -> PhaseStatus:
    record = draft.phases[phase.name]
    draft.start_time = draft.start_time or draft.now
    deadline = active_deadline(draft.observed.job, draft.pipeline, draft.start_time)
    durations = input_durations(phase, draft.outputs, draft.source, handed(draft, phase))
    memory = next_request(phase.resources, record, durations)
    request = attempt_request(draft, phase, Begun(next_attempt(record), use.device, use.reason, memory))
    body = build_job(request)
    draft.jobs.append(body)
    if own is not None:
        draft.own_jobs.append(own)
    draft.wake(deadline)
    draft.wake(draft.now + UNSEEN_AFTER)
    begun = Start(
        attempt=request.attempt,
        job_name=body["metadata"]["name"],
        device=request.device,
        device_reason=request.device_reason,
        memory_bytes=request.memory_bytes,
        by_kueue=request.kueue_queue is not None,
        reuse_key=request.reuse_key,
        expires=request.expires,
        review_inputs=request.review_inputs,
    )
    after = started(record, begun, draft.now)
    _tell_start(draft, phase, after, first=record.attempt == 0, own=own)
    return after


def _tell_start(draft: Draft, phase: Phase, record: PhaseStatus, *, first: bool, own: OwnJob | None = None) -> None:
    """Events record a job's start, its end and what is out of the ordinary; status has every phase."""
    if first and own is None and any(each.attempt > 0 for name, each in draft.phases.items() if name != phase.name):
        return
    attempt = "" if first else f", attempt {record.attempt}"
    what = f"Created Job {record.job_name} for {draft.place(phase)}{attempt}, on the {record.device}."
    if record.pod_uid is not None:
        what = f"Worker {record.job_name} does {draft.place(phase)}{attempt}, on the {record.device}."
    if own is not None:
        what = f"{what} {own_job_text(own, phase)}"
    draft.emit(
        Reason.PHASE_STARTED,
        what,
        phase=phase.name,
        attempt=record.attempt,
    )


def stop_phases(draft: Draft, state: PhaseState, reason: str, message: str) -> None:
    """End every phase that has begun and not finished; those never started stay Waiting."""
    for name, record in draft.phases.items():
        if record.state in _STOPPABLE and record.attempt > 0:
            draft.phases[name] = updated(
                record,
                {
                    "state": state,
                    "reason": reason,
                    "message": clip(message),
                    "next_attempt_time": None,
                    "cool_down": None,
                    "completion_time": draft.now,
                },
            )


def pause_phases(draft: Draft, reason: Reason, message: str) -> None:
    """Stop live attempts without counting a failure; the next one has the next number. Clocks of waits begin anew."""
    for name, record in draft.phases.items():
        changes: dict[str, object] = {}
        if record.state is PhaseState.RUNNING or record.told_ahead:
            changes = {"state": PhaseState.WAITING, "reason": reason, "message": message}
        waits = record.gpu_wait_start_time or record.worker_wait_start_time
        if waits is not None and not record.state.finished:
            changes |= {"gpu_wait_start_time": None, "worker_wait_start_time": None}
        if changes:
            draft.phases[name] = updated(record, changes)
