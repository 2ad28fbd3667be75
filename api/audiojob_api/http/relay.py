"""Passes an answer of the files service on while it comes: nothing of a file stays here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, Final

from fastapi import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from audiojob_api.files.ports import Answer, Call, Files
from audiojob_api.problems import Problem

_log = logging.getLogger(__name__)

# Of a request, what concerns bytes; of an answer, what concerns the file. Nothing else crosses.
_ASKED: Final = ("range", "if-range", "if-none-match")
_SENT: Final = (
    "Content-Type", "Content-Length", "Content-Range", "Content-Disposition", "ETag", "Accept-Ranges", "Cache-Control",
    "X-Content-Type-Options", "Content-Security-Policy", "Cross-Origin-Resource-Policy",
)  # fmt: skip


def _header(name: str, description: str) -> dict[str, Any]:
    return {"in": "header", "name": name, "required": False, "schema": {"type": "string"}, "description": description}


# For the OpenAPI document: what of a request goes on, and how the service answers it.
RANGES: Final[dict[str, Any]] = {
    "parameters": [
        _header("Range", "One range of bytes: `bytes=0-999`, `bytes=1000-`, `bytes=-500`."),
        _header("If-Range", "The ETag of what the caller has of it: all is sent where it has changed."),
        _header("If-None-Match", "The ETag of what the caller has: 304 where it has not changed."),
    ]
}
FILE_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}, "description": "The file"},
    206: {"content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}, "description": "A range of it"},
    304: {"description": "It is what the caller has."},
}


def asked(request: Request) -> Mapping[str, str]:
    """Headers that go on to the service. Raises a 416 :class:`Problem` for several ranges."""
    if len(request.headers.getlist("range")) > 1:
        raise Problem(416, "range-not-satisfiable", "Ask for one range; several at once are not served.")
    return {name: request.headers[name] for name in _ASKED if name in request.headers}


class Relay(Response):
    """The answer to ``call``, as it comes. Both sides end when one of them does.

    ``gone`` is what it means that the file is not there; without it, what the service says of it.
    """

    def __init__(self, files: Files, call: Call, gone: Problem | None = None) -> None:
        super().__init__()
        self._files = files
        self._call = call
        self._gone = gone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with AsyncExitStack() as stack:
            try:
                answer = await stack.enter_async_context(self._files.open(self._call))
            except Problem as problem:
                raise (self._gone if self._gone and problem.status == 404 else problem) from None
            sending = asyncio.ensure_future(_send(answer, send))
            leaving = asyncio.ensure_future(_left(receive))
            try:
                await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
                if sending.done():
                    sending.result()
            finally:
                for each in (sending, leaving):
                    each.cancel()
                await asyncio.gather(sending, leaving, return_exceptions=True)


async def _send(answer: Answer, send: Send) -> None:
    headers = [
        (name.lower().encode(), answer.headers[name].encode("latin-1")) for name in _SENT if name in answer.headers
    ]
    head: Message = {"type": "http.response.start", "status": answer.status, "headers": headers}
    await send(head)
    try:
        async for chunk in answer.chunks():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    except Problem as problem:
        # Too late for another answer. The connection ends without the rest, so that the client knows, and can go on.
        _log.warning("An answer ends early: %s", problem.detail)
        return
    await send({"type": "http.response.body", "body": b""})


async def _left(receive: Receive) -> None:
    """Wait until the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
