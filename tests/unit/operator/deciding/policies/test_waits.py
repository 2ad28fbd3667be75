"""Jobs that wait before they start: since when, when an event says so, and when they give up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from tests.unit.operator.builders import NOW, World, audio_job

from audiojob_operator.records.admission import Admission
from audiojob_types.base import format_time
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import State

DAY = 86_400
FULL = Admission(admitted=False, reason=Reason.QUEUE_FULL, message="4 of 4 jobs are running; the job waits.")
NO_QUEUE = Admission(admitted=False, reason=Reason.QUEUE_NOT_FOUND, message="There is no AudioQueue night.")


def without_source_job() -> World:
    return World(audiojob=audio_job(source={"jobRef": {"name": "maker"}}))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(lambda: World(pipeline=None), "There is no AudioPipeline pair", id="no pipeline"),
        pytest.param(lambda: World(admission=NO_QUEUE), "There is no AudioQueue night", id="no queue"),
        pytest.param(without_source_job, "There is no AudioJob maker", id="no job that makes the source"),
        pytest.param(lambda: World(prepared=False), "is not prepared for jobs", id="a namespace that is not prepared"),
    ],
)
def test_what_does_not_exist_is_waited_for_for_a_day(make: Callable[[], World], words: str) -> None:
    world = make()
    world.turn()
    assert world.state() is State.QUEUED
    assert world.job.status.wait_start_time == NOW
    world.pass_time(DAY - 1)
    world.turn()
    assert world.state() is State.QUEUED
    world.pass_time(1)
    world.turn()
    error = world.job.status.error
    assert error is not None
    assert (world.status["state"], error.reason, error.retryable) == ("Failed", "QueueTimeout", True)
    assert error.message.startswith(f"The job has waited since {format_time(NOW)} for what does not exist: ")
    assert words in error.message


def test_a_queue_timeout_of_the_jobs_own_holds_in_place_of_the_day() -> None:
    world = World(audiojob=audio_job(queueTimeoutSeconds=3 * DAY), pipeline=None)
    world.turn()
    world.pass_time(2 * DAY)
    world.turn()
    assert world.status["state"] == "Queued"
    world.pass_time(DAY)
    world.turn()
    assert world.status["state"] == "Failed"


def test_a_job_that_waits_for_capacity_does_so_for_ever() -> None:
    world = World(admission=FULL)
    world.turn()
    world.pass_time(30 * DAY)
    world.turn()
    assert world.state() is State.QUEUED


def test_the_day_begins_when_the_queue_is_gone_and_not_when_the_job_was_created() -> None:
    world = World(admission=FULL)
    world.turn()
    world.pass_time(2 * DAY)
    world.admission = NO_QUEUE
    world.turn()
    assert world.job.status.wait_start_time == NOW + timedelta(days=2)
    world.pass_time(DAY - 1)
    world.turn()
    assert world.state() is State.QUEUED


def test_an_event_says_what_a_job_waits_for_once_it_has_waited_for_a_minute() -> None:
    world = World(admission=FULL)
    assert world.turn().requeue_after == 60
    world.pass_time(59)
    assert world.decide().events == ()
    world.pass_time(1)
    world.turn()
    (event,) = world.events.values()
    assert (event.type, event.reason) == ("Normal", "QueueFull")
    assert event.message == f"Waiting since {format_time(NOW)}: {FULL.message}"
    assert world.decide().status is None, "it costs no write of the status"
    world.pass_time(600)
    world.turn()
    assert len(world.events) == 1


def test_a_wait_of_a_moment_is_no_event_and_ends_with_the_start() -> None:
    world = World(admission=FULL)
    world.turn()
    world.pass_time(59)
    world.admission = Admission(admitted=True)
    world.turn()
    assert [event.reason for event in world.events.values()] == ["PhaseStarted"]
    assert world.job.status.wait_start_time is None
