"""The operator's parts put together: permissions first, then caches, then the Lease, then decisions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from prometheus_client import ProcessCollector

from audiojob_kube.objects import Object
from audiojob_kube.protocol import KubeClient
from audiojob_kube.reflector import Reflector
from audiojob_operator.admission.admitter import Admitter, new_node_gpus
from audiojob_operator.admission.queue_status import queue_status
from audiojob_operator.admission.scheduler import QueueNumbers
from audiojob_operator.building.pools.worker import pool_facts
from audiojob_operator.deciding.pipeline_status import pipeline_status
from audiojob_operator.deciding.transitions import depth
from audiojob_operator.metrics.registry import Metrics
from audiojob_operator.metrics.table import AUDIOJOBS
from audiojob_operator.reconciling.apply import Applier
from audiojob_operator.reconciling.controller import Controller
from audiojob_operator.reconciling.gather import Gatherer
from audiojob_operator.reconciling.giving_up import GivingUp
from audiojob_operator.reconciling.leaving import take_back_early
from audiojob_operator.reconciling.pools.reconciler import PoolReconciler
from audiojob_operator.reconciling.pools.telling import PoolTeller
from audiojob_operator.reconciling.reconcile import Reconciler
from audiojob_operator.reconciling.status_reporter import StatusReporter
from audiojob_operator.reconciling.workqueue import WorkQueue
from audiojob_operator.records.objects import Key
from audiojob_operator.settings import OperatorSettings
from audiojob_operator.state.caches import CacheRules, Caches
from audiojob_operator.state.listener import WorkKey
from audiojob_operator.state.reuse_index import ReuseIndex
from audiojob_operator.watching.health import Degradation, DegradedReason, HealthServer, liveness
from audiojob_operator.watching.lease import Lease
from audiojob_operator.watching.preflight import Preflight
from audiojob_operator.watching.sweep import Sweeper
from audiojob_types.resources.queue import AudioQueue, AudioQueueStatus

_log = logging.getLogger(__name__)

_POOLS_AT_ONCE = 2  # administrators make few


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
        ProcessCollector(registry=self.metrics.registry)  # its memory and CPU
        self._client = client
        self._settings = settings
        self._queue: WorkQueue[Key] = WorkQueue()
        self._pool_queue: WorkQueue[Key] = WorkQueue()
        self._reuse = ReuseIndex(self._queue.add, settings.reuse.remembered) if settings.reuse.enabled else None
        decisions = settings.for_decisions()
        rules = CacheRules(
            settings.gpu.resource_name,
            new_node_gpus(settings.capacity),
            settings.overlap.enabled,
            lambda pool: pool_facts(pool, decisions),
        )
        self._caches = Caches(client, settings.job_namespaces, self, rules)
        self._admitter = Admitter(self._caches, settings.capacity, self._queue.add, settings.site_rules(), self._reuse)
        self._reporters = (
            StatusReporter(client, self._caches.queues, self._queue_status),
            StatusReporter(client, self._caches.pipelines, lambda _, pipeline: pipeline_status(pipeline)),
        )
        self._degradation = Degradation(self.metrics)
        self._preflight = Preflight(client, settings, self._degradation, self._wake_all)
        self._lease = Lease(client, settings.lease, changed=self._leads)
        gatherer = Gatherer(client, self._caches, self._admitter, decisions, self._reuse, self._caches.workers)
        self._applier = Applier(client, self._caches, self.metrics, self._lease.identity)
        giving_up = GivingUp(self._caches, self._admitter, self._applier, self._reuse)
        reconciler = Reconciler(self._queue, gatherer, self._applier, self._admitter, giving_up, self.metrics)
        self._controller = Controller(self._queue, reconciler, self.metrics.reconciled)
        pool_teller = PoolTeller(client, self._lease.identity)
        self._pools: Controller[Key] = Controller(
            self._pool_queue,
            PoolReconciler(client, self._caches, self._admitter, decisions, pool_teller),
            lambda *_: None,
        )
        finished = self._reuse.learn if self._reuse is not None else None
        self._sweeper = Sweeper(client, self._caches, self._queue.add, self.metrics, settings.sweep, finished)
        self._synced = False

    def deliver(self, kind: str | None, obj: Object) -> None:
        """One watch event of an unfinished AudioJob; called in this operator's loop."""
        if kind == "DELETED":
            self._caches.intake.left(obj)
        else:
            self._caches.intake.put(obj)

    def gap(self) -> None:
        """The watch was interrupted: what it has missed is looked for at once."""
        self._sweeper.gap()

    async def run(self, watcher: Watcher) -> None:
        """Work until cancelled. Raises LeaseLostError, or StartError at the start."""
        address = (self._settings.listen_address, self._settings.listen_port)
        health = HealthServer(
            address,
            self.metrics,
            alive=lambda: liveness(self._watch_ages(), watcher.age(), degraded=bool(self._degradation.describe())),
            ready=self._readiness,
            measure=self._measure,
        )
        async with health:
            _log.info("probes and metrics on port %d", health.port)
            await self._preflight.start()
            try:
                await self._work(watcher)
            finally:
                if self._lease.held.is_set():
                    await take_back_early(self._caches, self._applier)
                await self._lease.release()

    async def _work(self, watcher: Watcher) -> None:
        async with asyncio.TaskGroup() as group:
            for reflector in self._caches.reflectors().values():
                group.create_task(reflector.run())
            group.create_task(watcher.run())
            group.create_task(self._preflight.run())
            await self._sync()
            group.create_task(self._sweeper.follow_gaps())
            group.create_task(self._lease.run())
            await self._lease.held.wait()
            self._admitter.open()
            group.create_task(self._sweeper.run())
            for reporter in self._reporters:
                group.create_task(reporter.run())
            group.create_task(self._controller.run(self._settings.workers))
            group.create_task(self._pools.run(_POOLS_AT_ONCE))

    def _queue_status(self, key: Key, queue: AudioQueue) -> AudioQueueStatus:
        return queue_status(queue, self._admitter.numbers.get(key, QueueNumbers()))

    async def _sync(self) -> None:
        """No decision before every cache is complete: a Job that is not seen yet must not look as if it were lost."""
        for reflector in self._caches.reflectors().values():
            await reflector.synced.wait()
        await self._sweeper.catch_up()
        self._synced = True
        _log.info("caches are complete: %d unfinished AudioJobs", len(self._caches.audiojobs))

    def _leads(self, held: bool) -> None:
        """The Lease was taken, or could not be renewed in time: then nothing new is begun until it is again."""
        if held:
            self._degradation.clear(DegradedReason.LEASE_NOT_RENEWED)
            self._queue.resume()
            self._pool_queue.resume()
        else:
            self._queue.pause()
            self._pool_queue.pause()
            self._degradation.report(DegradedReason.LEASE_NOT_RENEWED, "the Lease could not be renewed in time")
            self._preflight.check_soon()

    def _wake_all(self) -> None:
        """What has failed while something was wrong need not wait for the end of its backoff."""
        for key in list(self._caches.audiojobs.keys()):
            self._queue.add(key)
        self._sweeper.gap()

    # ---------------------------------------------------------------- what the caches report (state.listener)

    def wake(self, key: Key) -> None:
        """Reconcile an AudioJob: what frees a slot, or goes on in one, before thousands that only wait."""
        self._queue.add(key, first=self._admitter.goes_first(key))

    def wake_soon(self, key: Key, seconds: float) -> None:
        """Reconcile an AudioJob after so many seconds at the latest."""
        self._queue.add_soon(key, seconds)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call it after so many seconds."""
        asyncio.get_running_loop().call_later(seconds, call)

    def job_stored(self, key: Key, obj: Object) -> None:
        """A newer version of an AudioJob is known."""
        self._caches.workers.seen(key, obj)
        if self._reuse is not None:
            self._reuse.seen(key, obj)

    def job_changed(self, key: Key, *, ours: bool) -> None:
        """Something changed that a decision on the AudioJob depends on; our own writes are no news to reconcile."""
        self._admitter.changed(key)
        if not ours:
            self.wake(key)

    def job_gone(self, key: Key) -> None:
        """The AudioJob does not exist any more."""
        self._caches.forget(key)
        self._admitter.changed(key)
        if self._reuse is not None:
            self._reuse.gone(key)

    def admission_changed(self, key: Key) -> None:
        """What admission reads of the AudioJob changed."""
        self._admitter.changed(key)

    def capacity_changed(self) -> None:
        """Queues or nodes changed."""
        self._admitter.capacity_changed()

    def pool_changed(self, pool: Key) -> None:
        """Something changed that the number of a pool's workers depends on."""
        self._pool_queue.add(pool)

    def work_ended(self, work: WorkKey) -> None:
        """A Job that did reusable work has ended or is gone."""
        if self._reuse is not None:
            self._reuse.job_ended(work)

    # ---------------------------------------------------------------- probes and metrics

    def _watches(self) -> dict[str, Reflector[object]]:
        return self._caches.reflectors()

    def _watch_ages(self) -> dict[str, float]:
        return {name: reflector.age() for name, reflector in self._watches().items()}

    def _readiness(self) -> tuple[bool, str]:
        """Whether the process could work, and what it does. One that stands by is ready: it takes over in seconds."""
        if problem := self._degradation.describe():
            return False, f"degraded: {problem}"
        if not self._synced:
            return False, "the caches are not complete yet"
        if self._lease.held.is_set():
            return True, "ok, leads"
        return True, f"ok, stands by: {self._lease.holder or 'nobody'} holds the Lease"

    def _measure(self) -> None:
        metrics = self.metrics
        metrics.leading.set(self._lease.held.is_set())
        metrics.queue_length.set(len(self._queue))
        metrics.scheduled.set(self._queue.scheduled)
        metrics.active.set(len(self._caches.audiojobs))
        metrics.unwritable.set(self._caches.refusals.given_up)
        metrics.parked.set(self._caches.faults.parked)
        metrics.snapshot.show(AUDIOJOBS, depth(each.status for _, each in self._caches.audiojobs.active()).items())
        for name, age in self._watch_ages().items():
            metrics.watch_age.labels(name).set(age)
        if self._lease.held.is_set():
            self._measure_what_waits()
        else:
            metrics.hide_what_the_leader_shows()

    def _measure_what_waits(self) -> None:
        metrics, caches = self.metrics, self._caches
        backlog, kueue = self._admitter.backlog(), caches.kueue_gpus
        metrics.show_backlog(caches.known_queues(), backlog, datetime.now(UTC))
        metrics.show_gpus(
            caches.gpu_resource,
            offered=caches.gpus.offered,
            held=caches.by_resource(self._admitter.gpus) + caches.worker_gpus + kueue.held,
            wanted=caches.by_resource(backlog.gpus_wanted) + kueue.wanted,
        )
        metrics.show_unschedulable(caches.unschedulable_pods())
        metrics.pools.show(caches.workers.numbers(), datetime.now(UTC))
