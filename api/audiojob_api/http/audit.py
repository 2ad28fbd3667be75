"""Who changed what: one line for each request of a known caller that changes something, granted or refused. And the
access log: one line for each request of anybody.

The API server's own audit log has the API's account as user; it shows the caller in the user agent
(`audiojob_kube.agent`).
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
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


def note_each(connection: HTTPConnection, ends: Iterable[tuple[str | None, int]]) -> None:
    """Remember what came of each of many jobs: by its name and status, for a line of its own."""
    connection.scope.setdefault("state", {})[_EACH] = tuple(ends)


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
            act = scope.get("state", {}).get(_KEY)
            if message["type"] == "http.response.start" and act is not None:
                self._write(scope, act, message)
            await send(message)

        await self._app(scope, receive, observed)

    def _write(self, scope: Scope, act: _Act, message: Message) -> None:
        made = Headers(raw=message["headers"]).get("location", "").partition("?")[0].rpartition("/")[2]
        for name, status in scope["state"].get(_EACH, [(made or None, message["status"])]):
            self._line(scope, act, name, status)

    def _line(self, scope: Scope, act: _Act, made: str | None, status: int) -> None:
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
