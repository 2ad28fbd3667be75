"""What may be asked of a job that exists: cancel, suspend, resume, another priority, a review, a retry.

Each sets one field of ``spec`` on the very job that was looked at, or creates a job; the operator does the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from audiojob_api.access.authenticator import caller_who_may
from audiojob_api.cluster.gateway import Gateway, Identity
from audiojob_api.http.routes.jobs import JobName, create_once, existing_job, require_json, shown
from audiojob_api.jobs.idempotency import IdempotencyKey
from audiojob_api.jobs.request import JobChange, JobView, ReviewRequest, invalid_field, retry_job
from audiojob_api.problems import Problem, responses
from audiojob_kube.errors import Invalid
from audiojob_types.constants import MAX_PHASES
from audiojob_types.resources.job import FINISHED_STATES, PhaseState, State

router = APIRouter(prefix="/api/v1/jobs", tags=["jobs"], responses=responses(401, 403, 404, 409, 422, 429, 500, 503))

Job = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Switch:
    """A field of ``spec`` that a call turns on or off; ``already`` is the end that it asks for, if it asks for one."""

    verb: str
    field: str
    value: bool
    summary: str
    already: State | None = None


_CANCEL: Final = _Switch(
    "cancel", "cancel", True, "Cancel a job; its record stays until its TTL", already=State.CANCELLED
)
_SWITCHES: Final = {
    ("POST", "/{name}/cancel"): _CANCEL,
    ("DELETE", "/{name}"): _CANCEL,
    ("POST", "/{name}/suspend"): _Switch(
        "suspend", "suspend", True, "Suspend a job: its work stops until it is resumed"
    ),
    ("POST", "/{name}/resume"): _Switch("resume", "suspend", False, "Let a suspended job go on"),
}


def _serve(method: str, path: str, switch: _Switch) -> None:
    async def turn(request: Request, name: JobName) -> Response:
        """202 once asked for, also a second time or where there was nothing to do; 409 for a job that has ended."""
        return await _turn(request, existing_job(request, name), switch)

    router.add_api_route(
        path,
        turn,
        methods=[method],
        name=switch.verb,
        status_code=202,
        response_model=JobView,
        dependencies=[Depends(caller_who_may("update"))],
        summary=switch.summary,
    )


for (_method, _path), _switch in _SWITCHES.items():
    _serve(_method, _path, _switch)


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
    wanted = {"op": "add", "path": "/spec/priority", "value": body.priority}
    job = await _write(request, job, "change", [_test(job, "status", "state"), wanted])
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
    wanted = {"op": "add", "path": "/spec/reviews", "value": [*said, body.to_wire()]}
    job = await _write(request, job, "review", [_test(job, "spec", "reviews"), wanted])
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


async def _turn(request: Request, job: Job, switch: _Switch) -> Response:
    """202 with the job, the field set. What is so already is not written again."""
    if _state(job) != switch.already:
        _refuse_ended(job, switch.verb)
        if bool(job.get("spec", {}).get(switch.field)) != switch.value:
            wanted = {"op": "add", "path": f"/spec/{switch.field}", "value": switch.value}
            job = await _write(request, job, switch.verb, [wanted])
    return JSONResponse(shown(request, job), status_code=202)


async def _write(request: Request, job: Job, verb: str, operations: Sequence[Job]) -> Job:
    """The job, changed. Raises a 409 :class:`Problem` for one that has ended since it was looked at."""
    gateway, name = _gateway(request), job["metadata"]["name"]
    try:
        return await gateway.change(name, job["metadata"]["uid"], operations)
    except Invalid:
        _refuse_ended(await gateway.read(name), verb)
        raise


def _test(job: Job, part: str, field: str) -> Job:
    """The operation that fails where the field is no longer what we saw; null stands for a field that is not there."""
    return {"op": "test", "path": f"/{part}/{field}", "value": job.get(part, {}).get(field)}
