"""When a finished AudioJob goes, and the Jobs of failed attempts."""

from __future__ import annotations

from datetime import datetime, timedelta

from audiojob_operator.building.precedence import effective_ttl_seconds
from audiojob_operator.records.observation import PhaseObservation
from audiojob_operator.records.settings import Revision
from audiojob_types.constants import ANNOTATION_ARCHIVED
from audiojob_types.resources.job import AudioJob, AudioJobSpec
from audiojob_types.resources.pipeline import AudioPipelineSpec


def expiry(job: AudioJob, pipeline: AudioPipelineSpec | None, archive_wait_seconds: int = 0) -> datetime | None:
    """The moment from which a finished job may be deleted; None while it has no completionTime.

    One that is not in the archive yet waits for it, so many seconds longer at most; 0: there is no archive.
    """
    if job.status.completion_time is None:
        return None
    seconds = effective_ttl_seconds(job.spec, pipeline)
    if ANNOTATION_ARCHIVED not in job.metadata.annotations:
        seconds += archive_wait_seconds
    return job.status.completion_time + timedelta(seconds=seconds)


def expiry_of(spec: AudioJobSpec, revision: Revision | None, end: datetime) -> datetime:
    """The same for a job that ends at that moment."""
    return end + timedelta(seconds=effective_ttl_seconds(spec, revision.spec if revision is not None else None))


def failed_job_expiry(child: PhaseObservation, kept_seconds: int) -> datetime | None:
    """When a failed Job goes; None if it has not failed. Successful Jobs are left to their own TTL of an hour."""
    if child.failed_at is None or child.deleting:
        return None
    return child.failed_at + timedelta(seconds=kept_seconds)
