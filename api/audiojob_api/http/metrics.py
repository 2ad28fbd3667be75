"""The API's metrics. Labels are bounded: route templates, methods, classes of status, outcomes."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from audiojob_types.constants import RELEASE
from audiojob_types.outside.metric import Description

# Each counter would be shown a second time with the moment of its birth, which nobody asks for.
disable_created_metrics()  # type: ignore[no-untyped-call]

BUILD_INFO: Final = Description("audiojob_api_build_info", "gauge", "1, for the release.", ("version",))
REQUEST_SECONDS: Final = Description(
    "audiojob_api_request_seconds",
    "histogram",
    "Time until the answer's headers, by route, method and class of status.",
    ("route", "method", "status"),
    (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)
RESPONSES: Final = Description("audiojob_api_responses_total", "counter", "Answers by HTTP status.", ("status",))
REQUESTS_IN_FLIGHT: Final = Description(
    "audiojob_api_requests_in_flight", "gauge", "Requests that wait for their answer's headers."
)
REFUSED_CONNECTIONS: Final = Description(
    "audiojob_api_refused_connections_total",
    "counter",
    "Connections that the API's limits ended, before a request or in the middle of one.",
    ("reason",),
)
AUTHORIZATIONS: Final = Description(
    "audiojob_api_authorizations_total", "counter", "Requests by outcome of authorization.", ("outcome",)
)
EVENT_STREAMS: Final = Description("audiojob_api_event_streams", "gauge", "Open event streams.")
JOBS: Final = Description("audiojob_api_jobs", "gauge", "AudioJobs in the read model.")
READ_MODEL_AGE_SECONDS: Final = Description(
    "audiojob_api_read_model_age_seconds", "gauge", "Seconds since the API server was heard from."
)

# Those that rules and people look for are there from the start, at 0.
_STATUSES: Final = (200, 201, 204, 400, 401, 403, 404, 409, 413, 422, 429, 431, 500, 503)
OUTCOMES: Final = ("allowed", "forbidden", "limited", "unauthenticated")
# Callers can invent methods; labels must not grow with them.
_NOT_ALLOWED: Final = 405
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Refused(StrEnum):
    """Why a connection was ended."""

    SLOW = "slow"  # a request did not come, or an answer was not taken, in its time
    FULL = "full"  # there are as many connections as are allowed
    UNREADABLE = "unreadable"  # what came is no request


class ApiMetrics:
    """One registry for each app, so that two apps in a process do not share series."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.descriptions: list[Description] = []
        self._gauge(BUILD_INFO).labels(RELEASE).set(1)
        self.requests = self._histogram(REQUEST_SECONDS)
        self.responses = self._counter(RESPONSES, *map(str, _STATUSES))
        self.in_flight = self._gauge(REQUESTS_IN_FLIGHT)
        self.refused = self._counter(REFUSED_CONNECTIONS, *Refused)
        self.auth = self._counter(AUTHORIZATIONS, *OUTCOMES)
        self.streams = self._gauge(EVENT_STREAMS)
        self.jobs = self._gauge(JOBS)
        self.age = self._gauge(READ_MODEL_AGE_SECONDS)
        self._outcomes = {outcome: self.auth.labels(outcome) for outcome in OUTCOMES}
        self._answers: dict[tuple[str, str, int], tuple[Histogram, Counter]] = {}

    def count_authorization(self, outcome: str) -> None:
        """One more request with this outcome."""
        self._outcomes[outcome].inc()

    def observe(self, route: str, method: str, status: int, seconds: float) -> None:
        """One more answer. Its series are looked up once: routes, methods and statuses are few."""
        found = self._answers.get((route, method, status))
        if found is None:
            times = self.requests.labels(route, method, f"{status // 100}xx")
            found = self._answers[route, method, status] = (times, self.responses.labels(str(status)))
        found[0].observe(seconds)
        found[1].inc()

    def _counter(self, about: Description, *values: str) -> Counter:
        """With its one label's values, which are there from the start, at 0."""
        self.descriptions.append(about)
        counter = Counter(about.name, about.text, about.labels, registry=self.registry)
        for value in values:
            counter.labels(value)
        return counter

    def _histogram(self, about: Description) -> Histogram:
        self.descriptions.append(about)
        return Histogram(about.name, about.text, about.labels, buckets=about.buckets, registry=self.registry)

    def _gauge(self, about: Description) -> Gauge:
        self.descriptions.append(about)
        return Gauge(about.name, about.text, about.labels, registry=self.registry)


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
            self._metrics.in_flight.dec()
            template = getattr(scope.get("route"), "path", "unmatched")
            seconds = time.monotonic() - start
            self._metrics.observe(template, _method(scope, status), status, seconds)

        async def observed(message: Message) -> None:
            if not answered and message["type"] in _ANSWERS:
                observe(message.get("status") or _ANSWERS[message["type"]] or 200)
            await send(message)

        self._metrics.in_flight.inc()
        try:
            await self._app(scope, receive, observed)
        except Exception:
            if not answered:
                observe(500)  # Starlette answers it further out
            raise
        finally:
            if not answered:  # the client has gone, or the process stops
                self._metrics.in_flight.dec()


def _method(scope: Scope, status: int) -> str:
    if scope["type"] == "websocket":
        return "WEBSOCKET"
    # One that the route does not take is no more than a word of the caller's.
    return scope["method"] if scope["method"] in _METHODS and status != _NOT_ALLOWED else "other"
