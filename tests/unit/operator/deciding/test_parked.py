"""What is done about a job on which the operator fails, and how it goes on when the fault is mended."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.operator.builders import World, result_message

from audiojob_operator.deciding.plan import plan_for_parked
from audiojob_operator.deciding.status import holds_slot
from audiojob_operator.records.admission import Admission
from audiojob_operator.records.observed import LiveJob, Parked
from audiojob_operator.records.plan import JobRef, Plan
from audiojob_types.base import format_time
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import PhaseState, State

WHAT = "KeyError in audiojob_operator/deciding/phases.py, line 7"
WAITS = Admission(False, Reason.QUEUE_FULL, "1 of 1 jobs are running; the job waits for a slot.")
ON_NODE, WITHOUT_NODE = (LiveJob(JobRef(name, f"uid-{name}"), name == "placed") for name in ("placed", "pending"))


def started() -> World:
    world = World()
    world.turn()
    return world


def parked(world: World, *live: LiveJob, at_work: bool | None = None) -> Plan:
    at_work = bool(live) if at_work is None else at_work
    seen = Parked(world.job, world.status, WHAT, live, at_work, world.prepared)
    return plan_for_parked(seen, world.now)


def park(world: World) -> None:
    """Nothing of it is at work."""
    for kind, what in world.steps(parked(world)):
        world.write(kind, what)


@pytest.mark.parametrize(
    ("spec", "gone"),
    [
        pytest.param({}, ["pending"], id="what a node has goes on to its end, and what waits for one goes"),
        pytest.param({"cancel": True}, ["placed", "pending"], id="all goes when it is cancelled"),
        pytest.param({"suspend": True}, ["placed", "pending"], id="all goes when it is suspended"),
    ],
)
def test_which_jobs_of_a_parked_audiojob_are_deleted(spec: dict[str, Any], gone: list[str]) -> None:
    world = started()
    world.edit(**spec)
    plan = parked(world, ON_NODE, WITHOUT_NODE)
    assert [ref.name for ref in plan.delete_jobs] == gone
    assert plan.status is None, "it holds its slot until nothing is at work"


def test_a_deleted_one_whose_finalizer_keeps_it_works_no_more() -> None:
    world = started()
    world.audiojob["metadata"]["deletionTimestamp"] = format_time(world.now)
    plan = parked(world, ON_NODE, at_work=False)
    assert plan.delete_jobs == (ON_NODE.ref,)
    assert plan.status is None


def test_its_status_gives_the_slot_back_once_and_says_why() -> None:
    world = started()
    assert holds_slot(world.job)
    park(world)
    assert not holds_slot(world.job)
    assert (world.state(), world.condition("Progressing")["reason"]) == (State.QUEUED, "OperatorFault")
    assert WHAT in world.status["message"]
    assert "startTime" not in world.status
    assert parked(world).status is None, "written once"


def test_there_is_one_event_for_a_fault_however_often_it_is_met() -> None:
    world = started()
    first = parked(world).events
    world.pass_time(3_600)
    assert parked(world).events == first
    assert (first[0].type, first[0].reason) == ("Warning", "OperatorFault")
    assert WHAT in first[0].message


@pytest.mark.parametrize("how", ["it has ended", "its namespace is not prepared"])
def test_nothing_is_written_about_one_that_holds_no_slot(how: str) -> None:
    world = started()
    if how == "it has ended":
        world.edit(cancel=True)
        world.turn()
    else:
        world.prepared = False
    assert parked(world).status is None


def test_what_has_run_to_its_end_meanwhile_is_recorded_when_the_fault_is_mended() -> None:
    world = started()
    world.end("first", message=result_message(world.newest("first")))
    park(world)
    world.admission = WAITS
    world.turn()
    assert world.phase("first").state is PhaseState.SUCCEEDED
    assert not holds_slot(world.job), "it waits for a slot like any other"
    world.admission = replace(WAITS, admitted=True)
    world.turn()
    assert world.phase("second").state is PhaseState.RUNNING
    assert holds_slot(world.job)


def test_what_was_deleted_before_it_ran_begins_anew_and_counts_as_no_failure() -> None:
    world = started()
    world.jobs.clear()
    park(world)
    world.pass_time(timedelta(minutes=10).total_seconds())
    world.turn()
    again = world.phase("first")
    assert (again.state, again.attempt, again.failures) == (PhaseState.RUNNING, 2, 0)
