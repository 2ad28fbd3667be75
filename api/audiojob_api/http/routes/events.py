"""A job's changes as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterable
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.exceptions import HTTPException

from audiojob_api.access.rights import Call
from audiojob_api.http.deps import (
    ExistingJob,
    InSpace,
    LastEventId,
    Live,
    Metrics,
    Reader,
    Shown,
    Stopping,
    caller_who_may,
    recheck,
)
from audiojob_api.http.errors import responses
from audiojob_api.http.sse import event, refused
from audiojob_api.jobs.following import Following, has_ended, version
from audiojob_api.problems import Problem

router = APIRouter(prefix="/api/v1/jobs", tags=["jobs"])


async def _following(
    request: Request,
    job: ExistingJob,
    reader: Reader,
    live: Live,
    stopping: Stopping,
    last_event_id: LastEventId = None,
) -> Following:
    """What to follow. Refused here, while the answer can still have another status than 200."""
    if has_ended(job) and version(job) == last_event_id:
        raise HTTPException(204)  # the one answer at which an EventSource stops coming back
    name = job["metadata"]["name"]
    return Following(name, last_event_id, reader, live, stopping, recheck(request, Call.FOLLOW))


@router.get(
    "/{name}/events",
    response_class=EventSourceResponse,
    dependencies=[Depends(caller_who_may(Call.FOLLOW))],
    responses={
        204: {"description": "The caller has seen the end."},
        **responses(400, 401, 403, 404, 422, 429, 500, 503),
    },
    summary="Follow a job until it ends",
)
async def follow(
    following: Annotated[Following, Depends(_following)], show: Shown, metrics: Metrics, space: InSpace
) -> AsyncIterable[ServerSentEvent]:
    """The job as it is, then every change; a slow client gets the newest.

    The stream ends when the job has, or with the event `refused` once the caller may not follow it any more.
    """
    with metrics.streams.track_inprogress():
        async with aclosing(following.snapshots()) as snapshots:
            try:
                async for snapshot in snapshots:
                    await space.positions.ready_for(snapshot.job)
                    yield event(snapshot, show)
            except Problem as problem:
                yield refused(problem)
