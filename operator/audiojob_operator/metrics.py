"""What Prometheus sees of the operator. All labels are bounded: our own words, and the administrators' pipelines.

docs/metrics.md is generated from here: ``python -m audiojob_operator.metrics_doc docs/metrics.md``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

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

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_LONG_SECONDS = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 7_200.0, 21_600.0, 86_400.0)
_PIPELINES = 50
_OTHER_PIPELINE = "other"


@dataclass(frozen=True, slots=True)
class Description:
    """One metric as people look it up."""

    name: str
    kind: str
    labels: tuple[str, ...]
    text: str


_DEPTH = Description(
    "audiojob_operator_audiojobs",
    "gauge",
    ("state", "reason"),
    "Unfinished AudioJobs by state and reason (a word of docs/reasons.md, or Other).",
)


class Depth(Collector):
    """AudioJobs by state and reason; a pair that has none any more is gone from the page."""

    def __init__(self) -> None:
        self.counts: Mapping[tuple[str, str], int] = {}

    def collect(self) -> Iterator[Metric]:
        """The one metric, from the newest counts."""
        family = GaugeMetricFamily(_DEPTH.name, _DEPTH.text, labels=_DEPTH.labels)
        for labels, count in self.counts.items():
            family.add_metric(labels, count)
        yield family


class Metrics:
    """One set of metrics in its own registry, so that several operators can live in one test process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.depth = Depth()
        self.registry.register(self.depth)
        self.descriptions = [_DEPTH]
        self._pipelines: set[str] = set()
        self._of_the_process()
        self._of_the_work()

    def _of_the_process(self) -> None:
        self.leading = self._gauge("leading", "1 while this process holds the Lease.")
        self.degraded = self._gauge("degraded", "1 while the process lives but cannot do its work.", "reason")
        self.reconciles = self._counter("reconciles", "Reconciles of one AudioJob, by result.", "result")
        self.reconcile_seconds = self._histogram("reconcile_seconds", "Time of one reconcile.", _SECONDS)
        self.writes = self._counter("writes", "Writes to the API server.", "verb", "resource", "result")
        self.events = self._counter("facts", "Events written for AudioJobs.", "reason")
        self.bugs = self._counter("refused_writes", "Writes that the API server refused as invalid.", "resource")
        self.kopf_restarts = self._counter("kopf_restarts", "Starts of the kopf thread beyond the first.")
        self.missed = self._counter("missed_events", "AudioJobs that the watch missed and a sweep found.")
        self.orphans = self._gauge("orphan_jobs", "Running Jobs that no AudioJob owns.", "namespace")
        self.foreign = self._gauge(
            "foreign_audiojobs", "Unfinished AudioJobs in other namespaces, left to another operator."
        )
        self.unwritable = self._gauge(
            "unwritable_audiojobs", "AudioJobs given up because the API server refuses every write of their status."
        )
        self.queue_length = self._gauge("queue_length", "AudioJobs in the work queue.")
        self.scheduled = self._gauge("scheduled", "AudioJobs to reconcile again at a set time.")
        self.active = self._gauge("active_audiojobs", "AudioJobs that are not finished.")
        self.watch_age = self._gauge("watch_age_seconds", "Time since a watch last delivered anything.", "watch")

    def _of_the_work(self) -> None:
        place = ("pipeline", "phase", "device")
        self._wait_seconds = self._histogram(
            "phase_wait_seconds",
            "From when a phase could start until its first Job was created.",
            _LONG_SECONDS,
            *place,
        )
        self._run_seconds = self._histogram(
            "phase_run_seconds",
            "From when a phase's first Job was created until the phase succeeded or failed, retries included.",
            _LONG_SECONDS,
            *place,
        )
        self._attempts = self._counter("attempts", "Attempts that have ended, by class and reason.", "class", "reason")
        self._fallbacks = self._counter("fallbacks", "Phases that fell back to the CPU.", "reason")
        self._disruptions = self._counter("disruptions", "Attempts lost to drains, evictions and lost nodes.")
        self._reused = self._counter("reused_phases", "Phases that reused another job's result.", "pipeline", "phase")
        self._finished = self._counter("finished_audiojobs", "AudioJobs that have ended.", "state", "reason")

    def reconciled(self, result: str, seconds: float) -> None:
        """Count one reconcile of an AudioJob."""
        self.reconciles.labels(result).inc()
        self.reconcile_seconds.observe(seconds)

    def record(self, pipeline: str, transitions: Iterable[Transition]) -> None:
        """Count what a status write has recorded."""
        for transition in transitions:
            match transition:
                case PhaseStarted(phase, device, seconds):
                    self._wait_seconds.labels(*self._place(pipeline, phase), device).observe(seconds)
                case PhaseEnded(phase, device, seconds):
                    self._run_seconds.labels(*self._place(pipeline, phase), device).observe(seconds)
                case AttemptEnded(_, kind, reason):
                    self._attempts.labels(kind, reason).inc()
                    if kind is AttemptClass.DISRUPTED:
                        self._disruptions.inc()
                case FellBack(_, reason):
                    self._fallbacks.labels(reason).inc()
                case PhaseReused(phase):
                    self._reused.labels(*self._place(pipeline, phase)).inc()
                case JobEnded(state, reason):
                    self._finished.labels(state, reason).inc()

    def _place(self, pipeline: str, phase: str) -> tuple[str, str]:
        """Pipeline and phase for labels. Beyond the first pipelines all others share one."""
        if pipeline not in self._pipelines:
            if len(self._pipelines) >= _PIPELINES:
                return _OTHER_PIPELINE, _OTHER_PIPELINE
            self._pipelines.add(pipeline)
        return pipeline, phase

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        full = self._describe(name, "counter", labels, text)
        return Counter(full, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        full = self._describe(name, "gauge", labels, text)
        return Gauge(full, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        full = self._describe(name, "histogram", labels, text)
        return Histogram(full, text, labels, buckets=buckets, registry=self.registry)

    def _describe(self, name: str, kind: str, labels: tuple[str, ...], text: str) -> str:
        full = f"audiojob_operator_{name}"
        shown = f"{full}_total" if kind == "counter" else full
        self.descriptions.append(Description(shown, kind, labels, text))
        return full
