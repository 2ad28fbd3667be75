"""Following a job: the snapshot, the changes, the end; nothing that ends is ever missed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import pytest
from tests.unit.api.fakes import MemoryBackend

from audiojob_api.jobs.following import Following, JobFeed, Recheck, Snapshot
from audiojob_api.problems import Problem

NAME = "song"


GONE = "gone"


def state(snapshot: Snapshot) -> str:
    """The state that a snapshot shows; GONE for a job that was deleted."""
    return GONE if snapshot.job is None else str(snapshot.job["status"]["state"])


async def collect(stream: AsyncIterator[Snapshot]) -> list[str]:
    """All snapshots until the stream ends."""
    return [state(snapshot) async for snapshot in stream]


async def allowed() -> None:
    pass


HOUR = Recheck(3_600, allowed)


def follow(backend: MemoryBackend, seen: str | None = None, recheck: Recheck = HOUR) -> AsyncGenerator[Snapshot, None]:
    return Following(NAME, seen, backend, backend, backend.stopping, recheck).snapshots()


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
    assert await asyncio.wait_for(task, 60) == ["Running"]


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


async def refused() -> None:
    raise Problem(403, "forbidden", "not any more")


async def test_a_quiet_stream_ends_when_the_client_may_not_follow_any_more(backend: MemoryBackend) -> None:
    backend.put(NAME, state="Running")
    stream = follow(backend, recheck=Recheck(0.01, refused))
    assert state(await anext(stream)) == "Running"
    with pytest.raises(Problem, match="not any more"):
        await anext(stream)
    assert backend.listeners(NAME) == 0


async def test_a_stream_that_is_never_quiet_ends_too_and_shows_nothing_more(backend: MemoryBackend) -> None:
    backend.put(NAME, state="Running")
    stream = follow(backend, recheck=Recheck(0, refused))
    await anext(stream)
    backend.put(NAME, state="Succeeded")
    with pytest.raises(Problem):
        await anext(stream)


async def test_checks_go_on_while_they_pass(backend: MemoryBackend) -> None:
    backend.put(NAME)
    checks = 0

    async def check() -> None:
        nonlocal checks
        checks += 1
        if checks == 3:
            backend.put(NAME, state="Succeeded")

    assert await collect(follow(backend, recheck=Recheck(0.001, check))) == ["Pending", "Succeeded"]
    assert checks == 3
