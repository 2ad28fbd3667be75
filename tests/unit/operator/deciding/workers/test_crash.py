"""The operator may end after any of its writes while a worker is given a phase or its end is recorded."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.unit.operator.builders import NOW
from tests.unit.operator.deciding.test_decide_crash import Crashing, outcome
from tests.unit.operator.deciding.workers.test_ahead import BOTH, begin_first
from tests.unit.operator.deciding.workers.worker_world import WorkerWorld, two

Story = Callable[["CrashingWorkers"], None]


class CrashingWorkers(Crashing, WorkerWorld):
    """A world with workers whose operator is killed after one of its writes."""


def _begins(world: CrashingWorkers) -> None:
    world.turn()
    world.succeed("first", "audio")
    world.turn()
    assert world.told() is not None, "whoever goes on tells the worker"
    world.take_up()


def succeeds(world: CrashingWorkers) -> None:
    _begins(world)
    world.report()
    world.turn()


def fails_once(world: CrashingWorkers) -> None:
    _begins(world)
    world.report(code=75, outcome="Failed", reason="TemporaryFailure")
    world.turn()
    world.pass_time(600)
    world.turn()
    world.report()
    world.turn()


def loses_its_worker(world: CrashingWorkers) -> None:
    _begins(world)
    del world.workers["worker-1"]
    world.turn()
    world.report()
    world.turn()


def is_suspended(world: CrashingWorkers) -> None:
    _begins(world)
    world.edit(suspend=True)
    world.turn()
    world.edit(suspend=False)
    world.turn()
    world.report()
    world.turn()


# ---------------------------------------------------------------- told ahead


def have_now(world: WorkerWorld, *pods: str) -> None:
    """As :func:`have_others`, with what each was told."""
    world.busy, world.at_work = set(pods), set(pods)


def _ends(world: CrashingWorkers) -> None:
    world.turn()
    world.report()
    world.turn()


def begins_and_ends(world: CrashingWorkers) -> None:
    begin_first(world, *BOTH)
    have_now(world, "worker-2")
    world.take_up()
    _ends(world)


def moves_and_ends(world: CrashingWorkers) -> None:
    begin_first(world, *BOTH)
    have_now(world, "worker-1")
    world.turn()
    world.take_up()
    _ends(world)


def pauses_and_ends(world: CrashingWorkers) -> None:
    begin_first(world, *BOTH)
    world.edit(suspend=True)
    world.turn()
    have_now(world)
    world.edit(suspend=False)
    world.turn()
    world.take_up()
    _ends(world)


def is_lost_and_ends(world: CrashingWorkers) -> None:
    begin_first(world, *BOTH)
    del world.workers["worker-1"]
    have_now(world)
    world.turn()
    world.pass_time(1)
    world.turn()
    world.take_up()
    _ends(world)


STORIES: tuple[Story, ...] = (
    succeeds,
    fails_once,
    loses_its_worker,
    is_suspended,
    begins_and_ends,
    moves_and_ends,
    pauses_and_ends,
    is_lost_and_ends,
)


def play(story: Story, kill_after: int) -> CrashingWorkers:
    world = CrashingWorkers(pipeline=two(), now=NOW)
    world.kill_after = kill_after
    story(world)
    return world


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_killed_after_any_write_the_end_is_as_if_undisturbed(story: Story) -> None:
    reference = play(story, kill_after=0)
    assert reference.job.status.state == "Succeeded"
    for kill_after in range(1, len(reference.writes) + 1):
        world = play(story, kill_after)
        assert outcome(world) == outcome(reference), f"killed after write {kill_after}"
        assert [name for name in world.created_jobs if "-second-" in name] == []
