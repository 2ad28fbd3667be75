"""The operator's parts put together: caches first, then the Lease, then decisions."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from audiojob_kube.errors import ApiError, NotFound, TransportError
from audiojob_kube.objects import Object
from audiojob_kube.protocol import KubeClient
from audiojob_kube.reflector import Reflector
from audiojob_kube.resources import AUDIOJOBS, AUDIOPIPELINES
from audiojob_operator.apply import Applier
from audiojob_operator.caches import Caches
from audiojob_operator.gate import Gate
from audiojob_operator.gather import Gatherer
from audiojob_operator.health import THREAD_LIMIT_SECONDS, WATCH_LIMIT_SECONDS, HealthServer
from audiojob_operator.lease import Lease
from audiojob_operator.metrics import Metrics
from audiojob_operator.model import Key
from audiojob_operator.reconcile import Reconciler
from audiojob_operator.settings import OperatorSettings
from audiojob_operator.sweep import Sweeper
from audiojob_operator.workqueue import WorkQueue
from audiojob_types.pipeline import AudioPipeline

_log = logging.getLogger(__name__)

_CRD_WAIT_SECONDS = 60
_CRD_RETRY_SECONDS = 2


class MissingTypesError(Exception):
    """The API server does not serve our resource types."""


class Watcher(Protocol):
    """What brings AudioJobs: kopf's thread."""

    async def run(self) -> None:
        """Watch until cancelled."""

    def age(self) -> float:
        """Seconds since it last showed a sign of life."""


class Operator:
    """One operator process, without kopf: :meth:`deliver` takes what a watch brings."""

    def __init__(self, client: KubeClient, settings: OperatorSettings) -> None:
        self.metrics = Metrics()
        self._client = client
        self._settings = settings
        self._queue: WorkQueue[Key] = WorkQueue()
        self._caches = Caches(client, settings.job_namespaces, self._wake)
        self._gate = Gate(
            self._caches.audiojobs,
            settings.capacity.max_running,
            self._pipeline_of,
            frozenset(settings.job_namespaces),
            self._queue.add,
        )
        self._lease = Lease(client, settings.lease)
        gatherer = Gatherer(client, self._caches, self._gate, settings.for_decisions())
        applier = Applier(client, self._caches, self.metrics, self._lease.identity)
        self._reconciler = Reconciler(self._queue, gatherer, applier, self._gate, self.metrics)
        self._sweeper = Sweeper(client, self._caches, self._queue.add, self.metrics, settings.sweep)
        self._synced = False

    def deliver(self, kind: str | None, obj: Object) -> None:
        """One watch event of an unfinished AudioJob; called in this operator's loop."""
        if kind == "DELETED":
            self._caches.audiojobs.left(obj)
        else:
            self._caches.audiojobs.put(obj)

    def gap(self) -> None:
        """The watch was interrupted: deletions may have been missed."""
        for key in list(self._caches.audiojobs.keys()):
            self._queue.add(key)

    async def run(self, watcher: Watcher) -> None:
        """Work until cancelled. Raises LeaseLostError, or :class:`MissingTypesError` at the start."""
        address = (self._settings.listen_address, self._settings.listen_port)
        health = HealthServer(
            address,
            self.metrics,
            alive=lambda: self._not_alive(watcher),
            ready=self._not_ready,
            measure=self._measure,
        )
        async with health:
            _log.info("probes and metrics on port %d", health.port)
            await self._require_types()
            try:
                await self._work(watcher)
            finally:
                await self._lease.release()

    async def _work(self, watcher: Watcher) -> None:
        async with asyncio.TaskGroup() as group:
            for reflector in self._caches.reflectors().values():
                group.create_task(reflector.run())
            group.create_task(watcher.run())
            await self._sync()
            group.create_task(self._lease.run())
            await self._lease.held.wait()
            group.create_task(self._sweeper.run())
            for _ in range(self._settings.workers):
                group.create_task(self._reconciler.work())

    async def _sync(self) -> None:
        """No decision before every cache is complete: a Job that is not seen yet must not look as if it were lost."""
        for reflector in self._caches.reflectors().values():
            await reflector.synced.wait()
        while True:
            try:
                await self._sweeper.active()
                break
            except (ApiError, TransportError) as error:
                _log.warning("the first list of AudioJobs failed: %s", error)
                await asyncio.sleep(_CRD_RETRY_SECONDS)
        self._synced = True
        _log.info("caches are complete: %d unfinished AudioJobs", len(self._caches.audiojobs))

    async def _require_types(self) -> None:
        for resource in (AUDIOJOBS, AUDIOPIPELINES):
            for _ in range(_CRD_WAIT_SECONDS // _CRD_RETRY_SECONDS):
                try:
                    async for _page in self._client.pages(resource, page_size=1):
                        break
                except NotFound:
                    _log.warning("%s.%s is not served yet", resource.plural, resource.group)
                except (ApiError, TransportError) as error:
                    _log.warning("cannot list %s: %s", resource.plural, error)
                else:
                    break
                await asyncio.sleep(_CRD_RETRY_SECONDS)
            else:
                raise MissingTypesError(
                    f"{resource.plural}.{resource.group} cannot be listed; apply the CRDs: "
                    "kubectl apply --server-side -f crds/"
                )

    def _wake(self, key: Key) -> None:
        self._queue.add(key)
        self._gate.touch()

    def _pipeline_of(self, name: str) -> AudioPipeline | None:
        return self._caches.pipelines.get(("", name))

    def _watches(self) -> dict[str, Reflector[object]]:
        return self._caches.reflectors()

    def _not_alive(self, watcher: Watcher) -> str:
        stale = [name for name, reflector in self._watches().items() if reflector.age() > WATCH_LIMIT_SECONDS]
        if watcher.age() > THREAD_LIMIT_SECONDS:
            stale.append("kopf")
        # While the API server is away every watch is old, and a restart would not bring it back.
        alive = len(stale) in (0, len(self._watches()))
        return "" if alive else f"nothing heard by {', '.join(sorted(stale))}"

    def _not_ready(self) -> str:
        return "" if self._synced else "the caches are not complete yet"

    def _measure(self) -> None:
        metrics = self.metrics
        metrics.leading.set(self._lease.held.is_set())
        metrics.queue_length.set(len(self._queue))
        metrics.scheduled.set(self._queue.scheduled)
        metrics.active.set(len(self._caches.audiojobs))
        for name, reflector in self._watches().items():
            metrics.watch_age.labels(name).set(reflector.age())
