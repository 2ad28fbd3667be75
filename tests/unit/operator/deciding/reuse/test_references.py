"""Jobs that name another job which this version of the operator cannot read: they wait, say why, and go on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.operator.builders import World, audio_job, phase, pipeline

from audiojob_operator.records.observed import Unreadable
from audiojob_types.reasons import Reason

Object = dict[str, Any]
PROBLEM = Unreadable("spec.priority: Input should be a valid integer")


def sourced() -> World:
    """A job that reads what ``maker`` has made."""
    line = pipeline(phase("use", inputs=[{"name": "source", "from": "Job"}]))
    return World(audiojob=audio_job(source={"jobRef": {"name": "maker"}}), pipeline=line, source_job=PROBLEM)


def retrying() -> World:
    """A job that goes on where ``before`` failed."""
    return World(audiojob=audio_job(retryOf="before"), retried=PROBLEM)


@pytest.mark.parametrize(
    ("world", "name", "way_out"),
    [
        pytest.param(sourced(), "maker", "cancel this job", id="its source"),
        pytest.param(retrying(), "before", "delete AudioJob before to have all of the work done", id="its predecessor"),
    ],
)
def test_a_job_waits_for_one_that_cannot_be_read_and_says_what_to_do(world: World, name: str, way_out: str) -> None:
    world.turn()
    assert (world.status["state"], world.condition("Progressing")["reason"]) == ("Queued", Reason.WAITING_FOR_JOB)
    message = world.status["message"]
    assert message.startswith(f"AudioJob {name}, ")
    assert "cannot be read by this version of the operator" in message
    assert PROBLEM.problem in message
    assert way_out in message
    assert not world.jobs
    world.pass_time(60)
    assert world.turn().requeue_after == timedelta(minutes=5).total_seconds(), "nobody may tell when it changes"


def test_a_source_that_can_be_read_again_is_read() -> None:
    world = sourced()
    world.turn()
    made = World(audiojob=audio_job("maker", uid="maker-uid"))
    made.finish({"second": ("audio",)})
    world.source_job = made.audiojob
    world.finish()
    assert world.status["state"] == "Succeeded"


def test_a_retry_whose_unreadable_predecessor_is_deleted_does_all_of_the_work() -> None:
    world = retrying()
    world.turn()
    world.retried = None
    world.finish()
    assert world.status["state"] == "Succeeded"
    assert {record.attempt for record in world.job.status.phases} == {1}
