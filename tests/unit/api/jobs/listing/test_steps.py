"""Long work in steps: the same result, with turns for others."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from audiojob_api.jobs.listing import steps
from audiojob_api.jobs.listing.paging import LiveIndex
from audiojob_api.jobs.listing.query import Filter, Query
from audiojob_api.jobs.listing.rows import JobRow, row_of
from audiojob_api.jobs.listing.steps import at_once, in_turns, measured, portions
from audiojob_api.jobs.queue_position import QueuePosition, QueuePositions

ONE = row_of({"metadata": {"name": "song", "uid": "song"}, "spec": {"pipeline": "rare"}})


def rows(count: int) -> list[JobRow]:
    return [replace(ONE, uid=f"u-{number:05}", name=f"song-{number}", created=number) for number in range(count)]


async def test_a_rare_job_is_found_and_counted_while_others_have_their_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "_STEP", 500)
    index, turns = LiveIndex(), 0
    for row in rows(2_500):
        index.change(None, row if row.created < 5 else replace(row, pipeline="often"))
    wanted, over = Filter(pipeline="rare"), asyncio.Event()

    async def other() -> None:
        nonlocal turns
        while not over.is_set():
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    found = await in_turns(index.finding(Query(wanted, limit=2)))
    assert turns >= 5, "one after each portion"
    assert [row.created for row in found.rows] == [4, 3, 2]
    assert await in_turns(index.counting(wanted)) == index.count(wanted)
    over.set()
    await task


def test_what_changes_meanwhile_is_not_seen() -> None:
    mine = {"a": 1}
    seen = portions(mine.values())
    mine["b"] = 2
    assert list(seen) == [[1]]


def test_work_that_is_measured_comes_to_the_same() -> None:
    assert at_once(measured(LiveIndex().finding(Query())))[0].rows == []


async def test_who_asks_for_positions_together_waits_for_one_snapshot() -> None:
    asked = []

    def jobs() -> list[JobRow]:
        asked.append(1)
        return [replace(row, state="Queued", in_line="QueueFull", created=row.created + 1) for row in rows(3)]

    positions = QueuePositions(jobs, 600, refresh_seconds=60)
    await asyncio.gather(*(positions.refresh() for _ in range(9)))
    assert positions.joining("default", 5) == QueuePosition(4, None)
    assert len(asked) == 1
