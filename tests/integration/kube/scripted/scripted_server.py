"""A small HTTP server that speaks the list and watch protocol as a test tells it to, faults included."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from aiohttp import web


@dataclass(frozen=True)
class Answer:
    """One complete response; a dict body is sent as JSON."""

    body: dict[str, Any] | str = field(default_factory=dict)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    wait_for: asyncio.Event | None = None

    def response(self) -> web.Response:
        text = self.body if isinstance(self.body, str) else json.dumps(self.body)
        return web.Response(status=self.status, text=text, headers=self.headers)


@dataclass(frozen=True)
class Hold:
    """Say nothing more, but keep the connection open."""


@dataclass(frozen=True)
class Cut:
    """Drop the connection without ending the response."""


Step: TypeAlias = bytes | asyncio.Event | Hold | Cut


@dataclass(frozen=True)
class Seen:
    """A request as it arrived; ``time`` by the loop's clock."""

    time: float
    method: str
    path: str
    raw_path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


class ScriptedServer:
    """`lists`, `watches` and `calls` are consumed in order; a watch without a script stays silent."""

    def __init__(self) -> None:
        self.url = ""
        self.seen: list[Seen] = []
        self.lists: deque[Answer] = deque()
        self.watches: deque[Sequence[Step] | Answer] = deque()
        self.calls: deque[Answer] = deque()
        self.open_calls = 0
        self.most_open_calls = 0
        self.open_watches = 0

    def requests(self, *, watch: bool) -> list[Seen]:
        return [seen for seen in self.seen if ("watch" in seen.query) is watch]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        self.seen.append(
            Seen(
                asyncio.get_running_loop().time(),
                request.method,
                request.path,
                request.raw_path,
                dict(request.query),
                dict(request.headers),
                json.loads(text) if text else None,
            )
        )
        if "watch" in request.query:
            return await self._watch(request)
        queue = self.lists if request.method == "GET" and "limit" in request.query else self.calls
        answer = queue.popleft() if queue else Answer(status_object(500, "the test has no answer ready"), 500)
        self.open_calls += 1
        self.most_open_calls = max(self.most_open_calls, self.open_calls)
        try:
            if answer.wait_for is not None:
                await answer.wait_for.wait()
        finally:
            self.open_calls -= 1
        return answer.response()

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        script = self.watches.popleft() if self.watches else [Hold()]
        if isinstance(script, Answer):
            return script.response()
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        self.open_watches += 1
        try:
            for step in script:
                match step:
                    case bytes():
                        await response.write(step)
                    case asyncio.Event():
                        await step.wait()
                    case Hold():
                        await asyncio.Event().wait()
                    case Cut():
                        assert request.transport is not None
                        request.transport.abort()
        finally:
            self.open_watches -= 1
        return response


@asynccontextmanager
async def serve() -> AsyncIterator[ScriptedServer]:
    server = ScriptedServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}"
    try:
        yield server
    finally:
        await runner.cleanup()


def job(name: str, version: int, *, uid: str | None = None, namespace: str = "music", **extra: Any) -> dict[str, Any]:
    """An AudioJob as the API server would store it."""
    metadata = {
        "name": name,
        "namespace": namespace,
        "uid": uid or f"uid-{name}",
        "resourceVersion": str(version),
        "managedFields": [{"manager": "kubectl"}],
    }
    return {"apiVersion": "audiojobs.dev/v1alpha1", "kind": "AudioJob", "metadata": metadata | extra}


def listing(version: int, *items: dict[str, Any], more: str | None = None) -> Answer:
    metadata = {"resourceVersion": str(version)} | ({"continue": more} if more else {})
    return Answer({"kind": "AudioJobList", "metadata": metadata, "items": list(items)})


def event(kind: str, obj: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": obj}).encode() + b"\n"


def bookmark(version: int) -> bytes:
    return event("BOOKMARK", {"kind": "AudioJob", "metadata": {"resourceVersion": str(version)}})


def status_object(code: int, message: str, reason: str = "", **extra: Any) -> dict[str, Any]:
    return {"kind": "Status", "status": "Failure", "code": code, "message": message, "reason": reason} | extra


def stream_error(code: int, message: str, reason: str = "") -> bytes:
    return event("ERROR", status_object(code, message, reason))
