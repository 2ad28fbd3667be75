"""The operator may end after any of its writes while a pod that began early waits or is told: the end is the same."""

from __future__ import annotations

import pytest
from tests.unit.operator.builders import NOW, World, audio_job
from tests.unit.operator.deciding.overlap.early_world import jobs, two
from tests.unit.operator.deciding.test_decide_crash import Crashing, Story, outcome


def _works_early(world: World) -> None:
    world.turn()
    world.run("first")
    world.turn()
    world.run("second")
    world.turn()


def succeeds(world: World) -> None:
    _works_early(world)
    world.succeed("first")
    world.turn()
    world.finish()


def begins_in_vain(world: World) -> None:
    _works_early(world)
    world.fail("first", 66, "SourceUnavailable")
    world.turn()
    world.turn()


def is_suspended_meanwhile(world: World) -> None:
    _works_early(world)
    world.edit(suspend=True)
    world.turn()
    world.turn()
    world.edit(suspend=False)
    world.may_begin_early = False
    world.finish()


def gives_way_to_others(world: World) -> None:
    _works_early(world)
    world.may_begin_early = False
    world.turn()
    world.turn()
    world.succeed("first")
    world.finish()


STORIES: tuple[Story, ...] = (succeeds, begins_in_vain, is_suspended_meanwhile, gives_way_to_others)


def play(story: Story, kill_after: int) -> Crashing:
    world = Crashing(audiojob=audio_job(), pipeline=two(), now=NOW, may_begin_early=True)
    world.kill_after = kill_after
    story(world)
    return world


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_killed_after_any_write_the_end_is_as_if_undisturbed(story: Story) -> None:
    reference = play(story, kill_after=0)
    assert "1" in jobs(reference, "second"), "it began early"
    for kill_after in range(1, len(reference.writes) + 1):
        world = play(story, kill_after)
        assert outcome(world) == outcome(reference), f"killed after write {kill_after}"
        assert len(world.created_jobs) == len(set(world.created_jobs)), "a phase's Job was created twice"
        assert world.decide().empty
