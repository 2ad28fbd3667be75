"""Bodies of requests before a model reads them: JSON that every parser reads alike; and of answers to HEAD: none."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from audiojob_api.problems import Problem, repeated


async def require_json(request: Request) -> Any:
    """What the body says; None where there is none. Refuses bodies that are not declared as JSON, are not in UTF-8, or
    name a field twice.
    """
    declared = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if declared != "application/json":
        raise Problem(415, "unsupported-media-type", "Send the body as Content-Type: application/json.")
    body = await request.body()
    return read_json(body) if body else None  # the model says what is missing


def read_json(body: bytes) -> Any:
    """What the JSON says. Raises a 400 Problem for JSON that can be read in two ways.

    Of a field that is named twice Python takes the last, others the first: a proxy that judges bodies would judge
    another request than the one that is carried out. Python guesses UTF-16 and UTF-32 too.
    """
    try:
        return json.loads(body.decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise Problem(400, "invalid-json", "The body is not valid JSON in UTF-8.") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise repeated(name)
        found[name] = value
    return found


class HeadRequests:
    """ASGI middleware: HEAD is GET whose answer ends with its head, as RFC 9110 asks of every server.

    Who streams what would follow hears that the client has gone, once the head is sent.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        ended = asyncio.Event()

        async def heard() -> Message:
            parts = (asyncio.ensure_future(receive()), asyncio.ensure_future(ended.wait()))
            try:
                await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
                return {"type": "http.disconnect"} if ended.is_set() else parts[0].result()
            finally:
                for each in parts:
                    each.cancel()

        async def headless(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
            elif not ended.is_set():
                ended.set()
                await send({"type": "http.response.body", "body": b""})

        scope["method"] = "GET"  # in place: what the router adds is read further out
        try:
            await self._app(scope, heard, headless)
        finally:
            scope["method"] = "HEAD"
