"""What Prometheus sees of the operator. All labels are bounded: verbs, resource types, reasons, results."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """One set of metrics in its own registry, so that several operators can live in one test process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.reconciles = self._counter("reconciles", "Rounds over one AudioJob.", "result")
        self.reconcile_seconds = Histogram(
            "audiojob_operator_reconcile_seconds",
            "Time of one round over one AudioJob.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.writes = self._counter("writes", "Writes to the API server.", "verb", "resource", "result")
        self.events = self._counter("facts", "What was told as events on AudioJobs.", "reason")
        self.bugs = self._counter("refused_writes", "Writes that the API server refused as invalid.", "resource")
        self.kopf_restarts = self._counter("kopf_restarts", "Starts of the kopf thread beyond the first.")
        self.missed = self._counter("missed_events", "AudioJobs that only a sweep has found.")
        self.leading = self._gauge("leading", "1 while this process holds the Lease.")
        self.queue_length = self._gauge("queue_length", "AudioJobs that wait for a worker.")
        self.scheduled = self._gauge("scheduled", "AudioJobs that wait for a moment in the future.")
        self.active = self._gauge("active_audiojobs", "AudioJobs that are not finished.")
        self.watch_age = self._gauge("watch_age_seconds", "Time since a watch last brought anything.", "watch")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"audiojob_operator_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"audiojob_operator_{name}", text, labels, registry=self.registry)
