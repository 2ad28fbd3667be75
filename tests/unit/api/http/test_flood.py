"""A user who has asked too much is refused before anything is looked up, in the words that the route would use."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message
from tests.unit.api.fakes import GOOD_TOKEN, READER_TOKEN, MemoryBackend

from audiojob_api.access.config import AccessConfig, Burst, Limits
from audiojob_api.app import create_app
from audiojob_api.http.limits import Turnstile
from audiojob_api.settings import ApiSettings

JOBS = "/api/v1/jobs"
OTHER_TOKEN = "other-token-of-the-same"


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_flood_is_refused_as_its_route_would_and_others_go_on(backend: MemoryBackend) -> None:
    backend.users[OTHER_TOKEN] = backend.users[GOOD_TOKEN]
    access = AccessConfig(limits=Limits(burst=Burst(requests=2, seconds=600)))
    app = create_app(ApiSettings(namespace="team"), replace(backend.backend(), access=access), backend.stopping)
    with TestClient(app) as client:
        assert [client.get(JOBS, headers=_bearer(GOOD_TOKEN)).status_code for _ in range(2)] == [200, 200]
        by_the_route = client.get(JOBS, headers=_bearer(OTHER_TOKEN))  # nobody knows yet whose it is
        asked = len(backend.asked)
        early = client.post(JOBS, content=b"no JSON", headers=_bearer(GOOD_TOKEN))
        assert (early.status_code, early.json()) == (429, by_the_route.json())
        assert early.headers == by_the_route.headers
        assert early.headers["ratelimit"].startswith('"burst";r=0;t=')
        assert int(early.headers["retry-after"]) > 1
        assert len(backend.asked) == asked
        assert client.get(JOBS, headers=_bearer(READER_TOKEN)).status_code == 200, "another user"
        assert client.get("/livez", headers=_bearer(GOOD_TOKEN)).status_code == 200, "nobody's call"
        text = client.get("/metrics").text
        assert 'audiojob_api_authorizations_total{outcome="limited"} 2.0' in text


async def test_refusals_leave_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    turns = Turnstile()
    for _ in range(4):
        await turns.turn()
    assert waits == pytest.approx([0.005, 0.01, 0.015]), "the first need not wait"


async def answered(app: ASGIApp, path: str, token: str, body: bytes | None = None) -> int:
    """The status of a GET, or of a POST of this body, whose client stays to the end."""
    status, coming = 0, [body] if body is not None else []

    async def receive() -> Message:
        if coming:
            return {"type": "http.request", "body": coming.pop(), "more_body": False}
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)

    headers = [(b"authorization", f"Bearer {token}".encode())]
    if body is not None:
        headers += [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    scope = {
        "type": "http",
        "method": "GET" if body is None else "POST",
        "path": path,
        "headers": headers,
        "query_string": b"",
        "scheme": "http",
    }
    await app({**scope, "http_version": "1.1", "server": ("test", 80)}, receive, send)
    assert status != 401 or coming or body is None, "nothing of a stranger's body is read"
    return status


async def test_streams_of_one_user_leave_connections_for_others(backend: MemoryBackend) -> None:
    backend.put("song", state="Running")
    settings = ApiSettings(namespace="team", max_requests_per_user=2, stream_recheck_seconds=0.01)
    app = create_app(settings, backend.backend(), backend.stopping)
    streams = [asyncio.create_task(answered(app, f"{JOBS}/song/events", GOOD_TOKEN)) for _ in range(2)]
    async with asyncio.timeout(20):
        while backend.listeners("song") < 2:  # noqa: ASYNC110 - the backend has no event of it
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.03)  # they have looked at their rights again, which counts no further
    assert await answered(app, JOBS, GOOD_TOKEN) == 429
    assert await answered(app, f"{JOBS}/song/events", GOOD_TOKEN) == 429
    assert await answered(app, JOBS, READER_TOKEN) == 200
    assert await answered(app, "/livez", GOOD_TOKEN) == 200
    backend.put("song", state="Succeeded")
    assert await asyncio.gather(*streams) == [200, 200]
    assert [await answered(app, path, GOOD_TOKEN) for path in (JOBS, f"{JOBS}/none", JOBS)] == [200, 404, 200]
    assert len(app.state.services.shares) == 0


@pytest.mark.parametrize("path", ["jobs", "uploads", "bulk/create", "estimate", "keys", "nothing"])
async def test_a_body_is_read_of_those_alone_who_are_known(backend: MemoryBackend, path: str) -> None:
    app = create_app(ApiSettings(namespace="team"), backend.backend(), backend.stopping)
    content = b"[" * 200_000
    assert await answered(app, f"/api/v1/{path}", "stranger", content) == 401
    assert await answered(app, f"/api/v1/{path}", GOOD_TOKEN, content) in (400, 404)
