"""A typed client of audiojob's REST API, for programs that wait (:class:`Client`) and that await
(:class:`AsyncClient`). docs/client.md shows its use."""

from __future__ import annotations

from audiojob_client.asynchronous.client import AsyncClient
from audiojob_client.errors import (
    AudiojobError,
    BadAnswer,
    BadRequest,
    ChecksumMismatch,
    Conflict,
    ConnectionFailed,
    FieldError,
    Forbidden,
    Gone,
    Invalid,
    JobGone,
    NotFinished,
    NotFound,
    ProblemError,
    ServerFault,
    TooLarge,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    UploadBroken,
)
from audiojob_client.models import (
    By,
    Count,
    Depth,
    Estimate,
    Group,
    Health,
    Job,
    JobPage,
    Key,
    NewJob,
    NewSource,
    Outcome,
    OutcomeList,
    Output,
    OutputList,
    Part,
    QueuePosition,
    Refusal,
    Scope,
    Score,
    Statistics,
    Upload,
)
from audiojob_client.synchronous.client import Client
from audiojob_client.tokens import TokenFile

__all__ = [
    "AsyncClient", "AudiojobError", "BadAnswer", "BadRequest", "By", "ChecksumMismatch", "Client", "Conflict",
    "ConnectionFailed", "Count", "Depth", "Estimate", "FieldError", "Forbidden", "Gone", "Group", "Health", "Invalid",
    "Job", "JobGone", "JobPage", "Key", "NewJob", "NewSource", "NotFinished", "NotFound", "Outcome", "OutcomeList",
    "Output", "OutputList", "Part", "ProblemError", "QueuePosition", "Refusal", "Scope", "Score", "ServerFault",
    "Statistics", "TokenFile", "TooLarge", "TooManyRequests", "Unauthenticated", "Unavailable", "Upload",
    "UploadBroken",
]  # fmt: skip
