"""The dashboard that is open all day: does it work, how much waits, what fails."""

from __future__ import annotations

from typing import Final

from audiojob_dev.monitoring.model import Dashboard, Panel, Query, Row
from audiojob_dev.monitoring.promql import longest, total

_FINISHED: Final = "audiojob_operator_finished_audiojobs_total"
_RUNNING: Final = 'audiojob_operator_audiojobs{state="Running"}'
_WAITING: Final = 'audiojob_operator_audiojobs{state=~"Pending|Queued|Suspended"}'
_WAIT: Final = "sum by (le) (rate(audiojob_operator_phase_wait_seconds_bucket[$__rate_interval]))"

_NOW: Final = Row(
    "Now",
    (
        Panel(
            "Operator",
            "Whether a process holds the Lease. Nobody: no AudioJob starts, continues or ends.",
            "short",
            (Query("max(audiojob_operator_leading) or vector(0)"),),
            "stat",
            words=((0, "nobody leads", "red"), (1, "leads", "green")),
        ),
        Panel(
            "Running",
            "AudioJobs that run.",
            "short",
            (Query(f"{total(_RUNNING)} or vector(0)"),),
            "stat",
        ),
        Panel(
            "Waiting",
            "AudioJobs that wait for a slot or for GPUs.",
            "short",
            (Query(total("audiojob_operator_backlog")),),
            "stat",
        ),
        Panel(
            "Oldest wait",
            "How long the first of them could have started.",
            "s",
            (Query(longest("audiojob_operator_oldest_wait_seconds")),),
            "stat",
        ),
        Panel(
            "Failed",
            "AudioJobs that failed in the time shown.",
            "short",
            (Query(f'sum(increase({_FINISHED}{{state="Failed"}}[$__range]))'),),
            "stat",
        ),
    ),
)

_WORK: Final = Row(
    "Work",
    (
        Panel(
            "AudioJobs by state",
            "Unfinished AudioJobs.",
            "short",
            (Query(total("audiojob_operator_audiojobs", "state"), "{{state}}"),),
            stacked=True,
        ),
        Panel(
            "Finished per hour",
            "AudioJobs that end, by how they end.",
            "short",
            (Query(f"3600 * sum by (state) (rate({_FINISHED}[$__rate_interval]))", "{{state}}"),),
        ),
        Panel(
            "Wait of a phase",
            "From when a phase could start until its Job was created, of the phases that started.",
            "s",
            (
                Query(f"histogram_quantile(0.5, {_WAIT})", "half wait less"),
                Query(f"histogram_quantile(0.9, {_WAIT})", "nine in ten wait less"),
            ),
        ),
    ),
)

_WHY: Final = Row(
    "Why",
    (
        Panel(
            "What AudioJobs wait for",
            "Reasons of docs/reasons.md, of AudioJobs that have not begun or wait between two phases.",
            "short",
            (Query(f"topk(10, {total(_WAITING, 'reason')})", "{{reason}}"),),
            stacked=True,
        ),
        Panel(
            "Why AudioJobs fail",
            "Reasons of docs/reasons.md, the most frequent in the time shown.",
            "short",
            (
                Query(
                    f'topk(10, sum by (reason) (increase({_FINISHED}{{state="Failed"}}[$__range]))) > 0', "{{reason}}"
                ),
            ),
            "bargauge",
        ),
        Panel(
            "GPUs",
            "What Ready nodes offer, what phases hold, and what others wait for.",
            "short",
            (Query(total("audiojob_operator_gpus", "resource", "state"), "{{resource}} {{state}}"),),
        ),
    ),
)

OVERVIEW: Final = Dashboard(
    "audiojob-overview",
    "audiojob / Overview",
    "Whether it works, how much waits, what fails.",
    (_NOW, _WORK, _WHY),
)
