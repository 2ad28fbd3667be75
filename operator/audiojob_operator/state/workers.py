"""Which phases are with which workers, who waits for a pool, and who is about to take a worker.

What phases have is read from the statuses of their AudioJobs alone. A seat is held by a reconcile from its decision
until the status that binds it is known here, so that two never take the same one. A worker at work on one phase is a
seat too, of the phase that it is told ahead. For one event loop.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Final

from audiojob_operator.building.quantity import quantity_bytes
from audiojob_operator.records.objects import Key, Object
from audiojob_operator.records.workers import (
    Binding,
    Bound,
    Place,
    PoolFacts,
    PoolNumbers,
    PoolView,
    Worker,
    WorkerWait,
    is_told_ahead,
)
from audiojob_types.resources.job import FINISHED_STATES, PhaseState

_FINISHED: Final = frozenset(str(state) for state in FINISHED_STATES)

Turn = tuple[Place, Key]


class WorkerBook:
    """``wake_job`` reconciles an AudioJob that may get a worker now, ``wake_pool`` a pool that has changed."""

    def __init__(
        self,
        wake_job: Callable[[Key], None],
        wake_pool: Callable[[Key], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wake_job = wake_job
        self._wake_pool = wake_pool
        self._clock = clock
        self._pools: dict[Key, PoolFacts] = {}
        self._workers: defaultdict[Key, dict[str, Worker]] = defaultdict(dict)  # by pool and Job
        self._pool_of: dict[str, Key] = {}  # by pod uid
        self._bound: defaultdict[str, dict[Key, tuple[Bound, ...]]] = defaultdict(dict)  # by pod uid and AudioJob
        self._pods_of: dict[Key, frozenset[str]] = {}  # that an AudioJob's phases are bound to
        self._ahead_of: dict[Key, dict[str, str]] = {}  # an AudioJob's phases that are told ahead, and to which pods
        self._holders: dict[str, Key] = {}  # AudioJobs whose reconciles hold a seat, by pod uid
        self._waits: defaultdict[Key, dict[Key, dict[str, Place]]] = defaultdict(dict)  # by pool, AudioJob, phase
        self._pools_of: dict[Key, frozenset[Key]] = {}  # that an AudioJob waits for
        self._outlived: dict[str, tuple[str, str]] = {}  # pool and Job, that are gone, of pods that have a phase
        self._free_since: dict[str, float] = {}  # by uid of pods that had a phase
        self._retired: dict[Key, frozenset[str]] = {}  # pod uids by pool: they get no phase any more
        self._done: Counter[tuple[Key, str]] = Counter()  # phases that workers had begun and have no more, by Job
        self._hung: set[str] = set()  # uids of pods that did not begin what they were told

    # ---------------------------------------------------------------- what caches report

    def seen(self, key: Key, obj: Object | None) -> None:
        """A newer version of an AudioJob is known; None: it does not exist any more."""
        status = (obj.get("status") or {}) if obj is not None else {}
        finished = obj is None or status.get("state") in _FINISHED
        before = self._pods_of.pop(key, frozenset())
        if finished:
            self.waits(key, ())
        found: defaultdict[str, list[Bound]] = defaultdict(list)
        if obj is not None and not finished:
            for pod_uid, bound in self._bindings(key, obj["metadata"]["uid"], status):
                found[pod_uid].append(bound)
        if found:
            self._pods_of[key] = frozenset(found)
        self._ahead_of.pop(key, None)
        if ahead := {each.phase: pod_uid for pod_uid, bound in found.items() for each in bound if each.ahead}:
            self._ahead_of[key] = ahead
        for pod_uid in before | found.keys():
            self._bind(pod_uid, key, tuple(found.get(pod_uid, ())))

    def pool_seen(self, key: Key, facts: PoolFacts | None) -> None:
        """A pool as it is now; None: it is gone."""
        before = self._pools.pop(key, None)
        if facts is None:
            self._retired.pop(key, None)
        else:
            self._pools[key] = facts
        if (before and before.essence) != (facts and facts.essence):
            for waiting in list(self._waits.get(key, ())):
                self._wake_job(waiting)
            self._wake_pool(key)

    def worker_seen(self, pool: Key, job_name: str, worker: Worker | None) -> Worker | None:
        """A worker's Job or pod as it is now; None: its Job is gone. Returns what was known of it."""
        before = self._workers.get(pool, {}).get(job_name)
        if before == worker:
            return before
        workers = self._workers[pool]
        if worker is None:
            self._done.pop((pool, job_name), None)
            del workers[job_name]
            if not workers:
                del self._workers[pool]
        else:
            workers[job_name] = worker
        for each in (before, worker):
            if each is not None and each.pod is not None:
                self._pool_of[each.pod.uid] = pool
        gone = before.pod.uid if before is not None and before.pod is not None else None
        if gone is not None and (worker is None or worker.pod is None or worker.pod.uid != gone):
            if gone in self._bound:
                self._outlived[gone] = (pool[1], job_name)
            del self._pool_of[gone]
            self._free_since.pop(gone, None)
            self._hung.discard(gone)
        self._wake_pool(pool)
        self._offer(pool)
        return before

    # ---------------------------------------------------------------- who waits

    def waits(self, key: Key, waits: Collection[WorkerWait]) -> None:
        """The phases of an AudioJob that wait for a worker, and no others of it do."""
        wanted: defaultdict[Key, dict[str, Place]] = defaultdict(dict)
        for each in waits:
            wanted[key[0], each.pool][each.phase] = each.place
        pools = self._pools_of.pop(key, frozenset()) | wanted.keys()
        if wanted:
            self._pools_of[key] = frozenset(wanted)
        for pool in pools:
            before, now = self._waits[pool].get(key, {}), wanted.get(pool, {})
            if now:
                self._waits[pool][key] = now
            else:
                self._waits[pool].pop(key, None)
            if not self._waits[pool]:
                del self._waits[pool]
            if now != before:
                self._wake_pool(pool)
            if before.keys() - now.keys():
                self._offer(pool)

    def waiting(self, pool: Key) -> int:
        """How many phases wait for a worker."""
        return sum(len(phases) for phases in self._waits.get(pool, {}).values())

    def waiting_jobs(self, pool: Key) -> Collection[Key]:
        """The AudioJobs whose phases do."""
        return self._waits.get(pool, {}).keys()

    def _line(self, pool: Key, key: Key) -> tuple[int, int]:
        """How many go before the AudioJob's: to take a free worker, and told to none ahead."""
        waits = self._waits.get(pool, {})
        mine = (min(waits[key].values()), key) if key in waits else None
        longer = {
            (other, phase)
            for other, phases in waits.items()
            if other != key
            for phase, place in phases.items()
            if mine is None or (place, other) < mine
        }
        told = [
            pod for other, phases in self._ahead_of.items() for name, pod in phases.items() if (other, name) in longer
        ]
        return len(longer) - sum(map(self._is_alone, told)), len(longer) - len(told)

    # ---------------------------------------------------------------- seats

    def view(self, namespace: str, pool: str, key: Key) -> PoolView | None:
        """The pool as a decision on the AudioJob sees it; None: there is no such pool."""
        at = (namespace, pool)
        if (facts := self._pools.get(at)) is None:
            return None
        spec, live = facts.pool.spec, [each for each in self.workers(at) if each.live]
        ahead, ahead_untold = self._line(at, key)
        return PoolView(
            name=pool,
            tasks=frozenset(spec.tasks),
            device=facts.pool.runs_on,
            any_input=spec.trust == "AnyInput",
            closed=facts.closed,
            kueue_local_queue=spec.kueue_local_queue,
            memory_bytes=quantity_bytes(spec.resources.memory),
            scratch_bytes=quantity_bytes(spec.resources.scratch),
            seats=tuple(each.seat for each in self._free(at, key)),
            busy=sum(each.pod is not None and self.taken(each.pod.uid) for each in live),
            workers=len(live),
            most=spec.max_workers,
            ahead=ahead,
            gpus=facts.gpus,
            gpu_resource=facts.gpu_resource,
            next_seats=tuple(each.seat for each in self._next(at, key)),
            ahead_untold=ahead_untold,
            alone=frozenset(filter(self._is_alone, self._ahead_of.get(key, {}).values())),
        )

    def hold(self, key: Key, binding: Binding) -> bool:
        """A reconcile takes a seat. False: somebody was faster; decide again."""
        uid, seats = binding.seat.pod_uid, self._next if binding.ahead else self._free
        if not any(each.pod is not None and each.pod.uid == uid for each in seats((key[0], binding.pool), key)):
            return False
        self._holders[uid] = key
        return True

    def holds(self, key: Key) -> bool:
        """Whether a reconcile of the AudioJob has taken a seat and not released it."""
        return key in self._holders.values()

    def release(self, key: Key) -> None:
        """The reconcile of an AudioJob has ended. Seats that it leaves are offered to those after it."""
        for uid in [uid for uid, holder in self._holders.items() if holder == key]:
            del self._holders[uid]
            if uid in self._pool_of and key not in self._bound.get(uid, {}):
                self._wake_pool(self._pool_of[uid])
                self._offer(self._pool_of[uid], after=key)
        for pool in self._pools_of.get(key, ()):
            self._offer(pool, after=key)

    def retire(self, pool: Key, pod_uids: Collection[str]) -> None:
        """These workers, and no others of the pool, get no phase any more, whatever their pods say yet."""
        self._retired[pool] = frozenset(pod_uids)

    def suspect(self, key: Key, pod_uids: Collection[str]) -> None:
        """Of the pods that the AudioJob's phases are bound to, these and no others did not begin what they were told.

        They get no phase any more, and are replaced once the status takes theirs back. Not known after a restart: then
        such a worker may waste the time of one more phase.
        """
        self._hung -= self._pods_of.get(key, frozenset())
        self._hung |= frozenset(pod_uids) & self._pool_of.keys()

    # ---------------------------------------------------------------- questions

    def pools(self) -> Iterator[Key]:
        """Pools that there are, or that still have workers."""
        return iter(self._pools.keys() | self._workers.keys())

    def facts(self, pool: Key) -> PoolFacts | None:
        return self._pools.get(pool)

    def workers(self, pool: Key) -> tuple[Worker, ...]:
        """The workers of a pool, ended ones that still have a Job too, by their numbers."""
        return tuple(sorted(self._workers.get(pool, {}).values(), key=lambda each: each.number))

    def workers_of(self, key: Key) -> Iterator[tuple[str, str]]:
        """The workers that an AudioJob's phases are bound to: pool and Job."""
        for pod_uid in self._pods_of.get(key, ()):
            if (worker := self.worker(pod_uid)) is not None:
                yield self._pool_of[pod_uid][1], worker.job_name
            elif pod_uid in self._outlived:
                yield self._outlived[pod_uid]

    def gpu_pools(self, namespace: str) -> dict[str, int]:
        """The pools of a namespace whose workers have GPUs and take phases, with how many each worker has."""
        found = (each for each in self._pools.items() if each[0][0] == namespace)
        return {name: facts.gpus for (_, name), facts in found if facts.gpus and not facts.closed}

    def worker(self, pod_uid: str) -> Worker | None:
        """The worker of a pod."""
        workers = self._workers.get(self._pool_of.get(pod_uid, ("", "")), {}).values()
        return next((each for each in workers if each.pod is not None and each.pod.uid == pod_uid), None)

    def bound(self, pod_uid: str) -> tuple[Bound, ...]:
        """The phases that a pod has by their AudioJobs' statuses."""
        return tuple(each for bound in self._bound.get(pod_uid, {}).values() for each in bound)

    def taken(self, pod_uid: str) -> bool:
        """Whether a pod has a phase, or a reconcile is about to give it one."""
        return pod_uid in self._bound or self.held(pod_uid)

    def held(self, pod_uid: str) -> bool:
        """Whether a reconcile is about to give it one, or to tell it one ahead."""
        return pod_uid in self._holders

    def hangs(self, pod_uid: str) -> bool:
        """Whether a pod did not begin what it was told, and has no phase any more."""
        return pod_uid in self._hung and pod_uid not in self._bound

    def phases_done(self, pool: Key, job_name: str) -> int:
        """How many phases a worker is known to have ended, be it by a crash of its own; what it says may be more."""
        return self._done[pool, job_name]

    def free_since(self, pod_uid: str) -> float | None:
        """When the last phase of a pod was taken from it; None if that was never seen."""
        return self._free_since.get(pod_uid)

    def numbers(self) -> dict[Key, PoolNumbers]:
        """Each pool that there is, in numbers; of its workers as its status has them."""
        return {key: self._numbers(key, facts) for key, facts in self._pools.items()}

    # ---------------------------------------------------------------- inside

    def _numbers(self, key: Key, facts: PoolFacts) -> PoolNumbers:
        status, waits = facts.pool.status, self._waits.get(key, {})
        since = min((place.since for phases in waits.values() for place in phases.values()), default=None)
        most, waiting = facts.pool.spec.max_workers, self.waiting(key)
        return PoolNumbers(status.starting, status.idle, status.busy, status.desired, most, waiting, since)

    def _bindings(self, key: Key, uid: str, status: Object) -> Iterator[tuple[str, Bound]]:
        reports = status.get("progress") or {}
        for record in status.get("phases") or ():
            pod_uid, name, attempt = record.get("podUID"), record["name"], record.get("attempt", 0)
            ahead = is_told_ahead(record)
            if not pod_uid or not (ahead or record.get("state") == PhaseState.RUNNING):
                continue
            report = reports.get(name) or {}
            begun = report.get("attempt") == attempt and bool(report.get("begun"))
            earlier = self._bound.get(pod_uid, {}).get(key, ())
            same = (each.since for each in earlier if each.identity == (uid, name, attempt))
            yield pod_uid, Bound(key, uid, name, attempt, begun, next(same, self._clock()), ahead)

    def _bind(self, pod_uid: str, key: Key, bound: tuple[Bound, ...]) -> None:
        before = self._bound.get(pod_uid, {}).get(key, ())
        if before == bound:
            return
        lost = [each for each in before if each.identity not in {one.identity for one in bound}]
        if (done := sum(each.begun for each in lost)) and (worker := self.worker(pod_uid)) is not None:
            self._done[self._pool_of[pod_uid], worker.job_name] += done
        if bound:
            self._bound[pod_uid][key] = bound
            worker = self.worker(pod_uid)
            if worker is None or not worker.live:
                self._wake_job(key)  # its end came while the status was written that binds, and will not come again
        else:
            del self._bound[pod_uid][key]
            if not self._bound[pod_uid]:
                del self._bound[pod_uid]
                self._outlived.pop(pod_uid, None)
        begins = any(each.begun for each in bound if each not in before)
        if lost and self._is_alone(pod_uid):  # it is to begin the one that is left from now on, and not before
            (left,) = self.bound(pod_uid)
            self._bound[pod_uid][left.key] = (replace(left, since=self._clock()),)
        if (pool := self._pool_of.get(pod_uid)) is not None:
            if lost:
                self._free_since[pod_uid] = self._clock()
            self._wake_pool(pool)
            if lost or begins:
                self._offer(pool)

    def _is_alone(self, pod_uid: str) -> bool:
        """Whether a pod that was told a phase ahead has no other any more: it begins in a moment."""
        bound = self.bound(pod_uid)
        return len(bound) == 1 and bound[0].ahead

    def _free(self, pool: Key, key: Key | None) -> list[Worker]:
        """Workers that can take a phase, those that stay longest first: others may then end for want of work."""
        # One that the AudioJob itself has is free for what comes after the phase that it ends there.
        free = (each for uid, each in self._suited(pool, key) if self._bound.get(uid, {}).keys() <= {key})
        return sorted(free, key=lambda each: (not each.stays, each.number))

    def _next(self, pool: Key, key: Key | None) -> list[Worker]:
        """Workers that can be told a phase ahead, those first that have theirs for longest."""
        found = []
        for uid, each in self._suited(pool, key):
            bound, left = self.bound(uid), self._pools[pool].pool.spec.max_phases - self._done[pool, each.job_name]
            if left > 1 and len(bound) == 1 and bound[0].begun and not bound[0].ahead and bound[0].key != key:
                found.append((bound[0].since, each.number, each))
        return [each for _, _, each in sorted(found, key=lambda one: one[:2])]

    def _suited(self, pool: Key, key: Key | None) -> Iterator[tuple[str, Worker]]:
        """Workers that take phases, with their pods' uids, and that no other reconcile holds."""
        facts, barred = self._pools.get(pool), self._retired.get(pool, frozenset()) | self._hung
        for each in self._workers.get(pool, {}).values() if facts is not None and not facts.closed else ():
            pod = each.pod
            if pod is None or not each.live or not pod.up or facts is None or each.built_from != facts.built_from:
                continue
            takes = pod.order is not None and not pod.order.drain and pod.uid not in barred
            if takes and self._holders.get(pod.uid, key) == key:
                yield pod.uid, each

    def _offer(self, pool: Key, after: Key | None = None) -> None:
        """Wake as many of those that wait as there are seats; ``after`` one who had the choice, those behind it.

        For seats of next phases only those that no worker is told yet. Behind one who passes such a seat by nobody is
        woken: none may overtake it.
        """
        if not (waits := self._waits.get(pool)):
            return
        seats, following = len(self._free(pool, None)), 0 if after is not None else len(self._next(pool, None))
        if not (seats or following):
            return
        turns: Iterator[Turn] = ((min(phases.values()), key) for key, phases in waits.items())
        if after is not None:
            last = (min(waits[after].values()), after) if after in waits else None
            turns = (turn for turn in turns if last is None or turn > last)
        woken = heapq.nsmallest(seats, turns)
        untold = ((self._untold(key, phases), key) for key, phases in waits.items())
        woken += heapq.nsmallest(following, ((min(since), key) for since, key in untold if since))
        for key in dict.fromkeys(key for _, key in woken):
            self._wake_job(key)

    def _untold(self, key: Key, phases: Mapping[str, Place]) -> list[Place]:
        told = self._ahead_of.get(key, {})
        return [place for phase, place in phases.items() if phase not in told]
