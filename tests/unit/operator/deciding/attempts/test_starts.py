"""Pods that cannot start, and Jobs without a pod: what is waited for, what is said, and when an attempt fails of it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.operator.builders import NOW
from tests.unit.operator.deciding.attempts.test_failures import one_phase

from audiojob_types.base import format_time
from audiojob_types.resources.job import State

# ---------------------------------------------------------------- pods that cannot start


UNSCHEDULABLE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/1 nodes are available: 1 Insufficient cpu.",
}


NO_CLAIM = UNSCHEDULABLE | {"message": 'persistentvolumeclaim "audiojob-store" not found'}


PULLING = [
    {
        "name": "runner",
        "image": "docker.io/audiojob/runner:1",
        "state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}},
    }
]


def test_no_room_is_shown_at_once_told_once_and_waited_for() -> None:
    world = one_phase()
    world.pod("only", conditions=[UNSCHEDULABLE])
    world.turn()
    assert world.state() is State.QUEUED
    assert world.condition("Progressing")["reason"] == "Unschedulable"
    assert "1 has too little CPU left" in world.status["message"]
    changed = UNSCHEDULABLE | {"message": "0/2 nodes are available: 2 Insufficient cpu."}
    world.pod("only", conditions=[changed])
    assert world.decide().empty  # the numbers change all the time; the reason has not
    world.pass_time(100_000)
    assert world.decide().empty
    world.run("only")
    world.turn()
    assert world.state() is State.RUNNING
    assert (world.phase("only").reason, world.phase("only").attempt) == (None, 1)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        pytest.param({"conditions": [NO_CLAIM]}, "VolumeMissing", id="the store claim does not exist"),
        pytest.param({"containerStatuses": PULLING}, "ImagePullFailed", id="the image cannot be pulled"),
    ],
)
def test_what_only_a_person_can_fix_is_shown_at_once_and_fails_after_the_start_timeout(
    status: dict[str, Any], reason: str
) -> None:
    world = one_phase(startTimeoutSeconds=300)
    world.pod("only", **status)
    plan = world.turn()
    assert world.phase("only").reason == reason
    assert world.state() is State.QUEUED
    assert plan.requeue_after == 300
    world.pass_time(300)
    plan = world.turn()
    error = world.job.status.error
    assert error is not None
    assert (error.reason, error.retryable) == (reason, False)
    assert "300 s" in error.message
    assert len(plan.delete_jobs) == 1


def test_a_volume_that_never_gets_ready_fails_after_the_start_timeout() -> None:
    world = one_phase()
    world.pod(
        "only",
        startTime=format_time(NOW),
        conditions=[{"type": "PodReadyToStartContainers", "status": "False"}],
        containerStatuses=[{"name": "runner", "state": {"waiting": {"reason": "ContainerCreating"}}}],
    )
    assert world.decide().empty
    world.pass_time(300)
    world.turn()
    assert world.job.status.error is not None
    assert world.job.status.error.reason == "StartTimeout"


def test_a_slow_image_pull_is_waited_for_without_limit() -> None:
    world = one_phase()
    world.pod(
        "only",
        startTime=format_time(NOW),
        conditions=[{"type": "PodReadyToStartContainers", "status": "True"}],
        containerStatuses=[{"name": "runner", "state": {"waiting": {"reason": "ContainerCreating"}}}],
    )
    world.pass_time(3_000)
    assert world.decide().empty


@pytest.mark.parametrize(
    ("looked_at", "seconds"),
    [
        pytest.param(True, 30, id="half a minute after its controller looked at it"),
        pytest.param(False, 300, id="five minutes where it stands in the controller's line"),
    ],
)
def test_a_job_whose_pod_is_not_created_says_so(looked_at: bool, seconds: int) -> None:
    world = one_phase()
    if looked_at:
        world.newest("only")["status"] = {"startTime": format_time(NOW)}
    assert world.decide().requeue_after == seconds
    world.pass_time(seconds - 1)
    assert world.decide().empty
    world.pass_time(1)
    world.turn()
    assert world.phase("only").reason == "PodStarting"
    assert world.state() is State.QUEUED
