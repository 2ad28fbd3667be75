"""Results of another job whose files are gone: made again once, and waited for by all who read them."""

from __future__ import annotations

import pytest
from tests.unit.operator.builders import (
    World,
    phase,
    pipeline,
)
from tests.unit.operator.town import OUTPUTS, Town, donors


def readers_world(town: Town) -> World:
    """A job with two phases at work that read what another job has downloaded."""
    line = pipeline(
        phase("download", "Download", inputs=[{"name": "source", "from": "Job"}]),
        phase("one", after=["download"], inputs=[{"name": "a", "from": "download"}]),
        phase("two", after=["download"], inputs=[{"name": "a", "from": "download"}]),
        name="separate",
    )
    town.add("first").finish(OUTPUTS)
    world = town.add("second", line=line)
    world.turn()
    assert [record.state for record in world.job.status.phases] == ["Succeeded", "Running", "Running"]
    return world


@pytest.mark.parametrize(
    "when",
    [
        pytest.param("at once", id="in the same moment"),
        pytest.param("meanwhile", id="while they are made again"),
        pytest.param("later", id="when they have been made again"),
    ],
)
def test_who_else_misses_files_that_are_gone_waits_for_them_too(town: Town, when: str) -> None:
    world = readers_world(town)
    steps = {"at once": 0, "meanwhile": 1, "later": 2}[when]
    world.fail("one", 66, "InputMissing")
    for step in range(3):
        if step == steps:
            world.fail("two", 66, "InputMissing")
        world.pass_time(5)
        if step == 2:
            world.succeed("download", "source")
        world.turn()
    assert [record.state for record in world.job.status.phases] == ["Succeeded", "Running", "Running"]
    assert [world.phase(name).failures for name in ("one", "two")] == [0, 0]
    assert [world.phase(name).attempt for name in ("one", "two")] == [2, 2]
    world.finish(OUTPUTS)
    assert world.state() == "Succeeded"


def test_who_misses_what_was_made_again_before_it_began_fails_by_itself(town: Town) -> None:
    world = readers_world(town)
    world.fail("one", 66, "InputMissing")
    world.turn()
    world.fail("two", 66, "InputMissing")
    world.pass_time(5)
    world.succeed("download", "source")
    world.turn()
    world.pass_time(5)
    world.fail("two", 66, "InputMissing")
    world.turn()
    assert (world.state(), world.status["error"]["phase"]) == ("Failed", "two")


def test_files_that_are_gone_are_made_again_once_and_count_as_no_failure(town: Town) -> None:
    town.add("first").finish(OUTPUTS)
    second = town.add("second", parameters={"normalize": {"maxDurationSeconds": 60}})
    second.turn()
    assert donors(second) == ["first", None, None]
    second.fail("normalize", 66, "InputMissing", "Input 'source' is not in the store.")
    second.turn()
    record = second.phase("download")
    assert (record.state, record.reused_from, record.reuse_off, record.attempt) == ("Running", None, True, 1)
    assert second.phase("normalize").state == "Waiting"
    assert second.phase("normalize").failures == 0
    second.succeed("download", "source")
    second.turn()
    assert second.phase("normalize").attempt == 2
    second.fail("normalize", 66, "InputMissing", "Input 'source' is not in the store.")
    second.turn()
    assert (second.state(), second.job.status.error.reason if second.job.status.error else "") == (
        "Failed",
        "InputMissing",
    )


def test_what_only_reads_a_result_that_was_given_back_waits_for_it_too(town: Town) -> None:
    line = pipeline(
        phase("download", "Download", inputs=[{"name": "source", "from": "Job"}]),
        phase("normalize", "Normalize", inputs=[{"name": "source", "from": "download"}]),
        phase("mix", after=["normalize"],
              inputs=[{"name": "a", "from": "normalize"}, {"name": "b", "from": "download"}]),
        name="separate",
    )  # fmt: skip
    town.add("first", line=line).finish(OUTPUTS)
    second = town.add("second", line=line)
    second.turn()
    second.fail("mix", 66, "InputMissing")
    second.turn()
    states = [record.state for record in second.job.status.phases]
    assert states == ["Running", "Waiting", "Waiting"]
    second.finish(OUTPUTS)
    assert second.state() == "Succeeded"
