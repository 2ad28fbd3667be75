"""What holds a job up and what ends it, with one operator process that lets one job run at a time."""

# ruff: noqa: N802 - row ids as the fault table writes them

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.integration.operator.conftest import Object, Space, make_pipeline, make_space, working
from tests.support.faults.proxy import FaultProxy
from tests.support.podrunner import ended, running, succeed

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.rest import RestError, wait_until
from audiojob_types.contract import ExitCode, Outcome, PhaseInput, PhaseResult

_NO_CLAIM = '0/1 nodes are available: persistentvolumeclaim "audiojob-store" not found.'
_NO_ROOM = "0/1 nodes are available: 1 Insufficient memory."


def play(phase: PhaseInput, pod: Object) -> Object:
    """What becomes of a pod is in its job's name: ``kind-…``."""
    match phase.job.split("-")[0], phase.attempt:
        case "stays", _:
            return running()
        case "claimless", _:
            return unscheduled(_NO_CLAIM)
        case "crowded", _:
            return unscheduled(_NO_ROOM)
        case "drained", 1 | 2:
            return drained()
        case "hungry", _:
            return ended(137, None, reason="OOMKilled")
        case "failing", _:
            return ended(ExitCode.TEMPORARY, PhaseResult(outcome=Outcome.FAILED, message="The source is busy."))
        case "hopeless", _:
            return ended(ExitCode.NOT_MEDIA, PhaseResult(outcome=Outcome.FAILED, message="This is no audio."))
    return succeed(phase, pod)


def unscheduled(message: str) -> Object:
    """A pod that no node takes."""
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return {"phase": "Pending", "conditions": [condition]}


def drained() -> Object:
    """A pod that was ended for its node's sake."""
    condition = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
    }
    return {**ended(143, None), "conditions": [condition]}


@pytest.fixture(scope="module")
def here(controllers: LocalApiServer, proxy: FaultProxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Space]:
    """A namespace with an operator and somebody who plays the pods."""
    space, folder = make_space(controllers, startTimeoutSeconds=2), tmp_path_factory.mktemp("waiting")
    with working(space, proxy, folder, play, AUDIOJOB_CAPACITY__MAX_RUNNING="1"):
        yield space


@contextmanager
def submitted(space: Space, kind: str, **spec: object) -> Iterator[str]:
    """The name of a new job of the kind; it gives its slot back at the end."""
    name = f"{kind}-{uuid.uuid4().hex[:6]}"
    space.submit(name, **spec)
    try:
        yield name
    finally:
        space.rest.request("DELETE", f"{space.jobs_path}/{name}", {"propagationPolicy": "Background"})
        wait_until("its deletion", lambda: is_gone(space, name), seconds=60)


def is_gone(space: Space, name: str) -> bool:
    try:
        space.job(name)
    except RestError as error:
        return error.status == 404
    return False


def children(space: Space, name: str) -> list[Object]:
    return [job for job in space.batch_jobs() if job["metadata"]["name"].startswith(f"{name}-")]


def admitted(status: Object) -> str:
    """The reason of the condition Admitted."""
    return next((str(one["reason"]) for one in status.get("conditions", ()) if one["type"] == "Admitted"), "")


def test_a_full_pool_lets_the_next_job_wait_until_a_slot_is_free(here: Space) -> None:
    with submitted(here, "stays") as first:
        here.until(first, lambda status: status.get("state") == "Running", "its start")
        with submitted(here, "short") as second:
            status = here.until(second, lambda status: status.get("state") == "Queued", "a reason to wait")["status"]
            assert "1 of 1" in status["message"]
            assert admitted(status) == "QueueFull"
            assert not children(here, second)
            here.patch(first, {"cancel": True})
            assert here.finished(second)["status"]["state"] == "Succeeded"


def test_a_deleted_job_gives_its_slot_back(here: Space) -> None:
    with submitted(here, "stays") as first:
        here.until(first, lambda status: status.get("state") == "Running", "its start")
    wait_until("its Job's end", lambda: not children(here, first), seconds=60)
    with submitted(here, "short") as second:
        assert here.finished(second)["status"]["state"] == "Succeeded"


def test_a_job_waits_for_its_pipeline_and_starts_when_it_appears(here: Space, controllers: LocalApiServer) -> None:
    pipeline = f"late-{uuid.uuid4().hex[:6]}"
    with submitted(here, "short", pipeline=pipeline) as name:
        status = here.until(name, lambda status: status.get("state") == "Queued", "a reason to wait")["status"]
        assert pipeline in status["message"]
        assert not children(here, name)
        make_pipeline(controllers, pipeline)
        assert here.finished(name)["status"]["state"] == "Succeeded"


def test_a_missing_claim_ends_the_job_and_is_named(here: Space) -> None:
    with submitted(here, "claimless") as name:
        status = here.finished(name)["status"]
        assert status["error"]["reason"] == "VolumeMissing"
        assert "audiojob-store" in status["error"]["message"]
        wait_until("no live Job", lambda: not children(here, name), seconds=60)


def test_want_of_room_is_told_and_waited_for(here: Space) -> None:
    with submitted(here, "crowded") as name:
        status = here.until(name, lambda status: "too little memory" in status.get("message", ""), "the line")["status"]
        assert status["state"] not in ("Failed", "Succeeded", "Cancelled")
        assert len(children(here, name)) == 1


def test_F27_a_drained_node_costs_no_attempt_of_the_budget(here: Space) -> None:
    with submitted(here, "drained") as name:
        status = here.finished(name)["status"]
    phase = status["phases"][0]
    assert status["state"] == "Succeeded"
    assert (phase["attempt"], phase.get("failures", 0), phase["disruptions"]) == (3, 0, 2)


@pytest.mark.parametrize(
    ("kind", "reason", "attempts", "counted"),
    [
        pytest.param("failing", "TemporaryFailure", 3, 3, id="a temporary failure is final after the last retry"),
        pytest.param("hungry", "OutOfMemory", 3, 3, id="want of memory is tried again and named"),
        pytest.param("hopeless", "NotMedia", 1, 0, id="bad input is not tried again"),
    ],
)
def test_failures_that_stay(here: Space, kind: str, reason: str, attempts: int, counted: int) -> None:
    with submitted(here, kind) as name:
        status = here.finished(name)["status"]
        phase = status["phases"][0]
        assert (status["state"], status["error"]["reason"], status["error"]["phase"]) == ("Failed", reason, "one")
        assert (phase["attempt"], phase["failures"]) == (attempts, counted)
        assert status["error"]["suggestion"]
        assert len(children(here, name)) == attempts
