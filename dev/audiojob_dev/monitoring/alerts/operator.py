"""Alerts about the operator itself."""

from __future__ import annotations

from typing import Final

from audiojob_dev.monitoring.model import Alert, Threshold
from audiojob_dev.monitoring.promql import longest, total

OPERATOR: Final = (
    Alert(
        "NobodyLeads",
        "critical",
        "5m",
        "(max(audiojob_operator_leading) or vector(0)) < 1",
        "No operator leads.",
        "No process holds the Lease, or Prometheus scrapes none: no AudioJob starts, continues or ends.",
    ),
    Alert(
        "TwoLead",
        "critical",
        "2m",
        "sum(audiojob_operator_leading) > 1",
        "More than one operator leads.",
        "{{ $value }} processes believe that they hold the Lease. Both may start work for the same AudioJobs.",
    ),
    Alert(
        "Degraded",
        "critical",
        "5m",
        "max by (pod, reason) (audiojob_operator_degraded) == 1",
        "The operator lives but cannot work.",
        "{{ $labels.pod }}: {{ $labels.reason }}.",
    ),
    Alert(
        "WatchSilent",
        "warning",
        "5m",
        f"{longest('audiojob_operator_watch_age_seconds', 'pod', 'watch')} > ${{watchSilentSeconds}}",
        "The operator hears nothing from a watch.",
        "{{ $labels.pod }} last heard of {{ $labels.watch }} {{ $value | humanizeDuration }} ago; a quiet one is heard "
        "from every 80 s.",
        (Threshold("watchSilentSeconds", 240, "Seconds since a watch last delivered anything."),),
    ),
    Alert(
        "Throttled",
        "warning",
        "10m",
        'sum(rate(audiojob_operator_writes_total{result="429"}[5m])) > ${throttledPerSecond}',
        "The API server throttles the operator.",
        "{{ $value | humanize }} writes a second are answered with 429: AudioJobs advance late.",
        (Threshold("throttledPerSecond", 0.1, "Writes a second that the API server answers with 429."),),
    ),
    Alert(
        "RefusedWrites",
        "warning",
        "0m",
        "sum by (resource) (increase(audiojob_operator_refused_writes_total[15m])) > 0",
        "The API server refuses writes of the operator as invalid.",
        "It refused writes of {{ $labels.resource }} in the last 15 minutes. Such a job goes no further.",
    ),
    Alert(
        "Faults",
        "warning",
        "0m",
        'sum(increase(audiojob_operator_reconciles_total{result="fault"}[15m])) > 0',
        "The operator has a bug that jobs run into.",
        "Reconciles ended with an error that nobody foresaw in the last 15 minutes; the log has a traceback.",
    ),
    Alert(
        "Parked",
        "warning",
        "5m",
        f"{total('audiojob_operator_parked_audiojobs')} > 0",
        "AudioJobs are parked: the operator fails on them again and again.",
        "{{ $value }} AudioJobs go no further by a fault of the operator.",
    ),
    Alert(
        "Unwritable",
        "warning",
        "5m",
        f"{total('audiojob_operator_unwritable_audiojobs')} > 0",
        "AudioJobs are given up: the API server refuses every write of their status.",
        "{{ $value }} AudioJobs go no further, and their status says nothing of it.",
    ),
    Alert(
        "OrphanJobs",
        "warning",
        "1h",
        f"{total('audiojob_operator_orphan_jobs', 'job_namespace')} > 0",
        "Kubernetes Jobs run that no AudioJob owns.",
        "{{ $value }} Jobs in {{ $labels.job_namespace }} use resources and nobody waits for their results.",
    ),
    Alert(
        "MissedEvents",
        "warning",
        "0m",
        "sum(increase(audiojob_operator_missed_events_total[1h])) > ${missedEvents}",
        "The operator's watch misses AudioJobs.",
        "A sweep found {{ $value | humanize }} AudioJobs in the last hour that the watch had not delivered: each "
        "waited up to a sweep longer.",
        (Threshold("missedEvents", 10, "AudioJobs in an hour that a sweep found and the watch did not."),),
    ),
    Alert(
        "KopfRestarts",
        "warning",
        "0m",
        "sum(increase(audiojob_operator_kopf_restarts_total[1h])) > ${kopfRestarts}",
        "The thread that watches AudioJobs restarts again and again.",
        "It was started anew {{ $value | humanize }} times in the last hour.",
        (Threshold("kopfRestarts", 3, "Restarts of the watching thread in an hour."),),
    ),
)
