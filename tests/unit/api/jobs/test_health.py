"""Whether all is well, in words; and what the routes of statistics refuse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.unit.api.fakes import Content, MemoryBackend, MemoryFiles

from audiojob_api.files.alive import trouble
from audiojob_api.files.ports import Call
from audiojob_api.jobs.listing.rows import JobRow, row_of
from audiojob_api.jobs.listing.steps import at_once
from audiojob_api.jobs.statistics.health import Condition, Parts, health, worst
from audiojob_api.jobs.statistics.sums import BOUNDS, quantile
from audiojob_api.problems import unavailable

NOW = 1_800_000_000_000
FINE = Parts(synced=True, silent_seconds=1, stale_after_seconds=150, database=("Ready", ""), unarchived=0)


def row(state: str, age_seconds: float, reason: str = "QueueFull", **changes: Any) -> JobRow:
    condition = {"type": "Admitted", "status": "False", "reason": reason}
    job = {"metadata": {"name": "song"}, "status": {"state": state, "conditions": [condition]}}
    return replace(row_of(job), created=NOW - round(age_seconds * 1_000), **changes)


def ended(state: str) -> JobRow:
    return row(state, 600, finished=NOW - 1_000)


SITUATIONS: dict[str, tuple[list[JobRow], Parts, str, Condition, str]] = {
    "all is well": ([], FINE, "apiServer", Condition.GOOD, "Last heard from 1 s ago"),
    "no list yet": ([], replace(FINE, synced=False), "apiServer", Condition.BAD, "not complete yet"),
    "an API server that is silent": ([], replace(FINE, silent_seconds=200), "apiServer", Condition.BAD, "200 s ago"),
    "no database": ([], replace(FINE, database=None, unarchived=None), "database", Condition.OFF, "None is configured"),
    "a database that is away": ([], replace(FINE, database=("Away", "It is away.")), "database", Condition.BAD, "away"),
    "an archive that waits": (
        [], replace(FINE, database=("Away", "x"), unarchived=3), "archive", Condition.DEGRADED, "3 finished jobs wait",
    ),
    "a newer schema": ([], replace(FINE, database=("ReadOnly", "newer")), "database", Condition.DEGRADED, "newer"),
    "no files": ([], FINE, "files", Condition.OFF, "files.enabled"),
    "files that answer": ([], replace(FINE, files=""), "files", Condition.GOOD, "answers"),
    "files that do not": ([], replace(FINE, files="It hangs."), "files", Condition.BAD, "It hangs."),
    "no operator": ([row("Pending", 61, "WaitingForOperator")], FINE, "operator", Condition.BAD, "1 jobs wait"),
    "a job that is new": ([row("Pending", 5, "WaitingForOperator")], FINE, "operator", Condition.GOOD, "No job waits"),
    "an operator that renews": ([], replace(FINE, operator=""), "operator", Condition.GOOD, "It renews its Lease"),
    "an operator that does not": (
        [row("Pending", 61, "WaitingForOperator")], replace(FINE, operator="None is at work."), "operator",
        Condition.BAD, "None is at work. 1 jobs wait",
    ),
    "a queue": ([row("Queued", 90), row("Queued", 30)], FINE, "queues", Condition.GOOD, "2 jobs wait in 1 queues"),
    "few failures": ([ended("Failed")] * 4, FINE, "errors", Condition.GOOD, "Of 4 jobs"),
    "many failures": ([ended("Failed")] * 3 + [ended("Succeeded")] * 3, FINE, "errors", Condition.DEGRADED, "3 failed"),
    "cancelled ones are no failures": ([ended("Cancelled")] * 9, FINE, "errors", Condition.GOOD, "Of 0 jobs"),
}  # fmt: skip


@pytest.mark.parametrize(("rows", "parts", "name", "state", "words"), SITUATIONS.values(), ids=SITUATIONS)
def test_each_part_says_how_it_is(rows: list[JobRow], parts: Parts, name: str, state: Condition, words: str) -> None:
    found = {part.name: part for part in at_once(health(rows, parts, NOW))}
    assert (found[name].state, words in found[name].message) == (state, True), found[name]
    expected = state if state in (Condition.BAD, Condition.DEGRADED) else Condition.GOOD
    assert worst(found.values()) in (expected, Condition.BAD)


def test_the_health_of_a_namespace(client: TestClient, backend: MemoryBackend) -> None:
    backend.put("song", state="Running")
    answer = client.get("/api/v1/health").json()
    assert answer["state"] == "Good"
    assert [part["state"] for part in answer["parts"] if part["name"] in ("database", "archive")] == ["Off", "Off"]


class Silent(MemoryFiles):
    """Takes a request, and does not answer."""

    @asynccontextmanager
    async def open(self, call: Call) -> AsyncIterator[Content]:
        if call.namespace == "away":
            raise unavailable("The files service does not answer.")
        await asyncio.Event().wait()
        yield Content(b"", {})


async def test_a_files_service_is_asked_for_what_it_cannot_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audiojob_api.files.alive._SECONDS", 0.01)
    assert await trouble(MemoryFiles(), "team") == ""
    assert await trouble(Silent(), "away") == "The files service does not answer."
    assert "its store may hang" in await trouble(Silent(), "team")


def test_statistics_need_an_archive(client: TestClient) -> None:
    answer = client.get("/api/v1/stats")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/no-archive")


def test_shares_of_times_are_near_where_they_lie() -> None:
    assert quantile([0] * 24, 0.95) is None
    one = [0] * 24
    one[5] = 10
    assert BOUNDS[4] < (quantile(one, 0.5) or 0) < BOUNDS[5]
    assert quantile(one, 1) == BOUNDS[5]
    last = [0] * 23 + [1]
    assert (quantile(last, 0.95) or 0) > BOUNDS[-1]
