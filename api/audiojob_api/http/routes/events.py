"""A job's changes as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.exceptions import HTTPException

from audiojob_api.access.authenticator import caller_who_may
from audiojob_api.cluster.gateway import Gateway, JobFeed, has_ended
from audiojob_api.http.metrics import ApiMetrics
from audiojob_api.http.routes.jobs import JobName, existing_job, shown
from audiojob_api.jobs.request import view
from audiojob_api.problems import responses

router = APIRouter(prefix="/api/v1/jobs", tags=["jobs"])

RETRY_MILLISECONDS = 2_000


Show = Callable[[dict[str, Any]], dict[str, Any]]


def _event(job: dict[str, Any], show: Show) -> ServerSentEvent:
    version = job["metadata"]["resourceVersion"]
    return ServerSentEvent(event="job", id=version, data=show(job), retry=RETRY_MILLISECONDS)


LastEventId = Annotated[str | None, Header(max_length=64, description="Version of the job that the caller has seen.")]


def job_to_follow(request: Request, name: JobName, last_event_id: LastEventId = None) -> str:
    """The job's name, once it is known that there is something to tell: a stream that has begun has its status."""
    job = existing_job(request, name)
    if has_ended(job) and job["metadata"]["resourceVersion"] == last_event_id:
        raise HTTPException(204)  # the one answer at which an EventSource stops coming back
    return name


@router.get(
    "/{name}/events",
    response_class=EventSourceResponse,
    dependencies=[Depends(caller_who_may("get"))],
    responses={204: {"description": "The caller has seen the end."}, **responses(401, 403, 404, 422, 429, 500, 503)},
    summary="Follow a job until it ends",
)
async def follow(
    request: Request,
    name: Annotated[str, Depends(job_to_follow)],
    last_event_id: LastEventId = None,
) -> AsyncIterable[ServerSentEvent]:
    """The job as it is, then every change; a slow client gets the newest. The stream ends when the job has."""
    state = request.app.state
    metrics: ApiMetrics = state.metrics
    metrics.streams.inc()
    try:
        show = partial(shown, request)
        async for event in job_events(state.gateway, name, last_event_id, state.stopping, show):
            yield event
    finally:
        metrics.streams.dec()


async def job_events(
    gateway: Gateway, name: str, last_event_id: str | None, stopping: asyncio.Event, show: Show = view
) -> AsyncIterator[ServerSentEvent]:
    """Events of one job until it has ended or is gone, or until ``stopping`` is set."""
    feed = JobFeed()
    unsubscribe = gateway.subscribe(name, feed.put)
    try:
        job = gateway.get(name)
        if job is not None and job["metadata"]["resourceVersion"] != last_event_id:
            yield _event(job, show)
        while job is not None and not has_ended(job):
            job = await _next_or_stop(feed, stopping)
            if job is not None:
                yield _event(job, show)
        if job is None and not stopping.is_set():
            yield ServerSentEvent(event="gone", data={"name": name})
    finally:
        unsubscribe()


async def _next_or_stop(feed: JobFeed, stopping: asyncio.Event) -> dict[str, Any] | None:
    """The next version; None when the job is gone or the process shuts down."""
    change = asyncio.ensure_future(feed.next())
    stop = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait((change, stop), return_when=asyncio.FIRST_COMPLETED)
        return change.result() if change.done() else None
    finally:
        change.cancel()
        stop.cancel()
