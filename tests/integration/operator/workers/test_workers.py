"""Phases that a worker does, on a real API server: what is written, what a kill leaves, and what its end means."""

from __future__ import annotations

import signal
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from tests.integration.operator.conftest import Object, Space, make_space
from tests.integration.operator.faults.test_kill import masked
from tests.integration.operator.workers.played import POOL, PlayedWorker
from tests.support.faults.plan import Drop, Match, Plan, Rule
from tests.support.faults.proxy import FaultProxy, Strike, Write
from tests.support.operator_process import OperatorProcess

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.rest import wait_until

NAME = "song"
# Of a job of two phases: revision, event, status, telling; status, telling; event, status.
WRITES = 8


def pooled(server: LocalApiServer) -> Space:
    """A namespace whose pipeline names the pool for both phases."""
    return make_space(server, workerPool={"name": POOL})


def operator_of(space: Space, proxy: FaultProxy, folder: Path) -> OperatorProcess:
    # There is no kubelet: a pod that is deleted stays, as it does on a lost node.
    more = {"AUDIOJOB_LEASE__NAME": space.namespace, "AUDIOJOB_DISRUPTION__LOST_AFTER_SECONDS": "1"}
    return OperatorProcess(proxy.write_kubeconfig(folder / "config"), [space.namespace], folder / "log", **more)


def writes_to(proxy: FaultProxy, space: Space) -> list[Write]:
    """Writes for the AudioJob: not those for the pool itself."""
    return [each for each in proxy.record.writes_to(space.namespace) if "audioworkerpools" not in each.path]


def left_behind(space: Space) -> Object:
    """The status without times and random parts, Jobs and events."""
    job = space.job(NAME)
    status: Any = masked(job["status"], job["metadata"]["uid"], space.namespace)
    for phase in status["phases"]:
        phase["podUID"] = bool(phase.get("podUID"))
    return {
        "status": status,
        "jobs": [child["metadata"]["name"].rsplit("-", 1)[0] for child in space.batch_jobs()],
        "events": Counter(event["reason"] for event in space.events()),
    }


Undisturbed = tuple[Object, list[Write], PlayedWorker]


@pytest.fixture(scope="module")
def undisturbed(
    controllers: LocalApiServer, proxy: FaultProxy, tmp_path_factory: pytest.TempPathFactory
) -> Undisturbed:
    space = pooled(controllers)
    proxy.begin()
    operator = operator_of(space, proxy, tmp_path_factory.mktemp("worker"))
    with PlayedWorker(space) as worker, operator:
        space.submit(NAME)
        job = space.finished(NAME, story=operator.story)
    assert job["status"]["state"] == "Succeeded", job["status"]
    return left_behind(space), writes_to(proxy, space), worker


def test_both_phases_are_done_by_the_worker_and_no_job_is_made(undisturbed: Undisturbed) -> None:
    end, _, worker = undisturbed
    assert end["jobs"] == [worker.job_name.rsplit("-", 1)[0]]
    assert (worker.begun, worker.own) == ([("one", 1), ("two", 1)], [])
    assert [phase["podUID"] for phase in end["status"]["phases"]] == [True, True]
    assert all("result" not in each for each in end["status"]["progress"].values())
    assert len(end["status"]["outputs"]) == 2


def test_it_costs_one_status_and_one_telling_for_each_phase(undisturbed: Undisturbed) -> None:
    written = ("pod" if "/pods/" in write.path else write.path.rsplit("/", 1)[1] for write in undisturbed[1])
    # Where this machine lets the played worker wait for 4 s, it is told again.
    kinds = [kind for kind, _ in groupby(written)]
    assert kinds == ["controllerrevisions", "events", "status", "pod", "status", "pod", "events", "status"]
    assert len(kinds) == WRITES


@pytest.mark.parametrize("number", range(1, WRITES + 1), ids=lambda number: f"after write {number}")
def test_a_killed_operator_goes_on_where_it_was(
    controllers: LocalApiServer, proxy: FaultProxy, tmp_path: Path, undisturbed: Undisturbed, number: int
) -> None:
    space = pooled(controllers)
    operator = operator_of(space, proxy, tmp_path)
    with PlayedWorker(space) as worker, operator:
        proxy.begin(Strike(space.namespace, number, answered=False, act=lambda: operator.send(signal.SIGKILL)))
        space.submit(NAME)
        assert operator.wait(30) == -signal.SIGKILL, operator.story()
        proxy.begin()
        operator.start()
        space.finished(NAME, story=operator.story)
    assert left_behind(space) == undisturbed[0]
    assert (worker.begun, worker.own) == ([("one", 1), ("two", 1)], []), "each phase is done once"


@pytest.mark.parametrize(
    ("happens", "failures", "disruptions"),
    [
        pytest.param("is deleted", 0, 1, id="a worker whose node is lost"),
        pytest.param("out of memory", 1, 0, id="a worker that ran out of memory"),
        pytest.param("told otherwise", 0, 1, id="a worker whose annotation somebody has changed"),
    ],
)
def test_a_phase_that_its_worker_does_not_end_has_a_job_of_its_own(
    controllers: LocalApiServer, proxy: FaultProxy, tmp_path: Path, happens: str, failures: int, disruptions: int
) -> None:
    space = pooled(controllers)
    proxy.begin()
    operator = operator_of(space, proxy, tmp_path)
    with PlayedWorker(space, reports=lambda _phase: False) as worker, operator:
        space.submit(NAME)
        space.until(NAME, lambda status: "begun" in str(status.get("progress")), "its begin", story=operator.story)
        match happens:
            case "is deleted":
                path = (
                    f"/api/v1/namespaces/{space.namespace}/pods/{worker.pod()['metadata']['name']}?gracePeriodSeconds=0"
                )
                space.rest.request("DELETE", path)
            case "out of memory":
                worker.end(75, exitCode=137, reason="OOMKilled")
            case _:
                worker.tell_otherwise()
        again = {("one", 2)}
        space.until(NAME, lambda _status: again <= set(worker.own), "its own Job", story=operator.story)
        one = space.job(NAME)["status"]["phases"][0]
    assert (one.get("failures", 0), one.get("disruptions", 0), one["attempt"]) == (failures, disruptions, 2)
    assert "podUID" not in one


def test_what_a_worker_does_while_the_operator_is_cut_off_is_recorded_and_not_done_again(
    controllers: LocalApiServer, proxy: FaultProxy, tmp_path: Path
) -> None:
    space, cut_off = pooled(controllers), False
    proxy.begin()
    operator = operator_of(space, proxy, tmp_path)
    with PlayedWorker(space, reports=lambda phase: cut_off or phase.phase != "one") as worker, operator:
        space.submit(NAME)
        space.until(NAME, lambda status: "begun" in str(status.get("progress")), "its begin", story=operator.story)
        proxy.follow(Plan((Rule(Match(), Drop()),)))
        cut_off = True
        space.until(NAME, lambda status: "result" in str(status.get("progress")), "its result", story=operator.story)
        wait_until("calls in vain", lambda: len(proxy.record.faults) > 3, seconds=30)
        assert space.job(NAME)["status"]["phases"][0]["state"] == "Running"
        proxy.follow()
        job = space.finished(NAME, story=operator.story)
    assert job["status"]["state"] == "Succeeded", job["status"]
    assert (worker.begun, worker.own) == ([("one", 1), ("two", 1)], [])


def test_a_job_that_is_cancelled_leaves_its_worker_alone(
    controllers: LocalApiServer, proxy: FaultProxy, tmp_path: Path
) -> None:
    space = pooled(controllers)
    proxy.begin()
    operator = operator_of(space, proxy, tmp_path)
    with PlayedWorker(space, reports=lambda _phase: False) as worker, operator:
        space.submit(NAME)
        space.until(NAME, lambda status: "begun" in str(status.get("progress")), "its begin", story=operator.story)
        space.patch(NAME, {"cancel": True})
        job = space.finished(NAME, story=operator.story)
        assert "deletionTimestamp" not in worker.pod()["metadata"]
    assert job["status"]["phases"][0]["state"] == "Cancelled"
    assert [child["metadata"]["name"] for child in space.batch_jobs()] == [worker.job_name]
