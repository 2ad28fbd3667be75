"""The operator's metrics as Prometheus scrapes them. All labels are bounded: our own words, and so many names."""

from __future__ import annotations

from collections import Counter as Count
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from audiojob_operator.deciding.attempts.used import AttemptUsed, Held
from audiojob_operator.deciding.transitions import (
    AttemptClass,
    AttemptEnded,
    FellBack,
    JobEnded,
    PhaseEnded,
    PhaseReused,
    PhaseStarted,
    Transition,
)
from audiojob_operator.metrics import known, table
from audiojob_operator.metrics.bounded import OTHER, Bounded
from audiojob_operator.metrics.pools import PoolMetrics, of_pools
from audiojob_operator.metrics.snapshot import Snapshot
from audiojob_operator.records.admission import Backlog, QueueKey
from audiojob_types.constants import RELEASE
from audiojob_types.contract import CONTRACT, Device
from audiojob_types.outside.metric import Description

# Each counter would be shown a second time with the moment of its birth, which nobody asks for.
disable_created_metrics()  # type: ignore[no-untyped-call]

MAX_PLACES: Final = 100
"""Pairs of pipeline and phase with series of their own: a pair has up to 64 of them."""
MAX_QUEUES: Final = 200
"""Queues with series of their own."""
MAX_GPU_KINDS: Final = 16
"""Resources that nodes call GPUs, with series of their own."""


class Metrics:
    """One set of metrics in its own registry, so that several operators can live in one test process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.of_the_leader = (
            table.BACKLOG,
            table.OLDEST_WAIT_SECONDS,
            table.GPUS,
            table.UNSCHEDULABLE_PODS,
            *of_pools(),
        )
        self.descriptions = [table.AUDIOJOBS, *self.of_the_leader]
        self.snapshot = Snapshot(self.descriptions)
        self.registry.register(self.snapshot)
        self._places = Bounded(MAX_PLACES)
        self._queues = Bounded(MAX_QUEUES)
        self._gpu_kinds = Bounded(MAX_GPU_KINDS)
        self._of_the_process()
        self._of_the_work()
        self.pools = PoolMetrics(self.snapshot, self._counter)

    def _of_the_process(self) -> None:
        self._gauge(table.BUILD_INFO).labels(RELEASE, str(CONTRACT)).set(1)
        self.leading = self._gauge(table.LEADING)
        self.degraded = self._gauge(table.DEGRADED)
        self.reconciles = self._counter(table.RECONCILES, known.RECONCILES)
        self.reconcile_seconds = self._histogram(table.RECONCILE_SECONDS)
        self.writes = self._counter(table.WRITES, known.WRITES)
        self.events = self._counter(table.FACTS)
        self.bugs = self._counter(table.REFUSED_WRITES, known.REFUSED_WRITES)
        self.kopf_restarts = self._counter(table.KOPF_RESTARTS)
        self.missed = self._counter(table.MISSED_EVENTS)
        self.orphans = self._gauge(table.ORPHAN_JOBS)
        self.foreign = self._gauge(table.FOREIGN_AUDIOJOBS)
        self.unwritable = self._gauge(table.UNWRITABLE_AUDIOJOBS)
        self.parked = self._gauge(table.PARKED_AUDIOJOBS)
        self.queue_length = self._gauge(table.QUEUE_LENGTH)
        self.scheduled = self._gauge(table.SCHEDULED)
        self.active = self._gauge(table.ACTIVE_AUDIOJOBS)
        self.watch_age = self._gauge(table.WATCH_AGE_SECONDS)

    def _of_the_work(self) -> None:
        self._wait_seconds = self._histogram(table.PHASE_WAIT_SECONDS)
        self._run_seconds = self._histogram(table.PHASE_RUN_SECONDS)
        self._attempts = self._counter(table.ATTEMPTS, known.ATTEMPTS)
        self._start_seconds = self._histogram(table.ATTEMPT_START_SECONDS)
        self._memory_ratio = self._histogram(table.ATTEMPT_PEAK_MEMORY_RATIO)
        self._gpu_seconds = self._counter(table.ATTEMPT_GPU_SECONDS)
        self._hold_seconds = self._counter(table.ATTEMPT_HOLD_SECONDS, known.PLACES)
        self._cpu_seconds = self._counter(table.ATTEMPT_CPU_SECONDS, known.PLACES)
        self._media_seconds = self._counter(table.ATTEMPT_MEDIA_SECONDS, known.PLACES)
        self._work_seconds = self._counter(table.ATTEMPT_WORK_SECONDS, known.PLACES)
        self._bytes = self._counter(table.ATTEMPT_BYTES, known.BYTES)
        self._gpu_memory = self._histogram(table.ATTEMPT_GPU_MEMORY_BYTES)
        self._fallbacks = self._counter(table.FALLBACKS, known.FALLBACKS)
        self._disruptions = self._counter(table.DISRUPTIONS)
        self._reused = self._counter(table.REUSED_PHASES)
        self._finished = self._counter(table.FINISHED_AUDIOJOBS, known.FINISHED)

    def reconciled(self, result: str, seconds: float) -> None:
        """Count one reconcile of an AudioJob."""
        self.reconciles.labels(result).inc()
        self.reconcile_seconds.observe(seconds)

    def record(self, pipeline: str, transitions: Iterable[Transition]) -> None:
        """Count what a status write has recorded."""
        for transition in transitions:
            match transition:
                case PhaseStarted(phase, device, seconds):
                    self._wait_seconds.labels(*self._places.labels(pipeline, phase), device).observe(seconds)
                case PhaseEnded(phase, device, seconds):
                    self._run_seconds.labels(*self._places.labels(pipeline, phase), device).observe(seconds)
                case AttemptEnded(_, kind, reason):
                    self._attempts.labels(*known.pair(kind, reason, known.ATTEMPTS)).inc()
                    if kind is AttemptClass.DISRUPTED:
                        self._disruptions.inc()
                case FellBack(_, reason):
                    self._fallbacks.labels(reason).inc()
                case PhaseReused(phase):
                    self._reused.labels(*self._places.labels(pipeline, phase)).inc()
                case JobEnded(state, reason):
                    self._finished.labels(*known.pair(state, reason, known.FINISHED)).inc()

    def attempt_held(self, held: Held) -> None:
        """Count the time for which a pod waited for its inputs."""
        self._hold_seconds.labels(held.task, held.device).inc(held.seconds)

    def attempt_used(self, used: AttemptUsed) -> None:
        """Count what an attempt took whose end a status write has recorded."""
        for stage, seconds in used.stages.items():
            self._start_seconds.labels(stage, used.task, used.device).observe(seconds)
        if used.memory_ratio is not None:
            self._memory_ratio.labels(used.task, used.device).observe(used.memory_ratio)
        if used.device is Device.GPU:
            self._gpu_seconds.labels(used.task, used.device).inc(used.gpu_seconds)
        told = used.told
        for counter, labels, amount in (
            (self._cpu_seconds, (used.task, used.device), told.cpu_seconds),
            (self._media_seconds, (used.task, used.device), told.media_seconds),
            (self._work_seconds, (used.task, used.device), told.work_seconds),
            (self._bytes, (used.task, "read"), told.read_bytes),
            (self._bytes, (used.task, "written"), told.written_bytes),
        ):
            if amount is not None:
                counter.labels(*labels).inc(amount)
        if told.gpu_peak_bytes is not None:
            self._gpu_memory.labels(used.task).observe(told.gpu_peak_bytes)

    def show_backlog(self, queues: Collection[QueueKey], backlog: Backlog, now: datetime) -> None:
        """What waits, with a 0 for each queue. A queue that only a job names, and does not exist, has no series."""
        self._queues.forget_all_but(queues)
        counts: Count[tuple[str, ...]] = Count()
        seconds: dict[tuple[str, ...], float] = {}
        for queue in sorted(queues):
            for device in Device:
                counts[*self._queues.labels(*queue), device] += 0
        for (queue, device), waiting in backlog.waiting.items():
            labels = (*(self._queues.labels(*queue) if queue in queues else (OTHER, OTHER)), device)
            counts[labels] += waiting.count
            seconds[labels] = max(seconds.get(labels, 0.0), (now - waiting.since).total_seconds())
        self.snapshot.show(table.BACKLOG, counts.items())
        self.snapshot.show(table.OLDEST_WAIT_SECONDS, ((labels, seconds.get(labels, 0.0)) for labels in counts))

    def show_gpus(
        self, site: str, *, offered: Mapping[str, int], held: Mapping[str, int], wanted: Mapping[str, int]
    ) -> None:
        """GPUs of the whole cluster by resource, with a 0 for that of the site: a slice is not the same as a GPU."""
        states = {"offered": offered, "held": held, "wanted": wanted}
        resources = sorted({site, *offered, *held, *wanted})
        self._gpu_kinds.forget_all_but([(each,) for each in resources])
        self._gpu_kinds.labels(site)  # it is never among the others
        counts: Count[tuple[str, ...]] = Count()
        for resource in resources:
            for state, numbers in states.items():
                counts[(state, *self._gpu_kinds.labels(resource))] += numbers.get(resource, 0)
        self.snapshot.show(table.GPUS, counts.items())

    def show_unschedulable(self, pods: Mapping[Device, int]) -> None:
        """Pods that no node has room for."""
        self.snapshot.show(table.UNSCHEDULABLE_PODS, (((device,), pods.get(device, 0)) for device in Device))

    def hide_what_the_leader_shows(self) -> None:
        """Where nothing is decided it would be said twice, or be out of date."""
        for about in self.of_the_leader:
            self.snapshot.show(about, ())

    def _counter(self, about: Description, known_labels: Iterable[tuple[str, ...]] = ()) -> Counter:
        self.descriptions.append(about)
        counter = Counter(about.name, about.text, about.labels, registry=self.registry)
        for labels in known_labels:
            counter.labels(*labels)
        return counter

    def _gauge(self, about: Description) -> Gauge:
        self.descriptions.append(about)
        return Gauge(about.name, about.text, about.labels, registry=self.registry)

    def _histogram(self, about: Description) -> Histogram:
        self.descriptions.append(about)
        return Histogram(about.name, about.text, about.labels, buckets=about.buckets, registry=self.registry)
