"""A proxy between a client and a real API server: it records writes, strikes after one, and makes a plan's faults."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import aiohttp
from aiohttp import web
from tests.support.faults.plan import (
    STREAM_FAULTS,
    WRITES,
    Act,
    Answer,
    Call,
    Delay,
    Drop,
    Fault,
    Hold,
    Lose,
    Plan,
    StaleList,
    Verb,
)
from tests.support.faults.stream import FaultyStream

from audiojob_dev.cluster.apiserver import LocalApiServer

_HOP_HEADERS = frozenset(
    {"connection", "content-length", "host", "keep-alive", "transfer-encoding", "content-encoding"}
)
_POLL_SECONDS = 0.02
# The first come by the clock, the second only asks, and what the operator says of a pipeline waits for no job.
_NO_WRITES = ("leases", "selfsubjectaccessreviews", "audiopipelines")
_REASONS = {
    401: "Unauthorized",
    403: "Forbidden",
    409: "Conflict",
    410: "Expired",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


@dataclass(frozen=True, slots=True)
class Write:
    """One write that the API server answered."""

    method: str
    path: str
    name: str  # of the object that was created; "" for other writes
    status: int


@dataclass(slots=True)
class Strike:
    """What happens at write ``number`` (1 is the first) to the namespace: ``act`` once it is committed.

    ``answered`` says whether the operator gets the answer before. Operators answer AudioJobs that other tests left in
    other namespaces, too.
    """

    namespace: str
    number: int
    answered: bool
    act: Callable[[], None]


@dataclass(slots=True)
class Record:
    """What was asked for so far. Those of the Lease and of pipelines, and questions about rights, are left out."""

    writes: list[Write] = field(default_factory=list)
    calls: list[tuple[float, Call]] = field(default_factory=list)  # with time.monotonic(); also unanswered ones
    faults: list[tuple[Call, Fault]] = field(default_factory=list)

    def writes_to(self, namespace: str) -> list[Write]:
        """The writes to objects of one namespace."""
        return [write for write in self.writes if f"/namespaces/{namespace}/" in write.path]


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
        self._plan = Plan()
        self._lists: dict[str, bytes] = {}  # the first answer to each list, by path and query
        self.record = Record()
        self.url = ""

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(60)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        # Transports under TLS close in callbacks that nothing tells the end of; aiohttp's manual asks for this pause.
        self._loop.run_until_complete(asyncio.sleep(0.25))
        self._loop.close()

    def begin(self, strike: Strike | None = None, plan: Plan | None = None) -> None:
        """Forget what was recorded, and strike and make faults as given from now on."""
        self.record = Record()
        self._strike = strike
        self._plan = plan or Plan()

    def follow(self, plan: Plan | None = None) -> None:
        """Make other faults from now on (none without a plan), and keep the record."""
        self._plan = plan or Plan(seed=self._plan.seed)

    def forget_lists(self, resource: str) -> None:
        """From now on a stale list of this resource is one that is answered after this moment."""
        self._lists = {path: answer for path, answer in self._lists.items() if f"/{resource}?" not in path}

    def story(self) -> str:
        """Seed and faults so far, for a failed assertion."""
        lines = [f"{call} {fault}" for call, fault in self.record.faults[-60:]]
        return "\n".join([f"\nseed {self._plan.seed}; the last faults:", *lines])

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
        # Calls that are held although their client is gone.
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        assert self._session.connector is not None
        await self._session.connector.close(abort_ssl=True)
        await self._session.close()

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        call = Call.of(request.method, request.path, request.query)
        self.record.calls.append((time.monotonic(), call))
        chosen = self._plan.faults(call)
        self.record.faults += [(call, fault) for fault, _ in chosen]
        for fault, _ in chosen:
            instead = await self._before(fault, request)
            if instead is not None:
                return instead
        try:
            return await self._ask(request, call, body, chosen)
        except aiohttp.ClientConnectionError:  # the API server itself is away
            return _cut(request)

    async def _before(self, fault: Fault, request: web.Request) -> web.StreamResponse | None:
        """What a fault does before the server is asked; an answer means that it never is."""
        match fault:
            case Delay(seconds):
                await asyncio.sleep(seconds)
            case Hold(gate):
                while not gate.is_set():  # noqa: ASYNC110 - set by another thread
                    await asyncio.sleep(_POLL_SECONDS)
            case Drop():
                return _cut(request)
            case Act(act):
                act()
                return _cut(request)
            case Answer():
                return _answer(fault)
            case StaleList() if (known := self._lists.get(request.raw_path)) is not None:
                return web.Response(body=known, content_type="application/json")
            case _:
                pass
        return None

    async def _ask(
        self, request: web.Request, call: Call, body: bytes, chosen: list[tuple[Fault, Random]]
    ) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_HEADERS}
        url = f"{self._upstream}{request.raw_path}"
        lost = any(isinstance(fault, Lose) for fault, _ in chosen)
        async with self._session.request(request.method, url, data=body or None, headers=headers) as upstream:
            if call.verb in WRITES and call.resource not in _NO_WRITES:
                return await self._answer_write(request, upstream, body, lost=lost)
            if lost:
                await upstream.read()
                return _cut(request)
            if call.verb is Verb.LIST and upstream.status == 200:
                answer = await upstream.read()
                self._lists.setdefault(request.raw_path, answer)
                return web.Response(body=answer, content_type=upstream.content_type)
            faults = [(fault, random) for fault, random in chosen if isinstance(fault, STREAM_FAULTS)]
            if call.verb is Verb.WATCH and faults and upstream.status == 200:
                return await FaultyStream(request, upstream, faults).pump()
            return await self._stream(request, upstream)

    async def _answer_write(
        self, request: web.Request, upstream: aiohttp.ClientResponse, body: bytes, *, lost: bool
    ) -> web.StreamResponse:
        answer = await upstream.read()  # once it is read, the write is committed
        name = json.loads(body).get("metadata", {}).get("name", "") if request.method == "POST" else ""
        self.record.writes.append(Write(request.method, request.path, name, upstream.status))
        strike = self._strike
        mine = strike is not None and f"/namespaces/{strike.namespace}/" in request.path
        due = mine and strike is not None and strike.number == len(self.record.writes_to(strike.namespace))
        if lost:
            return _cut(request)
        if strike is not None and due and not strike.answered:
            strike.act()  # nobody is there for the answer any more
        response = web.Response(body=answer, status=upstream.status, content_type=upstream.content_type)
        if "Retry-After" in upstream.headers:
            response.headers["Retry-After"] = upstream.headers["Retry-After"]
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


def _cut(request: web.Request) -> web.StreamResponse:
    """Close the client's connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()  # goes nowhere


def _answer(fault: Answer) -> web.Response:
    """A Status object as the API server makes it."""
    body = {
        "apiVersion": "v1",
        "kind": "Status",
        "status": "Failure",
        "code": fault.status,
        "reason": _REASONS.get(fault.status, "InternalError"),
        "message": f"the fault proxy answers {fault.status}",
    }
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    return web.json_response(body, status=fault.status, headers=headers)
