"""Every metric of the operator. docs/metrics.md is generated from here; alerts and dashboards depend on the names."""

from __future__ import annotations

from typing import Final

from audiojob_types.outside.metric import Description

_SHORT: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_MEMORY: Final = tuple(float(number * 2**30) for number in (1, 2, 4, 8, 16, 24, 48, 80))
_START: Final = (1.0, 5.0, 15.0, 60.0, 300.0)
_RATIO: Final = (0.5, 0.8, 0.9, 1.0)
_LONG: Final = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 7_200.0, 21_600.0, 86_400.0)


def _counter(name: str, text: str, *labels: str) -> Description:
    return Description(f"audiojob_operator_{name}_total", "counter", text, labels)


def _gauge(name: str, text: str, *labels: str) -> Description:
    return Description(f"audiojob_operator_{name}", "gauge", text, labels)


def _histogram(name: str, buckets: tuple[float, ...], text: str, *labels: str) -> Description:
    return Description(f"audiojob_operator_{name}", "histogram", text, labels, buckets)


# ---------------------------------------------------------------- the process

BUILD_INFO: Final = _gauge("build_info", "1, for the release and the contract with runners.", "version", "contract")
LEADING: Final = _gauge("leading", "1 while this process holds the Lease.")
DEGRADED: Final = _gauge("degraded", "1 while the process lives but cannot do its work.", "reason")
RECONCILES: Final = _counter("reconciles", "Reconciles of one AudioJob, by result.", "result")
RECONCILE_SECONDS: Final = _histogram("reconcile_seconds", _SHORT, "Time of one reconcile.")
WRITES: Final = _counter("writes", "Writes to the API server.", "verb", "resource", "result")
FACTS: Final = _counter("facts", "Events written for AudioJobs.", "reason")
REFUSED_WRITES: Final = _counter("refused_writes", "Writes that the API server refused as invalid.", "resource")
KOPF_RESTARTS: Final = _counter("kopf_restarts", "Starts of the kopf thread beyond the first.")
MISSED_EVENTS: Final = _counter("missed_events", "AudioJobs that the watch missed and a sweep found.")
ORPHAN_JOBS: Final = _gauge("orphan_jobs", "Running Jobs that no AudioJob owns.", "job_namespace")
FOREIGN_AUDIOJOBS: Final = _gauge(
    "foreign_audiojobs", "Unfinished AudioJobs in other namespaces, left to another operator."
)
UNWRITABLE_AUDIOJOBS: Final = _gauge(
    "unwritable_audiojobs", "AudioJobs given up because the API server refuses every write of their status."
)
PARKED_AUDIOJOBS: Final = _gauge(
    "parked_audiojobs", "AudioJobs on which the operator has failed again and again, by a fault of its own."
)
QUEUE_LENGTH: Final = _gauge("queue_length", "AudioJobs in the work queue.")
SCHEDULED: Final = _gauge("scheduled", "AudioJobs to reconcile again at a set time.")
WATCH_AGE_SECONDS: Final = _gauge("watch_age_seconds", "Time since a watch last delivered anything.", "watch")

# ---------------------------------------------------------------- the work

ACTIVE_AUDIOJOBS: Final = _gauge("active_audiojobs", "AudioJobs that are not finished.")
AUDIOJOBS: Final = _gauge(
    "audiojobs",
    "Unfinished AudioJobs by state and reason (a word of docs/reasons.md, or Other).",
    "state",
    "reason",
)
BACKLOG: Final = _gauge(
    "backlog",
    "AudioJobs that wait for a slot (`CPU`), or for GPUs with or without one (`GPU`). 0 for each known queue.",
    "job_namespace",
    "queue",
    "device",
)
OLDEST_WAIT_SECONDS: Final = _gauge(
    "oldest_wait_seconds",
    "Since when the first of them could have started, or its phase waits for GPUs.",
    "job_namespace",
    "queue",
    "device",
)
GPUS: Final = _gauge(
    "gpus",
    "GPUs that Ready nodes offer, that phases hold, and that others wait for, by the resource that nodes call them.",
    "state",
    "resource",
)
UNSCHEDULABLE_PODS: Final = _gauge("unschedulable_pods", "Pods that no node has room for.", "device")
POOL_WAITING_PHASES: Final = _gauge(
    "pool_waiting_phases",
    "Phases that wait for a worker of the pool. 0 for each known pool.",
    "job_namespace",
    "pool",
)
POOL_OLDEST_WAIT_SECONDS: Final = _gauge(
    "pool_oldest_wait_seconds", "Since when the first of them waits for a worker.", "job_namespace", "pool"
)
POOL_WORKERS: Final = _gauge("pool_workers", "Workers of the pool that live.", "job_namespace", "pool", "state")
POOL_DESIRED_WORKERS: Final = _gauge(
    "pool_desired_workers", "Workers that the pool should have now.", "job_namespace", "pool"
)
POOL_MAX_WORKERS: Final = _gauge("pool_max_workers", "Workers that it may have: `maxWorkers`.", "job_namespace", "pool")
POOL_PHASES: Final = _counter("pool_phases", "Phases that workers of the pool have done.", "job_namespace", "pool")
OWN_JOBS: Final = _counter(
    "own_jobs", "Attempts that got a Job of their own though their phase names a pool of workers, by why.", "reason"
)
PHASE_WAIT_SECONDS: Final = _histogram(
    "phase_wait_seconds",
    _LONG,
    "From when a phase could start until its first Job was created.",
    "pipeline",
    "phase",
    "device",
)
PHASE_RUN_SECONDS: Final = _histogram(
    "phase_run_seconds",
    _LONG,
    "From when a phase's first Job was created until the phase succeeded or failed, retries included.",
    "pipeline",
    "phase",
    "device",
)
ATTEMPTS: Final = _counter("attempts", "Attempts that have ended, by class and reason.", "class", "reason")
ATTEMPT_START_SECONDS: Final = _histogram(
    "attempt_start_seconds",
    _START,
    "What passes before and after an attempt's work, by stage.",
    "stage",
    "task",
    "device",
)
ATTEMPT_PEAK_MEMORY_RATIO: Final = _histogram(
    "attempt_peak_memory_ratio",
    _RATIO,
    "The most memory that an attempt used, as a part of what it was given.",
    "task",
    "device",
)
ATTEMPT_CPU_SECONDS: Final = _counter("attempt_cpu_seconds", "CPU time of attempts' processes.", "task", "device")
ATTEMPT_WORK_SECONDS: Final = _counter(
    "attempt_work_seconds", "Time in which the tasks of attempts ran, failed ones too.", "task", "device"
)
ATTEMPT_MEDIA_SECONDS: Final = _counter(
    "attempt_media_seconds",
    "Length of the sound that attempts worked on; one that fails adds none. Work ÷ media is what sound costs.",
    "task",
    "device",
)
ATTEMPT_BYTES: Final = _counter(
    "attempt_bytes", "Bytes of inputs that attempts read, and of outputs that they wrote.", "task", "direction"
)
ATTEMPT_GPU_MEMORY_BYTES: Final = _histogram(
    "attempt_gpu_memory_bytes", _MEMORY, "The most GPU memory that an attempt had allocated.", "task"
)
ATTEMPT_GPU_SECONDS: Final = _counter(
    "attempt_gpu_seconds", "GPUs times the time for which attempts had them, from a node to the end.", "task", "device"
)
ATTEMPT_HOLD_SECONDS: Final = _counter(
    "attempt_hold_seconds",
    "Time for which pods that began early had a node and waited for their inputs, in vain or not.",
    "task",
    "device",
)
FALLBACKS: Final = _counter("fallbacks", "Phases that fell back to the CPU.", "reason")
DISRUPTIONS: Final = _counter("disruptions", "Attempts lost to drains, evictions and lost nodes.")
REUSED_PHASES: Final = _counter("reused_phases", "Phases that reused another job's result.", "pipeline", "phase")
FINISHED_AUDIOJOBS: Final = _counter("finished_audiojobs", "AudioJobs that have ended.", "state", "reason")
