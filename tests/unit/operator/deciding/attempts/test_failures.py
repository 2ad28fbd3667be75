"""Attempts that fail: what counts, what is tried again, when, and where."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.operator.builders import NOW, World, audio_job, phase, pipeline, result_message, with_settings

from audiojob_operator.records.settings import Disruption
from audiojob_types.base import format_time
from audiojob_types.contract import Device
from audiojob_types.reasons import EXPLANATIONS, Reason
from audiojob_types.resources.job import PhaseState, State


def one_phase(**more: Any) -> World:
    world = World(pipeline=pipeline(phase("only", **more)))
    world.turn()
    return world


def retry(world: World) -> None:
    """Record the failure, let the backoff pass, and start the next attempt."""
    world.turn()
    world.pass_time(601)
    world.turn()


def test_a_temporary_failure_is_counted_and_tried_again_after_a_backoff() -> None:
    world = one_phase()
    world.fail("only", 75, message="The site is busy.")
    plan = world.turn()
    record = world.phase("only")
    assert (record.state, record.failures, record.attempt) == (PhaseState.WAITING, 1, 1)
    assert record.next_attempt_time is not None
    assert 1 <= (record.next_attempt_time - NOW).total_seconds() <= 2
    assert plan.requeue_after == pytest.approx((record.next_attempt_time - NOW).total_seconds())
    assert world.state() is State.RUNNING
    assert world.condition("Progressing")["reason"] == "BackingOff"
    assert world.decide().create_jobs == ()
    world.pass_time(2)
    world.turn()
    record = world.phase("only")
    assert (record.state, record.attempt, record.next_attempt_time) == (PhaseState.RUNNING, 2, None)
    assert (record.reason, record.message) == (None, None)


def test_the_third_counted_failure_ends_the_phase_and_the_job_by_default() -> None:
    world = one_phase()
    for _ in range(2):
        world.fail("only", 75)
        retry(world)
    world.fail("only", 75, message="The site is busy.")
    world.turn()
    status = world.job.status
    assert status.state is State.FAILED
    assert (world.phase("only").attempt, world.phase("only").failures) == (3, 3)
    assert status.error is not None
    assert (status.error.phase, status.error.reason) == ("only", "TemporaryFailure")
    assert (status.error.message, status.error.retryable) == ("The site is busy.", True)
    assert status.error.suggestion
    assert len(world.created_jobs) == 3


def test_a_retry_limit_of_one_means_no_retry() -> None:
    world = World(audiojob=audio_job(retry={"limit": 1}))
    world.turn()
    world.fail("first", 75)
    world.turn()
    assert world.state() is State.FAILED


def test_without_a_base_the_next_attempt_starts_in_the_same_round() -> None:
    world = World(audiojob=audio_job(retry={"limit": 3, "baseSeconds": 0}))
    world.turn()
    world.fail("first", 75)
    plan = world.turn()
    assert len(plan.create_jobs) == 1
    assert world.phase("first").attempt == 2


def test_the_backoff_doubles_up_to_its_cap_and_is_the_same_for_the_same_attempt() -> None:
    waits: list[list[float]] = []
    for _ in range(2):
        world = World(audiojob=audio_job(retry={"limit": 10, "baseSeconds": 100, "capSeconds": 300}))
        world.turn()
        waits.append([])
        for _ in range(4):
            world.fail("first", 75)
            world.turn()
            next_time = world.phase("first").next_attempt_time
            assert next_time is not None
            waits[-1].append((next_time - world.now).total_seconds())
            world.now = next_time
            world.turn()
    assert waits[0] == waits[1]
    for wait, bound in zip(waits[0], (100, 200, 300, 300), strict=True):
        assert bound / 2 <= wait <= bound + 1


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        pytest.param(64, "ModelMissing", id="usage: the model is not there"),
        pytest.param(65, "NotMedia", id="not media"),
        pytest.param(66, "SourceUnavailable", id="the source is gone"),
        pytest.param(69, "BlockedAddress", id="a blocked address"),
        pytest.param(77, "CredentialsRefused", id="credentials refused"),
    ],
)
def test_a_permanent_failure_ends_the_job_at_once_with_the_runners_words(code: int, reason: str) -> None:
    world = one_phase()
    world.fail("only", code, reason, "What went wrong.")
    world.turn()
    error = world.job.status.error
    assert error is not None
    assert (error.reason, error.message, error.retryable) == (reason, "What went wrong.", False)
    assert error.suggestion
    assert world.phase("only").state is PhaseState.FAILED
    assert world.condition("Failed")["reason"] == reason
    assert world.status["message"] == "Phase only: What went wrong."


def test_an_exit_without_a_result_is_tried_once_more_and_no_more() -> None:
    world = one_phase()
    world.end("only", 0)
    retry(world)
    assert world.phase("only").attempt == 2
    world.end("only", 0, "this is not a result")
    world.turn()
    assert world.job.status.error is not None
    assert world.job.status.error.reason == "NoResult"


def test_a_result_that_names_another_jobs_manifest_is_no_result() -> None:
    world = one_phase()
    message = result_message(world.newest("only")).replace("/only/", "/../../other/")
    world.end("only", 0, message)
    world.turn()
    assert world.phase("only").reason == "NoResult"
    assert world.phase("only").manifest is None


def test_out_of_memory_is_told_as_such_and_counted() -> None:
    world = one_phase()
    world.end("only", 137, reason="OOMKilled")
    world.turn()
    assert (world.phase("only").reason, world.phase("only").failures) == ("OutOfMemory", 1)


def test_a_killed_process_is_tried_again() -> None:
    world = one_phase()
    world.end("only", 137, reason="Error")
    world.turn()
    assert (world.phase("only").state, world.phase("only").failures) == (PhaseState.WAITING, 1)


# ---------------------------------------------------------------- disruptions


def disrupt(world: World) -> None:
    world.end("only", 143)
    world.pod(
        "only",
        conditions=[
            {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "Drained."}
        ],
    )


def test_a_disruption_is_not_counted_and_the_next_attempt_starts_at_once() -> None:
    world = one_phase()
    disrupt(world)
    plan = world.turn()
    record = world.phase("only")
    assert (record.attempt, record.failures, record.disruptions) == (2, 0, 1)
    assert len(plan.create_jobs) == 1


def test_the_twenty_first_disruption_ends_the_phase() -> None:
    world = one_phase()
    for _ in range(20):
        disrupt(world)
        world.turn()
    assert world.phase("only").attempt == 21
    disrupt(world)
    world.turn()
    assert world.job.status.error is not None
    assert world.job.status.error.reason == "Disrupted"


def test_a_job_deleted_by_hand_is_replaced_once_and_not_counted() -> None:
    world = one_phase()
    world.run("only")
    world.jobs.clear()
    world.pods.clear()
    world.turn()
    record = world.phase("only")
    assert (record.attempt, record.failures, record.disruptions) == (2, 0, 1)
    assert world.decide().empty


def test_a_job_deleted_after_its_result_was_recorded_changes_nothing() -> None:
    world = World()
    world.turn()
    world.succeed("first")
    world.turn()
    name = world.phase("first").job_name
    assert name is not None
    del world.jobs[name]
    assert world.decide().empty


def test_a_pod_that_does_not_end_a_minute_after_its_grace_is_lost_and_its_job_deleted() -> None:
    world = one_phase()
    world.run("only")
    lost = world.phase("only").job_name
    world.pods[str(lost)]["metadata"]["deletionTimestamp"] = format_time(NOW)
    world.pass_time(59)
    plan = world.turn()
    assert world.phase("only").state is PhaseState.RUNNING
    assert plan.requeue_after == 1
    world.pass_time(1)
    plan = world.turn()
    assert [ref.name for ref in plan.delete_jobs] == [lost]
    record = world.phase("only")
    assert (record.attempt, record.failures, record.disruptions) == (2, 0, 1)
    retried = next(event for event in world.events.values() if event.reason == "PhaseRetried")
    assert "The pod on node node-1 did not end within 60 s past its grace" in retried.message


def test_how_long_past_its_grace_a_pod_is_waited_for_is_a_setting() -> None:
    world = World(pipeline=pipeline(phase("only")), settings=with_settings(disruption=Disruption(lost_after_seconds=5)))
    world.turn()
    world.run("only")
    world.pods[str(world.phase("only").job_name)]["metadata"]["deletionTimestamp"] = format_time(NOW)
    world.pass_time(4)
    assert world.decide().requeue_after == 1
    world.pass_time(1)
    world.turn()
    assert world.phase("only").attempt == 2


# ---------------------------------------------------------------- the GPU


def gpu_world(wish: str = "Auto") -> World:
    world = World(pipeline=pipeline(phase("only", device=wish)), gpu=True)
    world.turn()
    return world


@pytest.mark.parametrize("reason", ["GpuOutOfMemory", "GpuError"])
def test_a_gpu_failure_with_auto_repeats_the_phase_on_the_cpu_uncounted(reason: str) -> None:
    world = gpu_world()
    world.fail("only", 79, reason)
    world.turn()
    record = world.phase("only")
    assert (record.attempt, record.failures, record.device) == (2, 0, Device.CPU)


def test_a_phase_that_came_to_the_cpu_stays_there() -> None:
    world = gpu_world()
    world.fail("only", 79, "GpuOutOfMemory")
    world.turn()
    world.fail("only", 75)
    retry(world)
    assert world.phase("only").device is Device.CPU


def test_a_gpu_failure_where_the_gpu_was_demanded_is_counted_and_stays_on_the_gpu() -> None:
    world = gpu_world("GPU")
    world.fail("only", 79, "GpuError")
    retry(world)
    record = world.phase("only")
    assert (record.attempt, record.failures, record.device) == (2, 1, Device.GPU)


# ---------------------------------------------------------------- siblings


def test_when_one_of_two_parallel_phases_fails_the_other_is_stopped() -> None:
    world = World(pipeline=pipeline(phase("left"), phase("right", after=[])))
    world.turn()
    world.run("right")
    world.fail("left", 65, "NotMedia")
    plan = world.turn()
    assert (world.phase("left").state, world.phase("right").state) == (PhaseState.FAILED, PhaseState.CANCELLED)
    assert [ref.name for ref in plan.delete_jobs] == [world.phase("right").job_name]


@pytest.mark.parametrize(
    ("limit", "attempts"), [pytest.param(3, "3 attempts", id="three"), pytest.param(1, "1 attempt", id="the only one")]
)
def test_who_gives_up_says_so_and_how_to_try_again(limit: int, attempts: str) -> None:
    world = World(pipeline=pipeline(phase("only"), retry={"limit": limit, "baseSeconds": 0}))
    for _ in range(limit):
        world.turn()
        world.fail("only")
    world.turn()
    error = world.job.status.error
    assert error is not None
    start = f"Gave up after {attempts}; create a job with retryOf: song to try again from this phase on. "
    assert error.suggestion.startswith(start)
    assert error.suggestion in next(event for event in world.events.values() if event.reason == error.reason).message


def test_what_cannot_be_mended_by_another_try_gets_the_reasons_own_suggestion() -> None:
    world = World(pipeline=pipeline(phase("only")))
    world.turn()
    world.fail("only", code=65, reason="NotMedia")
    world.turn()
    error = world.job.status.error
    assert error is not None
    assert error.suggestion == EXPLANATIONS[Reason.NOT_MEDIA].suggestion


def test_while_it_is_retried_the_message_says_when_and_why() -> None:
    world = World(pipeline=pipeline(phase("only"), retry={"limit": 3, "baseSeconds": 60}))
    world.turn()
    world.fail("only", message="Connection refused.")
    world.turn()
    following = world.phase("only").next_attempt_time
    assert following is not None
    when = format_time(following)
    assert world.status["message"] == (
        f"Attempt 1 of phase only failed (TemporaryFailure); the next one starts at {when}. Connection refused."
    )
    event = next(event for event in world.events.values() if event.reason == "PhaseRetried")
    assert event.message.endswith(f"Connection refused. It is retried at {when}.")
