"""Create, cancel and retry many jobs in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Depends, Request, Response

from audiojob_api.access.rights import Call, rights_of
from audiojob_api.files.uploads import key_of
from audiojob_api.http.bodies import require_json
from audiojob_api.http.deps import (
    AllServices,
    Caller,
    Creator,
    InSpace,
    Retrier,
    Shown,
    caller_who_may,
    existing_job,
    files_of,
)
from audiojob_api.http.errors import responses
from audiojob_api.http.routes.bulk.asked import JobsToCancel, ManyJobs, NamedJobs
from audiojob_api.http.routes.bulk.outcomes import Act, CompatOutcomeList, OutcomeList, outcomes
from audiojob_api.http.routes.jobs import Json, Maker
from audiojob_api.jobs.control import CANCEL, turn
from audiojob_api.jobs.create import Requester, new_job, require_own, retry_job, user_label
from audiojob_api.jobs.listing.cursor import at
from audiojob_api.jobs.request import JobRequest

router = APIRouter(
    prefix="/api/v1/bulk",
    tags=["jobs"],
    responses=responses(400, 401, 403, 404, 413, 415, 422, 429, 500, 503),
    dependencies=[Depends(require_json)],
)

Object = dict[str, Any]


@router.post("/create", response_model=OutcomeList | CompatOutcomeList, summary="Create many jobs")
async def create(request: Request, body: ManyJobs, requester: Creator, maker: Maker) -> Response:
    """200 with what came of each. An idempotency key holds for each job by its place in the list."""
    body.check()

    def act(index: int, job: JobRequest) -> Act:
        own = _requester(requester, str(index))

        async def do() -> tuple[int, Object]:
            wanted = job
            if job.upload is not None:
                key = await key_of(files_of(request), own.namespace, job.upload, own.user)
                wanted = job.with_object(key)
            return await maker.told(await maker.created(request, new_job(wanted, own), own))

        return Act(job.name, do)

    acts = [act(*each) for each in enumerate(body.jobs)]
    return Json(await outcomes(request, maker.caller, acts))


@router.post("/retry", response_model=OutcomeList | CompatOutcomeList, summary="Try many jobs again")
async def retry(request: Request, body: NamedJobs, requester: Retrier, maker: Maker) -> Response:
    """200 with what came of each. An idempotency key holds for each job by its name."""

    def act(name: str) -> Act:
        own = _requester(requester, name)

        async def do() -> tuple[int, Object]:
            wanted = retry_job(await existing_job(name, maker.space.jobs.reader), own)
            return await maker.told(await maker.created(request, wanted, own))

        return Act(name, do)

    return Json(await outcomes(request, maker.caller, [act(name) for name in body.names]))


@router.post(
    "/cancel",
    response_model=OutcomeList | CompatOutcomeList,
    dependencies=[Depends(caller_who_may(Call.CANCEL))],
    summary="Cancel many jobs, or all that match",
)
async def cancel(
    request: Request, body: JobsToCancel, space: InSpace, show: Shown, services: AllServices, caller: Caller
) -> Response:
    """200 with what came of each. Where more match than one call takes, `cursor` leads to the rest."""
    reader, writer = space.jobs.reader, space.jobs.writer
    calls = (Call.CANCEL,) if body.matching is None else (Call.CANCEL, Call.LIST)
    rights = tuple(right for call in calls for right in rights_of(call, None))
    allowed = await services.authenticator.require(caller, space.namespace, rights)
    by_state = body.matching is not None and body.matching.state is not None

    def act(name: str, known: Object | None = None) -> Act:
        async def do() -> tuple[int, Object]:
            job = known or await existing_job(name, reader)
            if allowed.own:
                require_own(job, caller.username)
            turned = await turn(job, CANCEL, writer, only_as_read=by_state)
            await space.positions.ready_for(turned)
            return 202, show(turned)

        return Act(name, do)

    if body.matching is None:
        return Json(await outcomes(request, caller, [act(name) for name in body.names or ()]))
    query = at(body.matching.query(user_label(caller.username) if allowed.own else None), body.cursor)
    page = await reader.page(query)
    jobs: Sequence[Object] = page.items
    answer = await outcomes(request, caller, [act(job["metadata"]["name"], job) for job in jobs])
    return Json(answer | ({"cursor": page.cursor} if page.cursor else {}))


def _requester(whole: Requester, part: str) -> Requester:
    """For whom one of many jobs is made. No header holds a line break, so that its key is no other call's."""
    key = whole.idempotency_key
    return Requester(whole.namespace, whole.user, None if key is None else f"{key}\n{part}")
