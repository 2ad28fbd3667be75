"""Create, get and list jobs."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from audiojob_api.access.authenticator import caller_who_may
from audiojob_api.cluster.gateway import Gateway, Identity
from audiojob_api.jobs.idempotency import IdempotencyKey, is_same_request, refuse_reused_key
from audiojob_api.jobs.paging import Filter, page
from audiojob_api.jobs.queue_position import Places
from audiojob_api.jobs.request import JobPage, JobRequest, JobView, audiojob, view
from audiojob_api.problems import Problem, responses, unavailable
from audiojob_kube.errors import AlreadyExists, NotFound
from audiojob_types.base import ObjectName
from audiojob_types.resources.job import State

router = APIRouter(prefix="/api/v1/jobs", tags=["jobs"], responses=responses(401, 403, 422, 429, 500, 503))

JobName = Annotated[str, Path(description="Name of the job.", max_length=253)]


def require_json(request: Request) -> None:
    """Refuse bodies that do not say that they are JSON."""
    declared = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if declared != "application/json":
        raise Problem(415, "unsupported-media-type", "Send the body as Content-Type: application/json.")


@router.post(
    "",
    status_code=201,
    response_model=JobView,
    dependencies=[Depends(require_json)],
    responses={200: {"model": JobView, "description": "The job made before"}, **responses(400, 409, 413, 415)},
    summary="Create a job",
)
async def create(
    request: Request,
    body: JobRequest,
    caller: Annotated[Identity, Depends(caller_who_may("create"))],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """201 with the job; 200 with the job that the same idempotency key and body made before."""
    namespace: str = request.app.state.settings.namespace
    body.check_parameters()
    body.check_references()
    wanted = audiojob(body, namespace=namespace, user=caller.username, idempotency_key=idempotency_key)
    return await create_once(request, wanted, idempotency_key)


async def create_once(request: Request, wanted: dict[str, Any], idempotency_key: str | None) -> Response:
    """201 with the job as wanted, 200 with the one that the same key and request made before."""
    gateway: Gateway = request.app.state.gateway
    refuse_reused_key(wanted, gateway.jobs())
    try:
        return _answer(request, await gateway.create(wanted), status=201)
    except NotFound:
        raise unavailable(
            f"Namespace {wanted['metadata']['namespace']!r} or the AudioJob resource type is missing."
        ) from None
    except AlreadyExists:
        if idempotency_key is None:
            raise
    existing = await gateway.read(wanted["metadata"]["name"])
    if not is_same_request(wanted, existing):
        raise Problem(409, "name-taken", "Another request made a job of this name; choose another name.")
    return _answer(request, existing, status=200)


def _answer(request: Request, job: dict[str, Any], *, status: int) -> Response:
    location = request.url_for("get_job", name=job["metadata"]["name"]).path
    return JSONResponse(shown(request, job), status_code=status, headers={"Location": location})


def shown(request: Request, job: dict[str, Any]) -> dict[str, Any]:
    """The job as it is shown, with its place in the queue where it waits in one."""
    places: Places = request.app.state.places
    return view(job, places.place(job))


@router.get(
    "",
    response_model=JobPage,
    dependencies=[Depends(caller_who_may("list"))],
    responses=responses(400),
    summary="List jobs, newest first",
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
    require_read_model(gateway)
    items, following = page(gateway.jobs(), wanted, limit=limit, cursor=cursor)
    body: dict[str, Any] = {"items": [shown(request, job) for job in items]}
    if following:
        body["cursor"] = following
    return JSONResponse(body)


@router.get(
    "/{name}",
    name="get_job",
    response_model=JobView,
    dependencies=[Depends(caller_who_may("get"))],
    responses=responses(404),
    summary="Get a job",
)
async def get_job(request: Request, name: JobName) -> Response:
    """Answered from memory."""
    return JSONResponse(shown(request, existing_job(request, name)))


def require_read_model(gateway: Gateway) -> None:
    """Before the first list nothing is known: neither that a job exists nor that it does not."""
    if not gateway.synced():
        raise unavailable("The jobs are not known yet.")


def existing_job(request: Request, name: str) -> dict[str, Any]:
    """The job of the read model. Raises a 404 or 503 :class:`Problem`."""
    gateway: Gateway = request.app.state.gateway
    job = gateway.get(name)
    if job is None:
        require_read_model(gateway)
        raise Problem(404, "not-found", f"There is no job {name!r}.")
    return job
