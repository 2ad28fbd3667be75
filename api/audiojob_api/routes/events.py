"""A job's changes as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from audiojob_api.auth import caller_who_may
from audiojob_api.gateway import Gateway, LatestVersion
from audiojob_api.metrics import ApiMetrics
from audiojob_api.models import view
from audiojob_api.routes.jobs import JobName, existing_job
from audiojob_types.job import FINISHED_STATES

router = APIRouter(prefix="/api/v1/jobs", tags=["jobs"])

RETRY_MILLISECONDS = 2_000


def _finished(job: dict[str, Any]) -> bool:
    return job.get("status", {}).get("state") in FINISHED_STATES


def _event(job: dict[str, Any]) -> ServerSentEvent:
    version = job["metadata"]["resourceVersion"]
    return ServerSentEvent(event="job", id=version, data=view(job), retry=RETRY_MILLISECONDS)


def job_to_follow(request: Request, name: JobName) -> str:
    """The job's name, once it is known to exist: a stream that has begun cannot say 404 any more."""
    existing_job(request, name)
    return name


@router.get(
    "/{name}/events",
    response_class=EventSourceResponse,
    dependencies=[Depends(caller_who_may("get"))],
    summary="Follow a job until it ends",
)
async def follow(
    request: Request,
    name: Annotated[str, Depends(job_to_follow)],
    last_event_id: Annotated[str | None, Header(max_length=64)] = None,
) -> AsyncIterable[ServerSentEvent]:
    """The job as it is, then every change; a slow client gets the newest. The stream ends when the job has."""
    gateway: Gateway = request.app.state.gateway
    metrics: ApiMetrics = request.app.state.metrics
    stopping: asyncio.Event = request.app.state.stopping
    slot = LatestVersion()
    unsubscribe = gateway.subscribe(name, slot.put)
    metrics.streams.inc()
    try:
        job = gateway.get(name)
        if job is not None and job["metadata"]["resourceVersion"] != last_event_id:
            yield _event(job)
        while job is not None and not _finished(job):
            job = await _next_or_stop(slot, stopping)
            if job is not None:
                yield _event(job)
        if job is None and not stopping.is_set():
            yield ServerSentEvent(event="gone", data={"name": name})
    finally:
        unsubscribe()
        metrics.streams.dec()


async def _next_or_stop(slot: LatestVersion, stopping: asyncio.Event) -> dict[str, Any] | None:
    """The next version; None when the job is gone or the process shuts down."""
    waiting = [asyncio.ensure_future(slot.next()), asyncio.ensure_future(stopping.wait())]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        change = waiting[0]
        return change.result() if change.done() else None  # type: ignore[return-value]  # the first of the two
    finally:
        for task in waiting:
            task.cancel()
