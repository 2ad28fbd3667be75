"""The operator and the API as programs."""

from __future__ import annotations

from typing import Final

from audiojob_dev.monitoring.model import Dashboard, Panel, Query, Row

_RECONCILE: Final = "sum by (le) (rate(audiojob_operator_reconcile_seconds_bucket[$__rate_interval]))"
_REQUEST: Final = "audiojob_api_request_seconds"
# `process_…` is of every program in the namespace: only those of ours.
_OPERATORS: Final = "and on (namespace, pod) audiojob_operator_build_info"
_APIS: Final = "and on (namespace, pod) audiojob_api_build_info"

_STATE: Final = Row(
    "State",
    (
        Panel(
            "Who leads",
            "1 for the process that holds the Lease.",
            "short",
            (Query("max by (pod) (audiojob_operator_leading)", "{{pod}}"),),
        ),
        Panel(
            "Degraded",
            "1 while a process lives but cannot do its work, by reason.",
            "short",
            (Query("max by (pod, reason) (audiojob_operator_degraded)", "{{pod}} {{reason}}"),),
        ),
        Panel(
            "Watches",
            "How long ago each watch delivered something. A healthy quiet one is heard from every 80 s.",
            "s",
            (Query("max by (pod, watch) (audiojob_operator_watch_age_seconds)", "{{pod}} {{watch}}"),),
        ),
    ),
)

_ROUNDS: Final = Row(
    "Reconciles",
    (
        Panel(
            "Reconciles by result",
            "Reconciles of one AudioJob.",
            "ops",
            (
                Query(
                    "sum by (result) (rate(audiojob_operator_reconciles_total[$__rate_interval]))",
                    "{{result}}",
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Time of a reconcile",
            "From reading the cache to the answer of the last write.",
            "s",
            (
                Query(f"histogram_quantile(0.5, {_RECONCILE})", "half take less"),
                Query(f"histogram_quantile(0.99, {_RECONCILE})", "99 of 100 take less"),
            ),
        ),
        Panel(
            "Work queue",
            "AudioJobs to reconcile now, those with a set time, all that are not finished, those of other operators.",
            "short",
            (
                Query("max(audiojob_operator_queue_length)", "now"),
                Query("max(audiojob_operator_scheduled)", "at a set time"),
                Query("max(audiojob_operator_active_audiojobs)", "not finished"),
                Query("max(audiojob_operator_foreign_audiojobs)", "of other operators"),
            ),
        ),
    ),
)

_SERVER: Final = Row(
    "API server",
    (
        Panel(
            "Writes",
            "Writes to the API server that it took, and Events.",
            "ops",
            (
                Query(
                    'sum by (verb, resource) (rate(audiojob_operator_writes_total{result="ok"}[$__rate_interval]))',
                    "{{verb}} {{resource}}",
                ),
                Query("sum(rate(audiojob_operator_facts_total[$__rate_interval]))", "events by any way"),
            ),
        ),
        Panel(
            "Writes without success",
            "By result: an HTTP status, or transport where no answer came. 409 is usual, 429 is throttling.",
            "ops",
            (
                Query(
                    'sum by (result) (rate(audiojob_operator_writes_total{result!="ok"}[$__rate_interval]))',
                    "{{result}}",
                ),
            ),
        ),
        Panel(
            "What should not happen",
            "In the time shown: writes refused as invalid, AudioJobs that the watch missed, restarts of its thread.",
            "short",
            (
                Query("sum(increase(audiojob_operator_refused_writes_total[$__range]))", "refused writes"),
                Query("sum(increase(audiojob_operator_missed_events_total[$__range]))", "missed events"),
                Query(
                    "sum(increase(audiojob_operator_kopf_restarts_total[$__range]))", "restarts of the watching thread"
                ),
                Query("max(audiojob_operator_unwritable_audiojobs)", "AudioJobs given up"),
                Query("max(audiojob_operator_parked_audiojobs)", "AudioJobs parked"),
            ),
            "bargauge",
        ),
    ),
)

_PROCESS: Final = Row(
    "Processes",
    (
        Panel(
            "Memory",
            "Resident memory of operator and API.",
            "bytes",
            (
                Query(f"process_resident_memory_bytes {_OPERATORS}", "{{pod}}"),
                Query(f"process_resident_memory_bytes {_APIS}", "{{pod}}"),
            ),
        ),
        Panel(
            "CPU",
            "CPUs that operator and API use.",
            "short",
            (
                Query(f"rate(process_cpu_seconds_total[$__rate_interval]) {_OPERATORS}", "{{pod}}"),
                Query(f"rate(process_cpu_seconds_total[$__rate_interval]) {_APIS}", "{{pod}}"),
            ),
        ),
    ),
)

_API: Final = Row(
    "REST API",
    (
        Panel(
            "Requests",
            "By status of the answer.",
            "reqps",
            (Query("sum by (status) (rate(audiojob_api_responses_total[$__rate_interval]))", "{{status}}"),),
            stacked=True,
        ),
        Panel(
            "Time until an answer",
            "99 of 100 requests of the route take less.",
            "s",
            (
                Query(
                    f"histogram_quantile(0.99, sum by (le, route) (rate({_REQUEST}_bucket[$__rate_interval])))",
                    "{{route}}",
                ),
            ),
        ),
        Panel(
            "Authorizations and limits",
            "Requests by outcome of authorization, and connections that the limits of the API ended before an answer.",
            "reqps",
            (
                Query(
                    "sum by (outcome) (rate(audiojob_api_authorizations_total[$__rate_interval]))",
                    "{{outcome}}",
                ),
                Query(
                    "sum by (reason) (rate(audiojob_api_refused_connections_total[$__rate_interval]))",
                    "connection: {{reason}}",
                ),
            ),
        ),
        Panel(
            "What it shows",
            "AudioJobs in memory and how many seconds old that is, open event streams, requests without an answer yet.",
            "short",
            (
                Query("max(audiojob_api_jobs)", "AudioJobs"),
                Query("sum(audiojob_api_event_streams)", "event streams"),
                Query("sum(audiojob_api_requests_in_flight)", "requests in flight"),
                Query("max(audiojob_api_read_model_age_seconds)", "seconds old"),
            ),
        ),
    ),
)

OPERATOR: Final = Dashboard(
    "audiojob-operator",
    "audiojob / Operator and API",
    "The programs: who leads, what they do, what they use.",
    (_STATE, _ROUNDS, _SERVER, _PROCESS, _API),
)
