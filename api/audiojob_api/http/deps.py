"""What routes depend on, typed: services of the app, the caller, parts of the request.

The app keeps its services in one place, `install`; nothing else reads ``app.state``. Services are looked up from the
connection, so that a WebSocket can depend on them too.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Path, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import HTTPConnection

from audiojob_api.access.authenticator import Authenticator
from audiojob_api.access.authorizer import Identity
from audiojob_api.access.rights import Call, Right, rights_of
from audiojob_api.http.audit import note
from audiojob_api.http.metrics import ApiMetrics
from audiojob_api.http.refusals import from_kubernetes
from audiojob_api.jobs.create import Requester
from audiojob_api.jobs.following import Recheck
from audiojob_api.jobs.ports import JobReader, JobWriter, Lifecycle, LiveJobs
from audiojob_api.jobs.views import Show
from audiojob_api.problems import Problem, repeated
from audiojob_api.settings import ApiSettings
from audiojob_api.sql.database import Database
from audiojob_kube.errors import ApiError, TransportError

# ---------------------------------------------------------------- services


@dataclass(frozen=True, slots=True)
class Services:
    """What one app is made of."""

    settings: ApiSettings
    authenticator: Authenticator
    reader: JobReader
    live: LiveJobs
    writer: JobWriter
    lifecycle: Lifecycle
    show: Show
    metrics: ApiMetrics
    stopping: asyncio.Event
    database: Database | None = None


def install(app: FastAPI, services: Services) -> None:
    """Give the app its services."""
    app.state.services = services


def services_of(connection: HTTPConnection) -> Services:
    """The services of the app that this request or WebSocket belongs to."""
    found: Services = connection.app.state.services
    return found


async def _settings(connection: HTTPConnection) -> ApiSettings:
    return services_of(connection).settings


async def _reader(connection: HTTPConnection) -> JobReader:
    return services_of(connection).reader


async def _live(connection: HTTPConnection) -> LiveJobs:
    return services_of(connection).live


async def _writer(connection: HTTPConnection) -> JobWriter:
    return services_of(connection).writer


async def _lifecycle(connection: HTTPConnection) -> Lifecycle:
    return services_of(connection).lifecycle


async def _show(connection: HTTPConnection) -> Show:
    return services_of(connection).show


async def _metrics(connection: HTTPConnection) -> ApiMetrics:
    return services_of(connection).metrics


async def _stopping(connection: HTTPConnection) -> asyncio.Event:
    return services_of(connection).stopping


Settings = Annotated[ApiSettings, Depends(_settings)]
Reader = Annotated[JobReader, Depends(_reader)]
Live = Annotated[LiveJobs, Depends(_live)]
Writer = Annotated[JobWriter, Depends(_writer)]
ReadModel = Annotated[Lifecycle, Depends(_lifecycle)]
Shown = Annotated[Show, Depends(_show)]
Metrics = Annotated[ApiMetrics, Depends(_metrics)]
Stopping = Annotated[asyncio.Event, Depends(_stopping)]

# ---------------------------------------------------------------- the caller

# For the OpenAPI document only: it would accept the first of two headers.
_SCHEME = HTTPBearer(
    auto_error=False, scheme_name="KubernetesToken", description="A Kubernetes token for the API's audience."
)


async def authorize(connection: HTTPConnection, call: Call) -> Identity:
    """The caller of a request or WebSocket, who has the rights that this call needs.

    Raises a 401, 403, 429 or 503 :class:`Problem`.
    """
    caller = await _identify(connection)
    note(connection, caller, call)
    rights = rights_of(call, connection.path_params.get("name"))
    await services_of(connection).authenticator.require(caller, rights)
    return caller


async def _identify(connection: HTTPConnection) -> Identity:
    address = connection.client.host if connection.client else ""
    return await services_of(connection).authenticator.identify(connection.headers.getlist("authorization"), address)


def recheck(connection: HTTPConnection, call: Call) -> Recheck:
    """For streams: the same question again, with the token and the rights of that moment."""

    async def check() -> None:
        try:
            await authorize(connection, call)
        except (ApiError, TransportError) as error:
            raise from_kubernetes(error) from None

    return Recheck(services_of(connection).settings.stream_recheck_seconds, check)


def caller_who_may(call: Call) -> Callable[..., Awaitable[Identity]]:
    """A dependency that admits callers who have the rights for this call."""

    async def authorized(
        request: Request, _: Annotated[HTTPAuthorizationCredentials | None, Security(_SCHEME)]
    ) -> Identity:
        return await authorize(request, call)

    return authorized


# ---------------------------------------------------------------- parts of the request

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
LastEventId = Annotated[str | None, Header(max_length=64, description="Version of the job that the caller has seen.")]


Require = Callable[[Sequence[Right]], Awaitable[None]]
"""Raises a 403 Problem unless the caller has these rights too."""


async def _require(request: Request) -> Require:
    async def require(rights: Sequence[Right]) -> None:
        await services_of(request).authenticator.require(await _identify(request), rights)

    return require


def _requester_who_may(call: Call) -> Callable[..., Awaitable[Requester]]:
    """A dependency: for whom a job is made, with the key that makes it once."""

    allowed = Depends(caller_who_may(call))  # no annotation: FastAPI cannot see a closure's names there

    async def requester(
        settings: Settings, caller: Identity = allowed, idempotency_key: IdempotencyKey = None
    ) -> Requester:
        return Requester(settings.namespace, caller.username, idempotency_key)

    return requester


async def single_query(request: Request) -> None:
    """Refuse a query that gives a parameter twice: we would take the last, a proxy may judge the first."""
    counts = Counter(name for name, _ in request.query_params.multi_items())
    for name, count in counts.items():
        if count > 1:
            raise repeated(name)


async def _existing_job(name: JobName, reader: Reader) -> dict[str, Any]:
    job = await reader.find(name)
    if job is None:
        raise Problem(404, "not-found", f"There is no job {name!r}.")
    return job


Creator = Annotated[Requester, Depends(_requester_who_may(Call.CREATE))]
Retrier = Annotated[Requester, Depends(_requester_who_may(Call.RETRY))]
Required = Annotated[Require, Depends(_require)]
ExistingJob = Annotated[dict[str, Any], Depends(_existing_job)]
"""The job that the path names. Raises a 404 :class:`Problem`, or 503 while that is not known yet."""
