"""Who waits, where, for what, and how long."""

from __future__ import annotations

from typing import Final

from audiojob_dev.monitoring.model import Dashboard, Panel, Query, Row
from audiojob_dev.monitoring.promql import longest, total

_WAITING: Final = 'audiojob_operator_audiojobs{state=~"Pending|Queued|Suspended"}'
_LIMITED: Final = (
    'audiojob_operator_audiojobs{reason=~"CoolingDown|QueueFull|SiteBusy|WaitingForGPU|WaitingForSameWork"}'
)
_OF_QUEUE: Final = ("job_namespace", "queue", "device")
_QUEUE: Final = "{{job_namespace}}/{{queue}} {{device}}"
_OF_POOL: Final = ("job_namespace", "pool")
_POOL: Final = "{{job_namespace}}/{{pool}}"
_WAIT_BY: Final = (
    "histogram_quantile(0.9, sum by (le, {by}) (rate(audiojob_operator_phase_wait_seconds_bucket[$__rate_interval])))"
)

_QUEUES: Final = Row(
    "Queues",
    (
        Panel(
            "Backlog",
            "AudioJobs that wait for a slot (CPU) or for GPUs (GPU), by job namespace and queue.",
            "short",
            (Query(total("audiojob_operator_backlog", *_OF_QUEUE), _QUEUE),),
            stacked=True,
        ),
        Panel(
            "Oldest wait",
            "How long the first in each queue could have started. A line that only rises: nothing of it starts.",
            "s",
            (Query(longest("audiojob_operator_oldest_wait_seconds", *_OF_QUEUE), _QUEUE),),
        ),
    ),
)

_REASONS: Final = Row(
    "Reasons",
    (
        Panel(
            "What AudioJobs wait for",
            "Reasons of docs/reasons.md.",
            "short",
            (Query(total(_WAITING, "reason"), "{{reason}}"),),
            stacked=True,
        ),
        Panel(
            "Limits that are reached",
            "AudioJobs that wait for a slot, for GPUs, for a site, or for the same work of another.",
            "short",
            (Query(total(_LIMITED, "reason"), "{{reason}}"),),
        ),
        Panel(
            "Pods without room",
            "Pods of phases that no node has room for.",
            "short",
            (Query(total("audiojob_operator_unschedulable_pods", "device"), "{{device}}"),),
        ),
    ),
)

_WAITS: Final = Row(
    "Waits",
    (
        Panel(
            "Wait by pipeline",
            "Nine in ten phases of the pipeline waited less.",
            "s",
            (Query(_WAIT_BY.format(by="pipeline"), "{{pipeline}}"),),
        ),
        Panel(
            "Wait by device",
            "Nine in ten phases waited less.",
            "s",
            (Query(_WAIT_BY.format(by="device"), "{{device}}"),),
        ),
        Panel(
            "Phases that start per hour",
            "By pipeline, retries not counted.",
            "short",
            (
                Query(
                    "3600 * sum by (pipeline) (rate(audiojob_operator_phase_wait_seconds_count[$__rate_interval]))",
                    "{{pipeline}}",
                ),
            ),
        ),
    ),
)

_POOLS: Final = Row(
    "Worker pools",
    (
        Panel(
            "Phases that wait for workers",
            "By job namespace and pool.",
            "short",
            (Query(total("audiojob_operator_pool_waiting_phases", *_OF_POOL), _POOL),),
            stacked=True,
        ),
        Panel(
            "Oldest wait for a worker",
            "How long the first of them has waited. After fallbackSeconds it takes a Job of its own.",
            "s",
            (Query(longest("audiojob_operator_pool_oldest_wait_seconds", *_OF_POOL), _POOL),),
        ),
        Panel(
            "Workers",
            "Workers that live, by what they do.",
            "short",
            (Query(total("audiojob_operator_pool_workers", *_OF_POOL, "state"), f"{_POOL} {{{{state}}}}"),),
            stacked=True,
        ),
    ),
)

_SERVED: Final = Row(
    "What workers do",
    (
        Panel(
            "Workers wanted and allowed",
            "How many the pool should have now, and maxWorkers.",
            "short",
            (
                Query(total("audiojob_operator_pool_desired_workers", *_OF_POOL), f"{_POOL} wanted"),
                Query(total("audiojob_operator_pool_max_workers", *_OF_POOL), f"{_POOL} allowed"),
            ),
        ),
        Panel(
            "Phases done by workers",
            "Per hour, by pool.",
            "short",
            (
                Query(
                    "3600 * sum by (job_namespace, pool) (rate(audiojob_operator_pool_phases_total[$__rate_interval]))",
                    _POOL,
                ),
            ),
        ),
        Panel(
            "Jobs in place of workers",
            "Per hour: attempts that got a Job of their own though their phase names a pool. Words of docs/workers.md.",
            "short",
            (
                Query(
                    "3600 * sum by (reason) (rate(audiojob_operator_own_jobs_total[$__rate_interval]))",
                    "{{reason}}",
                ),
            ),
            stacked=True,
        ),
    ),
)

QUEUES: Final = Dashboard(
    "audiojob-queues",
    "audiojob / Queues",
    "Who waits, where, for what, and how long.",
    (_QUEUES, _REASONS, _WAITS, _POOLS, _SERVED),
)
