"""One scheduling cycle: which of the waiting jobs may start, and which phases may take GPUs. Pure.

Queues share the slots by weight: the next one goes to the queue that has the fewest running jobs for its weight, and
within it to the most urgent job, which grows more urgent as it waits. Jobs that hold a slot keep it. Jobs of a queue
that need the same wait for the same, so what stands against them is worked out once: a cycle costs what it gives out,
whatever the number of those that wait.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from audiojob_operator.admission.cooldowns import CoolDowns
from audiojob_operator.admission.gpus.sharing import Claim, Urgency, Want, before, taken_first
from audiojob_operator.admission.ledger import Grant, Resource, Usage
from audiojob_operator.admission.limits import GpuUse, Limits, gpu_use
from audiojob_operator.admission.roster import Lines, Needs, Roster, Row, Turn, is_due
from audiojob_operator.deciding.attempts.device import shortage
from audiojob_operator.deciding.policies.sites import SiteLoad, limit_for
from audiojob_operator.records.admission import (
    SITE_GPUS,
    Admission,
    Candidate,
    FetchRequest,
    GpuRequest,
    QueueKey,
    SiteAnswer,
)
from audiojob_operator.records.objects import Key
from audiojob_types.constants import DEFAULT_QUEUE
from audiojob_types.ordering import sort_key
from audiojob_types.reasons import Reason

ADMITTED: Final = Admission(admitted=True)


@dataclass(frozen=True, slots=True)
class Cycle:
    """What one cycle decided.

    ``one`` answers those that got something or hold a slot and asked for more; ``waiting`` all others that wait, by
    queue and needs; ``drained`` all others that hold a slot in a queue that takes it back; the rest is admitted.
    ``started`` counts the slots given. ``contended``: somebody waits for GPUs, so nobody is served out of turn.
    """

    one: Mapping[Key, Admission] = field(default_factory=dict)
    waiting: Mapping[QueueKey, Mapping[Needs, Admission]] = field(default_factory=dict)
    drained: Mapping[QueueKey, Admission] = field(default_factory=dict)
    offers: Mapping[Key, tuple[Grant, ...]] = field(default_factory=dict)
    started: Counter[QueueKey] = field(default_factory=Counter)
    contended: bool = False

    def answer(self, key: Key, row: Row | None) -> Admission | None:
        """The answer for a job; None for one that the cycle has not seen."""
        if row is None or row.candidate is None:
            return None
        if (found := self.one.get(key)) is not None:
            return found
        queue = row.candidate.queue_key
        if row.candidate.holds_slot:
            return self.drained.get(queue, ADMITTED)
        return self.waiting.get(queue, {}).get(row.needs)


def run_cycle(roster: Roster, usage: Usage, limits: Limits, cool_downs: CoolDowns, now: datetime) -> Cycle:
    """Give out what there is. Pure: the same roster, usage, limits and moment give the same answers."""
    return _Cycle(roster, usage, limits, cool_downs, now).run()


class _Cycle:
    """The counters of one cycle: they only grow, and nothing of them outlives it."""

    def __init__(self, roster: Roster, usage: Usage, limits: Limits, cool_downs: CoolDowns, now: datetime) -> None:
        self._roster = roster
        self._limits = limits
        self._cool_downs = cool_downs
        self._now = now
        self._held = usage.held
        self._total = usage.slots
        self._running = usage.queue_slots.copy()
        self._by_user = usage.user_slots.copy()
        self._pools = usage.pool_gpus.copy()
        self._queue_gpus = usage.queue_gpus.copy()
        self._sites = SiteLoad(limits.site_rules, usage.sites, now)
        self._answers: dict[Key, Admission] = {}
        self._offers: dict[Key, tuple[Grant, ...]] = {}
        self._started: Counter[QueueKey] = Counter()
        self._short_of_gpus = False
        self._unplaced = usage.unplaced
        self._claims = list(claims_of(roster, limits.claims, limits, now))

    def run(self) -> Cycle:
        drained = {queue: _drained(queue) for queue in self._roster.holding if self._is_drained(queue)}
        for each in self._asking():
            if self._is_drained(each.queue_key):
                self._answers[each.key] = _drained(each.queue_key)
            else:
                self._admit(each)
        self._fill()
        waiting = self._what_stands_against_the_rest()
        short = self._short_of_gpus or bool(self._claims)
        return Cycle(self._answers, waiting, drained, self._offers, self._started, short)

    def _asking(self) -> list[Candidate]:
        """Those that hold a slot, or are about to start, and want GPUs or a download: in their turn."""
        starting = (key for key in self._held if (row := self._roster.get(key)) and row.candidate)
        found = {**self._roster.asking, **{key: self._roster.candidate(key) for key in starting}}
        return sorted(found.values(), key=lambda each: (self._share(each.queue_key), self._urgency(each)))

    # ---------------------------------------------------------------- slots

    def _fill(self) -> None:
        """Give slots out while there are any: to the queue whose turn it is, to its most urgent job."""
        walks = {queue: _Walk(lines, self) for queue, lines in self._roster.waiting.items() if not self._stopped(queue)}
        heap = [(self._share(queue), walk.next_turn(), queue) for queue, walk in walks.items()]
        heapq.heapify(heap)
        while heap and self._pool_full() is None:
            queue = heap[0][2]
            walk = walks[queue]
            if self._queue_full(queue) is not None:
                heapq.heappop(heap)
                continue
            if self._blocked(queue, walk.needs, walk.next_turn()) is not None:
                walk.skip_line()
            else:
                self._start(self._roster.candidate(walk.take()))
            if walk:
                # Its share may have grown by the job that was just looked at.
                heapq.heapreplace(heap, (self._share(queue), walk.next_turn(), queue))
            else:
                heapq.heappop(heap)

    def _start(self, each: Candidate) -> None:
        if each.key in self._held:
            return  # a reconcile is about to start it: it was served with those that hold a slot
        self._total += 1
        self._running[each.queue_key] += 1
        self._by_user[each.queue_key, each.user] += 1
        self._started[each.queue_key] += 1
        self._offers[each.key] = (Grant(Resource.SLOT, each.queue_key, each.user),)
        self._admit(each)

    def _what_stands_against_the_rest(self) -> dict[QueueKey, dict[Needs, Admission]]:
        """One answer for all jobs of a queue that need the same and got nothing."""
        found: dict[QueueKey, dict[Needs, Admission]] = {}
        full = self._pool_full()
        for queue, lines in self._roster.waiting.items():
            all_of_them = self._stopped(queue) or full or self._queue_full(queue)
            answers = {
                needs: all_of_them or self._blocked(queue, needs, self._first_turn(by_priority))
                for needs, by_priority in lines.items()
            }
            found[queue] = {needs: answer for needs, answer in answers.items() if answer is not None}
            self._short_of_gpus |= any(answer.reason is Reason.WAITING_FOR_GPU for answer in found[queue].values())
        return found

    def _pool_full(self) -> Admission | None:
        most = self._limits.max_running
        if most is None or self._total < most:
            return None
        return _no(Reason.QUEUE_FULL, f"{self._total} of {most} jobs are running; the job waits for a slot.")

    def _is_drained(self, queue: QueueKey) -> bool:
        return self._limits.queue(queue).stop_policy == "HoldAndDrain"

    def _stopped(self, queue: QueueKey) -> Admission | None:
        spec = self._limits.queues.get(queue)
        if spec is None and queue[1] != DEFAULT_QUEUE:
            return _no(
                Reason.QUEUE_NOT_FOUND,
                f"There is no AudioQueue {queue[1]} in namespace {queue[0]}; the job waits for it.",
            )
        return _stopped(queue) if spec is not None and spec.stop_policy != "None" else None

    def _queue_full(self, queue: QueueKey) -> Admission | None:
        running, most = self._running[queue], self._limits.queue(queue).max_running
        if most is None or running < most:
            return None
        return _no(
            Reason.QUEUE_FULL,
            f"{running} of {most} jobs of queue {queue[1]} are running; the job waits for a slot.",
        )

    def _blocked(self, queue: QueueKey, needs: Needs, turn: Urgency) -> Admission | None:
        """What stands against all jobs of the queue that need this, though there is a slot for them; ``turn`` is that
        of the first of them."""
        return (
            self._user_full(queue, needs)
            or self._needs_gpu_first(queue, needs, turn)
            or self._needs_site_first(queue, needs)
        )

    def _user_full(self, queue: QueueKey, needs: Needs) -> Admission | None:
        running, most = self._by_user[queue, needs.user], self._limits.queue(queue).max_running_per_user
        if most is None or running < most:
            return None
        who = f"user {needs.user}" if needs.user else "jobs without a user"
        return _no(
            Reason.QUEUE_FULL,
            f"{running} of {most} jobs that {who} may run in queue {queue[1]} are running.",
        )

    def _needs_gpu_first(self, queue: QueueKey, needs: Needs, turn: Urgency) -> Admission | None:
        """A job that has not begun and could do nothing but wait for a GPU holds no slot meanwhile."""
        request, limits = needs.gpu_request, self._limits
        if not needs.gpus or not limits.is_asked_for(request, queue) or self._fits(queue, request, turn):
            return None
        resource, offered = needs.resource or limits.gpu_resource, limits.offered
        used, total = self._use(queue, limits.pool(needs.resource))
        if used + needs.gpus <= total and self._enough_wait_for_nodes():
            return _no(
                Reason.WAITING_FOR_GPU,
                f"The job needs a node with {needs.gpus} of {resource}, which is not there yet; {self._unplaced} pods "
                "wait for nodes already, and no more are made before.",
            )
        missing = shortage(needs.gpus, resource, (used, total), offered)
        return _no(Reason.WAITING_FOR_GPU, f"The job needs {missing}; it waits for them.")

    def _needs_site_first(self, queue: QueueKey, needs: Needs) -> Admission | None:
        """A job that has not begun and could do nothing but wait for its site holds no slot meanwhile."""
        answer = self._site(needs.fetch, queue[0]) if needs.fetch is not None else None
        if answer is None or answer.granted:
            return None
        return replace(_no(Reason.SITE_BUSY, answer.message), site=answer)

    # ---------------------------------------------------------------- GPUs and downloads

    def _admit(self, each: Candidate) -> None:
        """Admit the job with the GPUs that its phases may take now, in the phases' order, and its turn at the site."""
        held = self._held.get(each.key, frozenset())
        grants = list(self._offers.get(each.key, ()))
        admission = ADMITTED
        if each.requests and Resource.GPUS not in held:
            gpus, pool = self._take_gpus(each)
            used, total = self._use(each.queue_key, pool)
            admission = replace(admission, gpus=gpus, gpus_used=used, gpus_total=total, gpu_pool=pool)
            if gpus and not self._limits.managed(each.queue_key):
                grants.append(Grant(Resource.GPUS, each.queue_key, each.user, gpus, pool=pool))
        fetch = each.fetch if Resource.DOWNLOAD not in held else None
        site = self._site(fetch, each.key[0]) if fetch is not None else None
        if fetch is not None and site is not None:
            admission = replace(admission, site=site)
            limit = limit_for(self._limits.site_rules, fetch.host)
            if site.granted and limit is not None:
                self._sites.take(fetch)
                grants.append(Grant(Resource.DOWNLOAD, each.queue_key, each.user, site=limit.host, since=self._now))
        self._answers[each.key] = admission
        if grants:
            self._offers[each.key] = tuple(grants)

    def _take_gpus(self, each: Candidate) -> tuple[int, str]:
        """So many of one kind: the first of which there are enough. A job that wants others too gets them later."""
        granted, queue = 0, each.queue_key
        pool: str | None = None
        for request in each.requests:
            if not is_due(request, self._now) or not self._limits.is_asked_for(request, queue):
                continue
            kind = self._limits.pool(request.resource)
            if granted and kind != pool:
                continue
            pool = kind
            if not self._fits(queue, request, self._urgency(each)):
                self._short_of_gpus = True
                continue
            granted += request.gpus
            if not self._limits.managed(queue):
                self._unplaced += self._makes_a_node(kind, request.gpus)
                self._queue_gpus[queue] += request.gpus
                self._pools[kind] += request.gpus
        return granted, pool or SITE_GPUS

    def _fits(self, queue: QueueKey, request: GpuRequest, turn: Urgency) -> bool:
        if self._limits.managed(queue):
            return True  # Kueue counts them
        most = self._limits.queue(queue).max_gpus
        if most is not None and self._queue_gpus[queue] + request.gpus > most:
            return False
        pool = self._limits.pool(request.resource)
        kept = self._kept_for_workers(pool, turn)
        if self._pools[pool] + kept + request.gpus <= self._limits.offer(pool).total:
            return not self._makes_a_node(pool, kept + request.gpus) or not self._enough_wait_for_nodes()
        return self._limits.may_be_first(request)

    def _kept_for_workers(self, pool: str, turn: Urgency) -> int:
        """GPUs that lie free and are for workers which pools are about to make for those that go first."""
        if not self._claims:
            return 0
        first = before((want for kind, want in self._claims if kind == pool), turn)
        return taken_first(first, self._limits.there(pool) - self._pools[pool])

    def _makes_a_node(self, pool: str, gpus: int) -> bool:
        """Whether so many GPUs more are there only once an autoscaler has added a node."""
        return self._pools[pool] + gpus > self._limits.there(pool)

    def _enough_wait_for_nodes(self) -> bool:
        growth = self._limits.growth
        return growth is not None and self._unplaced >= growth.waiting

    def _use(self, queue: QueueKey, pool: str) -> GpuUse:
        return gpu_use(self._limits, queue, self._queue_gpus[queue], pool, self._pools[pool])

    def _site(self, wanted: FetchRequest, namespace: str) -> SiteAnswer | None:
        until = self._cool_downs.until(wanted.host, namespace, self._now)
        if until is not None:  # its turn would be of no use to it
            wanted = replace(wanted, not_before=max(until, wanted.not_before or until))
        return self._sites.answer(wanted)

    # ---------------------------------------------------------------- order

    def _share(self, queue: QueueKey) -> float:
        return self._running[queue] / max(1, self._limits.queue(queue).weight)

    def _urgency(self, each: Candidate) -> Urgency:
        return self.urgency(each.priority, (each.created, each.key))

    def _first_turn(self, by_priority: Mapping[int, Sequence[Turn]]) -> Urgency:
        return min(self.urgency(priority, line[0]) for priority, line in by_priority.items())

    def urgency(self, priority: int, turn: Turn) -> Urgency:
        """Sorts the most urgent job first."""
        return sort_key(priority, turn[0], turn[1], self._now, self._limits.ageing_seconds)


class _Walk:
    """The jobs of one queue, the most urgent first, without sorting more of them than are taken."""

    def __init__(self, lines: Lines, cycle: _Cycle) -> None:
        self._cycle = cycle
        # The number keeps the heap from comparing needs.
        self._heap = [
            (cycle.urgency(priority, line[0]), number, needs, priority, line, 0)
            for number, (needs, priority, line) in enumerate(
                (needs, priority, line)
                for needs, by_priority in lines.items()
                for priority, line in by_priority.items()
            )
        ]
        heapq.heapify(self._heap)

    def __bool__(self) -> bool:
        return bool(self._heap)

    def next_turn(self) -> Urgency:
        return self._heap[0][0]

    @property
    def needs(self) -> Needs:
        """What the next job needs."""
        return self._heap[0][2]

    def take(self) -> Key:
        """The next job."""
        (_, _, key), number, needs, priority, line, index = self._heap[0]
        if index + 1 < len(line):
            urgency = self._cycle.urgency(priority, line[index + 1])
            heapq.heapreplace(self._heap, (urgency, number, needs, priority, line, index + 1))
        else:
            heapq.heappop(self._heap)
        return key

    def skip_line(self) -> None:
        """Nobody in the next job's line can start: what stands against it stands against all of them."""
        heapq.heappop(self._heap)


def claims_of(roster: Roster, claims: Mapping[Key, Claim], limits: Limits, now: datetime) -> Iterator[tuple[str, Want]]:
    """What pools lack for AudioJobs that still wait, by the kind of GPU."""
    for claim in claims.values():
        row = roster.get(claim.first)
        if row is not None and (found := row.candidate) is not None:
            urgency = sort_key(found.priority, found.created, found.key, now, limits.ageing_seconds)
            yield claim.kind, Want(urgency, claim.gpus, claim.workers)


def _no(reason: Reason, message: str) -> Admission:
    return Admission(admitted=False, reason=reason, message=message)


def _stopped(queue: QueueKey) -> Admission:
    return _no(Reason.HELD, f"Queue {queue[1]} is stopped; its jobs wait until stopPolicy is None again.")


def _drained(queue: QueueKey) -> Admission:
    return replace(_stopped(queue), drained=True)
