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

QUEUES: Final = Dashboard(
    "audiojob-queues",
    "audiojob / Queues",
    "Who waits, where, for what, and how long.",
    (_QUEUES, _REASONS, _WAITS),
)
