"""What routes depend on, typed: services of the app, the caller, parts of the request.

The app keeps its services in one place, `install`; nothing else reads ``app.state``. Services are looked up from the
connection, so that a WebSocket can depend on them too.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import Depends, FastAPI, Header, Path, Query, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import WithJsonSchema
from starlette.requests import HTTPConnection

from audiojob_api.access.authenticator import Authenticator
from audiojob_api.access.authorizer import Identity
from audiojob_api.access.config import AccessConfig
from audiojob_api.access.keys.store import KeyStore
from audiojob_api.access.limits.burst import Bursts
from audiojob_api.access.limits.quota import Quota
from audiojob_api.access.limits.shares import Shares
from audiojob_api.access.limits.upload_quota import UploadQuota
from audiojob_api.access.places import NAME_PATTERN, Places
from audiojob_api.access.rights import Call, Right, rights_of
from audiojob_api.files.manifests import KnownManifests
from audiojob_api.files.ports import Files
from audiojob_api.http.audit import note, note_caller
from audiojob_api.http.limits import identify, note_room, take_share, too_many_requests
from audiojob_api.http.metrics import ApiMetrics
from audiojob_api.http.openapi import query_names
from audiojob_api.http.refusals import from_kubernetes
from audiojob_api.jobs.compat import FORMAT, compat
from audiojob_api.jobs.create import Requester, require_own
from audiojob_api.jobs.estimates.estimator import Estimator
from audiojob_api.jobs.following import Recheck
from audiojob_api.jobs.idempotency import OneByOne
from audiojob_api.jobs.ports import JobReader, JobWriter, Lifecycle, LiveJobs, NamespaceJobs
from audiojob_api.jobs.queue_position import QueuePositions
from audiojob_api.jobs.statistics.health import Trouble
from audiojob_api.jobs.views import Show
from audiojob_api.problems import Problem, invalid_parameter, repeated
from audiojob_api.settings import ApiSettings
from audiojob_api.sql.database import Database
from audiojob_kube.errors import ApiError, TransportError
from audiojob_types.explain import unknown

_SPACE: Final = "space"
_CALLER: Final = "caller"
_EVERYWHERE: Final = frozenset({"namespace", "format"})

# ---------------------------------------------------------------- services


@dataclass(frozen=True, slots=True)
class Space:
    """A namespace that is served."""

    namespace: str
    jobs: NamespaceJobs
    show: Show
    positions: QueuePositions
    estimator: Estimator | None = None
    """None where pipelines cannot be read."""
    keys: OneByOne = field(default_factory=OneByOne)


@dataclass(frozen=True, slots=True)
class Services:
    """What one app is made of."""

    settings: ApiSettings
    authenticator: Authenticator
    places: Places
    spaces: Mapping[str, Space]
    lifecycle: Lifecycle
    access: AccessConfig
    quota: Quota
    upload_quota: UploadQuota
    bursts: Bursts | None
    shares: Shares
    keys: KeyStore | None
    metrics: ApiMetrics
    stopping: asyncio.Event
    database: Database | None = None
    files: Files | None = None
    operator: Trouble | None = None
    manifests: KnownManifests = field(default_factory=KnownManifests)


def install(app: FastAPI, services: Services) -> None:
    """Give the app its services."""
    app.state.services = services


def services_of(connection: HTTPConnection) -> Services:
    """The services of the app that this request or WebSocket belongs to."""
    found: Services = connection.app.state.services
    return found


def space_of(connection: HTTPConnection) -> Space:
    """The namespace that this request or WebSocket is about. ``authorize`` comes before: it found out."""
    found: Space = connection.scope["state"][_SPACE]
    return found


def followed(connection: HTTPConnection, url: str) -> str:
    """An address in an answer, as whoever asked may follow it: with the namespace that the request names."""
    named = connection.query_params.get("namespace")
    if not named:
        return url
    return url + ("&" if "?" in url else "?") + urlencode({"namespace": named})


async def _caller(connection: HTTPConnection) -> Identity:
    found: Identity = connection.scope["state"][_CALLER]
    return found


async def _services(connection: HTTPConnection) -> Services:
    return services_of(connection)


async def _settings(connection: HTTPConnection) -> ApiSettings:
    return services_of(connection).settings


async def _space(connection: HTTPConnection) -> Space:
    return space_of(connection)


async def _reader(connection: HTTPConnection) -> JobReader:
    return space_of(connection).jobs.reader


async def _live(connection: HTTPConnection) -> LiveJobs:
    return space_of(connection).jobs.live


async def _writer(connection: HTTPConnection) -> JobWriter:
    return space_of(connection).jobs.writer


async def _lifecycle(connection: HTTPConnection) -> Lifecycle:
    return services_of(connection).lifecycle


def wants_compat(connection: HTTPConnection) -> bool:
    """Whether the answer is to be in the words of older services. Raises a 422 :class:`Problem` for other formats."""
    wanted = connection.query_params.getlist("format")
    if wanted not in ([], [FORMAT]):
        raise Problem(422, "invalid-request", f"format: must be {FORMAT}, once, or left out")
    return bool(wanted)


# For the OpenAPI document only, as `_Namespace` below.
_Format = Annotated[
    str | None,
    Query(alias="format", description=f"`{FORMAT}`: jobs as clients of older services expect them; see docs/api.md."),
    WithJsonSchema({"type": "string", "enum": [FORMAT]}),
]


async def _compat(connection: HTTPConnection, _: _Format = None) -> bool:
    return wants_compat(connection)


Compat = Annotated[bool, Depends(_compat)]
"""Whether the answer is to be in the words of older services."""


def show_of(connection: HTTPConnection, *, in_their_words: bool) -> Show:
    """How jobs are shown to this caller."""
    show = space_of(connection).show
    return (lambda job: compat(show(job))) if in_their_words else show


async def _show(connection: HTTPConnection, in_their_words: Compat) -> Show:
    return show_of(connection, in_their_words=in_their_words)


def files_of(connection: HTTPConnection) -> Files:
    """The files services. Raises a 501 :class:`Problem` where files are off."""
    files = services_of(connection).files
    if files is None:
        detail = "This installation serves no files; ask an administrator to set files.enabled of the chart."
        raise Problem(501, "files-off", detail)
    return files


async def _files(connection: HTTPConnection) -> Files:
    return files_of(connection)


async def _upload_quota(connection: HTTPConnection) -> UploadQuota:
    return services_of(connection).upload_quota


async def _metrics(connection: HTTPConnection) -> ApiMetrics:
    return services_of(connection).metrics


async def _stopping(connection: HTTPConnection) -> asyncio.Event:
    return services_of(connection).stopping


AllServices = Annotated[Services, Depends(_services)]
Settings = Annotated[ApiSettings, Depends(_settings)]
InSpace = Annotated[Space, Depends(_space)]
Caller = Annotated[Identity, Depends(_caller)]
"""Who calls, once `caller_who_may` has admitted them."""
Reader = Annotated[JobReader, Depends(_reader)]
Live = Annotated[LiveJobs, Depends(_live)]
Writer = Annotated[JobWriter, Depends(_writer)]
ReadModel = Annotated[Lifecycle, Depends(_lifecycle)]
Shown = Annotated[Show, Depends(_show)]
StoredFiles = Annotated[Files, Depends(_files)]
"""Raises a 501 :class:`Problem` where files are off."""
UploadLimits = Annotated[UploadQuota, Depends(_upload_quota)]
Metrics = Annotated[ApiMetrics, Depends(_metrics)]
Stopping = Annotated[asyncio.Event, Depends(_stopping)]

# ---------------------------------------------------------------- the caller

# For the OpenAPI document only: it would accept the first of two headers.
_SCHEME = HTTPBearer(
    auto_error=False,
    scheme_name="Bearer",
    description="A Kubernetes token for the API's audience, a token of an identity provider, or an API key.",
)


async def authorize(connection: HTTPConnection, call: Call) -> Identity:
    """The caller of a request or WebSocket, who has the rights that this call needs in the namespace that it is about.

    Raises a 400, 401, 403, 404, 429 or 503 :class:`Problem`.
    """
    services = services_of(connection)
    caller = await enter(connection)
    namespace = services.places.wanted(caller, connection.query_params.getlist("namespace"))
    note(connection, caller, call, namespace)
    name = connection.path_params.get("name")
    allowed = await services.authenticator.require(caller, namespace, rights_of(call, name))
    services.places.require_served(namespace)
    space = services.spaces[namespace]
    if allowed.own and name:
        await _require_own(caller, name, space)
    connection.scope.setdefault("state", {}).update({_SPACE: space, _CALLER: caller})
    return caller


async def enter(connection: HTTPConnection) -> Identity:
    """The caller, who has not asked too much, in a short time or at once. Raises a 401, 429 or 503 :class:`Problem`."""
    caller = await _identify(connection)
    note_caller(connection, caller)
    bursts = services_of(connection).bursts
    if bursts is not None and note_room(connection, bursts.policy, room := bursts.take(caller.username)):
        services_of(connection).metrics.count_authorization("limited")
        raise too_many_requests(room.wait)
    take_share(connection, services_of(connection).shares, caller.username)
    return caller


async def security(_: Annotated[HTTPAuthorizationCredentials | None, Security(_SCHEME)]) -> None:
    """For the OpenAPI document only, of routes that call `enter` themselves."""


async def _require_own(caller: Identity, name: str, space: Space) -> None:
    """Raise a 403 Problem for a job of somebody else; one that does not exist is 404, as for everybody."""
    job = await space.jobs.reader.find(name)
    if job is not None:
        require_own(job, caller.username)


async def _identify(connection: HTTPConnection) -> Identity:
    return await identify(connection, services_of(connection).authenticator)


def recheck(connection: HTTPConnection, call: Call) -> Recheck:
    """For streams: the same question again, with the token and the rights of that moment."""

    async def check() -> None:
        try:
            await authorize(connection, call)
        except (ApiError, TransportError) as error:
            raise from_kubernetes(error) from None

    return Recheck(services_of(connection).settings.stream_recheck_seconds, check)


# For the OpenAPI document only: `authorize` reads it, so that a stranger learns nothing of what it may be.
_Namespace = Annotated[
    str | None,
    Query(
        alias="namespace",
        description="The namespace of the jobs. Needed only by callers who have several; with a Kubernetes token, "
        "the API's own is meant where it is left out.",
    ),
    WithJsonSchema({"type": "string", "pattern": NAME_PATTERN, "maxLength": 63}),
]


def caller_who_may(call: Call) -> Callable[..., Awaitable[Identity]]:
    """A dependency that admits callers who have the rights for this call."""

    async def authorized(
        request: Request,
        _: Annotated[HTTPAuthorizationCredentials | None, Security(_SCHEME)],
        __: _Namespace = None,
    ) -> Identity:
        caller = await authorize(request, call)
        refuse_unknown_query(request)
        return caller

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


def require_of(request: Request) -> Require:
    """What asks for further rights of whoever sent this request."""

    async def require(rights: Sequence[Right]) -> None:
        if rights:
            namespace = space_of(request).namespace
            await services_of(request).authenticator.require(await _identify(request), namespace, rights)

    return require


async def _require(request: Request) -> Require:
    return require_of(request)


def refuse_unknown_query(request: Request) -> None:
    """Raise a 422 Problem for a parameter that the route has not, 400 for one that is given twice.

    Of two we would take the last, a proxy may judge the first. Those that most calls have are passed over elsewhere.
    """
    known = query_names(request.scope["route"])
    for name, count in Counter(name for name, _ in request.query_params.multi_items()).items():
        if count > 1:
            raise repeated(name)
        if name not in known and name not in _EVERYWHERE:
            raise invalid_parameter(name, unknown("parameter", name, sorted(known)))


def _requester_who_may(call: Call) -> Callable[..., Awaitable[Requester]]:
    """A dependency: for whom a job is made, with the key that makes it once."""

    allowed = Depends(caller_who_may(call))  # no annotation: FastAPI cannot see a closure's names there

    async def requester(
        request: Request, caller: Identity = allowed, idempotency_key: IdempotencyKey = None
    ) -> Requester:
        return Requester(space_of(request).namespace, caller.username, idempotency_key)

    return requester


async def existing_job(name: JobName, reader: Reader) -> dict[str, Any]:
    """The job of this name. Raises a 404 :class:`Problem`, or 503 while that is not known yet."""
    job = await reader.find(name)
    if job is None:
        raise Problem(404, "not-found", f"There is no job {name!r}.")
    return job


Creator = Annotated[Requester, Depends(_requester_who_may(Call.CREATE))]
Retrier = Annotated[Requester, Depends(_requester_who_may(Call.RETRY))]
Required = Annotated[Require, Depends(_require)]
ExistingJob = Annotated[dict[str, Any], Depends(existing_job)]
"""The job that the path names, as :func:`existing_job` finds it."""
