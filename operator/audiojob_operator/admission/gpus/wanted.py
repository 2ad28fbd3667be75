"""Which Jobs of AudioJobs would take a GPU if one were free: nothing else keeps them from their start. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from audiojob_operator.admission.cycle import Cycle, claims_of
from audiojob_operator.admission.gpus.sharing import GpusForPool, Urgency, Want, for_pool
from audiojob_operator.admission.ledger import GrantState, Ledger, Resource
from audiojob_operator.admission.limits import Limits
from audiojob_operator.admission.roster import Roster, is_due
from audiojob_operator.records.admission import Candidate, GpuRequest, QueueKey, is_of_workers
from audiojob_operator.records.objects import Key
from audiojob_types.ordering import sort_key
from audiojob_types.reasons import Reason


class Wanted:
    """What is wanted at one moment, after the scheduling cycle ``cycle``."""

    def __init__(self, roster: Roster, ledger: Ledger, cycle: Cycle, limits: Limits, now: datetime) -> None:
        self._roster = roster
        self._ledger = ledger
        self._cycle = cycle
        self._limits = limits
        self._now = now

    def for_pool(self, pool: Key, kind: str, has: int, waiting: Iterable[Key]) -> GpusForPool:
        """What a pool may have of its kind of GPU. ``waiting``: the AudioJobs that wait for its workers, which have
        ``has`` GPUs."""
        others = {each: claim for each, claim in self._limits.claims.items() if each != pool}
        wants = [want for found, want in claims_of(self._roster, others, self._limits, self._now) if found == kind]
        wants += [want for found, want in (*self._without_slot(), *self._with_slot()) if found == kind]
        first = self.first(waiting)
        free = self._limits.there(kind) - self._ledger.pool_gpus(kind)
        return for_pool(wants, self._turn(first) if first is not None else None, free, has)

    def first(self, waiting: Iterable[Key]) -> Key | None:
        """The one of these AudioJobs that goes first."""
        known = (each for each in waiting if (row := self._roster.get(each)) is not None and row.candidate is not None)
        return min(known, key=self._turn, default=None)

    def _turn(self, key: Key) -> Urgency:
        return self._urgency(self._roster.candidate(key))

    def _urgency(self, each: Candidate) -> Urgency:
        return sort_key(each.priority, each.created, each.key, self._now, self._limits.ageing_seconds)

    def _without_slot(self) -> Iterator[tuple[str, Want]]:
        """Of jobs that have not begun the first of each line: all after it wait for the same."""
        for queue, answers in self._cycle.waiting.items():
            for needs, answer in answers.items():
                request = needs.gpu_request
                if answer.reason is not Reason.WAITING_FOR_GPU or not self._would_fit(queue, request):
                    continue
                for line in self._roster.waiting.get(queue, {}).get(needs, {}).values():
                    yield self._limits.pool(request.resource), Want(self._turn(line[0][1]), request.gpus)

    def _with_slot(self) -> Iterator[tuple[str, Want]]:
        """Of jobs that have begun, what they ask for and were not given."""
        for key, each in self._roster.asking.items():
            queue = each.queue_key
            if self._limits.managed(queue) or queue in self._cycle.drained:
                continue
            grant = self._ledger.grant(key, Resource.GPUS)
            given = grant.amount if grant is not None and grant.state in (GrantState.OFFERED, GrantState.HELD) else 0
            for request in each.requests:
                kind = self._limits.pool(request.resource)
                if given and grant is not None and grant.pool == kind:
                    given -= request.gpus
                elif self._is_waiting(queue, request):
                    yield kind, Want(self._urgency(each), request.gpus)

    def _is_waiting(self, queue: QueueKey, request: GpuRequest) -> bool:
        waits = request.until is None or self._now < request.until
        asked = is_due(request, self._now) and self._limits.is_asked_for(request, queue)
        return waits and asked and self._would_fit(queue, request)

    def _would_fit(self, queue: QueueKey, request: GpuRequest) -> bool:
        """Whether it lacks GPUs alone: its queue has room, which no worker gives back, and a node has as many."""
        on_a_node = self._limits.offer(self._limits.pool(request.resource)).per_node
        if on_a_node and request.gpus > on_a_node:
            return False
        most = self._limits.queue(queue).max_gpus
        room = most is None or self._ledger.queue_gpus(queue) + request.gpus <= most
        return room and not is_of_workers(request.resource)
