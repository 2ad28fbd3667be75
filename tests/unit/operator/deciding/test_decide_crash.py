"""The operator may end after any of its writes: the next one goes on, and the end is the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.operator.builders import NOW, World, audio_job, phase, pipeline

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")

Story = Callable[[World], None]


def masked(value: Any) -> Any:
    """The same without moments in time."""
    if isinstance(value, dict):
        return {key: masked(each) for key, each in value.items()}
    if isinstance(value, list):
        return [masked(each) for each in value]
    return _TIME.sub("(time)", value) if isinstance(value, str) else value


def outcome(world: World) -> dict[str, Any]:
    return {
        "status": masked(world.status),
        "jobs": sorted(world.jobs),
        "events": {name: (each.reason, masked(each.message)) for name, each in world.events.items()},
        "revisions": sorted(world.revisions),
    }


class Crashing(World):
    """A world whose operator is killed right after write number ``kill_after`` (and started again)."""

    kill_after = 0
    lost: tuple[str, ...] = ()

    def turn(self) -> Any:
        while True:
            plan = self.decide()
            steps = self.steps(plan)
            for index, (kind, what) in enumerate(steps):
                self.write(kind, what)
                self.pass_time(0.5)
                if len(self.writes) == self.kill_after and index < len(steps) - 1:
                    break
            else:
                return plan


def succeeds(world: World) -> None:
    world.finish()


def retries_and_is_disrupted(world: World) -> None:
    world.turn()
    world.fail("first", 75)
    world.turn()
    world.pass_time(60)
    world.turn()
    world.jobs.pop(world.newest("first")["metadata"]["name"])
    world.finish()


def fails(world: World) -> None:
    world.turn()
    world.succeed("first")
    world.turn()
    world.fail("second", 65, "NotMedia")
    world.turn()


def retries_at_once(world: World) -> None:
    world.audiojob["spec"]["retry"] = {"limit": 3, "baseSeconds": 0}
    world.turn()
    world.fail("first", 75)
    world.turn()
    world.finish()


def is_cancelled(world: World) -> None:
    world.turn()
    world.run("first")
    world.edit(cancel=True)
    world.turn()
    world.turn()


def is_suspended_and_resumed(world: World) -> None:
    world.turn()
    world.run("first")
    world.edit(suspend=True)
    world.turn()
    world.turn()
    world.edit(suspend=False)
    world.finish()


def falls_back_to_the_cpu(world: World) -> None:
    world.gpu = True
    world.turn()
    world.fail("first", 79, "GpuOutOfMemory")
    world.turn()
    world.finish()


STORIES: tuple[Story, ...] = (
    succeeds,
    retries_and_is_disrupted,
    fails,
    retries_at_once,
    is_cancelled,
    is_suspended_and_resumed,
    falls_back_to_the_cpu,
)


def play(story: Story, kill_after: int) -> Crashing:
    two = pipeline(phase("first", device="Auto"), phase("second"), phase("third", after=["first"]))
    world = Crashing(audiojob=audio_job(), pipeline=two, now=NOW)
    world.kill_after = kill_after
    story(world)
    return world


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_killed_after_any_write_the_end_is_as_if_undisturbed(story: Story) -> None:
    reference = play(story, kill_after=0)
    assert len(reference.writes) > 4
    for kill_after in range(1, len(reference.writes) + 1):
        world = play(story, kill_after)
        assert outcome(world) == outcome(reference), f"killed after write {kill_after}"
        assert len(world.created_jobs) == len(set(world.created_jobs)), "a phase's Job was created twice"


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_deciding_again_after_everything_was_done_does_nothing(story: Story) -> None:
    world = play(story, kill_after=0)
    assert world.decide().empty


def test_a_job_whose_first_phase_failed_before_its_start_was_recorded_was_let_in() -> None:
    world = World()
    for kind, what in world.steps(world.decide()):
        if kind != "status":
            world.write(kind, what)
    world.fail("first", 66, "SourceUnavailable")
    world.turn()
    assert (world.status["state"], world.condition("Admitted")["status"]) == ("Failed", "True")
