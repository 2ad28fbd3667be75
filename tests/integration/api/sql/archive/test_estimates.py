"""Estimates from the archive's sums, on both databases: 200 jobs that nothing is known of but their length."""

from __future__ import annotations

import random
import statistics
from datetime import UTC, datetime, timedelta
from typing import Any

from audiojob_api.archive import maintenance
from audiojob_api.archive.statistics import Statistics
from audiojob_api.archive.store import ArchiveStore
from audiojob_api.archive.writer import ArchiveWriter
from audiojob_api.jobs.listing.rows import JobRow, row_of
from audiojob_api.sql.database import Database
from audiojob_types.base import format_time
from audiojob_types.contract import Device

BEGIN = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)


def job(number: int, minutes: float, seconds: float, **phase: Any) -> JobRow:
    """A job that has worked so long on so many minutes of media, in one phase."""
    end = BEGIN + timedelta(seconds=round(seconds))
    work = {
        "name": "work", "state": "Succeeded", "device": "CPU", "startTime": format_time(BEGIN),
        "completionTime": format_time(end), **phase,
    }  # fmt: skip
    status = {
        "state": "Succeeded", "startTime": format_time(BEGIN), "completionTime": format_time(end), "phases": [work],
        "outputs": [{"name": "a", "durationMilliseconds": round(minutes * 60_000)}],
    }  # fmt: skip
    metadata = {
        "name": f"job-{number}", "namespace": "team", "uid": f"uid-{number}", "resourceVersion": "1",
        "creationTimestamp": format_time(BEGIN),
    }  # fmt: skip
    return row_of({"metadata": metadata, "spec": {"pipeline": "p"}, "status": status})


async def test_two_hundred_jobs_that_nobody_has_seen(database: Database) -> None:
    chosen = random.Random(1)
    known, asked = ([_drawn(chosen) for _ in range(count)] for count in (300, 200))
    store = ArchiveStore(database, "one")
    epoch = await store.take()
    assert epoch is not None
    await store.put(epoch, [job(number, *each) for number, each in enumerate(known)])
    # None of these says how fast work is: retried, taken over, of a length that no media has, of another pipeline.
    await store.put(epoch, [
        job(1_000, 1, 6_000, failures=1), job(1_001, 1, 6_000, disruptions=2), job(1_002, 1, 1, reusedFrom="x"),
        job(1_003, 2**50 / 60_000, 1), job(1_004, 3, 6_000, state="Failed"),
    ])  # fmt: skip
    statistics_of = Statistics(ArchiveWriter(store, {}, 90), "team")
    work = (await statistics_of.works("p"))["work", Device.CPU]
    assert (work.runs, work.measured) == (303, 300)
    errors = [abs((work.seconds_for(minutes) or 0) - seconds) / seconds for minutes, seconds in asked]
    usual = statistics.median(seconds for _, seconds in known)
    constant = [abs(usual - seconds) / seconds for _, seconds in asked]
    assert statistics.median(errors) <= 0.25
    assert statistics.median(errors) < statistics.median(constant) / 2
    assert await statistics_of.works("other") == {}
    assert await Statistics(ArchiveWriter(store, {}, 90), "foreign").works("p") == {}
    # Sums of a database that an earlier release filled are made anew.
    await store.release(epoch)
    await maintenance.rebuild(database, "two")
    assert (await statistics_of.works("p"))["work", Device.CPU].measured == 300


def _drawn(chosen: random.Random) -> tuple[float, float]:
    """Minutes of media, and the seconds that they take."""
    minutes = chosen.lognormvariate(1.3, 0.6)
    return minutes, 15 + 40 * minutes * chosen.lognormvariate(0, 0.25)
