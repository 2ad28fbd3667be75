"""How deep queues were, on both databases: looked at by the one writer, kept by the hour, gone with its jobs."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from tests.integration.api.sql.archive.jobs import Cluster, finished, waiting

from audiojob_api.archive.depth import DepthSampler
from audiojob_api.archive.statistics import Statistics
from audiojob_api.archive.store import ArchiveStore, Superseded
from audiojob_api.archive.writer import ArchiveWriter
from audiojob_api.jobs.statistics.depth import Depth
from audiojob_api.jobs.statistics.groups import By
from audiojob_api.sql.database import Database
from audiojob_api.sql.tables.archive import DEPTHS

TEAM = "team"
HOUR, DAY = 3_600_000, 86_400_000


def depths(*counts: tuple[str, int, int, int]) -> dict[str, dict[str, Depth]]:
    """Of queue, waiting, running, and the longest wait in seconds."""
    return {TEAM: {queue: Depth(waits, runs, seconds * 1_000) for queue, waits, runs, seconds in counts}}


async def shown(database: Database, begin: int, end: int, by: By, queue: str | None = None) -> list[dict[str, Any]]:
    statistics = Statistics(ArchiveWriter(ArchiveStore(database, "reader"), {}, 90), TEAM)
    found = await statistics.depths(begin, end, by, queue)
    return [{"name": each.name, **each.to_wire()} for each in found.items]


async def test_samples_of_an_hour_are_added_up_and_read_by_hour_day_and_queue(database: Database) -> None:
    store = ArchiveStore(database, "one")
    epoch = await store.take()
    assert epoch is not None
    await store.add_depths(epoch, DAY, depths(("", 3, 1, 60), ("a", 3, 1, 60)))
    await store.add_depths(epoch, DAY, depths(("", 9, 2, 30), ("a", 1, 0, 10), ("b", 8, 2, 30)))
    await store.add_depths(epoch, DAY + HOUR, depths(("", 0, 0, 0)))
    await store.add_depths(epoch, 2 * DAY, {**depths(("", 1, 1, 5), ("b", 1, 1, 5)), "foreign": {"": Depth(99)}})
    hours = await shown(database, DAY, 3 * DAY, By.HOUR)
    assert [(each["name"], each.get("queue")) for each in hours] == [
        (str(DAY), None), (str(DAY), "a"), (str(DAY), "b"), (str(DAY + HOUR), None), (str(2 * DAY), None),
        (str(2 * DAY), "b"),
    ]  # fmt: skip
    assert hours[0] == {
        "name": str(DAY), "samples": 2, "meanWaiting": 6, "mostWaiting": 9, "meanRunning": 1.5, "mostRunning": 2,
        "longestWaitSeconds": 60,
    }  # fmt: skip
    whole, one, other = await shown(database, DAY, 3 * DAY, By.PIPELINE)
    assert (whole["name"], whole["samples"], whole["meanWaiting"], whole["mostWaiting"]) == ("all", 4, 3.25, 9)
    assert (one["queue"], one["samples"], one["meanWaiting"]) == ("a", 4, 1), "empty in two of four"
    assert (other["queue"], other["longestWaitSeconds"]) == ("b", 30)
    assert [each["meanWaiting"] for each in await shown(database, DAY, 3 * DAY, By.DAY, "b")] == [2.67, 1]
    assert await shown(database, DAY, 3 * DAY, By.ALL, "none") == []
    # Those too old go with the jobs of their time.
    await store.expire(epoch, 2 * DAY, 10)
    assert [each["name"] for each in await shown(database, 0, 3 * DAY, By.HOUR)] == [str(2 * DAY)] * 2
    with pytest.raises(Superseded):
        await store.add_depths(epoch - 1, DAY, depths(("", 1, 1, 1)))


async def test_the_newest_are_kept_of_more_than_an_answer_has(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audiojob_api.archive.statistics.MOST_DEPTHS", 3)
    store = ArchiveStore(database, "one")
    epoch = await store.take()
    assert epoch is not None
    for hour in (0, HOUR, 2 * HOUR):
        await store.add_depths(epoch, hour, depths(("", 1, 1, 1), ("a", 1, 1, 1)))
    found = await shown(database, 0, DAY, By.HOUR)
    assert [(each["name"], each.get("queue")) for each in found] == [
        (str(HOUR), None), (str(2 * HOUR), None), (str(2 * HOUR), "a"),
    ]  # fmt: skip
    statistics = Statistics(ArchiveWriter(store, {}, 90), TEAM)
    assert [(await statistics.depths(begin, DAY, By.HOUR)).truncated for begin in (0, 2 * HOUR)] == [True, False]


async def test_the_writer_looks_at_the_queues_each_minute_also_while_jobs_end(database: Database) -> None:
    cluster = Cluster()
    created = datetime.now(UTC) - timedelta(seconds=100)
    for number, queue in enumerate(("a", "a", "b")):
        cluster.index.change(None, waiting(number, queue, created))
    writer = ArchiveWriter(ArchiveStore(database, "one"), {TEAM: cluster}, 90, pause_seconds=0.01)
    for number in range(150):
        writer.saw(None, finished(number))
    task = asyncio.create_task(writer.run())
    async with asyncio.timeout(20):
        while len(cluster.marks) < 150:  # noqa: ASYNC110 - what is waited for is no event of ours
            await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    async with database.read() as connection:
        rows = {row.queue: row for row in (await connection.execute(select(DEPTHS))).all()}
    assert {name: (row.samples, row.waiting) for name, row in rows.items()} == {"": (1, 3), "a": (1, 2), "b": (1, 1)}
    assert 100_000 <= rows["a"].longest_ms < 130_000


async def test_what_a_replica_does_not_know_is_no_sample(database: Database) -> None:
    cluster = Cluster()
    cluster.seconds_old = 1_000
    store = ArchiveStore(database, "one")
    epoch = await store.take()
    assert epoch is not None
    assert not await DepthSampler(store, {TEAM: cluster}).sample(epoch)
    cluster.seconds_old = 1
    sampler = DepthSampler(store, {TEAM: cluster})
    assert [await sampler.sample(epoch), await sampler.sample(epoch)] == [True, False], "once a minute"
    async with database.read() as connection:
        assert [(row.queue, row.waiting) for row in (await connection.execute(select(DEPTHS))).all()] == [("", 0)]
