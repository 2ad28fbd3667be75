"""Snapshots of a job as server-sent events."""

from __future__ import annotations

from fastapi.sse import ServerSentEvent

from audiojob_api.jobs.following import Snapshot, version
from audiojob_api.jobs.views import Show
from audiojob_api.problems import Problem

RETRY_MILLISECONDS = 2_000


def event(snapshot: Snapshot, show: Show) -> ServerSentEvent:
    """``job`` with the job as it is shown and its version for id; ``gone`` for a job that was deleted."""
    if snapshot.job is None:
        return ServerSentEvent(event="gone", data={"name": snapshot.name})
    return ServerSentEvent(event="job", id=version(snapshot.job), data=show(snapshot.job), retry=RETRY_MILLISECONDS)


def refused(problem: Problem) -> ServerSentEvent:
    """The last event of a stream that ends before its job: why, as an answer would say it."""
    content = {"type": f"/problems/{problem.kind}", "status": problem.status, "detail": problem.detail}
    return ServerSentEvent(event="refused", data=content)
