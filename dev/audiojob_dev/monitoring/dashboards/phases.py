"""Where the time goes inside a job, and what is tried again."""

from __future__ import annotations

from typing import Final

from audiojob_dev.monitoring.model import Dashboard, Panel, Query, Row

_RUN: Final = "rate(audiojob_operator_phase_run_seconds_bucket[$__rate_interval])"
_START: Final = "rate(audiojob_operator_attempt_start_seconds_bucket[$__rate_interval])"
_MEMORY: Final = "rate(audiojob_operator_attempt_peak_memory_ratio_bucket[$__rate_interval])"
_GPU_MEMORY: Final = "rate(audiojob_operator_attempt_gpu_memory_bytes_bucket[$__rate_interval])"
_FAILED: Final = 'audiojob_operator_attempts_total{class!~"Succeeded|Stopped"}'


def _used(metric: str) -> str:
    return f"sum by (task, device) (rate(audiojob_operator_attempt_{metric}_seconds_total[$__rate_interval]))"


_TIME: Final = Row(
    "Time",
    (
        Panel(
            "Run time of phases",
            "How many phases took how long, retries included.",
            "s",
            (Query(f"sum by (le) ({_RUN})", "{{le}}"),),
            "heatmap",
        ),
        Panel(
            "Run time by phase",
            "Half of the phases of this name took less.",
            "s",
            (
                Query(
                    f"histogram_quantile(0.5, sum by (le, pipeline, phase, device) ({_RUN}))",
                    "{{pipeline}}/{{phase}} {{device}}",
                ),
            ),
        ),
        Panel(
            "Start of an attempt, by stage",
            "Nine in ten attempts took less: schedule until the pod has a node, kubelet until its container runs, "
            "process until its task begins, handover from its end until that is recorded.",
            "s",
            (Query(f"histogram_quantile(0.9, sum by (le, stage) ({_START}))", "{{stage}}"),),
        ),
    ),
)

_SPEED: Final = Row(
    "Speed",
    (
        Panel(
            "Real-time factor",
            "Seconds of work for a second of music, failed attempts included. Below 1 it beats the music.",
            "short",
            (Query(f"{_used('work')} / ({_used('media')} > 0)", "{{task}} {{device}}"),),
        ),
        Panel(
            "CPUs in use",
            "CPU seconds that attempts used, by the second in which their end was recorded.",
            "short",
            (Query(_used("cpu"), "{{task}} {{device}}"),),
            stacked=True,
        ),
        Panel(
            "GPUs in use",
            "GPUs times the time for which attempts had them, by the second in which their end was recorded.",
            "short",
            (Query(_used("gpu"), "{{task}} {{device}}"),),
            stacked=True,
        ),
        Panel(
            "Bytes",
            "What attempts read from and wrote to the store and libraries.",
            "Bps",
            (
                Query(
                    "sum by (task, direction) (rate(audiojob_operator_attempt_bytes_total[$__rate_interval]))",
                    "{{task}} {{direction}}",
                ),
            ),
        ),
    ),
)

_MEMORY_ROW: Final = Row(
    "Memory",
    (
        Panel(
            "Memory used of memory given",
            "Nine in ten attempts of the task used less of what they were given. Near 100 %: give more.",
            "percentunit",
            (Query(f"histogram_quantile(0.9, sum by (le, task, device) ({_MEMORY}))", "{{task}} {{device}}"),),
        ),
        Panel(
            "GPU memory",
            "Nine in ten attempts of the task used less.",
            "bytes",
            (Query(f"histogram_quantile(0.9, sum by (le, task) ({_GPU_MEMORY}))", "{{task}}"),),
        ),
    ),
)

_AGAIN: Final = Row(
    "Again",
    (
        Panel(
            "Attempts by how they end",
            "Per hour. Retry, Memory and Device are tried again, Exhausted and Permanent are not.",
            "short",
            (
                Query(
                    "3600 * sum by (class) (rate(audiojob_operator_attempts_total[$__rate_interval]))",
                    "{{class}}",
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Why attempts fail",
            "Reasons of docs/reasons.md, the most frequent in the time shown.",
            "short",
            (Query(f"topk(10, sum by (reason) (increase({_FAILED}[$__range]))) > 0", "{{reason}}"),),
            "bargauge",
        ),
        Panel(
            "Fallbacks to the CPU",
            "Phases per hour that moved from the GPU to the CPU, by reason.",
            "short",
            (
                Query(
                    "3600 * sum by (reason) (rate(audiojob_operator_fallbacks_total[$__rate_interval]))",
                    "{{reason}}",
                ),
            ),
        ),
        Panel(
            "Reused and disrupted",
            "Per hour: phases that took over a result of another job, and attempts lost to drains and lost nodes.",
            "short",
            (
                Query("3600 * sum(rate(audiojob_operator_reused_phases_total[$__rate_interval]))", "reused"),
                Query("3600 * sum(rate(audiojob_operator_disruptions_total[$__rate_interval]))", "disrupted"),
            ),
        ),
    ),
)

PHASES: Final = Dashboard(
    "audiojob-phases",
    "audiojob / Phases",
    "Where the time goes inside a job, and what is tried again.",
    (_TIME, _SPEED, _MEMORY_ROW, _AGAIN),
)
