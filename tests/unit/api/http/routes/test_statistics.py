"""The answer of statistics, as the client reads it; sums themselves are tested on both databases."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.unit.api.fakes import GOOD_TOKEN, MemoryBackend

from audiojob_api.app import create_app
from audiojob_api.jobs.statistics.depth import DepthOverTime, Depths
from audiojob_api.jobs.statistics.groups import By, Group
from audiojob_api.settings import ApiSettings
from audiojob_client import models

HOUR = 3_600_000
SPAN = "from=2026-11-29T12:30:00Z&to=2026-11-29T14:00:00Z"


class MemoryHistory:
    """Keeps what it is asked."""

    unarchived = 0

    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def groups(self, begin: int, end: int, by: By) -> list[tuple[str, Group]]:
        return [(self._name(begin, by), Group(created=4, states={"Succeeded": 3, "Failed": 1}, succeeded=3))]

    async def depths(self, begin: int, end: int, by: By, queue: str | None) -> Depths:
        self.asked.append((end - begin, by, queue))
        found = [DepthOverTime(self._name(begin, by), each, 60, 90, 4, 60, 1, 5_000) for each in ("", "gpu")]
        return Depths(found, truncated=by is By.HOUR)

    async def works(self, pipeline: str) -> dict[Any, Any]:
        return {}

    def _name(self, begin: int, by: By) -> str:
        return str(begin - begin % HOUR) if by is By.HOUR else "all"


@pytest.fixture
def history(backend: MemoryBackend) -> MemoryHistory:
    return MemoryHistory()


@pytest.fixture
def statistics(backend: MemoryBackend, history: MemoryHistory) -> TestClient:
    whole = backend.backend()
    jobs = {name: replace(each, history=history) for name, each in whole.jobs.items()}
    app = create_app(ApiSettings(namespace="team"), replace(whole, jobs=jobs), backend.stopping)
    return TestClient(app, headers={"Authorization": f"Bearer {GOOD_TOKEN}"})


def test_hours_have_their_beginnings_as_names(statistics: TestClient, history: MemoryHistory) -> None:
    answer = statistics.get(f"/api/v1/stats?{SPAN}&by=hour&queue=gpu")
    read = models.read(models.Statistics, answer.content)
    assert [read.items[0].name, read.depths[0].name] == ["2026-11-29T12:00:00Z"] * 2
    assert (read.items[0].created, read.items[0].ended, read.items[0].success_rate) == (4, 4, 0.75)
    assert [each.queue for each in read.depths] == [None, "gpu"]
    assert read.truncated, "said, where the oldest are left out"
    assert (read.depths[0].mean_waiting, read.depths[0].most_waiting, read.depths[0].longest_wait_seconds) == (
        1.5,
        4,
        5,
    )
    assert history.asked == [(HOUR * 3 // 2, By.HOUR, "gpu")]


@pytest.mark.parametrize("by", ["all", "pipeline"])
def test_without_hours_there_is_one_depth_for_the_span(statistics: TestClient, by: str) -> None:
    assert {each["name"] for each in statistics.get(f"/api/v1/stats?by={by}").json()["depths"]} == {"all"}


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("from=2026-11-29T12:00:00Z&to=2026-11-29T12:00:00Z", "from: must be earlier than to"),
        ("by=hour&from=2026-01-01T00:00:00Z&to=2026-03-01T00:00:00Z", "by 31 days at most"),
        ("by=queue", "by: "),
        ("queue=No%20Name", "queue: "),
        ("from=yesterday", "from: "),
    ],
    ids=["nothing", "too long", "a group that is none", "a queue that cannot be", "a time that is none"],
)
def test_what_cannot_be_told_says_why(statistics: TestClient, query: str, words: str) -> None:
    answer = statistics.get(f"/api/v1/stats?{query}")
    assert (answer.status_code, words in answer.json()["detail"]) == (422, True), answer.text
