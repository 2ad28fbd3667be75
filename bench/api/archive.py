"""How long lists of a large archive take, on either database, and what 50,000 live jobs cost in memory and in pauses.

``python bench/api/archive.py [--rows 1000000] [--live 50000] [--database sqlite|postgresql|none]`` fills a database of
its own in a temporary folder (PostgreSQL: Debian's, started for this), then asks for pages, filters and counts in a
random order, eight at once at most. The times are those of the reader, without HTTP.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import statistics
import tempfile
import time
import zlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import insert, text
from tests.support.databases.postgres import Postgres

from audiojob_api.archive.reader import ArchiveReader
from audiojob_api.archive.store import KIND
from audiojob_api.jobs.listing.paging import LiveIndex, joined
from audiojob_api.jobs.listing.query import Filter, Order, Query
from audiojob_api.jobs.listing.rows import row_of
from audiojob_api.jobs.queue_position import QueueSnapshot
from audiojob_api.sql.database import Database
from audiojob_api.sql.tables.archive import DOCUMENTS, INDEXES, JOBS, LABELS
from audiojob_api.sql.url import parse

NAMESPACES, PIPELINES, QUEUES, USERS = 20, 8, 6, 500
STATES = ("Succeeded",) * 17 + ("Failed",) * 2 + ("Cancelled",)
BEGIN = 1_760_000_000_000
CHUNK = 5_000


def live_job(number: int) -> dict[str, Any]:
    """A job of about 3.1 KB, as separate leaves one."""
    phases = [
        {
            "name": name, "state": "Succeeded", "attempt": 1, "device": "CPU",
            "jobName": f"song-{number}-{name}-1-abcdef01", "nodeName": f"node-{number % 50}",
            "startTime": "2026-11-28T10:00:00Z", "reason": "Completed",
            "completionTime": "2026-11-28T10:05:00Z", "message": "Done.", "reuseKey": f"{number:064x}",
            "manifest": {
                "key": f"music/{number}/{name}/1-abcdef01/manifest.json", "sha256": f"{number * 7:064x}", "count": 4,
            },
        }
        for name in ("fetch", "normalize", "separate")
    ]  # fmt: skip
    outputs = [
        {"name": f"{stem}.flac", "phase": "separate", "mediaType": "audio/flac", "bytes": 20_000_000 + number,
         "sha256": f"{number * 31 + index:064x}"}
        for index, stem in enumerate(("vocals", "drums", "bass", "other"))
    ]  # fmt: skip
    state = "Succeeded" if number % 10 else "Queued"
    conditions = [
        {"type": kind, "status": "True", "reason": "Done", "message": "", "lastTransitionTime": "2026-11-28T10:05:00Z"}
        for kind in ("Admitted", "Complete", "Progressing")
    ]
    status = {
        "state": state, "percent": 100, "message": "Done.", "startTime": "2026-11-28T10:00:00Z",
        "conditions": conditions, "phases": phases, "outputs": outputs, "pipelineRevision": "separate-0123abcd",
        "outputPrefix": f"music/{number}/",
        "completionTime": f"2026-11-28T{number % 24:02d}:{number % 60:02d}:00Z",
    }  # fmt: skip
    metadata = {
        "name": f"song-{number}", "namespace": "music", "uid": f"00000000-0000-4000-8000-{number:012d}",
        "resourceVersion": str(number), "creationTimestamp": f"2026-11-{number % 28 + 1:02d}T{number % 24:02d}:00:00Z",
        "labels": {"audiojobs.dev/user": f"user-{number % USERS}"},
    }  # fmt: skip
    spec = {
        "pipeline": f"pipeline-{number % PIPELINES}", "queueName": f"queue-{number % QUEUES}",
        "source": {"url": f"https://example.org/songs/{number}.mp3"}, "priority": number % 10 + 1,
    }  # fmt: skip
    return {"metadata": metadata, "spec": spec, "status": status}


def resident() -> float:
    """MiB of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4_096 / 2**20


@contextmanager
def timed(what: str) -> Iterator[None]:
    began, worked = time.perf_counter(), time.thread_time()
    yield
    wall, own = time.perf_counter() - began, time.thread_time() - worked
    print(f"  {what:44} {1_000 * wall:8.1f} ms, of the processor {1_000 * own:8.1f}")


def live(count: int) -> None:
    """Memory, and everything that stops the loop."""
    print(f"{count:,} live jobs of {len(orjson.dumps(live_job(count)))} bytes")
    gc.collect()
    before, index = resident(), LiveIndex()
    longest = 0.0
    for number in range(count):
        job = orjson.loads(orjson.dumps(live_job(number)))
        began = time.perf_counter()
        index.change(None, row_of(job))
        longest = max(longest, time.perf_counter() - began)
    gc.collect()
    print(f"  {'memory':44} {resident() - before:8.1f} MiB")
    print(f"  {'longest change of one job':44} {1_000 * longest:8.1f} ms")
    with timed("full garbage collection"):
        gc.collect()
    gc.freeze()
    with timed("full garbage collection, frozen"):
        gc.collect()
    for order in Order:
        with timed(f"first page by {order} (sorts all)"):
            index.find(Query(order=order))
        index.change(None, row_of(live_job(count + 1)))
        with timed(f"page by {order} after a new job"):
            index.find(Query(order=order))
    with timed("page of a filter that nothing matches"):
        index.find(Query(Filter(user="nobody")))
    with timed("count of a state"):
        index.count(Filter(state="Succeeded"))
    with timed("positions in all queues"):
        QueueSnapshot(index.rows(), datetime(2026, 11, 29, tzinfo=UTC), 600)
    with timed("a page of 50 unpacked"):
        for row in joined(Query(), index.find(Query()))[0]:
            row.unpack()


def columns(number: int, chance: random.Random) -> dict[str, Any]:
    created = BEGIN + number * 7_000
    began = created + chance.randrange(60_000)
    return {
        "uid": f"{number * 2_654_435_761 % 2**32:08x}-0000-4000-8000-{number:012d}", "kind": KIND,
        "namespace": f"team-{number % NAMESPACES}", "name": f"song-{number}", "state": chance.choice(STATES),
        "pipeline": f"pipeline-{chance.randrange(PIPELINES)}", "queue": f"queue-{chance.randrange(QUEUES)}",
        "user": f"user-{chance.randrange(USERS)}", "batch": f"batch-{number // 1_000}" if number % 3 == 0 else None,
        "priority": chance.randrange(1, 11), "created": created, "started": began,
        "finished": began + chance.randrange(600_000), "archived": created,
    }  # fmt: skip


async def fill(database: Database, rows: int) -> None:
    chance, began = random.Random(1), time.perf_counter()  # noqa: S311 - no secret
    doc = zlib.compress(orjson.dumps(live_job(1)), 1)
    async with database.write() as connection:  # made at the end: row by row they take most of the time
        for index in INDEXES:
            await connection.run_sync(index.drop)
    for start in range(0, rows, CHUNK):
        jobs = [columns(number, chance) for number in range(start, min(rows, start + CHUNK))]
        labels = [
            {name: job[name] for name in ("namespace", "created", "uid")} | {"key": "team", "value": f"t{index % 50}"}
            for index, job in enumerate(jobs)
        ]  # fmt: skip
        async with database.write() as connection:
            await connection.execute(insert(JOBS), jobs)
            await connection.execute(insert(DOCUMENTS), [{"uid": job["uid"], "doc": doc} for job in jobs])
            await connection.execute(insert(LABELS), labels)
    async with database.write() as connection:
        for index in INDEXES:
            await connection.run_sync(index.create)
        await connection.execute(text("ANALYZE"))
    print(f"  filled with {rows:,} jobs in {time.perf_counter() - began:.0f} s")


Ask = Callable[[ArchiveReader, random.Random], Awaitable[Any]]


def page(*, order: Order = Order.CREATED, **wanted: Any) -> Ask:
    """A page of 50, from the first or from somewhere in the middle, with its documents."""

    async def ask(reader: ArchiveReader, chance: random.Random) -> None:
        values = {name: value(chance) if callable(value) else value for name, value in wanted.items()}
        after: tuple[Any, ...] | None = None
        if chance.random() < 0.5:
            moment = BEGIN + chance.randrange(7_000_000_000)
            after = (5, moment, "0") if order is Order.PRIORITY else (moment, "0")
        found = await reader.rows(Query(Filter(**values), order, after=after))
        await reader.documents([row.uid for row in found.rows[:50]])

    return ask


def count(**wanted: Any) -> Ask:
    async def ask(reader: ArchiveReader, _: random.Random) -> None:
        await reader.count(Filter(**wanted))

    return ask


QUESTIONS: dict[str, Ask] = {
    "page": page(),
    "page of a state": page(state="Failed"),
    "page of a user": page(user=lambda chance: f"user-{chance.randrange(USERS)}"),
    "page of pipeline, queue and state": page(pipeline="pipeline-3", queue="queue-2", state="Cancelled"),
    "page of a label": page(labels=(("team", "t7"),)),
    "page by end": page(order=Order.FINISHED),
    "page by end, of a user": page(order=Order.FINISHED, user="user-7"),
    "page by priority": page(order=Order.PRIORITY),
    "page of a text in few names": page(text="9999"),
    "page of a text in no name": page(text="nowhere"),
    "count of all": count(),
    "count of a state": count(state="Succeeded"),
    "count of two filters": count(state="Failed", pipeline="pipeline-1"),
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

    await asyncio.gather(*(one(name) for name in work))
    print(f"  {at_once} at once, ms{'p50':>37} {'p99':>8} {'most':>8}")
    for name, times in took.items():
        times.sort()
        print(f"  {name:44} {statistics.median(times):8.1f} {times[int(len(times) * 0.99)]:8.1f} {times[-1]:8.1f}")


async def archived(url: str, rows: int, rounds: int) -> None:
    database = Database(parse(url))
    print(database.url.url.get_backend_name())
    await database.open()
    await fill(database, rows)
    if (file := database.url.file) is not None:
        print(f"  {file.stat().st_size / 2**20:.0f} MiB")
    for at_once in (1, 8):
        await ask(database, rounds, at_once)
    await database.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--live", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--database", choices=["sqlite", "postgresql", "none"], action="append")
    asked = parser.parse_args()
    live(asked.live)
    for kind in asked.database or ["sqlite", "postgresql"]:
        if kind == "sqlite":
            with tempfile.TemporaryDirectory() as folder:
                asyncio.run(archived(f"sqlite:///{folder}/archive.db", asked.rows, asked.rounds))
        elif kind == "postgresql":
            with Postgres(durable=True) as server:
                asyncio.run(archived(server.create("bench"), asked.rows, asked.rounds))


if __name__ == "__main__":
    main()
