"""The API's metrics: there from the start where rules use them, counted once for each request, and bounded."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import pytest
from prometheus_client import generate_latest
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import Message
from tests.unit.api.fakes import MemoryBackend

from audiojob_api.app import create_app
from audiojob_api.archive.metrics import ArchiveMetrics
from audiojob_api.archive.progress import Failure, Progress
from audiojob_api.http.metrics import _METHODS, ApiMetrics, RequestTimer
from audiojob_api.settings import ApiSettings
from audiojob_api.sql.database import State

JOBS = "/api/v1/jobs"


def lines(metrics: ApiMetrics) -> list[str]:
    return [line for line in generate_latest(metrics.registry).decode().splitlines() if not line.startswith("#")]


FROM_THE_START = {
    "a fault of ours": 'audiojob_api_responses_total{status="500"}',
    "a request too many": 'audiojob_api_responses_total{status="429"}',
    "a connection too many": 'audiojob_api_refused_connections_total{reason="full"}',
    "a request that never ends": 'audiojob_api_refused_connections_total{reason="slow"}',
    "bytes that are no request": 'audiojob_api_refused_connections_total{reason="unreadable"}',
    "a token that is not valid": 'audiojob_api_authorizations_total{outcome="unauthenticated"}',
    "requests in flight": "audiojob_api_requests_in_flight",
}


@pytest.mark.parametrize("series", FROM_THE_START.values(), ids=FROM_THE_START)
def test_what_rules_use_is_there_at_0_before_its_first(series: str) -> None:
    assert f"{series} 0.0" in lines(ApiMetrics())


def test_an_answer_is_counted_by_status_and_timed_by_class(client: TestClient, backend: MemoryBackend) -> None:
    client.get(f"{JOBS}/nothing")
    backend.failure = RuntimeError("a fault")
    client.post(JOBS, json={"pipeline": "separate"})
    shown = client.get("/metrics").text
    assert 'audiojob_api_responses_total{status="404"} 1.0' in shown
    assert 'audiojob_api_responses_total{status="500"} 1.0' in shown
    name = "audiojob_api_request_seconds_count"
    assert f'{name}{{method="GET",route="{JOBS}/{{name}}",status="4xx"}} 1.0' in shown
    assert f'{name}{{method="POST",route="{JOBS}",status="5xx"}} 1.0' in shown
    assert "audiojob_api_requests_in_flight 1.0" in shown, "the scrape itself"


def test_a_method_that_a_route_does_not_take_is_no_label(client: TestClient) -> None:
    for method in sorted(_METHODS - {"GET", "HEAD"}):
        client.request(method, "/livez")
    shown = [line for line in client.get("/metrics").text.splitlines() if "seconds_count" in line and "livez" in line]
    assert len(shown) == 1
    assert 'method="other"' in shown[0]


@dataclass
class Archive:
    """A writer and its database, as they are shown."""

    pending: int = 0
    oldest: int | None = None
    epoch: int | None = None
    state: State = State.READY
    progress: Progress = field(default_factory=Progress)


def test_the_archive_is_shown_as_it_is_when_asked() -> None:
    archive = Archive()
    metrics = ApiMetrics()
    metrics.registry.register(ArchiveMetrics(archive, archive))
    for line in (
        "audiojob_api_archive_pending 0.0", "audiojob_api_archive_lag_seconds 0.0", "audiojob_api_archive_epoch 0.0",
        'audiojob_api_archive_failures_total{reason="lost"} 0.0', 'audiojob_api_database{state="Ready"} 1.0',
    ):  # fmt: skip
        assert line in lines(metrics)
    archive.pending, archive.oldest, archive.epoch = 3, round((time.time() - 100) * 1_000), 7
    archive.state = State.AWAY
    archive.progress.succeeded(5)
    archive.progress.failures[Failure.MARK] += 2
    shown = lines(metrics)
    for line in (
        "audiojob_api_archive_pending 3.0", "audiojob_api_archive_epoch 7.0", "audiojob_api_archive_written_total 5.0",
        'audiojob_api_archive_failures_total{reason="mark"} 2.0', 'audiojob_api_database{state="Away"} 1.0',
    ):  # fmt: skip
        assert line in shown
    lag = next(line for line in shown if line.startswith("audiojob_api_archive_lag_seconds"))
    assert float(lag.split()[1]) > 99


async def nobody() -> Message:
    return {"type": "http.disconnect"}


async def drop(_message: Message) -> None:
    """Nobody reads it."""


@pytest.mark.parametrize("is_answered", [True, False], ids=["after its answer", "without an answer"])
@pytest.mark.parametrize("ending", [None, asyncio.CancelledError(), RuntimeError("a fault")], ids=repr)
def test_however_a_request_ends_it_is_in_flight_no_more(ending: BaseException | None, is_answered: bool) -> None:
    metrics = ApiMetrics()

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        assert "audiojob_api_requests_in_flight 1.0" in lines(metrics)
        if is_answered:
            await send({"type": "http.response.start", "status": 200})
            assert "audiojob_api_requests_in_flight 0.0" in lines(metrics)
        if ending is not None:
            raise ending

    async def call() -> None:
        await RequestTimer(app, metrics)({"type": "http", "method": "GET"}, nobody, drop)

    if ending is None:
        asyncio.run(call())
    else:
        with pytest.raises(type(ending)):
            asyncio.run(call())
    assert "audiojob_api_requests_in_flight 0.0" in lines(metrics)
    counted = [line for line in lines(metrics) if line.startswith("audiojob_api_request_seconds_count")]
    assert len(counted) == (1 if is_answered or isinstance(ending, RuntimeError) else 0)


def test_whatever_callers_send_there_are_at_most_4_000_series(backend: MemoryBackend) -> None:
    metrics = ApiMetrics()
    app = create_app(ApiSettings(namespace="team"), backend.backend(), backend.stopping, metrics)
    routes = [route for route in app.routes if isinstance(route, Route)]
    assert len(routes) > 10
    for route in routes:
        for method, status in product(route.methods or (), ("2xx", "4xx", "5xx")):
            metrics.requests.labels(route.path, method, status).observe(1)
        metrics.requests.labels(route.path, "other", "4xx").observe(1)
    for method, status in product((*_METHODS, "other"), ("4xx", "5xx")):
        metrics.requests.labels("unmatched", method, status).observe(1)
    for number in range(200, 600):
        metrics.responses.labels(str(number)).inc()
    assert len(lines(metrics)) <= 4_000
