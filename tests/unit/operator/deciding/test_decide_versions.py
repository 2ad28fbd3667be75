"""Jobs that a later version of the operator started, after a rollback."""

from __future__ import annotations

from tests.unit.operator.builders import World

from audiojob_operator.records.objects import Object
from audiojob_types.contract import CONTRACT
from audiojob_types.resources.job import PhaseState, State


def rolled_back() -> tuple[World, Object]:
    """A job whose first phase runs, of a revision that has a task of a later version; and the phase as it was."""
    world = World()
    world.turn()
    world.run("first")
    world.turn()
    (revision,) = world.revisions.values()
    was = revision["data"]["spec"]["phases"][1]
    revision["data"]["spec"]["phases"][1] = {**was, "task": "Mix"}
    revision["data"]["contract"] = CONTRACT + 1
    return world, was


def test_what_runs_goes_on_nothing_starts_and_the_job_says_why() -> None:
    world, _ = rolled_back()
    for _ in range(3):
        world.turn()
    assert (world.state(), world.phase("first").state) == (State.QUEUED, PhaseState.RUNNING)
    assert world.condition("Progressing")["reason"] == "RevisionUnreadable"
    assert "spec.phases.1.task" not in world.status["message"]
    assert "phases.1.task: Input should be" in world.status["message"]
    assert len(world.jobs) == len(world.created_jobs) == 1
    assert [event.reason for event in world.events.values()].count("RevisionUnreadable") == 1


def test_it_goes_on_where_it_was_under_an_operator_that_can_read_it() -> None:
    world, was = rolled_back()
    world.turn()
    world.succeed("first")
    world.turn()
    (revision,) = world.revisions.values()
    revision["data"]["spec"]["phases"][1] = was
    world.finish()
    assert (world.state(), world.phase("first").attempt) == (State.SUCCEEDED, 1)


def test_it_can_be_cancelled() -> None:
    world, _ = rolled_back()
    world.turn()
    world.edit(cancel=True)
    world.turn()
    assert (world.state(), world.jobs) == (State.CANCELLED, {})


def test_fields_that_are_not_known_here_hold_nothing_up() -> None:
    world, was = rolled_back()
    (revision,) = world.revisions.values()
    revision["data"]["spec"]["phases"][1] = {**was, "overlap": "Auto"}
    revision["data"]["spec"]["serve"] = {"pool": "songs"}
    world.finish()
    assert world.state() is State.SUCCEEDED
