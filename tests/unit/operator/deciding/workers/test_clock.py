"""A clock that jumps: the operator compares it with times in the status; a phase of a worker loses nothing by it."""

from __future__ import annotations

import pytest
from tests.unit.operator.deciding.workers.worker_world import WorkerWorld, at_second, has_own_job

from audiojob_types.resources.job import PhaseState, State

HOUR = 3_600


@pytest.mark.parametrize("seconds", [-HOUR, HOUR], ids=["back", "ahead"])
def test_a_phase_that_has_begun_is_left_to_its_worker(seconds: int) -> None:
    world = at_second()
    world.take_up()
    world.turn()
    world.pass_time(seconds)
    assert world.decide().status is None
    world.report()
    world.turn()
    record = world.phase("second")
    assert (record.state, record.attempt, record.failures) == (PhaseState.SUCCEEDED, 1, 0)
    assert world.state() is State.SUCCEEDED


@pytest.mark.parametrize(
    ("seconds", "attempt"), [(-HOUR, 1), (HOUR, 2)], ids=["back: it waits", "ahead: it seems late, and begins anew"]
)
def test_one_that_has_not_begun_counts_nothing(seconds: int, attempt: int) -> None:
    world = at_second()
    world.pass_time(seconds)
    world.turn()
    world.turn()
    record = world.phase("second")
    assert (record.state, record.attempt) == (PhaseState.RUNNING, attempt)
    assert (record.failures, record.disruptions) == (0, 0)


@pytest.mark.parametrize(("seconds", "own"), [(-HOUR, False), (HOUR, True)], ids=["back", "ahead"])
def test_one_that_waits_for_a_worker_gets_one_or_a_job(seconds: int, own: bool) -> None:
    world: WorkerWorld = at_second(busy={"worker-1", "worker-2"})
    world.pass_time(seconds)
    world.turn()
    assert has_own_job(world) is own
    world.busy = set()
    world.turn()
    assert world.phase("second").state is PhaseState.RUNNING
