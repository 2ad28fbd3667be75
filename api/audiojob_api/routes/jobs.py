"""Create, get, list and cancel jobs. It creates AudioJobs and sets ``spec.cancel``; nothing else is ever written."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from audiojob_api.auth import caller_who_may
from audiojob_api.gateway import Gateway, Identity
from audiojob_api.models import ANNOTATION_REQUEST, JobPage, JobRequest, JobView, audiojob, view
from audiojob_api.paging import Filter, page
from audiojob_api.problems import Problem, ProblemDocument
from audiojob_kube.errors import AlreadyExists
from audiojob_types.job import FINISHED_STATES, ObjectName, State

router = APIRouter(
    prefix="/api/v1/jobs",
    tags=["jobs"],
    responses={
        code: {"model": ProblemDocument, "content": {"application/problem+json": {}}}
        for code in (400, 401, 403, 404, 409, 422, 503)
    },
)

JobName = Annotated[str, Path(description="Name of the job.", max_length=253)]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="The same key and body give the same job, however often they are sent.",
    ),
]


def require_json(request: Request) -> None:
    """Refuse bodies that do not say that they are JSON."""
    declared = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if declared != "application/json":
        raise Problem(415, "unsupported-media-type", "Send the body as Content-Type: application/json.")


@router.post("", status_code=201, response_model=JobView, dependencies=[Depends(require_json)], summary="Create a job")
async def create(
    request: Request,
    body: JobRequest,
    caller: Annotated[Identity, Depends(caller_who_may("create"))],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """201 with the job; 200 with the job that the same idempotency key and body made before."""
    gateway: Gateway = request.app.state.gateway
    namespace: str = request.app.state.settings.namespace
    wanted = audiojob(body, namespace=namespace, user=caller.username, idempotency_key=idempotency_key)
    name = wanted["metadata"]["name"]
    try:
        return _answer(request, await gateway.create(wanted), status=201)
    except AlreadyExists:
        if idempotency_key is None:
            raise
    existing = await gateway.read(name)
    if existing["metadata"].get("annotations", {}).get(ANNOTATION_REQUEST) != body.fingerprint():
        raise Problem(
            422, "idempotency-key-reused", "This Idempotency-Key was used with another body; choose a new key."
        )
    return _answer(request, existing, status=200)


def _answer(request: Request, job: dict[str, Any], *, status: int) -> Response:
    location = request.url_for("get_job", name=job["metadata"]["name"]).path
    return JSONResponse(view(job), status_code=status, headers={"Location": location})


@router.get(
    "", response_model=JobPage, dependencies=[Depends(caller_who_may("list"))], summary="List jobs, newest first"
)
async def list_jobs(
    request: Request,
    state: Annotated[State | None, Query(description="Only jobs in this state.")] = None,
    pipeline: Annotated[ObjectName | None, Query(description="Only jobs of this pipeline.")] = None,
    queue: Annotated[ObjectName | None, Query(description="Only jobs of this queue.")] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="Most jobs of one page.")] = 50,
    cursor: Annotated[str | None, Query(max_length=1_024, description="From the page before.")] = None,
) -> Response:
    """Answered from memory."""
    gateway: Gateway = request.app.state.gateway
    wanted = Filter(state=state, pipeline=pipeline, queue=queue)
    items, following = page(gateway.jobs(), wanted, limit=limit, cursor=cursor)
    body: dict[str, Any] = {"items": [view(job) for job in items]}
    if following:
        body["cursor"] = following
    return JSONResponse(body)


@router.get(
    "/{name}",
    name="get_job",
    response_model=JobView,
    dependencies=[Depends(caller_who_may("get"))],
    summary="Get a job",
)
async def get_job(request: Request, name: JobName) -> Response:
    """Answered from memory."""
    return JSONResponse(view(existing_job(request, name)))


def existing_job(request: Request, name: str) -> dict[str, Any]:
    """The job of the read model. Raises a 404 :class:`Problem`."""
    gateway: Gateway = request.app.state.gateway
    job = gateway.get(name)
    if job is None:
        raise Problem(404, "not-found", f"There is no job {name!r}.")
    return job


@router.post(
    "/{name}/cancel",
    status_code=202,
    response_model=JobView,
    dependencies=[Depends(caller_who_may("update"))],
    summary="Cancel a job",
)
@router.delete(
    "/{name}",
    status_code=202,
    response_model=JobView,
    dependencies=[Depends(caller_who_may("update"))],
    summary="Cancel a job; its record stays until its TTL",
)
async def cancel(request: Request, name: JobName) -> Response:
    """202 once asked for, also a second time; 409 for a job that has ended otherwise."""
    gateway: Gateway = request.app.state.gateway
    job = existing_job(request, name)
    state = job.get("status", {}).get("state", State.PENDING)
    cancelling = bool(job.get("spec", {}).get("cancel"))
    if state in FINISHED_STATES and not cancelling:
        raise Problem(409, "already-finished", f"The job has ended as {state}; there is nothing to cancel.")
    if not cancelling:
        job = await gateway.cancel(name, job["metadata"]["uid"])
    return JSONResponse(view(job), status_code=202)
