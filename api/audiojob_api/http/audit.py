"""Who changed what: one line for each request of a known caller that changes something, granted or refused.

The API server's own audit log has the API's account as user; it shows the caller in the user agent
(`audiojob_kube.agent`).
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from audiojob_api.access.authorizer import Identity
from audiojob_api.access.rights import CHANGES, Call
from audiojob_kube.agent import acts_for

_log = logging.getLogger("audiojob_api.audit")

_KEY: Final = "audit"


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
        line = {
            "user": act.caller.username,
            "uid": act.caller.uid,
            "verb": str(act.call),
            "namespace": act.namespace,
            "job": act.job or made or None,
            **({"made": made} if act.job and made else {}),
            "status": message["status"],
            "client": (scope.get("client") or [""])[0],
        }
        # JSON on one line: a user's name cannot forge another.
        _log.info("%s", json.dumps(line))
