"""What waits for admission, read off the roster when somebody asks (a scrape); nothing is kept for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

from audiojob_operator.admission.ledger import GrantState, Ledger, Resource
from audiojob_operator.admission.limits import Limits
from audiojob_operator.admission.roster import Needs, Roster, Turn, is_due
from audiojob_operator.records.admission import Backlog, Candidate, QueueKey, Waiting
from audiojob_types.contract import Device
from audiojob_types.resources.job import AudioJob, PhaseState

_Found: TypeAlias = tuple[QueueKey, Device, Waiting, Mapping[str, int]]  # with the GPUs that they want, by pool


def find_backlog(roster: Roster, ledger: Ledger, limits: Limits, now: datetime) -> Backlog:
    """Jobs that wait for a slot, or for GPUs with or without one. It costs as much as there are lines, not jobs."""
    waiting: dict[tuple[QueueKey, Device], Waiting] = {}
    wanted = Counter[str]()
    for queue, device, found, gpus in (*_without_slot(roster, limits), *_with_slot(roster, ledger, limits, now)):
        place = (queue, device)
        waiting[place] = waiting[place] + found if place in waiting else found
        wanted.update(gpus)
    return Backlog(waiting, wanted)


def _without_slot(roster: Roster, limits: Limits) -> Iterator[_Found]:
    for queue, lines in roster.waiting.items():
        for needs, by_priority in lines.items():
            gpus = needs.gpus if _waits_for_gpu(needs, queue, limits) else 0
            device = Device.GPU if gpus else Device.CPU
            for line in by_priority.values():
                wanted = {limits.pool(needs.resource): gpus * len(line)} if gpus else {}
                yield queue, device, Waiting(len(line), _since(line, roster)), wanted


def _waits_for_gpu(needs: Needs, queue: QueueKey, limits: Limits) -> bool:
    return needs.gpus > 0 and limits.is_asked_for(needs.gpu_request, queue)


def _since(line: Sequence[Turn], roster: Roster) -> datetime:
    """Since when the first of a line could have started. The line is sorted by creation, before which none could."""
    first: datetime | None = None
    for created, key in line:
        if first is not None and created >= first:
            break
        row = roster.get(key)
        start = row.facts.job.spec.start_time if row is not None and row.facts.job is not None else None
        since = max(created, start or created)
        first = since if first is None else min(first, since)
    assert first is not None, "there are no empty lines"
    return first


def _with_slot(roster: Roster, ledger: Ledger, limits: Limits, now: datetime) -> Iterator[_Found]:
    """Jobs that have begun, and whose next phase has no GPU yet."""
    for key, each in roster.asking.items():
        queue = each.queue_key
        if limits.managed(queue):
            continue  # Kueue is asked once the Job is there
        grant = ledger.grant(key, Resource.GPUS)
        missing = _asked_for(each, queue, limits, now)
        if grant is not None and grant.state in (GrantState.OFFERED, GrantState.HELD):
            missing[grant.pool] -= grant.amount
        missing = +missing
        row = roster.get(key)
        if missing and row is not None and row.facts.job is not None:
            yield queue, Device.GPU, Waiting(1, _gpu_wait_since(row.facts.job, now)), missing


def _asked_for(each: Candidate, queue: QueueKey, limits: Limits, now: datetime) -> Counter[str]:
    due = (request for request in each.requests if is_due(request, now) and limits.is_asked_for(request, queue))
    found = Counter[str]()
    for request in due:
        if request.until is None or now < request.until:
            found[limits.pool(request.resource)] += request.gpus
    return found


def _gpu_wait_since(job: AudioJob, now: datetime) -> datetime:
    """When the first of its phases began to wait; now, where no reconcile has written it down yet."""
    waiting = (record for record in job.status.phases if record.state is PhaseState.WAITING)
    return min((each.gpu_wait_start_time for each in waiting if each.gpu_wait_start_time is not None), default=now)
