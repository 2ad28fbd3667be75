"""The API's metrics. Labels are bounded: route templates, methods, status codes, outcomes."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Callers can make up methods; labels must not grow with them.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class ApiMetrics:
    """One registry for one app, so that two apps in a process do not meet."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Histogram(
            "audiojob_api_request_seconds",
            "Time until the answer's headers, by route, method and status.",
            ["route", "method", "status"],
            registry=self.registry,
        )
        self.auth = Counter(
            "audiojob_api_authorizations", "Requests by outcome of authorization.", ["outcome"], registry=self.registry
        )
        self.streams = Gauge("audiojob_api_event_streams", "Open event streams.", registry=self.registry)
        self.jobs = Gauge("audiojob_api_jobs", "AudioJobs in the read model.", registry=self.registry)
        self.age = Gauge(
            "audiojob_api_read_model_age_seconds",
            "Seconds since the API server was heard from.",
            registry=self.registry,
        )


class RequestTimer:
    """ASGI middleware that observes every request under its route's template."""

    def __init__(self, app: ASGIApp, metrics: ApiMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.monotonic()
        answered = False

        def observe(status: int) -> None:
            nonlocal answered
            answered = True
            template = getattr(scope.get("route"), "path", "unmatched")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.requests.labels(template, method, str(status)).observe(time.monotonic() - start)

        async def observed(message: Message) -> None:
            if message["type"] == "http.response.start":
                observe(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, observed)
        except Exception:
            if not answered:
                observe(500)  # Starlette answers it further out
            raise
