"""Changes of a job that exists: cancel, suspend, resume, another priority, a review."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Response
from fastapi.responses import JSONResponse

from audiojob_api.access.rights import Call
from audiojob_api.http.bodies import require_json
from audiojob_api.http.deps import AllServices, Caller, ExistingJob, InSpace, Shown, Writer, caller_who_may
from audiojob_api.http.errors import responses
from audiojob_api.jobs.compat import JobAnswer
from audiojob_api.jobs.control import CANCEL, RESUME, SUSPEND, Switch, add_review, change_priority, turn
from audiojob_api.jobs.request import JobChange, ReviewRequest

router = APIRouter(
    prefix="/api/v1/jobs", tags=["jobs"], responses=responses(400, 401, 403, 404, 409, 422, 429, 500, 503)
)

_CANCELS = "Cancel a job; its record stays until its TTL"
# Method, path, what it does, in a few words.
_SWITCHES = (
    ("POST", "/{name}/cancel", CANCEL, _CANCELS),
    ("DELETE", "/{name}", CANCEL, _CANCELS),
    ("POST", "/{name}/suspend", SUSPEND, "Suspend a job: its work stops until it is resumed"),
    ("POST", "/{name}/resume", RESUME, "Let a suspended job go on"),
)


def _serve(method: str, path: str, switch: Switch, summary: str) -> None:
    async def switched(job: ExistingJob, writer: Writer, show: Shown, space: InSpace) -> Response:
        """202, also where there was nothing to do; 409 for a job that has ended."""
        turned = await turn(job, switch, writer)
        await space.positions.ready_for(turned)
        return JSONResponse(show(turned), status_code=202)

    router.add_api_route(
        path,
        switched,
        methods=[method],
        name=switch.verb,
        status_code=202,
        response_model=JobAnswer,
        dependencies=[Depends(caller_who_may(Call(switch.verb)))],
        summary=summary,
    )


for _row in _SWITCHES:
    _serve(*_row)


@router.patch(
    "/{name}",
    response_model=JobAnswer,
    dependencies=[Depends(caller_who_may(Call.CHANGE)), Depends(require_json)],
    responses=responses(413, 415),
    summary="Change the priority of a job that waits",
)
async def change(
    body: JobChange, job: ExistingJob, space: InSpace, show: Shown, services: AllServices, caller: Caller
) -> Response:
    """200 with the job; 409 once it runs or has ended."""
    services.quota.priority(caller, body.priority)
    changed = await change_priority(job, body.priority, space.jobs.writer)
    await space.positions.ready_for(changed)
    return JSONResponse(show(changed))


@router.post(
    "/{name}/reviews",
    status_code=201,
    response_model=JobAnswer,
    dependencies=[Depends(caller_who_may(Call.REVIEW)), Depends(require_json)],
    responses=responses(413, 415),
    summary="Approve a phase at which the job stops, or end the job there",
)
async def review(body: ReviewRequest, job: ExistingJob, writer: Writer, show: Shown, space: InSpace) -> Response:
    """201 with the job; 409 if the phase has been reviewed or has started, or the job has ended."""
    reviewed = await add_review(job, body, writer)
    await space.positions.ready_for(reviewed)
    return JSONResponse(show(reviewed), status_code=201)
