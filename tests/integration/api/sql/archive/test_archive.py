"""The archive on both databases: each job once, lists as one with the live ones, nothing lost whatever is away."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import func, select, text
from tests.integration.api.sql.archive.jobs import Cluster, finished
from tests.support.databases.postgres import Postgres

from audiojob_api.archive.joined import JoinedReader
from audiojob_api.archive.reader import ArchiveReader
from audiojob_api.archive.statistics import Statistics
from audiojob_api.archive.store import ArchiveStore, Superseded
from audiojob_api.archive.writer import ArchiveWriter
from audiojob_api.jobs.listing.cursor import at
from audiojob_api.jobs.listing.paging import Count
from audiojob_api.jobs.listing.query import Filter, Order, Query, Span, Where
from audiojob_api.jobs.listing.rows import JobRow
from audiojob_api.jobs.statistics.groups import By
from audiojob_api.jobs.statistics.sums import quantile
from audiojob_api.problems import Problem
from audiojob_api.sql.database import Database
from audiojob_api.sql.errors import DatabaseUnavailable
from audiojob_api.sql.tables.archive import DOCUMENTS, JOBS, ROLLUPS
from audiojob_api.sql.url import parse

TEAM = "team"


async def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for is no event of ours
            await asyncio.sleep(0.005)


async def filled(database: Database, numbers: range) -> ArchiveStore:
    store = ArchiveStore(database, "one")
    epoch = await store.take()
    assert epoch is not None
    await store.put(epoch, [finished(number) for number in numbers])
    return store


async def counted(database: Database) -> tuple[int, int, int]:
    """Jobs, documents, and jobs as the sums have them."""
    jobs, documents = (select(func.count()).select_from(table) for table in (JOBS, DOCUMENTS))
    ended = select(func.sum(ROLLUPS.c.count)).where(ROLLUPS.c.phase == "", ROLLUPS.c.state != "Created")
    async with database.read() as connection:
        found = [int((await connection.execute(each)).scalar_one() or 0) for each in (jobs, documents, ended)]
    return found[0], found[1], found[2]


async def pages(reader: JoinedReader, query: Query) -> list[str]:
    found: list[str] = []
    while True:
        page = await reader.page(query)
        assert len(page.items) <= query.limit
        found += [item["metadata"]["uid"] for item in page.items]
        if page.cursor is None:
            return found
        query = at(query, page.cursor)


LISTS = {
    "all": Filter(),
    "state": Filter(state="Failed"),
    "several states": Filter(states=("Cancelled", "Failed")),
    "several states of a pipeline": Filter(states=("Cancelled", "Running"), pipeline="p1"),
    "several states of a user": Filter(states=("Cancelled", "Failed"), user="u3"),
    "state and queue": Filter(state="Failed", queue="q1"),
    "user": Filter(user="u3"),
    "pipeline and a label": Filter(pipeline="p1", labels=(("team", "t1"),)),
    "a label": Filter(labels=(("team", "t0"),)),
    "a label that is none": Filter(labels=(("team", "x"),)),
    "text": Filter(text="g-1"),
    "text like a pattern": Filter(text="song_1"),
    "spans": Filter(created=Span(finished(5).created, finished(50).created), finished=Span(end=finished(40).finished)),
}


@pytest.mark.parametrize("order", Order)
async def test_every_list_holds_live_and_archived_jobs_once_in_order(database: Database, order: Order) -> None:
    await filled(database, range(40))
    cluster = Cluster()
    live = [finished(number) for number in random.Random(1).sample(range(20, 60), 30)]
    for row in live:
        cluster.index.change(None, row)
    reader = JoinedReader(cluster, ArchiveReader(database, TEAM))
    rows = {row.uid: row for row in [*live, *(finished(number) for number in range(40))]}
    for name, wanted in LISTS.items():
        query = Query(wanted, order, limit=7)
        expected = sorted((row for row in rows.values() if query.wants(row)), key=order.place, reverse=True)
        assert await pages(reader, query) == [row.uid for row in expected], name
        archived = [finished(number).uid for number in range(40) if query.wants(finished(number))]
        assert sorted(await pages(reader, replace(query, where=Where.ARCHIVED))) == archived, name
        assert await reader.count(wanted, Where.ARCHIVED) == Count(len(archived)), name
    assert await pages(JoinedReader(cluster, ArchiveReader(database, "foreign")), Query(where=Where.ARCHIVED)) == []


async def test_a_search_that_reads_much_ends_early_and_goes_on(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audiojob_api.archive.scan.COVERED", 10)
    await filled(database, range(60))
    reader = JoinedReader(Cluster(), ArchiveReader(database, TEAM))
    query = Query(Filter(text="song-3"), limit=5)
    page = await reader.page(query)
    assert page.items == [], "of the newest ten none has it"
    assert page.cursor is not None
    found = await pages(reader, query)
    assert found == [finished(number).uid for number in (*range(39, 29, -1), 3)]
    assert (await reader.count(Filter(text="song-3"), Where.ARCHIVED)).at_least


@pytest.mark.parametrize("order", Order)
async def test_where_a_user_has_too_many_jobs_to_sort_no_list_loses_one(
    database: Database, monkeypatch: pytest.MonkeyPatch, order: Order
) -> None:
    await filled(database, range(60))
    reader = JoinedReader(Cluster(), ArchiveReader(database, TEAM))
    wanted = [Filter(user="u3"), Filter(user="u3", state="Failed"), Filter(labels=(("team", "t1"),), queue="q1")]
    expected = {each: await pages(reader, Query(each, order)) for each in wanted}
    assert all(expected.values())
    monkeypatch.setattr("audiojob_api.archive.scan.LOOKED_UP", 3)
    monkeypatch.setattr("audiojob_api.archive.scan.COVERED", 7)
    monkeypatch.setattr("audiojob_api.archive.reader.LOOKED_UP", 3)
    for each, uids in expected.items():
        assert await pages(reader, Query(each, order, limit=2)) == uids


async def test_a_single_job_is_the_live_one_or_the_newest_archived(database: Database) -> None:
    await filled(database, range(3))
    cluster = Cluster()
    reader = JoinedReader(cluster, ArchiveReader(database, TEAM))
    found = await reader.find("song-1")
    assert found is not None
    assert (found["archived"], found["status"]["state"]) == (True, "Failed")
    cluster.index.change(None, replace(finished(1), uid="another"))
    assert "archived" not in (await reader.find("song-1") or {})
    assert await reader.find("none") is None


async def test_what_is_written_twice_is_there_once_and_counted_once(database: Database) -> None:
    store = await filled(database, range(30))
    epoch = await store.take()
    assert epoch == 2, "its own holder begins anew at once"
    assert await store.put(epoch, [finished(number) for number in range(20, 50)]) == 20
    assert await counted(database) == (50, 50, 50)


async def test_a_writer_that_was_overtaken_writes_nothing(database: Database) -> None:
    """Also one that only slept: its epoch is over."""
    first, second = ArchiveStore(database, "one"), ArchiveStore(database, "two", expires_seconds=0)
    epoch = await first.take()
    assert epoch is not None
    assert await ArchiveStore(database, "three").take() is None
    newer = await second.take()
    assert newer == epoch + 1
    with pytest.raises(Superseded):
        await first.put(epoch, [finished(1)])
    with pytest.raises(Superseded):
        await first.expire(epoch, 2**50, 10)
    assert await counted(database) == (0, 0, 0)
    await second.put(newer, [finished(1)])
    await second.release(newer)
    assert await ArchiveStore(database, "three").take() == newer + 1


async def test_two_replicas_write_each_job_once_and_one_goes_on_for_the_other(database: Database) -> None:
    cluster = Cluster()
    writers = [
        ArchiveWriter(ArchiveStore(database, name, expires_seconds=2), {TEAM: cluster}, 90, pause_seconds=0.05)
        for name in ("one", "two")
    ]
    tasks = [asyncio.create_task(writer.run()) for writer in writers]

    def see(numbers: range) -> None:
        for number in numbers:
            for writer in writers:
                writer.saw(None, finished(number))

    see(range(150))
    # On a busy machine a leader may just have lost its turn, and none has the next one yet.
    await until(lambda: len(set(cluster.marks)) == 150 and any(writer.epoch is not None for writer in writers))
    leader = next(index for index, writer in enumerate(writers) if writer.epoch is not None)
    tasks[leader].cancel()
    see(range(150, 300))
    await until(lambda: len(set(cluster.marks)) == 300)
    assert await counted(database) == (300, 300, 300)
    tasks[1 - leader].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("turns", range(6))
async def test_a_writer_ends_whenever_it_is_cancelled_after_it_saw_a_job(database: Database, turns: int) -> None:
    writer = ArchiveWriter(ArchiveStore(database, "one"), {TEAM: Cluster()}, 90, pause_seconds=30)
    task = asyncio.create_task(writer.run())
    writer.saw(None, finished(1))
    await until(lambda: writer.epoch is not None and writer.pending == 0)
    for _ in range(50):  # it waits for the next one by then
        await asyncio.sleep(0)
    writer.saw(None, finished(2))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    ended, _ = await asyncio.wait({task}, timeout=10)
    assert ended == {task}


async def test_a_job_is_marked_after_its_commit_and_again_where_that_failed(database: Database) -> None:
    cluster = Cluster()
    cluster.refuses = True
    writer = ArchiveWriter(ArchiveStore(database, "one"), {TEAM: cluster}, 90, pause_seconds=0.02)
    task = asyncio.create_task(writer.run())
    writer.saw(None, finished(1))
    await until(lambda: writer.pending == 0)
    assert cluster.marks == []
    assert await counted(database) == (1, 1, 1)
    cluster.refuses = False
    await until(lambda: cluster.marks == [finished(1).uid])
    # A job that was deleted before its turn gets there too, and is not marked.
    writer.saw(None, finished(2))
    writer.saw(finished(2), None)
    writer.saw(None, replace(finished(3), archived=True))
    await until(lambda: writer.pending == 0)
    assert await counted(database) == (2, 2, 2)
    assert cluster.marks == [finished(1).uid]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_an_outage_of_the_database_loses_nothing_and_live_jobs_are_listed(postgres: Postgres) -> None:
    database = Database(parse(postgres.create("outage")), check_seconds=0.05)
    await database.open()
    cluster = Cluster()
    writer = ArchiveWriter(ArchiveStore(database, "one"), {TEAM: cluster}, 90, pause_seconds=0.05)
    tasks = [asyncio.create_task(writer.run()), asyncio.create_task(database.run())]
    reader = JoinedReader(cluster, ArchiveReader(database, TEAM))
    writer.saw(None, finished(1))
    await until(lambda: len(cluster.marks) == 1)
    postgres.stop()
    try:
        for number in (2, 3):
            cluster.index.change(None, finished(number))
            writer.saw(None, finished(number))
        page = await reader.page(Query())
        assert ([item["metadata"]["name"] for item in page.items], page.history_missing) == (
            ["song-3", "song-2", "song-1"],
            True,
        )
        with pytest.raises(DatabaseUnavailable):
            await reader.page(Query(where=Where.ARCHIVED))
        with pytest.raises(Problem, match="archive cannot be asked") as refused:
            await reader.find("song-9")
        assert refused.value.status == 503
        assert writer.pending == 2
    finally:
        postgres.start()
    await until(lambda: len(set(cluster.marks)) == 3)
    assert await counted(database) == (3, 3, 3)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await database.close()


async def test_a_newer_schema_stops_the_writer_and_no_list(database: Database, url: str) -> None:
    await filled(database, range(2))
    async with database.write() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    older = Database(parse(url))
    await older.open()
    writer = ArchiveWriter(ArchiveStore(older, "old"), {TEAM: Cluster()}, 90, pause_seconds=0.01)
    task = asyncio.create_task(writer.run())
    writer.saw(None, finished(5))
    assert len(await pages(JoinedReader(Cluster(), ArchiveReader(older, TEAM)), Query())) == 2
    await asyncio.sleep(0.05)
    assert writer.pending == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await older.close()


async def test_old_jobs_go_in_batches_with_their_sums(database: Database) -> None:
    store = await filled(database, range(400))
    epoch = await store.take()
    assert epoch is not None
    before = finished(399).created // 3_600_000 * 3_600_000
    old = [number for number in range(400) if _end(finished(number)) < before]
    taken: list[int] = []
    while (taken and taken[-1] == 100) or not taken:
        taken.append(await store.expire(epoch, before, 100))
    assert sum(taken) == len(old)
    assert await counted(database) == (400 - len(old),) * 3
    assert await ArchiveReader(database, TEAM).find(f"song-{old[0]}") is None


async def test_the_sums_of_an_hour_tell_the_share_that_was_faster(database: Database) -> None:
    await filled(database, range(300))
    names = [name for name in ROLLUPS.c.keys() if name.startswith("b")]  # noqa: SIM118 - no dict
    whole = select(*(func.sum(ROLLUPS.c[name]) for name in names)).where(
        ROLLUPS.c.phase == "", ROLLUPS.c.state != "Created"
    )
    async with database.read() as connection:
        buckets = [int(value) for value in (await connection.execute(whole)).one()]
    assert sum(buckets) == 300
    median, tail = quantile(buckets, 0.5), quantile(buckets, 0.95)
    assert median is not None
    assert tail is not None
    assert abs(median - 150_000) < 25_000
    assert abs(tail - 285_000) < 50_000


def _end(row: JobRow) -> int:
    assert row.finished is not None
    return row.finished


async def test_statistics_are_those_of_the_jobs(database: Database) -> None:
    store = await filled(database, range(0, 300, 1))
    writer = ArchiveWriter(store, {}, 90)
    statistics = Statistics(writer, TEAM)
    begin, end = finished(0).created, _end(finished(299)) + 1
    ((name, whole),) = await statistics.groups(begin, end, By.ALL)
    shown = whole.to_wire()
    assert name == "all"
    assert shown["states"] == {"Succeeded": 100, "Failed": 100, "Cancelled": 100}
    assert (shown["created"], shown["reused"], shown["errors"]) == (300, 300, {"NotMedia": 100})
    assert shown["successRate"] == 0.3333
    assert abs(shown["meanSeconds"] - 148.5) < 1, "of those that succeeded: 0, 3, … 297"
    assert abs(shown["p95Seconds"] - 283) < 50
    assert shown["meanWaitSeconds"] == 1
    pipelines = dict(await statistics.groups(begin, end, By.PIPELINE))
    assert {name: sum(group.states.values()) for name, group in pipelines.items()} == {"p0": 150, "p1": 150}
    phases = dict(await statistics.groups(begin, end, By.PHASE))
    assert (phases["fetch"].states, phases["split"].reused) == ({"Succeeded": 300}, 300)
    assert [int(name) for name, _ in await statistics.groups(begin, end, By.DAY)] == [begin]
    assert await statistics.groups(end + 3_600_000, end + 7_200_000, By.HOUR) == []
    assert await Statistics(writer, "foreign").groups(begin, end, By.ALL) == []
