"""A worker for a phase that may begin: one that is free, the wait for one, or none."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from audiojob_operator.building.inputs import input_durations
from audiojob_operator.building.phase_input import phase_file
from audiojob_operator.building.precedence import effective_device, effective_priority
from audiojob_operator.building.request import AttemptRequest
from audiojob_operator.deciding.attempts.attempt import next_attempt, started
from audiojob_operator.deciding.attempts.device import DeviceRequest, GpuSupply, Use, choose_device
from audiojob_operator.deciding.attempts.memory import next_request
from audiojob_operator.deciding.draft import Draft
from audiojob_operator.deciding.overlap.requests import Begun, attempt_request
from audiojob_operator.deciding.policies.blocker import Blocker
from audiojob_operator.deciding.policies.deadline import active_deadline
from audiojob_operator.deciding.policies.ready import ready_phases
from audiojob_operator.deciding.reused_phases import handed
from audiojob_operator.deciding.workers.ahead import start_of, taken_back, tell_ahead, with_workers
from audiojob_operator.deciding.workers.suited import unsuited
from audiojob_operator.records.changes import updated
from audiojob_operator.records.observation import Failed, PhaseObservation, Running
from audiojob_operator.records.workers import (
    Binding,
    OwnJob,
    PoolView,
    Seat,
    WhyOwnJob,
    WorkerWait,
    WorkTelling,
    why_no_worker,
)
from audiojob_types.contract import Device, FailureClass
from audiojob_types.reasons import EXPLANATIONS, Reason
from audiojob_types.resources.job import PhaseState, PhaseStatus
from audiojob_types.resources.pipeline import Phase
from audiojob_types.workers.order import MAX_ORDER_BYTES

_TERMS_BYTES: Final = 8 * 1024  # of an order, besides what it tells
_WRITTEN_SOON: Final = timedelta(seconds=0.1)


def with_worker(draft: Draft, phase: Phase, supply: GpuSupply) -> PhaseStatus | OwnJob | None:
    """The phase, bound to a worker or waiting for one, or why it takes a Job of its own; None where it names no pool.

    Raises ``InvalidParameters`` or ``InvalidSpecError`` for what cannot be built.
    """
    if (use := phase.worker_pool) is None:
        return None
    pool = draft.observed.pools.get(use.name)
    if (why := why_no_worker(pool)) is not None:
        return OwnJob(phase.name, use.name, why)
    assert pool is not None, "else there is a reason"
    record = draft.phases[phase.name]
    until = (record.worker_wait_start_time or draft.now) + timedelta(seconds=use.fallback_seconds)
    found = _request(draft, phase, pool, supply)
    if isinstance(found, WhyOwnJob):
        given_up = found is WhyOwnJob.NO_OTHER_WORKER and record.start_time is None and draft.now >= until
        return OwnJob(phase.name, use.name, WhyOwnJob.WAIT_EXPIRED if given_up else found)
    room = draft.observed.queue_max_gpus is None or supply.granted >= pool.gpus
    if room and (seat := _free_seat(draft, record, pool)) is not None:
        return _bind(draft, phase, found, seat)
    if not room and not _job_needs_less(draft, phase, pool):
        _wait_for_queue(draft, phase, pool, None)
        return record
    if draft.now >= until:
        return OwnJob(phase.name, use.name, WhyOwnJob.WAIT_EXPIRED)
    since = record.worker_wait_start_time or draft.now
    if not room:
        _wait_for_queue(draft, phase, pool, until)
    elif (told := tell_ahead(draft, phase, found, pool)) is not None:
        return _wait_told(draft, phase, told, pool, until)
    else:
        draft.worker_waits.append(_wait(draft, phase, pool, since))
        draft.block(Blocker(phase.name, Reason.WAITING_FOR_WORKER, _message(phase, pool), until))
    return updated(record, {"worker_wait_start_time": since})


def look_after_told(draft: Draft, supply: GpuSupply) -> frozenset[str]:
    """Phases that are told ahead and have not begun: each stays so, is taken back, or goes to a worker that is free.

    Returns their names. Raises as :func:`with_worker` does.
    """
    ready = {phase.name for phase in ready_phases(draft.pipeline, draft.phases)}
    told = [phase for phase in draft.pipeline.phases if draft.phases[phase.name].told_ahead]
    for phase in told:
        draft.phases[phase.name] = _told_now(draft, phase, supply, ready=phase.name in ready)
    return frozenset(phase.name for phase in told)


def _told_now(draft: Draft, phase: Phase, supply: GpuSupply, *, ready: bool) -> PhaseStatus:
    record, use = draft.phases[phase.name], phase.worker_pool
    assert use is not None, "only a worker is told a phase"
    pool = draft.observed.pools.get(use.name)
    child = draft.child(phase.name, record.attempt)
    until = (record.worker_wait_start_time or draft.now) + timedelta(seconds=use.fallback_seconds)
    stays = ready and child is not None and _is_live(child) and draft.now < until
    if not stays or pool is None or why_no_worker(pool) is not None:
        message = f"Phase {phase.name} is taken back from worker {record.job_name}, which was told it ahead."
        draft.block(Blocker(phase.name, Reason.WAITING_FOR_WORKER, message, draft.now + _WRITTEN_SOON))
        return taken_back(record, child)
    # One that its worker is about to begin stays with it.
    seat = _free_seat(draft, record, pool) if record.pod_uid not in pool.alone else None
    if seat is not None and isinstance(found := _request(draft, phase, pool, supply), AttemptRequest):
        return _bind(draft, phase, found, seat)
    return _wait_told(draft, phase, record, pool, until)


def _wait_told(draft: Draft, phase: Phase, told: PhaseStatus, pool: PoolView, until: datetime) -> PhaseStatus:
    """It goes on waiting: others may be made for it, or become free."""
    draft.worker_waits.append(_wait(draft, phase, pool, told.worker_wait_start_time or draft.now))
    message = f"Phase {phase.name} begins with worker {told.job_name} once the phase before it there has ended."
    draft.block(Blocker(phase.name, Reason.TOLD_TO_WORKER, message, until))
    return told


def _request(draft: Draft, phase: Phase, pool: PoolView, supply: GpuSupply) -> AttemptRequest | WhyOwnJob:
    """What a worker of the pool would be told, or why none may do it."""
    if draft.phases[phase.name].pod_uid is not None and pool.most <= 1:
        return WhyOwnJob.NO_OTHER_WORKER  # the next attempt must not go where the last one was
    begun = _begun(draft, phase, pool, supply)
    if begun is None:
        return WhyOwnJob.OTHER_DEVICE
    request = attempt_request(draft, phase, begun)
    if (why := unsuited(draft, phase, request, pool)) is not None:
        return why
    if len(phase_file(request).encode()) > MAX_ORDER_BYTES - _TERMS_BYTES:
        return WhyOwnJob.ORDER_TOO_LONG
    return request


def _job_needs_less(draft: Draft, phase: Phase, pool: PoolView) -> bool:
    """Whether a Job of its own could go on where the queue has no room for a worker's GPUs."""
    return phase.gpus < pool.gpus or effective_device(draft.observed.job.spec, phase) == "Auto"


def _wait_for_queue(draft: Draft, phase: Phase, pool: PoolView, until: datetime | None) -> None:
    """A worker's GPUs count for the job's queue, and it has no room for them: no worker is made for that."""
    message = (
        f"Phase {phase.name} waits until queue {draft.observed.job.spec.queue_name} has room for {pool.gpus} more of "
        f"its GPUs, for a worker of pool {pool.name}."
    )
    draft.block(Blocker(phase.name, Reason.WAITING_FOR_GPU, message, until))


def _begun(draft: Draft, phase: Phase, pool: PoolView, supply: GpuSupply) -> Begun | None:
    """The attempt on the pool's device; None where it belongs on another. A worker's GPU need not be granted."""
    record = draft.phases[phase.name]
    wish = effective_device(draft.observed.job.spec, phase)
    if pool.device is Device.GPU:
        if wish == "CPU" or (wish == "Auto" and record.device is Device.CPU) or phase.gpus > 1:
            return None
        device, reason = Device.GPU, Reason.DEVICE_REQUESTED if wish == "GPU" else Reason.GPU_OFFERED
    else:
        wanted = DeviceRequest(wish, phase, draft.observed.settings.gpu.resource_of(phase))
        choice = choose_device(wanted, record, supply, draft.now)
        if not isinstance(choice, Use) or choice.device is not Device.CPU:
            return None
        device, reason = choice.device, choice.reason
    durations = input_durations(phase, draft.outputs, draft.source, handed(draft, phase))
    return Begun(next_attempt(record), device, reason, next_request(phase.resources, record, durations))


def _free_seat(draft: Draft, record: PhaseStatus, pool: PoolView) -> Seat | None:
    """The best one that is not the last attempt's, once there are enough for those that wait for longer.

    The worker whose phase of this job has just ended goes on with it before them: jobs that have begun end sooner, and
    the end of that phase and the beginning of this one are one write.
    """
    taken = {each.seat.pod_uid for each in draft.bindings} | with_workers(draft) | {record.pod_uid}
    free = [seat for seat in pool.seats if seat.pod_uid not in taken]
    had = {each.pod_uid for each in draft.observed.job.status.phases if each.state is PhaseState.RUNNING}
    kept = next((seat for seat in free if seat.pod_uid in had), None)
    return kept or (free[0] if len(free) > pool.ahead else None)


def _bind(draft: Draft, phase: Phase, request: AttemptRequest, seat: Seat) -> PhaseStatus:
    """The status says so first; then the worker is told."""
    draft.start_time = draft.start_time or draft.now
    deadline = active_deadline(draft.observed.job, draft.pipeline, draft.start_time)
    draft.wake(deadline)
    remaining = max(1, int((deadline - draft.now).total_seconds())) if deadline else None
    assert phase.worker_pool is not None, "a seat is a pool's"
    draft.bindings.append(Binding(phase.worker_pool.name, phase.name, request.attempt, seat))
    _tell(draft, seat.pod_name, seat.pod_uid, replace(request, remaining_seconds=remaining))
    after = started(draft.phases[phase.name], start_of(request, seat), draft.now)
    for moment in _limits(after, phase):
        draft.wake(moment)
    return after


def _wait(draft: Draft, phase: Phase, pool: PoolView, since: datetime) -> WorkerWait:
    return WorkerWait(phase.name, pool.name, since, effective_priority(draft.observed.job.spec, draft.pipeline))


def _message(phase: Phase, pool: PoolView) -> str:
    count = f"{pool.busy} of {pool.most} workers busy"
    return f"Phase {phase.name} waits for a worker of pool {pool.name}: {pool.ahead} ahead, {count}."


# ---------------------------------------------------------------- while a worker has it


def tell_bound(draft: Draft) -> None:
    """Phases that a worker has by their status, and that it was not told: the operator ended between the two."""
    for phase in draft.pipeline.phases:
        record = draft.phases[phase.name]
        child = draft.child(phase.name, record.attempt)
        if record.with_worker and child is not None and child.worker and _is_untold(child):
            assert child.pod is not None, "without its pod the attempt is lost"
            request = attempt_request(
                draft,
                phase,
                Begun(record.attempt, child.device, record.device_reason or "", record.memory_request_bytes or 0),
            )
            _tell(draft, child.pod.name, child.pod.uid, replace(request, donor=None))


def _is_untold(child: PhaseObservation) -> bool:
    return _is_live(child) and not child.told and not child.taken_up


def _is_live(child: PhaseObservation) -> bool:
    pod = child.pod
    return isinstance(child.outcome, Running) and pod is not None and pod.terminating_until is None


def _tell(draft: Draft, pod: str, pod_uid: str, request: AttemptRequest) -> None:
    file = phase_file(request)
    draft.work_tellings.append(WorkTelling(pod, pod_uid, request.uid, request.phase.name, request.attempt, file))


def overdue(draft: Draft, phase: Phase, record: PhaseStatus, child: PhaseObservation) -> Failed | None:
    """The end of an attempt that a worker has for too long, or does not begin. Looks again when it may be."""
    if not child.worker:
        return None
    hard, start = _limits(record, phase)
    if hard is not None and draft.now >= hard:
        message = "The attempt ran longer than hardLimitSeconds of its phase."
        return _ended(Reason.DEADLINE_EXCEEDED, message)
    if not child.taken_up and start is not None and draft.now >= start:
        message = f"The worker did not begin the attempt within {phase.start_timeout_seconds} s."
        draft.hung_workers.append(record.pod_uid or "")
        return replace(_ended(Reason.CHILD_LOST, message), disrupted=True)
    draft.wake(hard)
    draft.wake(None if child.taken_up else start)
    return None


def _limits(record: PhaseStatus, phase: Phase) -> tuple[datetime | None, datetime | None]:
    """When it must have ended, and begun."""
    if record.bound_time is None:
        return None, None
    hard = phase.hard_limit_seconds
    end = record.bound_time + timedelta(seconds=hard) if hard is not None else None
    return end, record.bound_time + timedelta(seconds=phase.start_timeout_seconds)


def _ended(reason: Reason, message: str) -> Failed:
    return Failed(FailureClass.RETRY, reason, message, EXPLANATIONS[reason].suggestion)


def after_worker(draft: Draft, phase: Phase, record: PhaseStatus) -> PhaseStatus:
    """The phase after its worker ran out of memory: it had all of the worker's, and needs more."""
    pool = draft.observed.pools.get(phase.worker_pool.name) if phase.worker_pool is not None else None
    had = max(record.memory_request_bytes or 0, pool.memory_bytes if pool is not None else 0)
    return updated(record, {"memory_request_bytes": had or None})
