"""The limits of a job's time: in all from its start, and of waiting for it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from audiojob_operator.building.precedence import effective_deadline_seconds
from audiojob_operator.records.observation import PhaseObservation
from audiojob_types.resources.job import AudioJob, PhaseState, PhaseStatus
from audiojob_types.resources.pipeline import AudioPipelineSpec

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def active_deadline(job: AudioJob, pipeline: AudioPipelineSpec | None, start: datetime | None) -> datetime | None:
    """When a job that started at ``start`` must be done."""
    seconds = effective_deadline_seconds(job.spec, pipeline)
    return start + timedelta(seconds=seconds) if start is not None and seconds is not None else None


def queue_deadline(job: AudioJob) -> datetime | None:
    """When a job must have begun: counted from its creation, or from spec.startTime if that is later."""
    if job.spec.queue_timeout_seconds is None:
        return None
    earliest = max(job.metadata.creation_timestamp or _EPOCH, job.spec.start_time or _EPOCH)
    return earliest + timedelta(seconds=job.spec.queue_timeout_seconds)


def has_begun(phases: Iterable[PhaseStatus], children: Iterable[PhaseObservation]) -> bool:
    """Whether any work was ever done: a Job whose pod found no node has only moved to another queue."""
    if any(phase.state.finished or phase.attempt > 1 or phase.failures for phase in phases):
        return True
    running = {phase.job_name for phase in phases if phase.state is PhaseState.RUNNING}
    return any(
        child.job_name in running and child.pod is not None and child.pod.node_name is not None for child in children
    )
