"""Reconciles a pool of workers: what is known of it, the decision, and its writes. See ``deciding.pools``."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Final, Protocol

from audiojob_kube.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    is_failed_json_patch_test,
)
from audiojob_kube.protocol import KubeClient
from audiojob_kube.resources import AUDIOWORKERPOOLS, JOBS, PODS
from audiojob_operator.admission.gpus.sharing import GpusForPool
from audiojob_operator.building.pools.worker import build_worker, gpu_resource
from audiojob_operator.building.telling import order_patch
from audiojob_operator.deciding.pools.decide import PoolObserved, PoolPlan, Rewriting, decide_pool
from audiojob_operator.deciding.pools.telling import Ended, PoolReason, why_leave, why_started
from audiojob_operator.deciding.pools.yielding import Lack, Yielding, has_waited, yielding
from audiojob_operator.reconciling.errors import StaleError
from audiojob_operator.reconciling.pools.telling import PoolTeller, Untold
from audiojob_operator.records.objects import Key, Object
from audiojob_operator.records.settings import DecideSettings
from audiojob_operator.records.workers import PoolFacts, Worker
from audiojob_operator.state.caches import Caches
from audiojob_operator.state.pace import Pace
from audiojob_types.contract import Device
from audiojob_types.workers.pool import AudioWorkerPoolStatus

_log = logging.getLogger(__name__)

_FIRST_REST_SECONDS: Final = 5.0
_LONGEST_REST_SECONDS: Final = 300.0
_REFUSED_SECONDS: Final = 30.0


class Capacity(Protocol):
    """What admission says of what workers take."""

    def gpus_for(self, pool: Key, resource: str, has: int, waiting: Iterable[Key]) -> GpusForPool:
        """What the pool may have; ``waiting`` AudioJobs wait for its workers, which have ``has``."""

    def workers_lack(self, pool: Key, resource: str, workers: int, gpus: int, waiting: Iterable[Key]) -> None:
        """The pool has no GPUs for so many workers, of so many GPUs each, for which those wait."""

    def workers_soon(self, resource: str, gpus: int) -> None:
        """So many GPUs are nobody else's until the Jobs of workers show that have them; negative: they do."""


@dataclass(slots=True)
class _Memory:
    """What no object tells: phases of workers that are gone, workers that failed one after the other, since when
    somebody waits for the pool's kind of GPU."""

    done: int = 0
    failures: int = 0
    rests_until: float = 0.0
    failure: str = ""
    pace: Pace = field(default_factory=Pace)  # of the status, where live numbers alone have changed
    gpus_wanted_since: datetime | None = None
    leaving: dict[str, str] = field(default_factory=dict)  # why workers were sent away, by their Jobs' names
    untold: Untold = field(default_factory=Untold)


class PoolReconciler:
    """A kind for the controller. For one event loop."""

    def __init__(
        self,
        client: KubeClient,
        caches: Caches,
        capacity: Capacity,
        settings: DecideSettings,
        teller: PoolTeller,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._caches = caches
        self._capacity = capacity
        self._settings = settings
        self._teller = teller
        self._clock = clock
        self._memory: dict[Key, _Memory] = {}

    async def reconcile(self, key: Key, /) -> float | None:
        """One look at the pool. Returns when to look again."""
        facts = self._caches.workers.facts(key)
        if facts is None:
            if self._memory.pop(key, None) is not None:
                self._capacity.workers_lack(key, "", 0, 0, ())
            return None  # its workers go with it
        if facts.pool.metadata.deletion_timestamp is not None and not self._caches.workers.workers(key):
            return None
        memory = self._memory.setdefault(key, _Memory())
        now = datetime.now(UTC)
        resource = gpu_resource(facts.pool, self._settings) if facts.pool.runs_on is Device.GPU else None
        waiting = self._caches.workers.waiting_jobs(key)
        has = facts.pool.spec.gpus * sum(not each.finished for each in self._caches.workers.workers(key))
        gpus = self._capacity.gpus_for(key, resource, has, waiting) if resource is not None else None
        yields = self._yielding(key[0], resource, gpus, memory, now)
        seen = self._observe(key, facts, memory, gpus, wanted=yields.now)
        plan = decide_pool(seen)
        memory.leaving = why_leave(seen, plan, memory.leaving)
        if plan.stuck:
            memory.untold.trouble(PoolReason.CANNOT_START, plan.stuck, self._clock())
        if resource is not None:
            self._capacity.workers_lack(key, resource, plan.lacks, facts.pool.spec.gpus, waiting)
        # Before the first write: no phase is given to a worker that is about to go, and no GPU twice.
        self._caches.workers.retire(key, plan.retire)
        with self._gpus_for(facts, len(plan.create)) as made:
            for worker in plan.delete:
                await self._delete(key, worker, memory)
            again = await self._write_status(key, facts, plan, memory)
            for number, order in plan.create:
                body = build_worker(facts, number, self._settings, order)
                if await self._create(body, key[0], memory) and not memory.failures:
                    memory.untold.started(body["metadata"]["name"], why_started(seen))
                made()
        for rewriting in plan.rewrite:
            await self._rewrite(key[0], rewriting)
        tell = await self._teller.tell(memory.untold, facts.pool.metadata, self._clock(), now)
        later = (yields.at - now).total_seconds() if yields.at is not None else None
        moments = [each for each in (again, tell, plan.requeue_after, later) if each is not None]
        return min(moments, default=None)

    @contextmanager
    def _gpus_for(self, facts: PoolFacts, workers: int) -> Iterator[Callable[[], None]]:
        """Hold the GPUs of workers that are about to be made, until each shows (that is said by a call), or the end."""
        left = workers if facts.gpus and facts.pool.spec.kueue_local_queue is None else 0

        def show(count: int = 1) -> None:
            nonlocal left
            count = min(count, left)
            left -= count
            if count:
                self._capacity.workers_soon(facts.gpu_resource, -count * facts.gpus)

        if left:
            self._capacity.workers_soon(facts.gpu_resource, left * facts.gpus)
        try:
            yield show
        finally:
            show(left)

    async def refresh(self, key: Key, /) -> bool:
        """Read the pool anew. Returns whether it is another version than was known."""
        before = self._caches.workers.facts(key)
        try:
            found = await self._client.get(AUDIOWORKERPOOLS, key[1], key[0])
        except NotFound:
            if before is not None:
                self._caches.pools.forget(key, before.pool.metadata.uid)
            return True
        self._caches.pools.put(found)
        version: str = found["metadata"]["resourceVersion"]
        return before is None or before.pool.metadata.resource_version != version

    def failed(self, key: Key, error: Exception, /) -> float | None:
        """A fault of ours: the usual backoff."""
        del key, error
        return None

    def _yielding(
        self, namespace: str, resource: str | None, gpus: GpusForPool | None, memory: _Memory, now: datetime
    ) -> Yielding:
        lacks = list(self._caches.lacks(namespace))
        if gpus is not None:
            memory.gpus_wanted_since = (memory.gpus_wanted_since or now) if gpus.to_give else None
            if memory.gpus_wanted_since is not None:
                lacks.append(Lack(memory.gpus_wanted_since))
        return yielding(lacks, resource, now)

    def _observe(
        self, key: Key, facts: PoolFacts, memory: _Memory, gpus: GpusForPool | None, *, wanted: bool
    ) -> PoolObserved:
        book, spec, now = self._caches.workers, facts.pool.spec, datetime.now(UTC)
        workers = book.workers(key)
        pods = [each.pod.uid for each in workers if each.pod is not None]
        bound = {uid: found for uid in pods if (found := book.bound(uid))}
        room, outranked = None, 0
        if gpus is not None and spec.kueue_local_queue is None:
            room = gpus.room // spec.gpus
            outranked = ceil(gpus.to_give / spec.gpus) if has_waited(memory.gpus_wanted_since, now) else 0
        return PoolObserved(
            facts=facts,
            workers=workers,
            now=now,
            clock=self._clock(),
            bound=bound,
            held=frozenset(filter(book.held, pods)),
            hung=frozenset(uid for uid in pods if book.hangs(uid)),
            free_since={uid: since for uid in pods if (since := book.free_since(uid)) is not None},
            waiting=book.waiting(key),
            room=room,
            wanted=wanted,
            outranked=outranked,
            rests_until=memory.rests_until,
            failure=memory.failure,
        )

    # ---------------------------------------------------------------- writes

    async def _delete(self, pool: Key, worker: Worker, memory: _Memory) -> None:
        namespace, told = pool[0], worker.pod.phases if worker.pod is not None else 0
        cache = self._caches.namespaces[namespace]
        key = (namespace, worker.job_name)
        # One that hangs or was killed tells nothing itself.
        phases = max(told, self._caches.workers.phases_done(pool, worker.job_name))
        try:
            await self._client.delete(JOBS, worker.job_name, namespace, uid=worker.job_uid)
        except Conflict:
            return  # another one of that name
        except NotFound:
            cache.jobs.forget(key, worker.job_uid)
            return  # somebody else has counted it, or nobody can
        if worker.finished:
            self._count_end(worker, phases, memory)
            cache.jobs.forget(key, worker.job_uid)
        else:
            memory.done += phases
            why = memory.leaving.get(worker.job_name, "")
            memory.untold.ended(Ended(worker.job_name, phases, failed=False, why=why))

    def _count_end(self, worker: Worker, phases: int, memory: _Memory) -> None:
        pod = worker.pod
        memory.done += phases
        if phases or not worker.failed:
            memory.failures, memory.rests_until = 0, 0.0
            why = memory.leaving.get(worker.job_name) or (pod.message if pod is not None else "")
            memory.untold.ended(Ended(worker.job_name, phases, worker.failed, why))
            return
        memory.failures += 1
        rest = min(_FIRST_REST_SECONDS * 2 ** min(memory.failures - 1, 10), _LONGEST_REST_SECONDS)
        memory.rests_until = self._clock() + rest
        memory.failure = pod.message if pod is not None else ""
        memory.untold.trouble(
            PoolReason.WORKERS_FAIL,
            f"Worker {worker.job_name} ended before it had done anything. {memory.failure} No worker is made "
            f"{_until(rest)}; the pause doubles with each that fails, up to {_LONGEST_REST_SECONDS:.0f} s.",
            self._clock(),
        )

    async def _write_status(self, key: Key, facts: PoolFacts, plan: PoolPlan, memory: _Memory) -> float | None:
        """Write the status if it differs; live numbers alone not too often. Returns when to write what was not."""
        before, done = facts.pool.status, memory.done
        wanted = plan.status.model_copy(update={"phases_done": before.phases_done + done})
        if wanted == before:
            return None
        pause = memory.pace.take(self._clock())
        if pause > 0 and wanted.next_number == before.next_number:
            return pause
        try:
            written = await self._client.patch_json(
                AUDIOWORKERPOOLS, key[1], _status_patch(facts, wanted), key[0], subresource="status"
            )
        except NotFound as error:
            raise StaleError(f"pool {key[1]} is gone") from error
        except Invalid as error:
            if is_failed_json_patch_test(error):
                raise StaleError(f"pool {key[1]} has changed") from error
            raise
        memory.done -= done
        self._caches.pools.put(written)
        return None

    async def _create(self, body: Object, namespace: str, memory: _Memory) -> bool:
        """Whether it was made now."""
        try:
            created = await self._client.create(JOBS, body, namespace)
        except AlreadyExists:
            return False  # the watch brings it
        except (Forbidden, Invalid) as error:
            memory.rests_until = self._clock() + _REFUSED_SECONDS
            memory.failure = f"The API server does not take the Job: {error.message}"
            message = f"{memory.failure} No worker is made {_until(_REFUSED_SECONDS)}."
            memory.untold.trouble(PoolReason.WORKERS_REFUSED, message, self._clock())
            raise
        self._caches.namespaces[namespace].jobs.put(created)
        return True

    async def _rewrite(self, namespace: str, rewriting: Rewriting) -> None:
        """Change a worker's order. Somebody who was faster is seen by the next look."""
        cache = self._caches.namespaces[namespace]
        operations = order_patch(rewriting.pod_uid, rewriting.before, rewriting.after)
        try:
            cache.pods.put(await self._client.patch_json(PODS, rewriting.pod, operations, namespace))
        except NotFound:
            cache.pods.forget((namespace, rewriting.pod), rewriting.pod_uid)
        except Invalid as error:
            if not is_failed_json_patch_test(error):
                raise
            _log.info("worker %s/%s is not as it was: %s", namespace, rewriting.pod, error)
            cache.pods.put(await self._client.get(PODS, rewriting.pod, namespace))


def _until(seconds: float) -> str:
    return f"before {datetime.now(UTC) + timedelta(seconds=seconds):%H:%M:%S} UTC"


def _status_patch(facts: PoolFacts, wanted: AudioWorkerPoolStatus) -> list[Object]:
    """A JSON Patch that fits that version of the pool alone: a number is never given twice."""
    metadata = facts.pool.metadata
    return [
        {"op": "test", "path": "/metadata/uid", "value": metadata.uid},
        {"op": "test", "path": "/metadata/resourceVersion", "value": metadata.resource_version},
        {"op": "add", "path": "/status", "value": wanted.to_wire()},
    ]
