"""What only a sweep finds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.polling import eventually
from tests.unit.operator.listening import Heard

from audiojob_kube.backoff import Backoff
from audiojob_kube.errors import ServerError, TransportError
from audiojob_kube.objects import ObjectList
from audiojob_operator.metrics.registry import Metrics
from audiojob_operator.settings_groups import Sweep
from audiojob_operator.state.caches import Caches
from audiojob_operator.watching import sweep as sweep_module
from audiojob_operator.watching.sweep import Sweeper
from audiojob_types.base import format_time

KEY = ("team", "song")


class Listing:
    """An API server that only lists."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self.failures: list[Exception] = []
        self.lists = 0

    async def pages(self, *_: Any, **__: Any) -> AsyncIterator[ObjectList]:
        self.lists += 1
        if self.failures:
            raise self.failures.pop(0)
        yield ObjectList(items=self.items, resource_version="9")


def audiojob(version: str, age_seconds: float = 3_600) -> dict[str, Any]:
    created = format_time(datetime.now(UTC) - timedelta(seconds=age_seconds))
    metadata = {
        "namespace": KEY[0],
        "name": KEY[1],
        "uid": "u",
        "resourceVersion": version,
        "creationTimestamp": created,
    }
    return {"metadata": metadata, "spec": {"pipeline": "p"}, "status": {"state": "Queued"}}


def sweeper(server: Listing, woken: list[Any]) -> tuple[Sweeper, Caches]:
    caches = Caches(server, (KEY[0],), Heard(woken=woken))  # type: ignore[arg-type]  # only pages is called
    return Sweeper(server, caches, woken.append, Metrics(), Sweep()), caches  # type: ignore[arg-type]


def missed(sweep: Sweeper) -> float | None:
    return sweep._metrics.registry.get_sample_value("audiojob_operator_missed_events_total")


@contextmanager
def following(sweep: Sweeper) -> Iterator[None]:
    """The task that lists again after gaps."""
    task = asyncio.create_task(sweep.follow_gaps())
    try:
        yield
    finally:
        task.cancel()


async def test_a_job_that_was_deleted_unseen_is_forgotten_and_looked_at() -> None:
    woken: list[Any] = []
    sweep, caches = sweeper(Listing(), woken)
    caches.audiojobs.put(audiojob("1"))
    woken.clear()
    await sweep.active()
    assert caches.audiojobs.get(KEY) is None
    assert woken == [KEY]


async def test_a_job_that_no_watch_brought_is_taken_over_and_counted() -> None:
    woken: list[Any] = []
    server = Listing()
    server.items = [audiojob("5")]
    sweep, caches = sweeper(server, woken)
    await sweep.audit()
    assert caches.audiojobs.get(KEY) is not None
    assert woken == [KEY]
    assert missed(sweep) == 1.0
    await sweep.audit()
    assert missed(sweep) == 1.0


async def test_the_first_list_and_a_list_after_a_gap_count_nothing_as_missed() -> None:
    server = Listing()
    server.items = [audiojob("5")]
    sweep, caches = sweeper(server, [])
    await sweep.catch_up()
    assert caches.audiojobs.get(KEY) is not None
    assert missed(sweep) == 0.0


async def test_a_job_of_the_last_moments_may_still_be_on_its_way_through_the_watch() -> None:
    server = Listing()
    server.items = [audiojob("5", age_seconds=2)]
    sweep, caches = sweeper(server, [])
    await sweep.audit()
    assert caches.audiojobs.get(KEY) is not None
    assert missed(sweep) == 0.0


async def test_a_gap_is_followed_by_a_list_at_once_that_finds_new_and_deleted_jobs() -> None:
    woken: list[Any] = []
    server = Listing()
    sweep, caches = sweeper(server, woken)
    with following(sweep):
        await asyncio.sleep(0)
        assert server.lists == 0, "without a gap nothing is listed"
        server.items = [audiojob("5")]
        sweep.gap()
        await eventually(lambda: caches.audiojobs.get(KEY) is not None, "the new job")
        woken.clear()
        server.items = []
        sweep.gap()
        await eventually(lambda: woken == [KEY], "the deleted job to be looked at")
        assert caches.audiojobs.get(KEY) is None
    assert server.lists == 2


async def test_a_list_that_fails_after_a_gap_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_module, "_RETRIES", Backoff(first_seconds=0.001, cap_seconds=0.001))
    server = Listing()
    server.items = [audiojob("5")]
    server.failures = [TransportError("connection refused"), ServerError(503, "ServiceUnavailable", "busy")]
    sweep, caches = sweeper(server, [])
    with following(sweep):
        sweep.gap()
        await eventually(lambda: caches.audiojobs.get(KEY) is not None, "the job")
    assert server.lists == 3


async def test_a_fault_of_ours_in_a_list_ends_neither_the_process_nor_the_lists() -> None:
    server = Listing()
    server.items = [audiojob("5")]
    server.failures = [KeyError("bug")]
    sweep, caches = sweeper(server, [])
    with following(sweep):
        sweep.gap()
        await eventually(lambda: caches.audiojobs.get(KEY) is not None, "the job")


async def test_a_fault_of_ours_in_a_sweep_ends_neither_the_process_nor_the_sweeps() -> None:
    server = Listing()
    server.failures = [KeyError("bug")] * 5
    caches = Caches(server, (KEY[0],), Heard())  # type: ignore[arg-type]  # only pages is called
    pace = Sweep(active_seconds=0.01, finished_seconds=0.01)
    sweep = Sweeper(server, caches, lambda _: None, Metrics(), pace)  # type: ignore[arg-type]
    task = asyncio.create_task(sweep.run())
    try:
        await eventually(lambda: server.lists > 7, "it to go on")
        assert not task.done()
    finally:
        task.cancel()


class Touchy(Heard):
    """Fails over one AudioJob."""

    def job_stored(self, key: Any, obj: Any) -> None:
        if key[1] == "odd":
            raise KeyError("bug")


def named(name: str, **status: Any) -> dict[str, Any]:
    obj = audiojob("5")
    obj["metadata"] |= {"name": name, "uid": f"uid-{name}"}
    return obj | {"status": {"state": "Queued", **status}}


async def test_one_odd_object_hides_no_other_from_a_list() -> None:
    server = Listing()
    server.items = [named("odd"), named("song")]
    caches = Caches(server, (KEY[0],), Touchy())  # type: ignore[arg-type]  # only pages is called
    await Sweeper(server, caches, lambda _: None, Metrics(), Sweep()).active()  # type: ignore[arg-type]
    assert caches.audiojobs.get(KEY) is not None


async def test_one_odd_object_keeps_no_other_that_must_go() -> None:
    server, woken = Listing(), list[Any]()
    long_ago = {"state": "Succeeded", "completionTime": "2020-01-01T00:00:00Z", "conditions": []}
    server.items = [named("odd", **long_ago), named("song", **long_ago)]
    for item in server.items:
        item["spec"]["ttlSecondsAfterFinished"] = 1

    def learn(key: Any, obj: Any) -> None:
        if key[1] == "odd":
            raise KeyError("bug")

    caches = Caches(server, (KEY[0],), Heard())  # type: ignore[arg-type]  # only pages is called
    await Sweeper(server, caches, woken.append, Metrics(), Sweep(), learn).finished()  # type: ignore[arg-type]
    assert set(woken) == {KEY}


async def test_gaps_that_come_while_a_list_is_made_cause_one_more_list() -> None:
    server = Listing()
    sweep, _ = sweeper(server, [])
    for _ in range(5):
        sweep.gap()
    with following(sweep):
        await eventually(lambda: server.lists == 1, "one list")
        await asyncio.sleep(0.05)
    assert server.lists == 1


async def test_a_job_that_is_known_as_it_is_causes_nothing() -> None:
    woken: list[Any] = []
    server = Listing()
    server.items = [audiojob("5")]
    sweep, caches = sweeper(server, woken)
    caches.audiojobs.put(audiojob("5"))
    woken.clear()
    await sweep.active()
    assert woken == []


async def test_finished_jobs_of_our_namespaces_are_told_to_who_wants_to_know() -> None:
    server = Listing()
    told: list[Any] = []
    server.items = [audiojob("5")]
    caches = Caches(server, (KEY[0],), Heard())  # type: ignore[arg-type]  # only pages is called
    sweep = Sweeper(server, caches, told.append, Metrics(), Sweep(), lambda key, _obj: told.append(key))  # type: ignore[arg-type]
    await sweep.finished()
    assert set(told) == {KEY}
    told.clear()
    server.items = [audiojob("5") | {"metadata": audiojob("5")["metadata"] | {"namespace": "elsewhere"}}]
    await sweep.finished()
    assert told == []


ELSEWHERE = {"begun by another": {"pipelineRevision": "p-1"}, "queued by another": {"observedGeneration": 1}}


def elsewhere(name: str, **status: Any) -> dict[str, Any]:
    """A job of a namespace that is not in jobNamespaces."""
    obj = audiojob("5")
    obj["metadata"] |= {"namespace": "elsewhere", "name": name, "generation": 1}
    obj["status"] = {"state": "Running", **status}
    return obj


async def test_finished_jobs_of_namespaces_that_are_not_ours_are_neither_read_nor_looked_at() -> None:
    server, woken = Listing(), list[Any]()
    ended = {"state": "Succeeded", "completionTime": "2020-01-01T00:00:00Z"}
    server.items = [elsewhere("theirs", pipelineRevision="p-1", **ended), elsewhere("nobodys", **ended)]
    sweep, _ = sweeper(server, woken)
    await sweep.finished()
    assert woken == []


@pytest.mark.parametrize("status", ELSEWHERE.values(), ids=ELSEWHERE)
async def test_unfinished_jobs_that_are_left_to_others_are_counted_and_told_once(
    status: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    server = Listing()
    sweep, _ = sweeper(server, [])

    async def counted(*items: dict[str, Any]) -> float | None:
        server.items = list(items)
        await sweep.audit()
        return sweep._metrics.registry.get_sample_value("audiojob_operator_foreign_audiojobs")

    one, two = elsewhere("one", **status), elsewhere("two", **status)
    young = audiojob("5", age_seconds=2)
    with caplog.at_level(logging.WARNING):
        assert await counted(young) == 0
        assert caplog.messages == []
        assert await counted(young, one) == 1
        assert await counted(young, one, two) == 2
        assert len(caplog.messages) == 1
        assert caplog.messages[0].startswith("1 unfinished AudioJobs")
        assert await counted(young) == 0
        assert await counted(young, two) == 1
        assert len(caplog.messages) == 2


@pytest.mark.parametrize(
    ("kind", "age_seconds", "looked_at"),
    [
        pytest.param("Failed", 601, [KEY], id="a failed Job that should be gone"),
        pytest.param("Failed", 300, [], id="a failed Job that is still kept"),
        pytest.param("Complete", 3_000, [], id="a successful Job goes by its own TTL"),
    ],
)
async def test_a_finished_job_is_looked_at_for_the_sake_of_its_failed_jobs(
    kind: str, age_seconds: float, looked_at: list[Any]
) -> None:
    woken: list[Any] = []
    server = Listing()
    done = audiojob("5")
    done["status"] = {"state": "Failed"}
    server.items = [done]
    sweep, caches = sweeper(server, woken)
    ended = format_time(datetime.now(UTC) - timedelta(seconds=age_seconds))
    owner = {"kind": "AudioJob", "name": KEY[1], "uid": "u", "controller": True}
    caches.namespaces[KEY[0]].jobs.put(
        {
            "metadata": {
                "namespace": KEY[0],
                "name": "child",
                "uid": "c",
                "resourceVersion": "7",
                "ownerReferences": [owner],
            },
            "status": {"conditions": [{"type": kind, "status": "True", "lastTransitionTime": ended}]},
        }
    )
    woken.clear()
    await sweep.finished()
    assert sorted(set(woken)) == looked_at
