"""A pod that was told its inputs and reports nothing: a kubelet may have missed the change, and looks at another."""

from __future__ import annotations

from tests.unit.operator.builders import World
from tests.unit.operator.deciding.overlap.early_world import waiting

from audiojob_operator.records.plan import TellingAgain
from audiojob_types import constants as c


def at_work() -> World:
    """The second phase's pod was told its inputs just now."""
    world = waiting()
    world.succeed("first")
    world.turn()
    return world


def again(world: World) -> list[int]:
    """For which time the pod is told that it was told, as decided now and carried out."""
    return [each.time for each in world.turn().tell if isinstance(each, TellingAgain)]


def test_it_is_told_again_after_four_seconds_and_after_fifteen_and_no_more() -> None:
    world = at_work()
    plan = world.decide()
    assert (plan.empty, plan.requeue_after) == (True, 4.0)
    found = []
    for second in range(1, 120):
        world.pass_time(1)
        found += [(second, time) for time in again(world)]
    assert found == [(4, 1), (15, 2)]
    pod = world.pods[world.newest("second")["metadata"]["name"]]
    assert pod["metadata"]["annotations"][c.ANNOTATION_TOLD_AGAIN] == "2"


def test_one_that_has_reported_is_not_told_again() -> None:
    world = at_work()
    world.audiojob["status"]["progress"] = {"second": {"attempt": 1, "percent": 0}}
    world.pass_time(60)
    assert again(world) == []


def test_a_report_of_an_earlier_attempt_says_nothing_of_it() -> None:
    world = at_work()
    world.audiojob["status"]["progress"] = {"second": {"attempt": 2, "percent": 50}}
    world.pass_time(5)
    assert again(world) == [1]


def test_neither_is_one_that_has_ended_or_began_in_its_turn() -> None:
    world = at_work()
    world.pass_time(5)
    world.end("second", 0)
    assert again(world) == []
    first = waiting()
    first.pass_time(60)
    assert again(first) == []
