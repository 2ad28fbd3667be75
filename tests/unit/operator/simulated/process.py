"""The operator over a simulated API server: all of it but watches, kopf and timers, which a test brings on.

Each call of its client stops until the test lets it reach the server, loses it, or loses its answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from tests.unit.operator.builders import NAMESPACE, with_settings
from tests.unit.operator.simulated.server import Server

from audiojob_kube.client import KubeClient
from audiojob_kube.errors import TransportError
from audiojob_kube.objects import Object, ObjectList, key_of
from audiojob_kube.resources import (
    AUDIOJOBS,
    AUDIOPIPELINES,
    AUDIOQUEUES,
    AUDIOWORKERPOOLS,
    CONTROLLERREVISIONS,
    JOBS,
    NODES,
    PODS,
    Resource,
)
from audiojob_operator.admission.admitter import Admitter, Pace
from audiojob_operator.building.pools.worker import pool_facts
from audiojob_operator.metrics.registry import Metrics
from audiojob_operator.reconciling.apply import Applier
from audiojob_operator.reconciling.controller import Controller
from audiojob_operator.reconciling.gather import Gatherer
from audiojob_operator.reconciling.giving_up import GivingUp
from audiojob_operator.reconciling.pools.reconciler import PoolReconciler
from audiojob_operator.reconciling.pools.telling import PoolTeller
from audiojob_operator.reconciling.reconcile import Reconciler
from audiojob_operator.reconciling.workqueue import WorkQueue
from audiojob_operator.records.objects import Key
from audiojob_operator.records.settings import Overlap
from audiojob_operator.settings import Capacity
from audiojob_operator.state.caches import CacheRules, Caches
from audiojob_types.constants import GPU_RESOURCE

SETTINGS = with_settings(overlap=Overlap(enabled=True))
FOLLOWED = (AUDIOPIPELINES, AUDIOQUEUES, NODES, AUDIOWORKERPOOLS, CONTROLLERREVISIONS, JOBS, PODS, AUDIOJOBS)
_ALWAYS = Pace(shortest=0, longest=0)


class Clock:
    """Simulated time, from the moment at which the test began."""

    def __init__(self, start: datetime) -> None:
        self.start = start
        self.seconds = 0.0

    @property
    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def datetime(self) -> type[datetime]:
        """What takes the place of the class where the operator asks it for the time."""
        clock = self

        class Simulated(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> Any:
                return clock.now.astimezone(tz or UTC)

        return Simulated


@dataclass
class Call:
    """A call that waits for the test. ``reads``: it changes nothing."""

    what: str
    act: Callable[[], Any]
    reads: bool
    answer: asyncio.Future[Any] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def go(self, *, lost: bool = False) -> None:
        """It reaches the server; its answer is ``lost`` or not."""
        try:
            result = self.act()
        except Exception as error:  # noqa: BLE001 - what the server says
            result = error
        if lost:
            result = TransportError("the answer is lost")
        if isinstance(result, Exception):
            self.answer.set_exception(result)
        else:
            self.answer.set_result(result)

    def drop(self) -> None:
        self.answer.set_exception(TransportError("it never came there"))


class Client:
    """What the operator needs of a KubeClient."""

    def __init__(self, server: Server, calls: list[Call]) -> None:
        self._server = server
        self._calls = calls

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Any:
        return await self._ask(f"get {name}", lambda: self._server.get(resource, (namespace or "", name)), reads=True)

    async def list(self, resource: Resource, namespace: str | None = None, **query: Any) -> Any:
        label, _, value = (query.get("label_selector") or "").partition("=")

        def found() -> ObjectList:
            keys = [
                key_of(each)
                for each in self._server.all(resource)
                if each["metadata"].get("namespace") == namespace
                and each["metadata"].get("labels", {}).get(label) == value
            ]
            return ObjectList([self._server.get(resource, key) for key in keys], "1")

        return await self._ask(f"list {resource.plural}", found, reads=True)

    async def create(self, resource: Resource, body: Object, namespace: str | None = None) -> Any:
        del namespace
        return await self._ask(f"create {body['metadata']['name']}", lambda: self._server.create(resource, body))

    async def patch_json(
        self, resource: Resource, name: str, operations: Any, namespace: str | None = None, **_: Any
    ) -> Any:
        key = (namespace or "", name)
        return await self._ask(f"patch {resource.plural} {name}", lambda: self._server.patch(resource, key, operations))

    async def delete(
        self, resource: Resource, name: str, namespace: str | None = None, *, uid: str | None = None, **_: Any
    ) -> None:
        await self._ask(f"delete {name}", lambda: self._server.delete(resource, (namespace or "", name), uid))

    async def _ask(self, what: str, act: Callable[[], Any], *, reads: bool = False) -> Any:
        call = Call(what, act, reads)
        self._calls.append(call)
        return await call.answer


class Queue:
    """A WorkQueue in simulated time: ``ready`` keys wait for the test."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.ready: dict[Hashable, None] = {}
        self.working: set[Hashable] = set()
        self.due: dict[Hashable, float] = {}
        self._soon: dict[Hashable, float] = {}
        self._failures: dict[Hashable, int] = {}

    def add(self, key: Hashable, *, first: bool = False) -> None:
        del first
        self.ready[key] = None

    def add_soon(self, key: Hashable, delay: float) -> None:
        self._soon.setdefault(key, self._clock.seconds + delay)

    def take(self, key: Hashable) -> None:
        del self.ready[key]
        self._soon.pop(key, None)
        self.working.add(key)

    def succeeded(self, key: Hashable, requeue_after: float | None = None) -> None:
        self._failures.pop(key, None)
        self._schedule(key, requeue_after)

    def failed(self, key: Hashable, *, at_least: float = 0.0) -> float:
        self._failures[key] = self._failures.get(key, 0) + 1
        self.ready.pop(key, None)
        delay: float = max(at_least, min(60.0, 0.2 * 2 ** self._failures[key]))
        self._schedule(key, delay)
        return delay

    def _schedule(self, key: Hashable, delay: float | None) -> None:
        self.working.discard(key)
        self.due.pop(key, None)
        if delay is not None:
            self.due[key] = self._clock.seconds + max(0.0, delay)

    def wake(self) -> None:
        """Those whose time has come."""
        for moments in (self.due, self._soon):
            for key in [key for key, moment in moments.items() if moment <= self._clock.seconds]:
                del moments[key]
                self.add(key)

    def next(self) -> Iterator[float]:
        yield from self.due.values()
        yield from self._soon.values()

    def free(self) -> list[Any]:
        return [key for key in self.ready if key not in self.working]


class Process:
    """One operator process."""

    def __init__(self, server: Server, clock: Clock, gpus: int) -> None:
        self.calls: list[Call] = []
        self._clock, self._server = clock, server
        client = cast("KubeClient", Client(server, self.calls))
        self.jobs, self.pools = Queue(clock), Queue(clock)
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._tasks: set[asyncio.Task[str]] = set()
        rules = CacheRules(GPU_RESOURCE, 0, overlap=True, facts=lambda pool: pool_facts(pool, SETTINGS))
        self.caches = Caches(client, [NAMESPACE], self, rules)
        self.caches.workers._clock = clock.monotonic
        self.admitter = Admitter(self.caches, Capacity(gpus=gpus), self.jobs.add, pace=_ALWAYS)
        metrics = Metrics()
        gatherer = Gatherer(client, self.caches, self.admitter, SETTINGS, None, self.caches.workers)
        applier = Applier(client, self.caches, metrics, "me")
        giving_up = GivingUp(self.caches, self.admitter, applier, None)
        queue = cast("WorkQueue[Key]", self.jobs)
        kind = Reconciler(queue, gatherer, applier, self.admitter, giving_up, metrics)
        self._controllers = {
            id(self.jobs): Controller(queue, kind, lambda *_: None),
            id(self.pools): Controller(
                cast("WorkQueue[Key]", self.pools),
                PoolReconciler(client, self.caches, self.admitter, SETTINGS, PoolTeller(client, "me"), clock.monotonic),
                lambda *_: None,
            ),
        }
        self._seen = {each.plural: 0 for each in FOLLOWED}
        for resource in FOLLOWED:
            self._list(resource)
        self.admitter.open()
        for key, _ in self.caches.audiojobs.active():
            self.jobs.add(key)
        for key in self.caches.workers.pools():
            self.pools.add(key)

    # ---------------------------------------------------------------- watches

    def _reflector(self, resource: Resource) -> Any:
        here = self.caches.namespaces[NAMESPACE]
        return {
            PODS.plural: here.pods, JOBS.plural: here.jobs, CONTROLLERREVISIONS.plural: here.revisions,
            AUDIOPIPELINES.plural: self.caches.pipelines, AUDIOQUEUES.plural: self.caches.queues,
            NODES.plural: self.caches.nodes, AUDIOWORKERPOOLS.plural: self.caches.pools,
        }[resource.plural]  # fmt: skip

    def _list(self, resource: Resource) -> None:
        self._seen[resource.plural] = len(self._server.log.get(resource.plural, ()))
        for obj in self._server.all(resource):
            copy = self._server.get(resource, (obj["metadata"].get("namespace", ""), obj["metadata"]["name"]))
            if resource is AUDIOJOBS:
                self.caches.intake.put(copy)
            else:
                self._reflector(resource).put(copy)

    def behind(self) -> list[Resource]:
        """Watches that have something to tell."""
        return [each for each in FOLLOWED if self._seen[each.plural] < len(self._server.log.get(each.plural, ()))]

    def hear(self, resource: Resource) -> None:
        """The next event of a watch."""
        event = self._server.log[resource.plural][self._seen[resource.plural]]
        self._seen[resource.plural] += 1
        if resource is not AUDIOJOBS:
            self._reflector(resource)._apply(event)
        elif event.type == "DELETED":
            self.caches.intake.left(event.object)
        else:
            self.caches.intake.put(event.object)

    # ---------------------------------------------------------------- work

    def begin(self, queue: Queue, key: Key) -> None:
        """A worker of the controller takes the key."""
        queue.take(key)
        task = asyncio.get_running_loop().create_task(self._controllers[id(queue)]._reconcile(key))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def wake_up(self) -> None:
        """Time has passed."""
        self.jobs.wake()
        self.pools.wake()
        self.admitter.touch()
        due = [each for each in self._later if each[0] <= self._clock.seconds]
        self._later = [each for each in self._later if each not in due]
        for _, call in due:
            call()

    def next_moment(self) -> float | None:
        moments = [*self.jobs.next(), *self.pools.next(), *(moment for moment, _ in self._later)]
        return min(moments, default=None)

    async def kill(self) -> None:
        """Nothing of it is done any more."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.admitter._timer is not None:
            self.admitter._timer.cancel()
        if self.admitter._alarm is not None:
            self.admitter._alarm.cancel()

    # ---------------------------------------------------------------- what its caches tell, as in app.Operator

    def wake(self, key: Key) -> None:
        self.jobs.add(key)

    def wake_soon(self, key: Key, seconds: float) -> None:
        self.jobs.add_soon(key, seconds)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self._later.append((self._clock.seconds + seconds, call))

    def job_stored(self, key: Key, obj: Object) -> None:
        self.caches.workers.seen(key, obj)

    def job_changed(self, key: Key, *, ours: bool) -> None:
        self.admitter.changed(key)
        if not ours:
            self.wake(key)

    def job_gone(self, key: Key) -> None:
        self.caches.forget(key)
        self.admitter.changed(key)

    def admission_changed(self, key: Key) -> None:
        self.admitter.changed(key)

    def capacity_changed(self) -> None:
        self.admitter.capacity_changed()

    def pool_changed(self, pool: Key) -> None:
        self.pools.add(pool)

    def work_ended(self, work: Any) -> None:
        """Nothing is taken over from others here."""
