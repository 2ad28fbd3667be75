"""Create, retry, get and list jobs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.types import Receive, Scope, Send

from audiojob_api.access.attempts import client_site
from audiojob_api.access.authorizer import Identity
from audiojob_api.access.limits.ledger import Wish
from audiojob_api.access.limits.quota import Quota
from audiojob_api.access.rights import Call, rights_to_create
from audiojob_api.files.uploads import key_of
from audiojob_api.http.bodies import require_json
from audiojob_api.http.deps import (
    AllServices,
    Caller,
    Creator,
    ExistingJob,
    IdempotencyKey,
    InSpace,
    Reader,
    Require,
    Required,
    Retrier,
    Shown,
    Space,
    authorize,
    caller_who_may,
    files_of,
    followed,
    refuse_unknown_query,
    require_of,
    services_of,
    show_of,
    space_of,
    wants_compat,
)
from audiojob_api.http.errors import responses
from audiojob_api.http.limits import note_left
from audiojob_api.http.openapi import JOB_AND_FILE
from audiojob_api.http.routes.queries import Asked
from audiojob_api.jobs.compat import CompatPage, JobAnswer
from audiojob_api.jobs.create import Created, Requester, create_once, new_job, retry_job
from audiojob_api.jobs.request import JobRequest, check
from audiojob_api.jobs.views import JobPage, Show
from audiojob_api.problems import Problem
from audiojob_kube.errors import ApiError, NotFound, ServerError

router = APIRouter(prefix="/api/v1/jobs", tags=["jobs"], responses=responses(400, 401, 403, 404, 422, 429, 500, 503))

_KEY_HEADER: Final = "Idempotency-Key"
_KEY: Final[TypeAdapter[str | None]] = TypeAdapter(IdempotencyKey)
_MADE_BEFORE: dict[int | str, dict[str, Any]] = {200: {"model": JobAnswer, "description": "The job made before"}}


class Json(JSONResponse):
    """Eight times as fast: the text of 200 jobs would stop all clients for 7 ms."""

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)


@dataclass(frozen=True, slots=True)
class _Maker:
    """What the routes that create a job share: the rights that the job itself needs, the creation, the answer."""

    require: Require
    show: Show
    quota: Quota
    caller: Identity
    space: Space

    async def make(self, request: Request, wanted: dict[str, Any], requester: Requester) -> Response:
        """201 with the new job, 200 with the one that the same request made before."""
        made = await self.created(request, wanted, requester)
        path = f"{request.scope.get('root_path', '')}{router.prefix}/{made.job['metadata']['name']}"
        status, shown = await self.told(made)
        return Json(shown, status_code=status, headers={"Location": followed(request, path)})

    async def told(self, made: Created) -> tuple[int, Any]:
        """The status of the answer, and the job as it is shown."""
        await self.space.positions.ready_for(made.job)
        return 201 if made.new else 200, self.show(made.job)

    async def created(self, request: Request, wanted: dict[str, Any], requester: Requester) -> Created:
        """The new job, with how long it may take, or the one that the same request made before."""
        await self.require(rights_to_create(wanted, may_exist=requester.idempotency_key is not None))
        spec = wanted["spec"]
        if (priority := self.quota.priority(self.caller, spec.get("priority"))) is not None:
            spec["priority"] = priority
        async with self.space.keys.turn(requester.digest):
            created = await self._within_limits(request, wanted, requester)
        if created.new and self.space.estimator is not None:
            return Created(await self.space.estimator.told(created.job), new=True)
        return created

    async def refuse_early(self, request: Request, wanted: dict[str, Any], requester: Requester) -> None:
        """Raise what :meth:`make` would, as far as that shows before the job's file has come."""
        may_exist = requester.idempotency_key is not None
        await self.require(rights_to_create(wanted, may_exist=may_exist))
        self.quota.priority(self.caller, wanted["spec"].get("priority"))
        if not may_exist:  # else it may be a job that was made before, which counts already
            wish = await self._wish(request, wanted, requester)
            await self.quota.refuse_full(self.caller, wish, lambda left: note_left(request, left))

    async def _wish(self, request: Request, wanted: dict[str, Any], requester: Requester) -> Wish:
        address = client_site(request.client.host) if request.client else ""
        minutes = await self._measured(wanted["spec"]) if self.quota.counts_minutes(self.caller) else None
        return Wish(requester.namespace, wanted["metadata"]["name"], requester.user, address, minutes)

    async def _within_limits(self, request: Request, wanted: dict[str, Any], requester: Requester) -> Created:
        wish = await self._wish(request, wanted, requester)
        repeats = None if requester.idempotency_key is None else partial(self._is_there, wish.name)
        reserved = await self.quota.reserve(self.caller, wish, repeats, lambda left: note_left(request, left))
        try:
            created = await create_once(wanted, requester, self.space.jobs.writer, self.space.jobs.live)
        except (Exception, asyncio.CancelledError) as error:
            is_refused = isinstance(error, Problem | ApiError) and not isinstance(error, ServerError)
            if reserved and is_refused:
                await self.quota.refused(wish)
            elif reserved:
                self.quota.doubt(wish)
            raise
        await self.quota.made(wish, new=created.new, reserved=reserved, caller=self.caller)
        return created

    async def _is_there(self, name: str) -> bool:
        try:
            await self.space.jobs.writer.read(name)
        except NotFound:
            return False
        return True

    async def _measured(self, spec: dict[str, Any]) -> float | None:
        """Minutes of audio, where another job has worked on the same before; what the caller says is not asked."""
        estimator = self.space.estimator
        return None if estimator is None else await estimator.measured_minutes(spec)


async def _maker(space: InSpace, require: Required, show: Shown, services: AllServices, caller: Caller) -> _Maker:
    return _Maker(require, show, services.quota, caller, space)


Maker = Annotated[_Maker, Depends(_maker)]


async def create(request: Request, body: JobRequest, requester: Creator, maker: Maker) -> Response:
    """201 with the job; 200 with the job that the same idempotency key and body made before.

    As a form, `job` is the job without its source, and `file`, the last part, becomes its source.
    """
    check(body)
    if body.upload is not None:
        files = files_of(request)
        body = body.with_object(await key_of(files, requester.namespace, body.upload, requester.user))
    return await maker.make(request, new_job(body, requester), requester)


async def _create(request: Request) -> Response:
    """:func:`create`, with what it depends on in FastAPI's order, whose own search costs a tenth of a creation."""
    given = await require_json(request)
    caller = await authorize(request, Call.CREATE)
    refuse_unknown_query(request)
    key, errors = _idempotency_key(request)
    show = show_of(request, in_their_words=wants_compat(request))
    body = None
    if given is None:
        errors.append({"type": "missing", "loc": ("body",), "msg": "Field required", "input": None})
    else:
        try:
            body = JobRequest.model_validate(given)
        except ValidationError as error:
            errors += [{**each, "loc": ("body", *each["loc"])} for each in error.errors(include_url=False)]
    if body is None or errors:
        raise RequestValidationError(errors)
    space = space_of(request)
    maker = await _maker(space, require_of(request), show, services_of(request), caller)
    return await create(request, body, Requester(space.namespace, caller.username, key), maker)


def _idempotency_key(request: Request) -> tuple[str | None, list[dict[str, Any]]]:
    """The key, and what is wrong with it."""
    try:
        return _KEY.validate_python(request.headers.get(_KEY_HEADER)), []
    except ValidationError as error:
        return None, [{**each, "loc": ("header", _KEY_HEADER)} for each in error.errors(include_url=False)]


class _CreateRoute(APIRoute):
    """Described as every other route is, and answered by `_create`."""

    def __init__(self, *given: Any, **settings: Any) -> None:
        super().__init__(*given, **settings)
        self.app = self._answer

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await _create(Request(scope, receive, send))
        await response(scope, receive, send)


router.add_api_route(
    "",
    create,
    methods=["POST"],
    route_class_override=_CreateRoute,
    status_code=201,
    response_model=JobAnswer,
    dependencies=[Depends(require_json)],
    responses={**_MADE_BEFORE, **responses(409, 411, 413, 415, 507)},
    openapi_extra=JOB_AND_FILE,
    summary="Create a job",
)


@router.post(
    "/{name}/retry",
    status_code=201,
    response_model=JobAnswer,
    responses={**_MADE_BEFORE, **responses(409)},
    summary="Try a job again that failed or was cancelled",
)
async def retry(request: Request, requester: Retrier, job: ExistingJob, maker: Maker) -> Response:
    """201 with a new job of the same spec, which keeps what the old one finished. The old job does not change."""
    return await maker.make(request, retry_job(job, requester), requester)


@router.get(
    "",
    response_model=JobPage | CompatPage,
    dependencies=[Depends(caller_who_may(Call.LIST))],
    summary="List jobs, newest first",
)
async def list_jobs(
    reader: Reader,
    space: InSpace,
    show: Shown,
    asked: Asked,
) -> Response:
    """Live and archived jobs as one list, each once."""
    page = await reader.page(asked.query)
    await asyncio.sleep(0)  # to find 200 jobs and to show them takes some milliseconds each
    await space.positions.ready_for(*page.items)
    body: dict[str, Any] = {"items": [show(job) for job in page.items]}
    if page.cursor:
        body["cursor"] = page.cursor
    if asked.count:
        total = await reader.count(asked.query.wanted, asked.query.where)
        body["total"] = {"count": total.count, "atLeast": total.at_least}
    if page.history_missing:
        body["history"] = "unavailable"
    return Json(body)


@router.get(
    "/{name}",
    name="get_job",
    response_model=JobAnswer,
    dependencies=[Depends(caller_who_may(Call.GET))],
    summary="Get a job",
)
async def get_job(job: ExistingJob, space: InSpace, show: Shown) -> Response:
    """From memory where the cluster has the job, else from the archive."""
    await space.positions.ready_for(job)
    return Json(show(job))
