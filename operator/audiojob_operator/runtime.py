"""The running operator: connects the parts, keeps them running, and ends when one of them must not go on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from audiojob_kube.client import KubeClient, connect
from audiojob_kube.config import Connection
from audiojob_kube.errors import ApiError, NotFound, TransportError
from audiojob_kube.objects import Object
from audiojob_kube.resources import AUDIOJOBS, AUDIOPIPELINES, Resource
from audiojob_operator.apply import Applier
from audiojob_operator.caches import Caches
from audiojob_operator.gate import Gate
from audiojob_operator.gather import Gatherer
from audiojob_operator.health import Health, HealthServer
from audiojob_operator.lease import Lease
from audiojob_operator.metrics import Metrics
from audiojob_operator.model import Key
from audiojob_operator.reconcile import Reconciler
from audiojob_operator.settings import OperatorSettings
from audiojob_operator.sweep import Sweeper
from audiojob_operator.workqueue import WorkQueue
from audiojob_types import constants as c

_log = logging.getLogger(__name__)

_CRD_SECONDS = 60.0
_CRD_RETRY_SECONDS = 2.0
_FIRST_SWEEP_RETRY_SECONDS = 1.0
# Well above the silence after which a reflector or kopf opens a new watch by itself (75 s), and its backoff.
_STALE_WATCH_SECONDS = 300.0
_STALE_LOOP_SECONDS = 60.0


class StartError(Exception):
    """The operator cannot start; the message says what to do."""


class Runtime:
    """One operator, but for the part that follows AudioJobs (kopf) and brings their events to `deliver`."""

    def __init__(self, settings: OperatorSettings, connection: Connection) -> None:
        self.metrics = Metrics()
        self.client: KubeClient = connect(
            connection, user_agent=c.MANAGER_OPERATOR, field_manager=c.MANAGER_OPERATOR, limit=settings.workers + 8
        )
        self.lease = Lease(self.client, settings.lease)
        self.queue: WorkQueue[Key] = WorkQueue()
        self.caches = Caches(self.client, settings.job_namespaces, self.wake)
        self.gate = Gate(
            self.caches.audiojobs,
            settings.capacity.max_running,
            lambda name: self.caches.pipelines.get(("", name)),
            frozenset(settings.job_namespaces),
            self.queue.add,
        )
        self.sweeper = Sweeper(self.client, self.caches, self.queue, self.metrics)
        self._settings = settings
        self._synced = asyncio.Event()
        gatherer = Gatherer(self.client, self.caches, self.gate, settings.for_decisions())
        applier = Applier(self.client, self.caches, self.metrics, self.lease.identity)
        self._reconciler = Reconciler(self.queue, gatherer, applier, self.gate, self.metrics)
        self._watcher_age: Callable[[], float] = lambda: 0.0
        self._restart_watcher: Callable[[], None] = lambda: None
        self._health = HealthServer(self._live, self._ready, self._refresh_metrics, self.metrics.registry)

    def wake(self, key: Key) -> None:
        """Something changed that a decision on this AudioJob, or on who may start, depends on."""
        self.queue.add(key)
        self.gate.touch()

    def deliver(self, kind: str | None, obj: Object) -> None:
        """One event of the AudioJob watch; None as kind is an entry of its first list."""
        if kind == "DELETED":
            self.caches.audiojobs.left(obj)
            self.gate.touch()
        else:
            self.caches.audiojobs.put(obj)

    async def run(
        self, watcher: Callable[[], Awaitable[None]], age: Callable[[], float], restart: Callable[[], None]
    ) -> None:
        """Work until cancelled. Raises StartError, LeaseLostError, or what made a part fail."""
        self._watcher_age, self._restart_watcher = age, restart
        port = await self._health.start(self._settings.listen_address, self._settings.listen_port)
        _log.info("probes and metrics on port %d", port)
        try:
            await self._require_types()
            async with asyncio.TaskGroup() as group:
                group.create_task(self.lease.run(), name="lease")
                for label, reflector in self.caches.reflectors().items():
                    group.create_task(reflector.run(), name=f"reflector {label}")
                group.create_task(_forever(watcher), name="kopf")
                group.create_task(self._sync(), name="sync")
                group.create_task(self._work(group), name="work")
        finally:
            await self.lease.release()
            await self._health.close()
            await self.client.aclose()

    async def sweep_now(self) -> None:
        """Look for what the watch of AudioJobs has missed while it was away."""
        try:
            await self.sweeper.active()
        except (ApiError, TransportError) as error:
            _log.warning("the list of AudioJobs failed, the next sweep tries again: %s", error)

    async def _require_types(self) -> None:
        """Wait a while for our CustomResourceDefinitions: helm creates them just before the operator."""
        deadline = asyncio.get_running_loop().time() + _CRD_SECONDS
        while True:
            try:
                for resource in (AUDIOJOBS, AUDIOPIPELINES):
                    await self._probe(resource)
                return
            except (ApiError, TransportError) as error:
                if asyncio.get_running_loop().time() >= deadline:
                    raise StartError(_start_message(error)) from error
                _log.warning("not ready to start: %s", _start_message(error))
                await asyncio.sleep(_CRD_RETRY_SECONDS)

    async def _probe(self, resource: Resource) -> None:
        async for _page in self.client.pages(resource, page_size=1):
            return

    async def _sync(self) -> None:
        """The gate before any decision: one complete list of everything."""
        for reflector in self.caches.reflectors().values():
            await reflector.synced.wait()
        while True:
            try:
                await self.sweeper.active()
                break
            except (ApiError, TransportError) as error:
                _log.warning("the first list of AudioJobs failed: %s", error)
                await asyncio.sleep(_FIRST_SWEEP_RETRY_SECONDS)
        self._synced.set()
        _log.info("in sync: %d unfinished AudioJobs", len(self.caches.audiojobs))

    async def _work(self, group: asyncio.TaskGroup) -> None:
        await self._synced.wait()
        await self.lease.held.wait()
        for number in range(self._settings.workers):
            group.create_task(self._reconciler.work(), name=f"worker {number}")
        sweep = self._settings.sweep
        group.create_task(self._every(sweep.active_seconds, self._sweep_active), name="sweep active")
        group.create_task(self._every(sweep.finished_seconds, self.sweeper.finished), name="sweep finished")
        unused = sweep.revision_unused_seconds
        group.create_task(
            self._every(sweep.revisions_seconds, lambda: self.sweeper.revisions(unused)), name="sweep revisions"
        )

    async def _sweep_active(self) -> None:
        if missed := await self.sweeper.active():
            _log.warning("kopf's watch has missed %d AudioJobs: it is started again", missed)
            self._restart_watcher()

    async def _every(self, seconds: float, action: Callable[[], Awaitable[object]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await action()
            except (ApiError, TransportError) as error:
                _log.warning("a sweep failed, the next one tries again: %s", error)

    def _live(self) -> Health:
        lines = []
        passed = True
        if (age := self._watcher_age()) > _STALE_LOOP_SECONDS:
            passed = False
            lines.append(f"kopf has not moved for {age:.0f} s")
        for label, reflector in self.caches.reflectors().items():
            if reflector.age() > _STALE_WATCH_SECONDS:
                passed = False
                lines.append(f"the watch of {label} has been silent for {reflector.age():.0f} s")
        return Health(passed, tuple(lines))

    def _ready(self) -> Health:
        """A standby is ready too: readiness means that it could take over at once."""
        role = "leader" if self.lease.held.is_set() else f"standby; leader is {self.lease.holder or 'unknown'}"
        waiting = [label for label, reflector in self.caches.reflectors().items() if not reflector.synced.is_set()]
        return Health(self._synced.is_set(), (role, *(f"waiting for the list of {label}" for label in waiting)))

    def _refresh_metrics(self) -> None:
        self.metrics.leading.set(self.lease.held.is_set())
        self.metrics.queue_length.set(len(self.queue))
        self.metrics.scheduled.set(self.queue.scheduled)
        self.metrics.active.set(len(self.caches.audiojobs))
        self.metrics.watch_age.labels("audiojobs").set(self._watcher_age())
        for label, reflector in self.caches.reflectors().items():
            self.metrics.watch_age.labels(label).set(reflector.age())


async def _forever(part: Callable[[], Awaitable[None]]) -> None:
    await part()


def _start_message(error: Exception) -> str:
    if isinstance(error, NotFound):
        return (
            "the resource types of audiojobs.dev are not installed; "
            "install the chart's CRDs first: kubectl apply --server-side -f charts/audiojob/crds/"
        )
    return f"the API server does not let the operator work: {error}"
