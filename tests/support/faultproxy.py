"""A proxy between the operator and a real API server that counts writes and can strike right after one of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web

from audiojob_dev.apiserver import LocalApiServer

_HOP_HEADERS = frozenset(
    {"connection", "content-length", "host", "keep-alive", "transfer-encoding", "content-encoding"}
)
_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True, slots=True)
class Write:
    """One write that the API server answered."""

    method: str
    path: str
    name: str  # of the object that was created; "" for other writes
    status: int


@dataclass(slots=True)
class Strike:
    """What happens at write ``number`` (1 is the first): ``act`` once it is committed.

    ``answered`` says whether the operator gets the answer before.
    """

    number: int
    answered: bool
    act: Callable[[], None]


@dataclass(slots=True)
class Record:
    """Writes so far; those of the Lease are left out, they come by the clock."""

    writes: list[Write] = field(default_factory=list)


class FaultProxy:
    """Plain HTTP on the loopback in front of an API server, with the rights of its administrator."""

    def __init__(self, apiserver: LocalApiServer) -> None:
        self.apiserver = apiserver
        self._upstream = apiserver.url
        self._ssl = ssl.create_default_context(cafile=str(apiserver.authority))
        self._ssl.load_cert_chain(apiserver.admin.certificate, apiserver.admin.key)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="faultproxy", daemon=True)
        self._strike: Strike | None = None
        self.record = Record()
        self.url = ""

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def begin(self, strike: Strike | None = None) -> None:
        """Forget the writes so far, and strike at the given one from now on."""
        self.record = Record()
        self._strike = strike

    def write_kubeconfig(self, path: Path) -> Path:
        """A kubeconfig that leads here."""
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "proxy",
            "clusters": [{"name": "proxy", "cluster": {"server": self.url}}],
            "users": [{"name": "proxy", "user": {}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
        }
        path.write_text(json.dumps(document))
        return path

    async def _start(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._ssl),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
        )
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._forward)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _stop(self) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_HEADERS}
        url = f"{self._upstream}{request.raw_path}"
        async with self._session.request(request.method, url, data=body or None, headers=headers) as upstream:
            if request.method in _WRITES and "/leases" not in request.path:
                return await self._answer_write(request, upstream, body)
            return await self._stream(request, upstream)

    async def _answer_write(
        self, request: web.Request, upstream: aiohttp.ClientResponse, body: bytes
    ) -> web.StreamResponse:
        answer = await upstream.read()  # once it is read, the write is committed
        name = json.loads(body)["metadata"].get("name", "") if request.method == "POST" else ""
        self.record.writes.append(Write(request.method, request.path, name, upstream.status))
        strike = self._strike
        due = strike is not None and strike.number == len(self.record.writes)
        if strike is not None and due and not strike.answered:
            strike.act()  # nobody is there for the answer any more
        response = web.Response(body=answer, status=upstream.status, content_type=upstream.content_type)
        if strike is not None and due and strike.answered:
            await response.prepare(request)
            await response.write_eof()
            strike.act()
        return response

    async def _stream(self, request: web.Request, upstream: aiohttp.ClientResponse) -> web.StreamResponse:
        response = web.StreamResponse(
            status=upstream.status, headers={"Content-Type": upstream.headers["Content-Type"]}
        )
        with contextlib.suppress(ConnectionError):  # the operator was killed: nobody listens any more
            await response.prepare(request)
            async for chunk in upstream.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
        return response
