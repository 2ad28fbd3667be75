"""Phases that a worker is told ahead, on a real API server: at work in one place at most, whatever happens."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.integration.operator.conftest import Object, Space
from tests.integration.operator.workers.played import PlayedWorker
from tests.integration.operator.workers.test_workers import operator_of, pooled
from tests.support.faults.proxy import FaultProxy, Strike
from tests.support.operator_process import OperatorProcess

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_types.contract import PhaseInput

FIRST, SECOND = "first", "second"


class Two:
    """A job whose phase a worker has, and another one whose phase that worker is told ahead."""

    def __init__(self, space: Space, worker: PlayedWorker, operator: OperatorProcess) -> None:
        self.space, self.worker, self.operator = space, worker, operator

    def begin(self) -> None:
        self.space.submit(FIRST)
        self.until(lambda: FIRST in self.worker.jobs, "the first one's begin")
        self.space.submit(SECOND)
        self.until(lambda: SECOND in self.worker.told_ahead, "what it is told ahead")

    def until(self, check: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + 60
        while not check():
            assert time.monotonic() < deadline, f"{what}: {self.phase(SECOND)}{self.operator.story()}"
            time.sleep(0.05)

    def phase(self, name: str) -> Object:
        found: Object = self.space.job(name).get("status", {}).get("phases", [{}])[0]
        return found


def held(released: list[str]) -> Callable[[PhaseInput], bool]:
    """Phases of the first job end once that is released."""
    return lambda phase: phase.job != FIRST or bool(released)


def test_it_begins_at_once_when_the_one_before_has_ended_and_each_phase_is_done_once(
    controllers: LocalApiServer, proxy: FaultProxy, tmp_path: Path
) -> None:
    space, released = pooled(controllers), list[str]()
    proxy.begin()
    with PlayedWorker(space, held(released)) as worker, operator_of(space, proxy, tmp_path) as operator:
        two = Two(space, worker, operator)
        two.begin()
        waits = two.phase(SECOND)
        assert (waits["state"], waits["reason"], waits["attempt"]) == ("Waiting", "ToldToWorker", 1)
        assert "startTime" not in waits
        released.append("now")
        ends = [space.finished(name, story=operator.story)["status"] for name in (FIRST, SECOND)]
    assert [end["state"] for end in ends] == ["Succeeded", "Succeeded"]
    assert worker.jobs == [FIRST, SECOND, FIRST, SECOND], "the longest waiter is the next one"
    assert worker.own == []
    assert [phase["attempt"] for end in ends for phase in end["phases"]] == [1, 1, 1, 1]
    assert all("startTime" in phase and "boundTime" in phase for end in ends for phase in end["phases"])


def test_an_operator_that_is_killed_after_each_of_its_writes_loses_and_doubles_nothing(
    controllers: LocalApiServer, proxy: FaultProxy, tmp_path: Path
) -> None:
    space, lives = pooled(controllers), 0
    with PlayedWorker(space) as worker, operator_of(space, proxy, tmp_path) as operator:

        def strike_at(number: int) -> int:
            proxy.begin(Strike(space.namespace, number, answered=False, act=lambda: operator.send(signal.SIGKILL)))
            return number

        proxy.begin()
        for name in (FIRST, SECOND):
            space.submit(name)
        deadline, due = time.monotonic() + 120, strike_at(1)
        while not all(space.job(name).get("status", {}).get("state") == "Succeeded" for name in (FIRST, SECOND)):
            assert time.monotonic() < deadline, f"{lives} lives{operator.story()}"
            try:
                assert operator.wait(0.1) == -signal.SIGKILL, operator.story()
            except subprocess.TimeoutExpired:
                if len(proxy.record.writes_to(space.namespace)) >= due:  # one of the life before came late
                    due = strike_at(1)
                continue
            lives, due = lives + 1, strike_at(1 + lives % 2)
            operator.start()
    assert lives > 5
    assert sorted(worker.jobs) == [FIRST, FIRST, SECOND, SECOND], "each phase has begun once"
    assert worker.own == []


@pytest.mark.parametrize("how", ["cancel", "suspend"])
def test_what_is_taken_back_does_not_begin(
    controllers: LocalApiServer, proxy: FaultProxy, tmp_path: Path, how: str
) -> None:
    space, released = pooled(controllers), list[str]()
    proxy.begin()
    with PlayedWorker(space, held(released)) as worker, operator_of(space, proxy, tmp_path) as operator:
        two = Two(space, worker, operator)
        two.begin()
        space.patch(SECOND, {how: True})
        wanted = {"cancel": "Cancelled", "suspend": "Suspended"}[how]
        two.until(lambda: space.job(SECOND)["status"]["state"] == wanted, "the job's state")
        released.append("now")
        assert space.finished(FIRST, story=operator.story)["status"]["state"] == "Succeeded"
    assert worker.jobs == [FIRST, FIRST]
    assert two.phase(SECOND).get("failures", 0) == 0


def test_a_worker_that_is_free_takes_it_over(controllers: LocalApiServer, proxy: FaultProxy, tmp_path: Path) -> None:
    space = pooled(controllers)
    proxy.begin()
    with (
        PlayedWorker(space, lambda phase: phase.job != FIRST, most=2) as worker,
        operator_of(space, proxy, tmp_path) as operator,
    ):
        two = Two(space, worker, operator)
        two.begin()
        worker.more.set()
        end = space.finished(SECOND, story=operator.story)["status"]
        assert (end["state"], [phase["attempt"] for phase in end["phases"]]) == ("Succeeded", [2, 1])
        assert worker.jobs == [FIRST, SECOND, SECOND], "the first job's phase still has its worker"
        assert worker.own == []


def test_a_worker_that_is_lost_costs_what_it_is_told_ahead_nothing(
    controllers: LocalApiServer, proxy: FaultProxy, tmp_path: Path
) -> None:
    space = pooled(controllers)
    proxy.begin()
    ends = lambda phase: phase.job == SECOND  # noqa: E731
    with PlayedWorker(space, ends) as worker, operator_of(space, proxy, tmp_path) as operator:
        two = Two(space, worker, operator)
        two.begin()
        name = worker.pod()["metadata"]["name"]
        space.rest.request("DELETE", f"/api/v1/namespaces/{space.namespace}/pods/{name}?gracePeriodSeconds=0")
        worker.more.set()
        two.until(lambda: (FIRST, 2) in worker.own_jobs, "a Job of its own of what it had begun")
        space.finished(SECOND, story=operator.story)
        phases = [two.phase(each) for each in (FIRST, SECOND)]
    assert [(each.get("disruptions", 0), each.get("failures", 0)) for each in phases] == [(1, 0), (0, 0)]
    assert (worker.jobs[:2], phases[1]["attempt"]) == ([FIRST, SECOND], 2), "the next worker of the pool"
