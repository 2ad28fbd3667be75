"""How long lists of a large archive take, on either database: ``python bench/api/archive.py [--database sqlite]``.

Fills a database of its own in a temporary folder (PostgreSQL: Debian's, started for this), then asks for pages, filters
and counts in a random order, one at a time and eight at once. The times are those of the reader, without HTTP.
``--explain`` prints how the database answers each question.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import orjson
from bench.api.job import PIPELINES, QUEUES, USERS, live_job
from sqlalchemy import event, insert, text
from tests.support.databases.postgres import Postgres

from audiojob_api.archive.reader import ArchiveReader
from audiojob_api.archive.store import KIND, unpacked
from audiojob_api.jobs.listing.query import Filter, Order, Query, Span
from audiojob_api.sql.database import Database
from audiojob_api.sql.tables.archive import DOCUMENTS, INDEXES, JOBS, LABELS
from audiojob_api.sql.url import parse

NAMESPACES = 20
STATES = ("Succeeded",) * 17 + ("Failed",) * 2 + ("Cancelled",)
BEGIN = 1_760_000_000_000
APART = 7_000
CHUNK = 5_000


def columns(number: int, chance: random.Random, namespace: str | None) -> dict[str, Any]:
    created = BEGIN + number * APART
    began = created + chance.randrange(60_000)
    return {
        "uid": f"{number * 2_654_435_761 % 2**32:08x}-0000-4000-8000-{number:012d}", "kind": KIND,
        "namespace": namespace or f"team-{number % NAMESPACES}", "name": f"song-{number}",
        "state": chance.choice(STATES),
        "pipeline": f"pipeline-{chance.randrange(PIPELINES)}", "queue": f"queue-{chance.randrange(QUEUES)}",
        "user": f"user-{chance.randrange(USERS)}", "batch": f"batch-{number // 1_000}" if number % 3 == 0 else None,
        "priority": chance.randrange(1, 11), "created": created, "started": began,
        "finished": began + chance.randrange(600_000), "archived": created,
    }  # fmt: skip


async def fill(database: Database, rows: int, namespace: str | None = None) -> None:
    """Without a namespace the jobs are spread over `NAMESPACES`."""
    chance, began = random.Random(1), time.perf_counter()  # noqa: S311 - no secret
    doc = zlib.compress(orjson.dumps(live_job(1)), 1)
    async with database.write() as connection:  # made at the end: row by row they take most of the time
        for index in INDEXES:
            await connection.run_sync(index.drop)
    for start in range(0, rows, CHUNK):
        jobs = [columns(number, chance, namespace) for number in range(start, min(rows, start + CHUNK))]
        labels = [
            {name: job[name] for name in ("namespace", "created", "uid")} | {"key": "team", "value": f"t{index % 50}"}
            for index, job in enumerate(jobs)
        ]  # fmt: skip
        async with database.write() as connection:
            await connection.execute(insert(JOBS), jobs)
            await connection.execute(insert(DOCUMENTS), [{"uid": job["uid"], "doc": doc} for job in jobs])
            await connection.execute(insert(LABELS), labels)
    async with database.write() as connection:
        if not database.is_sqlite:
            await connection.execute(text("SET LOCAL statement_timeout = 0"))
        for index in INDEXES:
            await connection.run_sync(index.create)
    if not database.is_sqlite:  # as its server does by itself; SQLite's files never have statistics
        async with database._writer.connect() as connection:  # noqa: SLF001 - outside of a transaction
            outside = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await outside.execute(text("VACUUM ANALYZE"))
    print(f"  filled with {rows:,} jobs in {time.perf_counter() - began:.0f} s")


Ask = Callable[[ArchiveReader, random.Random], Awaitable[Any]]


def page(order: Order = Order.CREATED, **wanted: Any) -> Ask:
    """A page of 50, from the first or from somewhere in the middle, with its documents."""

    async def ask(reader: ArchiveReader, chance: random.Random) -> None:
        values = drawn(wanted, chance)
        after: tuple[Any, ...] | None = None
        if chance.random() < 0.5:
            moment = BEGIN + chance.randrange(7_000_000_000)
            after = (5, moment, "0") if order is Order.PRIORITY else (moment, "0")
        found = await reader.rows(Query(Filter(**values), order, after=after))
        documents = await reader.documents([row.uid for row in found.rows[:50]])
        assert all(unpacked(each) for each in documents.values())

    return ask


def count(**wanted: Any) -> Ask:
    async def ask(reader: ArchiveReader, chance: random.Random) -> None:
        await reader.count(Filter(**drawn(wanted, chance)))

    return ask


def drawn(wanted: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    return {name: value(chance) if callable(value) else value for name, value in wanted.items()}


def user(chance: random.Random) -> str:
    return f"user-{chance.randrange(USERS)}"


def batch(chance: random.Random) -> str:
    return f"batch-{chance.randrange(1_000) * 3}"


def week(chance: random.Random) -> Span:
    begin = BEGIN + chance.randrange(6_000_000_000)
    return Span(begin, begin + 7 * 86_400_000)


FILTERS: dict[str, dict[str, Any]] = {
    "no filter": {},
    "a state": {"state": "Failed"},
    "a user": {"user": user},
    "a user who has none": {"user": "nobody"},
    "a user and a state": {"user": user, "state": "Cancelled"},
    "a batch": {"batch": batch},
    "a queue": {"queue": "queue-2"},
    "a pipeline and a state": {"pipeline": "pipeline-1", "state": "Failed"},
    "a state that no job of the pipeline has": {"pipeline": "pipeline-1", "state": "Lost"},
    "pipeline, queue and state": {"pipeline": "pipeline-3", "queue": "queue-2", "state": "Cancelled"},
    "a label": {"labels": (("team", "t7"),)},
    "a label and a state": {"labels": (("team", "t7"),), "state": "Failed"},
    "a label that no job has": {"labels": (("team", "none"),)},
    "a week of creation": {"created": week},
    "a week of ends": {"finished": week},
    "a week of ends, of a user": {"finished": week, "user": user},
    "a text in few names": {"text": "9999"},
    "a text in no name": {"text": "nowhere"},
    "a text in no name, of a state": {"text": "nowhere", "state": "Succeeded"},
}
QUESTIONS: dict[str, Ask] = {
    **{f"page by {order}: {name}": page(order, **wanted) for order in Order for name, wanted in FILTERS.items()},
    **{f"count: {name}": count(**wanted) for name, wanted in FILTERS.items()},
}


async def ask(database: Database, rounds: int, at_once: int) -> None:
    chance = random.Random(2)  # noqa: S311 - no secret
    reader = [ArchiveReader(database, f"team-{number}") for number in range(NAMESPACES)]
    took: dict[str, list[float]] = {name: [] for name in QUESTIONS}
    work = [name for name in QUESTIONS for _ in range(rounds)]
    chance.shuffle(work)
    slots = asyncio.Semaphore(at_once)

    async def one(name: str) -> None:
        async with slots:
            began = time.perf_counter()
            await QUESTIONS[name](chance.choice(reader), chance)
            took[name].append(1_000 * (time.perf_counter() - began))

    began = time.perf_counter()
    await asyncio.gather(*(one(name) for name in work))
    rate = len(work) / (time.perf_counter() - began)
    print(f"  {at_once} at once, {rate:.0f}/s, load {os.getloadavg()[0]:.0f}; ms{'p50':>30} {'p99':>8} {'most':>8}")
    for name, times in [*took.items(), ("all of them", [each for some in took.values() for each in some])]:
        times.sort()
        print(f"  {name:56} {statistics.median(times):8.1f} {times[int(len(times) * 0.99)]:8.1f} {times[-1]:8.1f}")


async def explain(database: Database) -> None:
    """How the database answers each question."""
    asked: list[tuple[str, Any]] = []
    engine = database._reader.sync_engine  # noqa: SLF001 - statements as they are sent

    def listen(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if statement.startswith("SELECT") and "document" not in statement:
            asked.append((statement, values))

    event.listen(engine, "before_cursor_execute", listen)
    for name, question in QUESTIONS.items():
        asked.clear()
        await question(ArchiveReader(database, "team-3"), random.Random(3))  # noqa: S311 - no secret
        print(f"  {name}")
        prefix = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN (ANALYZE, COSTS OFF, BUFFERS) "
        for statement, values in asked:
            async with database.read() as connection:
                for line in (await connection.exec_driver_sql(prefix + statement, values)).all():
                    print(f"      {line[-1]}")
    event.remove(engine, "before_cursor_execute", listen)


async def archived(url: str, rows: int, rounds: int, plans: bool) -> None:
    database = Database(parse(url))
    print(database.url.url.get_backend_name())
    await database.open()
    await fill(database, rows)
    if (file := database.url.file) is not None:
        print(f"  {file.stat().st_size / 2**20:.0f} MiB")
    if plans:
        await explain(database)
    for at_once in (1, 8):
        await ask(database, rounds, at_once)
    await database.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--explain", action="store_true", help="also print how the database answers each question")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], action="append")
    asked = parser.parse_args()
    for kind in asked.database or ["sqlite", "postgresql"]:
        if kind == "sqlite":
            with tempfile.TemporaryDirectory() as folder:
                asyncio.run(archived(f"sqlite:///{folder}/archive.db", asked.rows, asked.rounds, asked.explain))
        else:
            with Postgres(durable=True) as server:
                asyncio.run(archived(server.create("bench"), asked.rows, asked.rounds, asked.explain))


if __name__ == "__main__":
    main()
