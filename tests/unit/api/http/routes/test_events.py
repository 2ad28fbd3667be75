"""Following a job over HTTP: the wire form of server-sent events, their end, and pings between them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.types import Message
from tests.unit.api.fakes import GOOD_TOKEN, MemoryBackend

from audiojob_api.app import create_app
from audiojob_api.settings import ApiSettings
from audiojob_kube.errors import TransportError

NAME = "song"


def test_the_wire_form(client: Any, backend: MemoryBackend) -> None:
    version = backend.put(NAME, state="Succeeded")["metadata"]["resourceVersion"]
    answer = client.get(f"/api/v1/jobs/{NAME}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = answer.text.splitlines()
    assert f"id: {version}" in lines
    data = next(line for line in lines if line.startswith("data: "))
    assert json.loads(data[6:])["name"] == NAME


def test_a_client_that_has_seen_the_end_need_not_come_back(client: Any, backend: MemoryBackend) -> None:
    version = backend.put(NAME, state="Succeeded")["metadata"]["resourceVersion"]
    answer = client.get(f"/api/v1/jobs/{NAME}/events", headers={"Last-Event-ID": version})
    assert answer.status_code == 204
    assert answer.content == b""


@pytest.mark.parametrize(
    ("lose", "why"),
    [
        (lambda backend: backend.users.clear(), "unauthenticated"),
        (lambda backend: backend.verbs.update({"system:serviceaccount:team:caller": {"list"}}), "forbidden"),
        (lambda backend: setattr(backend, "review_failure", TransportError("away")), "unavailable"),
    ],
    ids=["its token", "its right", "whoever could say"],
)
def test_a_stream_ends_with_the_reason_when_the_client_loses(
    backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch, lose: Any, why: str
) -> None:
    backend.put(NAME, state="Running")
    settings = ApiSettings(namespace="team", stream_recheck_seconds=0.01, auth_cache_seconds=0)
    headers = {"Authorization": f"Bearer {GOOD_TOKEN}"}
    with TestClient(create_app(settings, backend.backend(), backend.stopping)) as client:
        subscribe = backend.subscribe

        def subscribed(*arguments: Any) -> Any:
            lose(backend)  # once the stream has begun
            return subscribe(*arguments)

        monkeypatch.setattr(backend, "subscribe", subscribed)
        text = client.get(f"/api/v1/jobs/{NAME}/events", headers=headers).text
    last = text.strip().split("\n\n")[-1].splitlines()
    assert last[0] == "event: refused"
    assert json.loads(last[1].removeprefix("data: "))["type"] == f"/problems/{why}"
    assert backend.listeners(NAME) == 0


async def test_a_quiet_stream_is_kept_alive(backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastapi.routing._PING_INTERVAL", 0.02)
    backend.put(NAME, state="Running")
    app = create_app(ApiSettings(namespace="team"), backend.backend(), backend.stopping)
    headers = [(b"authorization", f"Bearer {GOOD_TOKEN}".encode())]
    scope = {"type": "http", "method": "GET", "path": f"/api/v1/jobs/{NAME}/events", "headers": headers}
    sent = bytearray()
    received: asyncio.Queue[Message] = asyncio.Queue()
    received.put_nowait({"type": "http.request", "body": b"", "more_body": False})  # and no more: the client stays

    async def send(message: Message) -> None:
        sent.extend(message.get("body", b""))
        if b": ping" in sent and b"Succeeded" not in sent:
            backend.put(NAME, state="Succeeded")

    full = {**scope, "query_string": b"", "http_version": "1.1", "scheme": "http", "server": ("test", 80)}
    await asyncio.wait_for(app(full, received.get, send), 20)
    assert sent.index(b"Running") < sent.index(b": ping") < sent.index(b"Succeeded")
    assert backend.listeners(NAME) == 0
