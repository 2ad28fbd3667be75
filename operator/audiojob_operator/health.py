"""Probes and metrics over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType

from aiohttp import web
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from audiojob_operator.metrics import Metrics

# A healthy quiet watch is heard from at least every 80 s; kopf's thread beats every 5 s.
WATCH_LIMIT_SECONDS = 240.0
THREAD_LIMIT_SECONDS = 60.0


class HealthServer(AbstractAsyncContextManager["HealthServer"]):
    """Serves /livez, /readyz and /metrics while entered. ``alive`` and ``ready`` return what is wrong, or ''."""

    def __init__(
        self,
        address: tuple[str, int],
        metrics: Metrics,
        *,
        alive: Callable[[], str],
        ready: Callable[[], str],
        measure: Callable[[], None],
    ) -> None:
        self._address = address
        self._metrics = metrics
        self._alive = alive
        self._ready = ready
        self._measure = measure
        self._runner: web.AppRunner | None = None
        self.port = address[1]

    async def __aenter__(self) -> HealthServer:
        app = web.Application()
        app.router.add_get("/livez", lambda _: self._probe(self._alive()))
        app.router.add_get("/readyz", lambda _: self._probe(self._ready()))
        app.router.add_get("/metrics", self._show_metrics)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, *self._address)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _probe(self, problem: str) -> web.Response:
        return web.Response(text=f"{problem or 'ok'}\n", status=503 if problem else 200)

    async def _show_metrics(self, _request: web.Request) -> web.Response:
        self._measure()
        text = await asyncio.to_thread(generate_latest, self._metrics.registry)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})
