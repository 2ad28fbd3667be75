"""Probes and metrics over HTTP: /livez, /readyz, /metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest


@dataclass(frozen=True, slots=True)
class Health:
    """One answer of a probe: whether it passes, and lines that say why."""

    passed: bool
    lines: tuple[str, ...]


class HealthServer:
    """Serves probes until closed. The checks run in the event loop: a loop that hangs does not answer."""

    def __init__(
        self, live: Callable[[], Health], ready: Callable[[], Health], refresh: Callable[[], None], registry: CollectorRegistry
    ) -> None:
        self._live = live
        self._ready = ready
        self._refresh = refresh
        self._registry = registry
        self._runner: web.AppRunner | None = None

    async def start(self, address: str, port: int) -> int:
        """Listen; returns the port. Raises OSError where the address cannot be used."""
        app = web.Application()
        app.router.add_get("/livez", self._answer(self._live))
        app.router.add_get("/readyz", self._answer(self._ready))
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, address, port)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def close(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    def _answer(self, check: Callable[[], Health]) -> Callable[[web.Request], web.StreamResponse]:
        async def handler(_request: web.Request) -> web.Response:
            health = check()
            text = "\n".join((*health.lines, "ok" if health.passed else "failed", ""))
            return web.Response(text=text, status=200 if health.passed else 503)

        return handler  # type: ignore[return-value]

    async def _metrics(self, _request: web.Request) -> web.Response:
        self._refresh()
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
