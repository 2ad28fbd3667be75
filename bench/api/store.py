"""How long single operations on stored jobs take (M02): ``python bench/api/store.py [--database sqlite]``.

A job of the read model, one of the archive by its name, a reservation and its release, and a finished job that goes
into the archive, each one thousand times, one at a time, on a database of its own with 20,000 archived jobs.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.api.archive import fill
from bench.api.job import live_job
from bench.harness import machine, percentile
from tests.support.databases.postgres import Postgres

from audiojob_api.access.limits.ledger import Bounds, Ledger, Wish
from audiojob_api.archive.reader import ArchiveReader
from audiojob_api.archive.store import ArchiveStore
from audiojob_api.jobs.listing.rows import JobRow, row_of
from audiojob_api.sql.database import Database
from audiojob_api.sql.url import parse

ROWS = 20_000
AIM_MILLISECONDS = 5.0


def finished(number: int) -> JobRow:
    job = live_job(ROWS + number)
    job["status"] |= {"state": "Succeeded", "completionTime": "2026-11-28T10:20:00Z"}
    job["metadata"] |= {"namespace": "team-0", "uid": f"{number:032x}"}
    return row_of(job)


async def operations(database: Database) -> dict[str, Callable[[int], Awaitable[Any]]]:
    ledger, bounds, now = Ledger(database), Bounds(day=10**6, address_hour=10**6), round(time.time() * 1_000)
    reader, store = ArchiveReader(database, "team-0"), ArchiveStore(database, "bench")
    epoch = await store.take()
    assert epoch is not None
    rows = {name: row_of(live_job(name)) for name in range(1_000)}

    def wish(number: int) -> Wish:
        return Wish("team-0", f"song-{number}", "ann", "192.0.2.1", token=str(number))

    async def live(number: int) -> None:
        assert rows[number % 1_000].unpack()["metadata"]

    async def archived(number: int) -> None:
        assert await reader.find(f"song-{number % (ROWS // 20) * 20}") is not None

    async def reserve(number: int) -> None:
        assert await ledger.reserve(wish(number), bounds, now) is True

    async def release(number: int) -> None:
        await ledger.release(wish(number))

    async def put(number: int) -> None:
        assert await store.put(epoch, [finished(number)]) == 1

    return {
        "a job of the read model": live,
        "an archived job by its name": archived,
        "a reservation": reserve,
        "its release": release,
        "a finished job into the archive": put,
    }


async def measure(url: str, count: int) -> None:
    database = Database(parse(url))
    await database.open()
    await fill(database, ROWS)
    for name, operation in (await operations(database)).items():
        took = []
        for number in range(count):
            began = time.perf_counter()
            await operation(number)
            took.append(1_000 * (time.perf_counter() - began))
        half, tail = percentile(took, 0.5), percentile(took, 0.99)
        print(f"  {name:34} p50 {half:6.2f} ms   p99 {tail:6.2f} ms   (required: p50 below {AIM_MILLISECONDS:.0f})")
    await database.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], action="append")
    asked = parser.parse_args()
    print(machine())
    for kind in asked.database or ["sqlite", "postgresql"]:
        print(kind)
        with ExitStack() as stack:
            if kind == "sqlite":
                url = f"sqlite:///{stack.enter_context(tempfile.TemporaryDirectory())}/history.db"
            else:
                url = stack.enter_context(Postgres(durable=True)).create("bench")
            asyncio.run(measure(url, asked.count))
    print(f"  load at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
