"""Snapshots of a job as server-sent events."""

from __future__ import annotations

from fastapi.sse import ServerSentEvent

from audiojob_api.jobs.following import Snapshot, version
from audiojob_api.jobs.views import Show

RETRY_MILLISECONDS = 2_000


def event(snapshot: Snapshot, show: Show) -> ServerSentEvent:
    """``job`` with the job as it is shown and its version for id; ``gone`` for a job that was deleted."""
    if snapshot.job is None:
        return ServerSentEvent(event="gone", data={"name": snapshot.name})
    return ServerSentEvent(event="job", id=version(snapshot.job), data=show(snapshot.job), retry=RETRY_MILLISECONDS)
