"""AudioJob: one piece of work. The module to import the kind from; its spec and status have one each."""

from __future__ import annotations

from typing import Literal

from audiojob_types.base import StatusModel
from audiojob_types.constants import API_VERSION
from audiojob_types.resources.fields import Message, PhaseName
from audiojob_types.resources.jobspec import AudioJobSpec, Retry, Review, end_rules
from audiojob_types.resources.jobstatus import (
    FINISHED_STATES,
    AudioJobStatus,
    Condition,
    JobError,
    JobOutput,
    JobWarning,
    PhaseProgressReport,
    PhaseState,
    PhaseStatus,
    ResolvedSource,
    State,
)
from audiojob_types.resources.metadata import Metadata

__all__ = [
    "FINISHED_STATES",
    "AudioJob",
    "AudioJobSpec",
    "AudioJobStatus",
    "Condition",
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


class AudioJob(StatusModel):
    """The whole resource. Parse with ``AudioJob.model_validate(obj)``."""

    api_version: str = API_VERSION
    kind: Literal["AudioJob"] = "AudioJob"
    metadata: Metadata
    spec: AudioJobSpec
    status: AudioJobStatus = AudioJobStatus()
