"""Following a job: the snapshot, the changes, the end; nothing that ends is ever missed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.types import Message
from tests.unit.api.fakes import GOOD_TOKEN, MemoryGateway

from audiojob_api.app import create_app
from audiojob_api.cluster.gateway import JobFeed
from audiojob_api.http.routes.events import job_events
from audiojob_api.settings import ApiSettings

NAME = "song"


async def collect(stream: AsyncIterator[Any]) -> list[tuple[str | None, Any]]:
    """All events until the stream ends: kind and state."""
    return [(event.event, event.data.get("status", {}).get("state")) async for event in stream]


def follow(gateway: MemoryGateway, last_event_id: str | None = None, stopping: asyncio.Event | None = None) -> Any:
    return job_events(gateway, NAME, last_event_id, stopping or asyncio.Event())


async def settle() -> None:
    """Let the stream's task run until it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_finished_job_is_one_event(gateway: MemoryGateway) -> None:
    gateway.put(NAME, state="Succeeded")
    assert await collect(follow(gateway)) == [("job", "Succeeded")]


async def test_changes_follow_the_snapshot_until_the_end(gateway: MemoryGateway) -> None:
    gateway.put(NAME)
    task = asyncio.create_task(collect(follow(gateway)))
    for state in ("Running", "Succeeded"):
        await settle()
        gateway.put(NAME, state=state)
    assert await task == [("job", "Pending"), ("job", "Running"), ("job", "Succeeded")]
    assert gateway.listeners(NAME) == 0


async def test_a_slow_client_gets_the_newest(gateway: MemoryGateway) -> None:
    gateway.put(NAME)
    stream = follow(gateway)
    await anext(stream)
    for percent in range(1, 100):
        gateway.put(NAME, state="Running", percent=percent)
    event = await anext(stream)
    assert event.data["status"]["percent"] == 99
    await stream.aclose()
    assert gateway.listeners(NAME) == 0


async def test_the_end_is_told_even_if_the_job_is_deleted_right_after(gateway: MemoryGateway) -> None:
    gateway.put(NAME)
    stream = follow(gateway)
    await anext(stream)
    gateway.put(NAME, state="Succeeded")
    gateway.remove(NAME)
    assert await collect(stream) == [("job", "Succeeded")]


async def test_a_job_that_goes_without_an_end_is_gone(gateway: MemoryGateway) -> None:
    gateway.put(NAME)
    stream = follow(gateway)
    await anext(stream)
    gateway.remove(NAME)
    assert await collect(stream) == [("gone", None)]


async def test_a_client_that_comes_back_is_not_told_again(gateway: MemoryGateway) -> None:
    known = gateway.put(NAME, state="Running")["metadata"]["resourceVersion"]
    task = asyncio.create_task(collect(follow(gateway, last_event_id=known)))
    await settle()
    gateway.put(NAME, state="Failed")
    assert await task == [("job", "Failed")]


@pytest.mark.parametrize("forged", ["", "999999", "garbage"], ids=["empty", "from the future", "garbage"])
async def test_an_unknown_last_event_gets_the_snapshot(gateway: MemoryGateway, forged: str) -> None:
    gateway.put(NAME, state="Succeeded")
    assert await collect(follow(gateway, last_event_id=forged)) == [("job", "Succeeded")]


async def test_shutdown_ends_the_stream(gateway: MemoryGateway) -> None:
    gateway.put(NAME, state="Running")
    stopping = asyncio.Event()
    task = asyncio.create_task(collect(follow(gateway, stopping=stopping)))
    await settle()
    stopping.set()
    assert await asyncio.wait_for(task, 5) == [("job", "Running")]


def test_the_wire_form(client: Any, gateway: MemoryGateway) -> None:
    version = gateway.put(NAME, state="Succeeded")["metadata"]["resourceVersion"]
    answer = client.get(f"/api/v1/jobs/{NAME}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = answer.text.splitlines()
    assert f"id: {version}" in lines
    data = next(line for line in lines if line.startswith("data: "))
    assert json.loads(data[6:])["name"] == NAME


def test_a_client_that_has_seen_the_end_need_not_come_back(client: Any, gateway: MemoryGateway) -> None:
    version = gateway.put(NAME, state="Succeeded")["metadata"]["resourceVersion"]
    answer = client.get(f"/api/v1/jobs/{NAME}/events", headers={"Last-Event-ID": version})
    assert answer.status_code == 204
    assert answer.content == b""


async def test_a_quiet_stream_is_kept_alive(gateway: MemoryGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastapi.routing._PING_INTERVAL", 0.02)
    gateway.put(NAME, state="Running")
    app = create_app(ApiSettings(namespace="team"), gateway)
    headers = [(b"authorization", f"Bearer {GOOD_TOKEN}".encode())]
    scope = {"type": "http", "method": "GET", "path": f"/api/v1/jobs/{NAME}/events", "headers": headers}
    sent = bytearray()
    received: asyncio.Queue[Message] = asyncio.Queue()
    received.put_nowait({"type": "http.request", "body": b"", "more_body": False})  # and no more: the client stays

    async def send(message: Message) -> None:
        sent.extend(message.get("body", b""))
        if b": ping" in sent and b"Succeeded" not in sent:
            gateway.put(NAME, state="Succeeded")

    full = {**scope, "query_string": b"", "http_version": "1.1", "scheme": "http", "server": ("test", 80)}
    await asyncio.wait_for(app(full, received.get, send), 20)
    assert sent.index(b"Running") < sent.index(b": ping") < sent.index(b"Succeeded")
    assert gateway.listeners(NAME) == 0


async def test_a_job_of_the_same_name_is_another_job(gateway: MemoryGateway) -> None:
    gateway.put(NAME)
    stream = follow(gateway)
    await anext(stream)
    gateway.remove(NAME)
    gateway.put(NAME, state="Running")
    assert await collect(stream) == [("gone", None)]


async def test_the_feed_keeps_an_end_before_a_deletion() -> None:
    feed = JobFeed()
    feed.put({"status": {"state": "Running"}})
    feed.put({"status": {"state": "Cancelled"}})
    feed.put(None)
    first = await feed.next()
    assert first is not None
    assert first["status"]["state"] == "Cancelled"
