"""What people are told of an attempt that has a Job of its own, though its phase names a pool of workers."""

from __future__ import annotations

from typing import Final

from audiojob_operator.records.workers import OwnJob, WhyOwnJob
from audiojob_types.resources.pipeline import Phase

_WHY: Final = {
    WhyOwnJob.NO_SUCH_POOL: "the namespace has no such pool",
    WhyOwnJob.POOL_CLOSED: "the pool is closed",
    WhyOwnJob.NO_OTHER_WORKER: "the pool has no other worker than the one that had the last attempt",
    WhyOwnJob.OTHER_DEVICE: "the attempt needs another device than they have",
    WhyOwnJob.OTHER_TASK: "they do not run its task",
    WhyOwnJob.OTHER_IMAGE: "the job began with the images of another release",
    WhyOwnJob.OTHER_QUEUE: "they are of another queue of Kueue",
    WhyOwnJob.MORE_GPUS: "each has more GPUs than the job's queue may use",
    WhyOwnJob.MORE_MEMORY: "the attempt needs more memory than they have",
    WhyOwnJob.MORE_SCRATCH: "the attempt needs more scratch than they have",
    WhyOwnJob.REUSE: "another job's work is offered to it",
    WhyOwnJob.FOREIGN_INPUT: "an input was not written by Normalize in this job",
    WhyOwnJob.ORDER_TOO_LONG: "what it must be told is too long for a worker",
}


def own_job_text(own: OwnJob, phase: Phase) -> str:
    """A sentence."""
    why = _WHY.get(own.why)
    if why is None:
        assert phase.worker_pool is not None, "a phase without a pool waits for no worker"
        why = f"none was free within {phase.worker_pool.fallback_seconds} s"
    return f"No worker of pool {own.pool} does it: {why}."
