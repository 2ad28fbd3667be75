"""Create, retry, get and list jobs."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from audiojob_api.http.deps import (
    ExistingJob,
    Live,
    Reader,
    RequestedBy,
    Shown,
    Writer,
    caller_who_may,
    require_json,
)
from audiojob_api.http.errors import responses
from audiojob_api.jobs.create import Created, create_once, new_job, retry_job
from audiojob_api.jobs.paging import Filter
from audiojob_api.jobs.request import JobRequest, check
from audiojob_api.jobs.views import JobPage, JobView, Show
from audiojob_types.base import ObjectName
from audiojob_types.resources.job import State

router = APIRouter(prefix="/api/v1/jobs", tags=["jobs"], responses=responses(401, 403, 422, 429, 500, 503))

_MADE_BEFORE: dict[int | str, dict[str, Any]] = {200: {"model": JobView, "description": "The job made before"}}


@router.post(
    "",
    status_code=201,
    response_model=JobView,
    dependencies=[Depends(require_json)],
    responses={**_MADE_BEFORE, **responses(400, 409, 413, 415)},
    summary="Create a job",
)
async def create(
    request: Request, body: JobRequest, requester: RequestedBy, writer: Writer, live: Live, show: Shown
) -> Response:
    """201 with the job; 200 with the job that the same idempotency key and body made before."""
    check(body)
    return _answer(request, await create_once(new_job(body, requester), requester, writer, live), show)


@router.post(
    "/{name}/retry",
    status_code=201,
    response_model=JobView,
    responses={**_MADE_BEFORE, **responses(404, 409)},
    summary="Try a job again that failed or was cancelled",
)
async def retry(
    request: Request, requester: RequestedBy, job: ExistingJob, writer: Writer, live: Live, show: Shown
) -> Response:
    """201 with a new job of the same spec, which keeps what the old one finished. The old job does not change."""
    return _answer(request, await create_once(retry_job(job, requester), requester, writer, live), show)


def _answer(request: Request, created: Created, show: Show) -> Response:
    location = request.url_for("get_job", name=created.job["metadata"]["name"]).path
    return JSONResponse(show(created.job), status_code=201 if created.new else 200, headers={"Location": location})


async def _filter(
    state: Annotated[State | None, Query(description="Only jobs in this state.")] = None,
    pipeline: Annotated[ObjectName | None, Query(description="Only jobs of this pipeline.")] = None,
    queue: Annotated[ObjectName | None, Query(description="Only jobs of this queue.")] = None,
) -> Filter:
    return Filter(state=state, pipeline=pipeline, queue=queue)


@router.get(
    "",
    response_model=JobPage,
    dependencies=[Depends(caller_who_may("list"))],
    responses=responses(400),
    summary="List jobs, newest first",
)
async def list_jobs(
    reader: Reader,
    show: Shown,
    wanted: Annotated[Filter, Depends(_filter)],
    limit: Annotated[int, Query(ge=1, le=200, description="Most jobs of one page.")] = 50,
    cursor: Annotated[str | None, Query(max_length=1_024, description="From the page before.")] = None,
) -> Response:
    """Answered from memory."""
    page = await reader.page(wanted, limit=limit, cursor=cursor)
    body: dict[str, Any] = {"items": [show(job) for job in page.items]}
    if page.cursor:
        body["cursor"] = page.cursor
    return JSONResponse(body)


@router.get(
    "/{name}",
    name="get_job",
    response_model=JobView,
    dependencies=[Depends(caller_who_may("get"))],
    responses=responses(404),
    summary="Get a job",
)
async def get_job(job: ExistingJob, show: Shown) -> Response:
    """Answered from memory."""
    return JSONResponse(show(job))
