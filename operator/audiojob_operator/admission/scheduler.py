"""Which of the waiting jobs may start, and which phases may take GPUs: one serial pass over all that want to run.

Queues share the capacity by weight: the next place goes to the queue that has the fewest running jobs for its weight,
and within it to the most urgent job, which grows more urgent as it waits. Jobs that hold a place keep it.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Final

from audiojob_operator.deciding.policies.sites import SiteLoad
from audiojob_operator.records.admission import (
    Admission,
    AdmissionSnapshot,
    Candidate,
    GpuRequest,
    QueueKey,
    SiteAnswer,
)
from audiojob_operator.records.objects import Key
from audiojob_types.constants import DEFAULT_QUEUE
from audiojob_types.ordering import sort_key
from audiojob_types.reasons import Reason
from audiojob_types.resources.queue import AudioQueueSpec

ADMITTED: Final = Admission(admitted=True)
_UNLIMITED: Final = AudioQueueSpec()


def admit(snapshot: AdmissionSnapshot, now: datetime) -> dict[Key, Admission]:
    """The answer for every candidate. Pure: the same snapshot and moment give the same answers."""
    return _Pass(snapshot, now).run()


class _Pass:
    """The counters of one pass: they only grow, and nothing of them outlives it."""

    def __init__(self, snapshot: AdmissionSnapshot, now: datetime) -> None:
        self._snapshot = snapshot
        self._now = now
        self._answers: dict[Key, Admission] = {}
        self._running: Counter[QueueKey] = Counter()
        self._by_user: Counter[tuple[QueueKey, str]] = Counter()
        self._queue_gpus: Counter[QueueKey] = Counter(snapshot.gpus_leaving)
        self._gpus = self._queue_gpus.total()
        self._total = 0
        self._sites = SiteLoad(snapshot.site_rules, snapshot.site_uses, now)

    def run(self) -> dict[Key, Admission]:
        held = [each for each in self._snapshot.candidates if each.holds_slot]
        for each in self._snapshot.candidates:
            self._queue_gpus[each.queue_key] += each.gpus_held
            if not self._managed(each):
                self._gpus += each.gpus_held
        for each in held:
            self._count(each)
        for each in self._in_turn(held):
            drained = self._queue(each).stop_policy == "HoldAndDrain"
            self._answers[each.key] = _drained(each) if drained else self._with_gpus(each)
        self._fill([each for each in self._snapshot.candidates if not each.holds_slot])
        return self._answers

    # ---------------------------------------------------------------- places

    def _fill(self, waiting: list[Candidate]) -> None:
        """Give places out while there are any; the answer to all others is what stands against them."""
        full: Admission | None = None
        for each in self._in_turn(waiting):
            queue = self._queue(each)
            full = full or self._pool_full()  # places only run out
            stop = (
                self._stopped(each)
                or full
                or self._queue_full(each, queue)
                or self._user_full(each, queue)
                or self._needs_gpu_first(each)
                or self._needs_site_first(each)
            )
            if stop is None:
                self._count(each)
                stop = self._with_gpus(each)
            self._answers[each.key] = stop

    def _pool_full(self) -> Admission | None:
        most = self._snapshot.max_running
        if most is None or self._total < most:
            return None
        return _no(Reason.QUEUE_FULL, f"{self._total} of {most} jobs are running; the job waits for a place.")

    def _stopped(self, each: Candidate) -> Admission | None:
        queue = self._snapshot.queues.get(each.queue_key)
        if queue is None and each.queue != DEFAULT_QUEUE:
            return _no(
                Reason.QUEUE_NOT_FOUND,
                f"There is no AudioQueue {each.queue} in namespace {each.key[0]}; the job waits for it.",
            )
        if queue is not None and queue.stop_policy != "None":
            return _held(each)
        return None

    def _queue_full(self, each: Candidate, queue: AudioQueueSpec) -> Admission | None:
        running = self._running[each.queue_key]
        if queue.max_running is None or running < queue.max_running:
            return None
        return _no(
            Reason.QUEUE_FULL,
            f"{running} of {queue.max_running} jobs of queue {each.queue} are running; the job waits for a place.",
        )

    def _user_full(self, each: Candidate, queue: AudioQueueSpec) -> Admission | None:
        running = self._by_user[each.queue_key, each.user]
        if queue.max_running_per_user is None or running < queue.max_running_per_user:
            return None
        who = f"user {each.user}" if each.user else "jobs without a user"
        return _no(
            Reason.QUEUE_FULL,
            f"{running} of {queue.max_running_per_user} jobs that {who} may run in queue {each.queue} are running.",
        )

    def _needs_gpu_first(self, each: Candidate) -> Admission | None:
        """A job that has not begun and could do nothing but wait for a GPU holds no place meanwhile."""
        if not each.requests or not self._due(each.requests[0]):
            return None
        first = each.requests[0]
        if self._fits(each, first) or not self._waits(first):
            return None
        used, total = self._use(each)
        return _no(
            Reason.WAITING_FOR_GPU, f"The job needs {first.gpus}, {used} of {total} GPUs are in use; it waits for them."
        )

    def _needs_site_first(self, each: Candidate) -> Admission | None:
        """A job that has not begun and could do nothing but wait for its site holds no place meanwhile."""
        if each.fetch is None or not each.fetch.only:
            return None
        answer = self._sites.answer(each.fetch)
        if answer is None or answer.granted:
            return None
        return replace(_no(Reason.SITE_BUSY, answer.message), site=answer)

    def _count(self, each: Candidate) -> None:
        self._running[each.queue_key] += 1
        self._by_user[each.queue_key, each.user] += 1
        self._total += 1

    # ---------------------------------------------------------------- GPUs

    def _with_gpus(self, each: Candidate) -> Admission:
        """Let the job in, with the GPUs that its phases may take now, in the phases' order, and its site's word."""
        admitted = replace(ADMITTED, site=self._site(each)) if each.fetch is not None else ADMITTED
        if not each.requests:
            return admitted
        granted = 0
        for request in each.requests:
            if self._due(request) and self._fits(each, request):
                granted += request.gpus
                self._queue_gpus[each.queue_key] += request.gpus
                self._gpus += request.gpus
        used, total = self._use(each)
        return replace(admitted, gpus=granted, gpus_used=used, gpus_total=total)

    def _site(self, each: Candidate) -> SiteAnswer | None:
        assert each.fetch is not None, "only who fetches asks a site"
        answer = self._sites.answer(each.fetch)
        if answer is not None and answer.granted:
            self._sites.take(each.fetch)
        return answer

    def _fits(self, each: Candidate, request: GpuRequest) -> bool:
        if self._managed(each):
            return True  # Kueue counts them
        queue = self._queue(each)
        if queue.max_gpus is not None and self._queue_gpus[each.queue_key] + request.gpus > queue.max_gpus:
            return False
        most = self._snapshot.gpus
        if most is None or self._gpus + request.gpus <= most:
            return True
        # Nothing is offered at all: a pod that waits is what makes an autoscaler add a node.
        return request.must and most == 0 and not self._snapshot.gpus_strict

    def _waits(self, request: GpuRequest) -> bool:
        return request.must or (request.until is not None and self._now < request.until)

    def _due(self, request: GpuRequest) -> bool:
        return request.not_before is None or request.not_before <= self._now

    def _use(self, each: Candidate) -> tuple[int, int]:
        """GPUs in use and in all, where the limit is that binds: in the queue, else in the cluster."""
        most, pool = self._queue(each).max_gpus, self._snapshot.gpus
        if most is not None and (pool is None or most - self._queue_gpus[each.queue_key] <= pool - self._gpus):
            return self._queue_gpus[each.queue_key], most
        return self._gpus, pool or 0

    # ---------------------------------------------------------------- order

    def _in_turn(self, candidates: Iterable[Candidate]) -> Iterator[Candidate]:
        """By queue, the one with the fewest running jobs for its weight first; by urgency within a queue."""
        lines: defaultdict[QueueKey, list[Candidate]] = defaultdict(list)
        for each in candidates:
            lines[each.queue_key].append(each)
        heap: list[tuple[float, tuple[int, datetime, Key], QueueKey, int]] = []
        for key, line in lines.items():
            line.sort(key=self._urgency)
            heap.append(self._turn(key, line, 0))
        heapq.heapify(heap)
        while heap:
            _, _, key, index = heap[0]
            line = lines[key]
            yield line[index]
            if index + 1 < len(line):
                # Its share may have grown by the job that was just looked at.
                heapq.heapreplace(heap, self._turn(key, line, index + 1))
            else:
                heapq.heappop(heap)

    def _turn(
        self, key: QueueKey, line: list[Candidate], index: int
    ) -> tuple[float, tuple[int, datetime, Key], QueueKey, int]:
        weight = self._snapshot.queues.get(key, _UNLIMITED).weight
        return self._running[key] / max(1, weight), self._urgency(line[index]), key, index

    def _urgency(self, each: Candidate) -> tuple[int, datetime, Key]:
        return sort_key(each.priority, each.created, each.key, self._now, self._snapshot.ageing_seconds)

    def _queue(self, each: Candidate) -> AudioQueueSpec:
        return self._snapshot.queues.get(each.queue_key, _UNLIMITED)

    def _managed(self, each: Candidate) -> bool:
        return self._queue(each).kueue_local_queue is not None


def _no(reason: Reason, message: str) -> Admission:
    return Admission(admitted=False, reason=reason, message=message)


def _held(each: Candidate) -> Admission:
    return _no(Reason.HELD, f"Queue {each.queue} is stopped; its jobs wait until stopPolicy is None again.")


def _drained(each: Candidate) -> Admission:
    return replace(_held(each), drained=True)
