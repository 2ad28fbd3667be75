"""AudioJob: one piece of work. The module to import the kind from; its spec and status have one each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator

from audiojob_types.base import BAD_TIME, StatusModel, is_time
from audiojob_types.constants import API_VERSION
from audiojob_types.progress import MAX_ATTEMPTS, PhaseProgressReport
from audiojob_types.resources.fields import Message, PhaseName
from audiojob_types.resources.jobspec import AudioJobSpec, Retry, Review, end_rules
from audiojob_types.resources.jobstatus import (
    FINISHED_STATES,
    AudioJobStatus,
    Condition,
    CoolDown,
    JobError,
    JobOutput,
    JobWarning,
    PhaseState,
    PhaseStatus,
    ResolvedSource,
    State,
)
from audiojob_types.resources.metadata import Metadata

__all__ = [
    "FINISHED_STATES",
    "MAX_ATTEMPTS",
    "AudioJob",
    "AudioJobSpec",
    "AudioJobStatus",
    "Condition",
    "CoolDown",
    "JobError",
    "JobOutput",
    "JobWarning",
    "Message",
    "PhaseName",
    "PhaseProgressReport",
    "PhaseState",
    "PhaseStatus",
    "ResolvedSource",
    "Retry",
    "Review",
    "State",
    "end_rules",
]


def _mark_bad_times(spec: object) -> object:
    """A spec from before times were checked as strictly as now: one that cannot be read must not hide the others."""
    if not isinstance(spec, Mapping) or not isinstance(text := spec.get("startTime"), str) or is_time(text):
        return spec
    upper = text.upper()  # was admitted, and means the same
    return {**spec, "startTime": upper if is_time(upper) else BAD_TIME}


class AudioJob(StatusModel):
    """The whole resource. Parse with ``AudioJob.model_validate(obj)``. A time that is none reads as BAD_TIME."""

    api_version: str = API_VERSION
    kind: Literal["AudioJob"] = "AudioJob"
    metadata: Metadata
    spec: Annotated[AudioJobSpec, BeforeValidator(_mark_bad_times)]
    status: AudioJobStatus = AudioJobStatus()
