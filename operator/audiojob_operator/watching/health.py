"""Probes and metrics over HTTP, and what they report: alive, ready, degraded."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from types import TracebackType

from aiohttp import web
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from audiojob_operator.metrics.registry import Metrics

# A healthy quiet watch is heard from at least every 80 s; kopf's thread beats every 5 s.
WATCH_LIMIT_SECONDS = 240.0
THREAD_LIMIT_SECONDS = 60.0


_log = logging.getLogger(__name__)


def liveness(watch_ages: Mapping[str, float], thread_age: float, *, degraded: bool = False) -> str:
    """What only a restart of the process mends; "" for nothing. Ages are seconds since a sign of life.

    All watches silent at once means that the API server is away, and some of them silent while the process is known to
    be degraded means a missing right: a restart would bring neither back.
    """
    problems = []
    if thread_age > THREAD_LIMIT_SECONDS:
        problems.append(f"kopf's thread stands still for {thread_age:.0f} s")
    silent = sorted(name for name, age in watch_ages.items() if age > WATCH_LIMIT_SECONDS)
    if silent and len(silent) < len(watch_ages) and not degraded:
        problems.append(f"nothing heard for {WATCH_LIMIT_SECONDS:.0f} s by {', '.join(silent)}")
    return "; ".join(problems)


class DegradedReason(StrEnum):
    """Why the process lives but cannot do its work. Each ends by itself when its cause is gone."""

    MISSING_PERMISSIONS = "MissingPermissions"
    CREDENTIALS_REFUSED = "CredentialsRefused"
    API_SERVER_UNREACHABLE = "ApiServerUnreachable"
    LEASE_NOT_RENEWED = "LeaseNotRenewed"


class Degradation:
    """The reasons that hold now, each with a sentence. A change is one log line, and seen in the metric."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._held: dict[DegradedReason, str] = {}
        for reason in DegradedReason:
            metrics.degraded.labels(reason).set(0)

    def report(self, reason: DegradedReason, message: str, *, detail: str = "") -> None:
        """The reason holds. `detail` is for the log line alone: a change of it is no change."""
        if self._held.get(reason) == message:
            return
        self._held[reason] = message
        self._metrics.degraded.labels(reason).set(1)
        _log.error("degraded, %s: %s%s", reason, message, f" ({detail})" if detail else "")

    def clear(self, *reasons: DegradedReason) -> bool:
        """The reasons do not hold any more. Returns whether one of them did."""
        ended = [reason for reason in reasons if self._held.pop(reason, None) is not None]
        for reason in ended:
            self._metrics.degraded.labels(reason).set(0)
            _log.warning("not degraded any more: %s has ended", reason)
        return bool(ended)

    def describe(self) -> str:
        """What is wrong, for people; "" for nothing."""
        return "; ".join(f"{reason}: {message}" for reason, message in sorted(self._held.items()))


class HealthServer(AbstractAsyncContextManager["HealthServer"]):
    """Serves /livez, /readyz and /metrics while entered.

    ``alive`` returns what is wrong, or "". ``ready`` returns whether the process is ready, and a sentence.
    """

    def __init__(
        self,
        address: tuple[str, int],
        metrics: Metrics,
        *,
        alive: Callable[[], str],
        ready: Callable[[], tuple[bool, str]],
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
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
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

    async def _livez(self, _request: web.Request) -> web.Response:
        problem = self._alive()
        return web.Response(text=f"{problem or 'ok'}\n", status=503 if problem else 200)

    async def _readyz(self, _request: web.Request) -> web.Response:
        ready, text = self._ready()
        return web.Response(text=f"{text}\n", status=200 if ready else 503)

    async def _show_metrics(self, _request: web.Request) -> web.Response:
        self._measure()
        text = await asyncio.to_thread(generate_latest, self._metrics.registry)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})
