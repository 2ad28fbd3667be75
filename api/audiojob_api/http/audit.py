"""Who changed what: one line for each request of a known caller that changes something, granted or refused. And the
access log: one line for each request of anybody.

The API server's own audit log has the API's account as user; it shows the caller in the user agent
(`audiojob_kube.agent`).
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass, replace
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from audiojob_api.access.authorizer import Identity
from audiojob_api.access.rights import CHANGES, Call
from audiojob_kube.agent import acts_for

_log = logging.getLogger("audiojob_api.audit")
_access = logging.getLogger("audiojob_api.access")

_KEY: Final = "audit"
_CALLER: Final = "audit-caller"
_EACH: Final = "audit-each"
# Asked every few seconds by the kubelet and by Prometheus.
_PROBES: Final = frozenset({"/livez", "/readyz", "/metrics"})


@dataclass(frozen=True, slots=True)
class _Act:
    caller: Identity
    call: str
    namespace: str
    job: str | None


def note(connection: HTTPConnection, caller: Identity, call: Call, namespace: str) -> None:
    """Remember who asks for a change, for the line at its end and for the calls to the API server until then."""
    if call in CHANGES:
        note_act(connection, caller, call, namespace)


def note_act(connection: HTTPConnection, caller: Identity, verb: str, namespace: str) -> None:
    """The same for an act by its name."""
    names = connection.path_params
    act = _Act(caller, verb, namespace, names.get("name") or names.get("id"))
    connection.scope.setdefault("state", {})[_KEY] = act
    acts_for(verb, caller.username)


def write_one(connection: HTTPConnection, asked: str | None, made: str | None, status: int) -> None:
    """Write the line of one of many jobs, by the name that was asked for and the job that was made.

    It is written at once: a process that ends leaves no change without its line. The call has none besides.
    """
    act = connection.scope["state"][_KEY]
    connection.scope["state"][_EACH] = True
    _line(connection.scope, replace(act, job=asked), made, status)


def note_caller(connection: HTTPConnection, caller: Identity) -> None:
    """Remember who calls, for the access log."""
    connection.scope.setdefault("state", {})[_CALLER] = caller.username


class AccessLog:
    """ASGI middleware that writes a line once a request has ended, as one of JSON.

    Nothing is in it that a caller could have put a token into: the route's template for its path, no query, no header
    and no body.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _PROBES or not _access.isEnabledFor(logging.INFO):
            await self._app(scope, receive, send)
            return
        begin, status, sent = time.monotonic(), 0, 0

        async def observed(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
            sent += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, observed)
        finally:
            state = scope.get("state", {})
            line = {
                "method": scope["method"] if scope["method"].isascii() else "other",
                "route": getattr(scope.get("route"), "path", "unmatched"),
                "status": status or None,  # null: the client has gone before there was one
                "seconds": round(time.monotonic() - begin, 4),
                "bytes": sent,
                "user": state.get(_CALLER),
                "client": (scope.get("client") or [""])[0],
            }
            _access.info("%s", json.dumps(line))


class AuditLog:
    """ASGI middleware that writes the line once the answer is known."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def observed(message: Message) -> None:
            state = scope.get("state", {})
            act = state.get(_KEY)
            if message["type"] == "http.response.start" and act is not None and _EACH not in state:
                made = Headers(raw=message["headers"]).get("location", "").partition("?")[0].rpartition("/")[2]
                _line(scope, act, made or None, message["status"])
            await send(message)

        await self._app(scope, receive, observed)


def _line(scope: Scope, act: _Act, made: str | None, status: int) -> None:
    line = {
        "user": act.caller.username,
        "uid": act.caller.uid,
        "verb": str(act.call),
        "namespace": act.namespace,
        "job": act.job or made,
        **({"made": made} if act.job and made else {}),
        "status": status,
        "client": (scope.get("client") or [""])[0],
    }
    # JSON on one line: a user's name cannot forge another.
    _log.info("%s", json.dumps(line))
