"""A phase that a worker is told ahead: while it works on another one it fetches this one's inputs, and begins it then.

The phase waits all the same, and its worker may report nothing of it but that it has begun. Every write that calls it
something else takes it back: the worker's report is refused from then on. So it is at work in one place at most.
"""

from __future__ import annotations

from typing import Final

from audiojob_operator.building.phase_input import phase_file
from audiojob_operator.building.request import AttemptRequest
from audiojob_operator.deciding.attempts.attempt import Start, started
from audiojob_operator.deciding.draft import Draft
from audiojob_operator.records.changes import updated
from audiojob_operator.records.observation import PhaseObservation
from audiojob_operator.records.workers import Binding, PoolView, Seat, WorkTelling
from audiojob_types.reasons import EXPLANATIONS, Reason
from audiojob_types.resources.job import PhaseState, PhaseStatus
from audiojob_types.resources.pipeline import Phase
from audiojob_types.workers.order import MAX_ORDER_BYTES

_ROOM_BYTES: Final = 1024  # of an order, whose terms may change meanwhile


def tell_ahead(draft: Draft, phase: Phase, request: AttemptRequest, pool: PoolView) -> PhaseStatus | None:
    """The phase, told to a worker at work on that of another AudioJob; None if there is none for it.

    Only of a phase without an attempt: of one that is taken back a number is lost, and once is enough. One with a gate
    takes what its review hands in by then.
    """
    record = draft.phases[phase.name]
    if record.attempt or record.pod_uid is not None or phase.gate is not None:
        return None
    file = phase_file(request)
    if (seat := _next_seat(draft, pool, len(file.encode()))) is None:
        return None
    draft.bindings.append(Binding(pool.name, phase.name, request.attempt, seat, ahead=True))
    draft.work_tellings.append(WorkTelling(seat.pod_name, seat.pod_uid, request.uid, phase.name, request.attempt, file))
    begun = start_of(request, seat)
    return updated(
        started(record, begun, draft.now),
        {
            "state": PhaseState.WAITING,
            "bound_time": None,
            "start_time": record.start_time,
            "worker_wait_start_time": record.worker_wait_start_time or draft.now,
            "reason": Reason.TOLD_TO_WORKER,
            "message": EXPLANATIONS[Reason.TOLD_TO_WORKER].meaning,
        },
    )


def _next_seat(draft: Draft, pool: PoolView, size: int) -> Seat | None:
    """The best one, once there are enough for those that have waited for longer and are told to nobody."""
    taken = {each.seat.pod_uid for each in draft.bindings} | with_workers(draft)
    free = [seat for seat in pool.next_seats if seat.pod_uid not in taken]
    fits = len(free) > pool.ahead_untold and free[0].order_bytes + size <= MAX_ORDER_BYTES - _ROOM_BYTES
    return free[0] if fits else None


def with_workers(draft: Draft) -> frozenset[str]:
    """Pods that have a phase of the job, or are told one ahead."""
    return frozenset(each.pod_uid for each in draft.phases.values() if each.with_worker and each.pod_uid is not None)


def start_of(request: AttemptRequest, seat: Seat) -> Start:
    """What the status says of an attempt that is given to a worker."""
    return Start(
        attempt=request.attempt,
        job_name=seat.job_name,
        device=request.device,
        device_reason=request.device_reason,
        memory_bytes=request.memory_bytes,
        reuse_key=request.reuse_key,
        expires=request.expires,
        review_inputs=request.review_inputs,
        pod_uid=seat.pod_uid,
    )


def begun_ahead(draft: Draft, record: PhaseStatus) -> PhaseStatus:
    """The phase at work: its worker has begun it."""
    return updated(
        record,
        {
            "state": PhaseState.RUNNING,
            "bound_time": draft.now,
            "start_time": record.start_time or draft.now,
            "worker_wait_start_time": None,
            "reason": None,
            "message": None,
        },
    )


def taken_back(record: PhaseStatus, child: PhaseObservation | None) -> PhaseStatus:
    """The phase, told to nobody any more. What comes next waits until that is written: a Job is made before a status.

    It has waited for a worker since the same time, and its next attempt has the next number. That never goes to the
    same pod. Where the pod has ended it may go to another one of the pool, also of a pool of one.
    """
    message = "The phase was taken back from the worker that was told it ahead."
    changes = {"reason": Reason.WAITING_FOR_WORKER, "message": message, "node_name": None}
    over = child is not None and child.finished
    return updated(record, changes | ({"job_name": None, "pod_uid": None} if over else {}))
