"""What may be asked of a job that exists: cancel, suspend, resume, another priority, a review, a retry.

Each sets one field of ``spec`` on the very job that was looked at, or creates a job; the operator does the rest.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from audiojob_api.auth import caller_who_may
from audiojob_api.gateway import Gateway, Identity
from audiojob_api.idempotency import IdempotencyKey
from audiojob_api.models import JobChange, JobView, ReviewRequest, invalid_field, retry_job
from audiojob_api.problems import Problem, responses
from audiojob_api.routes.jobs import JobName, create_once, existing_job, require_json, shown
from audiojob_types.constants import MAX_PHASES
from audiojob_types.job import FINISHED_STATES, PhaseState, State

router = APIRouter(prefix="/api/v1/jobs", tags=["jobs"], responses=responses(401, 403, 404, 409, 422, 429, 500, 503))

Job = dict[str, Any]


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
    job = existing_job(request, name)
    if _state(job) == State.CANCELLED:
        return _accepted(request, job)
    _refuse_ended(job, "cancel")
    return await _set(request, job, "cancel", True)


@router.post(
    "/{name}/suspend",
    status_code=202,
    response_model=JobView,
    dependencies=[Depends(caller_who_may("update"))],
    summary="Suspend a job: its work stops until it is resumed",
)
async def suspend(request: Request, name: JobName) -> Response:
    """202 once asked for, also a second time; 409 for a job that has ended."""
    job = existing_job(request, name)
    _refuse_ended(job, "suspend")
    return await _set(request, job, "suspend", True)


@router.post(
    "/{name}/resume",
    status_code=202,
    response_model=JobView,
    dependencies=[Depends(caller_who_may("update"))],
    summary="Let a suspended job go on",
)
async def resume(request: Request, name: JobName) -> Response:
    """202, also for a job that nobody suspended; 409 for a job that has ended."""
    job = existing_job(request, name)
    _refuse_ended(job, "resume")
    return await _set(request, job, "suspend", False)


@router.patch(
    "/{name}",
    response_model=JobView,
    dependencies=[Depends(caller_who_may("update")), Depends(require_json)],
    responses=responses(400, 413, 415),
    summary="Change the priority of a job that waits",
)
async def change(request: Request, name: JobName, body: JobChange) -> Response:
    """200 with the job; 409 once it runs or has ended."""
    job = existing_job(request, name)
    _refuse_ended(job, "change")
    if _state(job) == State.RUNNING:
        raise Problem(409, "already-started", "The job is Running; its priority only counts while it waits.")
    if job.get("spec", {}).get("priority") == body.priority:
        return JSONResponse(shown(request, job))
    job = await _gateway(request).change(
        name,
        job["metadata"]["uid"],
        [_test(job, "status", "state"), {"op": "add", "path": "/spec/priority", "value": body.priority}],
    )
    return JSONResponse(shown(request, job))


@router.post(
    "/{name}/reviews",
    status_code=201,
    response_model=JobView,
    dependencies=[Depends(caller_who_may("update")), Depends(require_json)],
    responses=responses(400, 413, 415),
    summary="Approve a phase at which the job stops, or end the job there",
)
async def review(request: Request, name: JobName, body: ReviewRequest) -> Response:
    """201 with the job; 409 if the phase has been reviewed or has started, or the job has ended."""
    job = existing_job(request, name)
    _refuse_ended(job, "review")
    phases = job.get("status", {}).get("phases", [])
    if not phases:
        raise Problem(409, "phases-unknown", "The operator has not looked at the job yet; try again in a moment.")
    phase = next((each for each in phases if each.get("name") == body.phase), None)
    if phase is None:
        known = ", ".join(str(each.get("name")) for each in phases)
        raise invalid_field("phase", f"the job has no such phase; its phases are {known}")
    said = job.get("spec", {}).get("reviews", [])
    if any(each.get("phase") == body.phase for each in said):
        raise Problem(409, "already-reviewed", f"Phase {body.phase} has been reviewed; that cannot be taken back.")
    if phase.get("attempt", 0) > 0 or phase.get("state", PhaseState.WAITING) != PhaseState.WAITING:
        raise Problem(409, "already-started", f"Phase {body.phase} has started; there is nothing to approve any more.")
    if len(said) >= MAX_PHASES:
        raise Problem(409, "too-many-reviews", f"The job has {len(said)} reviews; there cannot be more.")
    job = await _gateway(request).change(
        name,
        job["metadata"]["uid"],
        [_test(job, "spec", "reviews"), {"op": "add", "path": "/spec/reviews", "value": [*said, body.to_wire()]}],
    )
    return JSONResponse(shown(request, job), status_code=201)


@router.post(
    "/{name}/retry",
    status_code=201,
    response_model=JobView,
    responses={200: {"model": JobView, "description": "The job made before"}},
    summary="Try a job again that failed or was cancelled",
)
async def retry(
    request: Request,
    name: JobName,
    caller: Annotated[Identity, Depends(caller_who_may("create"))],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """201 with a new job of the same spec; what the old one finished is not done again. The old one stays as it is."""
    job = existing_job(request, name)
    state = _state(job)
    if state not in FINISHED_STATES:
        raise Problem(409, "not-finished", f"The job is {state}; it can be tried again when it has ended.")
    if state == State.SUCCEEDED:
        raise Problem(409, "already-finished", "The job has succeeded; create a new one to do the work once more.")
    namespace: str = request.app.state.settings.namespace
    wanted = retry_job(job, namespace=namespace, user=caller.username, idempotency_key=idempotency_key)
    return await create_once(request, wanted, idempotency_key)


def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


def _state(job: Job) -> str:
    state: str = job.get("status", {}).get("state", State.PENDING)
    return state


def _refuse_ended(job: Job, verb: str) -> None:
    state = _state(job)
    if state in FINISHED_STATES:
        raise Problem(409, "already-finished", f"The job has ended as {state}; there is nothing to {verb}.")


async def _set(request: Request, job: Job, field: str, value: bool) -> Response:
    """202 with the job, its field set. What is so already is not written again."""
    if bool(job.get("spec", {}).get(field)) != value:
        name, uid = job["metadata"]["name"], job["metadata"]["uid"]
        job = await _gateway(request).change(name, uid, [{"op": "add", "path": f"/spec/{field}", "value": value}])
    return _accepted(request, job)


def _accepted(request: Request, job: Job) -> Response:
    return JSONResponse(shown(request, job), status_code=202)


def _test(job: Job, part: str, field: str) -> Job:
    """The operation that fails where the field is no longer what we saw; null stands for a field that is not there."""
    return {"op": "test", "path": f"/{part}/{field}", "value": job.get(part, {}).get(field)}
