"""The API's metrics. Labels are bounded: route templates, methods, status codes, outcomes."""

from __future__ import annotations

import time
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Callers can invent methods; labels must not grow with them.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class ApiMetrics:
    """One registry for each app, so that two apps in a process do not share series."""

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


# The first message of each kind that settles the answer, and the status where the message itself has none.
_ANSWERS: Final = {
    "http.response.start": None,
    "websocket.accept": 101,
    "websocket.http.response.start": None,
    "websocket.close": 403,  # before it was accepted: what servers answer the handshake with
}


class RequestTimer:
    """ASGI middleware that observes every request and every WebSocket handshake under its route's template."""

    def __init__(self, app: ASGIApp, metrics: ApiMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        start = time.monotonic()
        answered = False

        def observe(status: int) -> None:
            nonlocal answered
            answered = True
            template = getattr(scope.get("route"), "path", "unmatched")
            seconds = time.monotonic() - start
            self._metrics.requests.labels(template, _method(scope), str(status)).observe(seconds)

        async def observed(message: Message) -> None:
            if not answered and message["type"] in _ANSWERS:
                observe(message.get("status") or _ANSWERS[message["type"]] or 200)
            await send(message)

        try:
            await self._app(scope, receive, observed)
        except Exception:
            if not answered:
                observe(500)  # Starlette answers it further out
            raise


def _method(scope: Scope) -> str:
    if scope["type"] == "websocket":
        return "WEBSOCKET"
    return scope["method"] if scope["method"] in _METHODS else "other"
