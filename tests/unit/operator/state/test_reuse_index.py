"""Who has done which work, who is at it, and who is woken when that changes."""

from __future__ import annotations

from typing import Any

import pytest

from audiojob_operator.records.objects import Key, Object
from audiojob_operator.state.reuse_index import ReuseIndex

HERE, THERE = "music", "speech"
ONE, TWO, THREE = (HERE, "one"), (HERE, "two"), (HERE, "three")
WORK = (HERE, "k")


class World:
    """An index and whom it woke."""

    def __init__(self, most: int = 10) -> None:
        self.woken: list[Key] = []
        self.index = ReuseIndex(self.woken.append, most)

    def at_work(self, me: Key) -> list[Key]:
        return [key for key, _ in self.index.at_work(WORK, me)]


def record(state: str, key: str = "k", **more: Any) -> Object:
    done = {"manifest": {"key": "x"}, "completionTime": "2026-03-01T12:00:00Z"} if state == "Succeeded" else {}
    return {"name": "p", "state": state, "reuseKey": key, **done, **more}


def job(*records: Object, state: str = "Running") -> Object:
    return {"status": {"state": state, "phases": list(records)}}


def test_a_finished_phase_is_a_donor_in_its_namespace_only() -> None:
    index = World().index
    index.seen(ONE, job(record("Succeeded")))
    assert index.donor(WORK) == "one"
    assert index.donor((THERE, "k")) is None


@pytest.mark.parametrize(
    "phase",
    [
        pytest.param(record("Running"), id="a phase that runs"),
        pytest.param(record("Succeeded", manifest=None), id="one without a manifest"),
        pytest.param({"name": "p", "state": "Succeeded", "manifest": {"key": "x"}}, id="one without a key"),
    ],
)
def test_no_donor_is(phase: Object) -> None:
    index = World().index
    index.seen(ONE, job(phase))
    assert index.donor(WORK) is None


def test_the_newest_donor_counts_whatever_the_order() -> None:
    index = World().index
    index.learn(ONE, job(record("Succeeded", completionTime="2026-03-01T12:00:00Z")))
    index.learn(TWO, job(record("Succeeded", completionTime="2026-03-01T11:00:00Z")))
    assert index.donor(WORK) == "one"


def test_who_turned_out_to_be_none_is_dropped_and_nobody_else() -> None:
    index = World().index
    index.learn(ONE, job(record("Succeeded")))
    index.drop(WORK, "two")
    assert index.donor(WORK) == "one"
    index.drop(WORK, "one")
    assert index.donor(WORK) is None


def test_only_the_newest_are_remembered() -> None:
    index = World(most=100).index
    for number in range(1_000):
        moment = f"2026-03-01T12:{number // 60:02}:{number % 60:02}Z"
        index.learn((HERE, f"job-{number}"), job(record("Succeeded", key=f"k{number}", completionTime=moment)))
        assert len(index) <= 125
    assert index.donor((HERE, "k999")) == "job-999"
    index.learn((HERE, "old"), job(record("Succeeded", key="k0", completionTime="2026-03-01T12:00:00Z")))
    assert index.donor((HERE, "k0")) is None, "what was let go is not taken up at every sweep"


def test_a_waiter_is_woken_by_the_end_of_the_work_and_by_nothing_before() -> None:
    world = World()
    world.index.seen(ONE, job(record("Running")))
    assert world.at_work(TWO) == [ONE]
    assert world.at_work(ONE) == []
    world.index.wait(WORK, TWO)
    world.index.seen(ONE, job(record("Running")))
    assert world.woken == []
    world.index.seen(ONE, job(record("Succeeded")))
    assert world.woken == [TWO]
    assert world.at_work(TWO) == []


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(job(record("Waiting")), id="it fails and waits for its next attempt"),
        pytest.param(job(record("Cancelled"), state="Cancelled"), id="it is cancelled"),
        pytest.param(job(record("Running", reason="Unschedulable")), id="something holds it up"),
        pytest.param(job(record("Running"), state="Failed"), id="the job ends"),
    ],
)
def test_a_waiter_is_woken_when(after: Object) -> None:
    world = World()
    world.index.seen(ONE, job(record("Running")))
    world.index.wait(WORK, TWO)
    world.index.seen(ONE, after)
    assert world.woken == [TWO]


def test_a_waiter_is_woken_when_the_job_is_gone() -> None:
    world = World()
    world.index.seen(ONE, job(record("Running")))
    world.index.wait(WORK, TWO)
    world.index.gone(ONE)
    assert world.woken == [TWO]


def test_who_waits_no_more_is_not_woken() -> None:
    world = World()
    world.index.seen(ONE, job(record("Running")))
    world.index.wait(WORK, TWO)
    world.index.forget_waits(TWO)
    world.index.seen(ONE, job(record("Succeeded")))
    assert world.woken == []


@pytest.mark.parametrize(
    ("status", "made", "woken"),
    [
        pytest.param(None, False, [TWO], id="it did not begin: the next one may"),
        pytest.param(None, True, [], id="its Job exists, though no status shows it"),
        pytest.param(job(record("Running")), False, [], id="it has begun, and its end will wake the others"),
    ],
)
def test_the_end_of_a_reconcile_that_claimed_the_work(status: Object | None, made: bool, woken: list[Key]) -> None:
    world = World()
    world.index.wait(WORK, TWO)
    if status is not None:
        world.index.seen(ONE, status)
    world.index.unclaimed(WORK, ONE, begun=made)
    assert world.woken == woken


def test_the_end_of_a_job_whose_status_tells_of_it_wakes_nobody_before_the_status_does() -> None:
    world = World()
    world.index.seen(ONE, job(record("Running")))
    world.index.wait(WORK, TWO)
    world.index.job_ended(WORK)
    assert world.woken == []
    world.index.wait((HERE, "other"), THREE)
    world.index.job_ended((HERE, "other"))
    assert world.woken == [THREE]


def test_what_a_worker_is_told_ahead_is_at_work_until_it_is_taken_back() -> None:
    world = World()
    world.index.seen(ONE, job(record("Waiting", reason="ToldToWorker", podUID="pod")))
    assert list(world.index.at_work(WORK, TWO)) == [(ONE, "ToldToWorker")]
    world.index.wait(WORK, TWO)
    world.index.seen(ONE, job(record("Waiting", reason="WaitingForWorker", podUID="pod")))
    assert (world.at_work(TWO), TWO in world.woken) == ([], True)
