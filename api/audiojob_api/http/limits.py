"""Requests are bounded before anything parses them, and answers say how many more may come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from functools import lru_cache

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from audiojob_api.access.authenticator import Authenticator
from audiojob_api.access.authorizer import Identity
from audiojob_api.access.limits.burst import Bursts, Room
from audiojob_api.access.limits.left import Left
from audiojob_api.access.limits.shares import Shares
from audiojob_api.http.audit import note_caller
from audiojob_api.http.connection import carries_job_and_file, is_upload
from audiojob_api.http.errors import NOTHING_HERE, answer
from audiojob_api.problems import RETRY_SECONDS, Problem
from audiojob_kube.errors import ApiError, TransportError
from audiojob_store.ticket import MAX_UPLOAD_BYTES, PART_BYTES

_ROOM = "room"
_SHARE = "share"
_CALLS = "/api/"
_APART_SECONDS = 0.005
_MOST_WAITING = 200  # so the last waits a second
_LENGTH_DIGITS = 18
_SEPARATORS = len(": \r\n")
_VERSIONS = ("1.1", "1.0")  # h11 takes any number, and the rules of 1.1 for it
# What follows on the connection cannot be trusted to be a request.
_CLOSE = {"Connection": "close"}


class HeadRules:
    """ASGI middleware: a head over ``max_bytes`` is answered with 431, one that can be read in two ways with 400,
    one of another version of HTTP with 505, a path with NUL in it with 404.

    The parser itself only limits what comes in pieces. A proxy that believes Content-Length where we believe
    Transfer-Encoding would take a part of one caller's body for another's request.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = self._problem(scope) if scope["type"] in ("http", "websocket") else None
        await (answer(problem) if problem else self._app)(scope, receive, send)

    def _problem(self, scope: Scope) -> Problem | None:
        size = len(scope.get("raw_path") or scope["path"].encode()) + len(scope["query_string"])
        size += sum(len(name) + len(value) + _SEPARATORS for name, value in scope["headers"])
        if size > self._max_bytes:
            detail = f"Address and headers have more than {self._max_bytes} bytes."
            return Problem(431, "request-header-fields-too-large", detail, headers=_CLOSE)
        if scope.get("http_version", "1.1") not in _VERSIONS:
            return Problem(505, "http-version-not-supported", "Speak HTTP/1.1 or HTTP/1.0.", headers=_CLOSE)
        if "\0" in scope["path"]:  # PostgreSQL has no text with it, so that looking for such a name fails
            return Problem(404, "not-found", NOTHING_HERE)
        names = {name for name, _ in scope["headers"]}
        chunked = b"transfer-encoding" in names
        if chunked and (b"content-length" in names or scope.get("http_version") == "1.0"):
            detail = "Send Content-Length or Transfer-Encoding, not both; HTTP/1.0 has no Transfer-Encoding."
            return Problem(400, "ambiguous-length", detail, headers=_CLOSE)
        if b"content-encoding" in names:
            return Problem(
                415, "unsupported-media-type", "Send the body as it is, without Content-Encoding.", headers=_CLOSE
            )
        if sum(name == b"idempotency-key" for name, _ in scope["headers"]) > 1:
            return Problem(400, "ambiguous-idempotency-key", "Send the header Idempotency-Key once.", headers=_CLOSE)
        return None


class Turnstile:
    """Lets through one after the other, with time for others between them."""

    def __init__(self) -> None:
        self._waiting = 0
        self._next = 0.0

    async def turn(self) -> None:
        """Wait for one's turn, where not too many do already."""
        now = time.monotonic()
        wait = self._next - now
        if self._waiting >= _MOST_WAITING:
            return
        self._next = max(now, self._next) + _APART_SECONDS
        if wait > 0:
            self._waiting += 1
            try:
                await asyncio.sleep(wait)
            finally:
                self._waiting -= 1


class FloodGuard:
    """ASGI middleware: who is known and must wait is refused before anything is looked up for the request.

    The answer is the one that `deps.enter` gives. Many leave one after the other: who asks again at once, over many
    connections, waits. No more than some do at a time, since each keeps a connection.
    """

    def __init__(
        self, app: ASGIApp, *, authenticator: Authenticator, bursts: Bursts, count: Callable[[str], None]
    ) -> None:
        self._app = app
        self._authenticator = authenticator
        self._bursts = bursts
        self._count = count
        self._turnstile = Turnstile()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        user = self._user(scope) if scope["type"] == "http" and scope["path"].startswith(_CALLS) else None
        room = None if user is None else self._bursts.refusal(user.username)
        if user is None or room is None:
            await self._app(scope, receive, send)
            return
        await self._turnstile.turn()
        room = self._bursts.refusal(user.username) or room
        connection = HTTPConnection(scope)
        note_caller(connection, user)
        note_room(connection, self._bursts.policy, room)
        self._count("limited")
        await _too_many(room.wait)(scope, receive, send)

    def _user(self, scope: Scope) -> Identity | None:
        headers = [value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"]
        return self._authenticator.known(headers)


class CallersFirst:
    """ASGI middleware: whose token is not good is refused before a body is read, which costs more than the refusal.

    FastAPI reads bodies before anything else. The answer is the one that `deps.enter` gives.
    """

    def __init__(self, app: ASGIApp, authenticator: Authenticator) -> None:
        self._app = app
        self._authenticator = authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = await self._problem(HTTPConnection(scope)) if _has_body(scope) else None
        await (answer(problem) if problem else self._app)(scope, receive, send)

    async def _problem(self, connection: HTTPConnection) -> Problem | None:
        try:
            await identify(connection, self._authenticator)
        except Problem as problem:
            return problem
        except (ApiError, TransportError):  # the route asks again, and says it
            return None
        return None


def _has_body(scope: Scope) -> bool:
    if scope["type"] != "http" or not scope["path"].startswith(_CALLS):
        return False
    lengths = [value for name, value in scope["headers"] if name in (b"content-length", b"transfer-encoding")]
    return any(value != b"0" for value in lengths)


async def identify(connection: HTTPConnection, authenticator: Authenticator) -> Identity:
    """Who sends a request or opens a WebSocket. Raises as the authenticator does."""
    address = connection.client.host if connection.client else ""
    authenticator.refuse_misplaced(connection.headers.keys(), connection.query_params.keys())
    return await authenticator.identify(connection.headers.getlist("authorization"), address)


def too_many_requests(wait: int) -> Problem:
    """429 for a user whose bucket is empty."""
    detail = f"Too many requests in a short time; try again in {wait} s."
    return Problem(429, "too-many-requests", detail, headers={"Retry-After": str(wait)})


@lru_cache(maxsize=64)
def _too_many(wait: int) -> ASGIApp:
    return answer(too_many_requests(wait))


def note_room(connection: HTTPConnection, policy: str, room: Room) -> bool:
    """Remember what is left, for the answer; whether the request must wait."""
    state = connection.scope.setdefault("state", {})
    state[_ROOM] = list({**dict(state.get(_ROOM, ())), policy: f'"burst";r={room.left};t={room.full_in}'}.items())
    return room.wait > 0


def note_left(connection: HTTPConnection, left: Iterable[Left]) -> None:
    """Remember what is left of the caller's other limits, for the answer."""
    state = connection.scope.setdefault("state", {})
    # The newest counts: a call that makes many jobs tells of each limit once.
    state[_ROOM] = list({**dict(state.get(_ROOM, ())), **{each.policy: each.room for each in left}}.items())


class FairShares:
    """ASGI middleware: what :func:`take_share` took is given back once the request has ended, however it does."""

    def __init__(self, app: ASGIApp, shares: Shares) -> None:
        self._app = app
        self._shares = shares

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        finally:
            user = scope.get("state", {}).pop(_SHARE, None)
            if user is not None:
                self._shares.give_back(user)


def take_share(connection: HTTPConnection, shares: Shares, user: str) -> None:
    """Count the request among those of its user that are in progress, once. Raises a 429 Problem for one too many:
    streams and slow downloads of one user must not keep everybody else out.
    """
    state = connection.scope.setdefault("state", {})
    if _SHARE in state:  # a stream looks at its rights again
        return
    if not shares.take(user):
        detail = f"{shares.most} of your requests are in progress, which is the most; wait until one has ended."
        raise Problem(429, "too-many-requests", detail, headers={"Retry-After": str(RETRY_SECONDS)})
    state[_SHARE] = user


class RateHeaders:
    """ASGI middleware: the fields of draft-ietf-httpapi-ratelimit-headers, on every answer to a known caller."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def told(message: Message) -> None:
            noted = scope.get("state", {}).get(_ROOM)
            if message["type"] == "http.response.start" and noted:
                policy, room = (", ".join(each) for each in zip(*noted, strict=True))
                added = [(b"ratelimit-policy", policy.encode()), (b"ratelimit", room.encode())]
                message = {**message, "headers": [*message.get("headers", ()), *added]}
            await send(message)

        await self._app(scope, receive, told if scope["type"] == "http" else send)


class BodyLimit:
    """ASGI middleware: a body over ``max_bytes`` is answered with 413, whether its length was declared or not.

    A part of an upload may be larger, and a job with its file: their routes say so, and keep none of it. A WebSocket
    has no body; its server limits the size of a message.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = self._most(scope)
        detail = f"The body is larger than {most} bytes."
        if is_upload(scope["method"], scope["path"]):
            detail += " Send the file in parts, of partBytes each."
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        # Its text is checked first: Python refuses to convert a number of thousands of digits.
        if not declared.isdigit() or len(declared) > _LENGTH_DIGITS or int(declared) > most:
            await answer(Problem(413, "request-entity-too-large", detail))(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > most:
                raise HTTPException(413, detail)  # the one exception that FastAPI lets through while it reads
            return message

        await self._app(scope, counted, send)

    def _most(self, scope: Scope) -> int:
        if is_upload(scope["method"], scope["path"]):
            return PART_BYTES
        return MAX_UPLOAD_BYTES + self._max_bytes if carries_job_and_file(scope) else self._max_bytes
