"""Following a job: the snapshot, the changes, the end; nothing that ends is ever missed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import pytest
from tests.unit.api.fakes import MemoryBackend

from audiojob_api.jobs.following import Following, JobFeed, Snapshot

NAME = "song"


GONE = "gone"


def state(snapshot: Snapshot) -> str:
    """The state that a snapshot shows; GONE for a job that was deleted."""
    return GONE if snapshot.job is None else str(snapshot.job["status"]["state"])


async def collect(stream: AsyncIterator[Snapshot]) -> list[str]:
    """All snapshots until the stream ends."""
    return [state(snapshot) async for snapshot in stream]


def follow(backend: MemoryBackend, seen: str | None = None) -> AsyncGenerator[Snapshot, None]:
    return Following(NAME, seen, backend, backend, backend.stopping).snapshots()


async def settle() -> None:
    """Let the stream's task run until it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_finished_job_is_one_event(backend: MemoryBackend) -> None:
    backend.put(NAME, state="Succeeded")
    assert await collect(follow(backend)) == ["Succeeded"]


async def test_changes_follow_the_snapshot_until_the_end(backend: MemoryBackend) -> None:
    backend.put(NAME)
    task = asyncio.create_task(collect(follow(backend)))
    for state in ("Running", "Succeeded"):
        await settle()
        backend.put(NAME, state=state)
    assert await task == ["Pending", "Running", "Succeeded"]
    assert backend.listeners(NAME) == 0


async def test_a_slow_client_gets_the_newest(backend: MemoryBackend) -> None:
    backend.put(NAME)
    stream = follow(backend)
    await anext(stream)
    for percent in range(1, 100):
        backend.put(NAME, state="Running", percent=percent)
    newest = (await anext(stream)).job
    assert newest is not None
    assert newest["status"]["percent"] == 99
    await stream.aclose()
    assert backend.listeners(NAME) == 0


async def test_the_end_is_sent_even_if_the_job_is_deleted_right_after(backend: MemoryBackend) -> None:
    backend.put(NAME)
    stream = follow(backend)
    await anext(stream)
    backend.put(NAME, state="Succeeded")
    backend.remove(NAME)
    assert await collect(stream) == ["Succeeded"]


async def test_a_job_that_goes_without_an_end_is_gone(backend: MemoryBackend) -> None:
    backend.put(NAME)
    stream = follow(backend)
    await anext(stream)
    backend.remove(NAME)
    assert await collect(stream) == [GONE]


async def test_a_client_that_comes_back_gets_no_version_twice(backend: MemoryBackend) -> None:
    known = backend.put(NAME, state="Running")["metadata"]["resourceVersion"]
    task = asyncio.create_task(collect(follow(backend, seen=known)))
    await settle()
    backend.put(NAME, state="Failed")
    assert await task == ["Failed"]


@pytest.mark.parametrize("forged", ["", "999999", "garbage"], ids=["empty", "from the future", "garbage"])
async def test_an_unknown_version_gets_the_snapshot(backend: MemoryBackend, forged: str) -> None:
    backend.put(NAME, state="Succeeded")
    assert await collect(follow(backend, seen=forged)) == ["Succeeded"]


async def test_shutdown_ends_the_stream(backend: MemoryBackend) -> None:
    backend.put(NAME, state="Running")
    task = asyncio.create_task(collect(follow(backend)))
    await settle()
    backend.stopping.set()
    assert await asyncio.wait_for(task, 5) == ["Running"]


async def test_a_job_of_the_same_name_is_another_job(backend: MemoryBackend) -> None:
    backend.put(NAME)
    stream = follow(backend)
    await anext(stream)
    backend.remove(NAME)
    backend.put(NAME, state="Running")
    assert await collect(stream) == [GONE]


async def test_the_feed_keeps_an_end_before_a_deletion() -> None:
    feed = JobFeed()
    feed.put({"status": {"state": "Running"}})
    feed.put({"status": {"state": "Cancelled"}})
    feed.put(None)
    first = await feed.next()
    assert first is not None
    assert first["status"]["state"] == "Cancelled"
