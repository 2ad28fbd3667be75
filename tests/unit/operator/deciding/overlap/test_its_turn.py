"""The turn of a pod that began early: told once, after the status that says so, whatever is lost between."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.operator.builders import World, audio_job, phase, pipeline, with_settings
from tests.unit.operator.deciding.overlap.early_world import ON, begun, early_world, jobs, told, two, waiting

from audiojob_operator.building.telling import inputs_patch
from audiojob_operator.deciding.attempts.used import times_held
from audiojob_operator.records.plan import Telling
from audiojob_operator.records.reuse import Fresh, SameWork
from audiojob_types import constants as c
from audiojob_types.base import format_time
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import State


def test_it_is_told_its_inputs_in_the_write_after_the_status_that_says_so() -> None:
    world = waiting()
    world.succeed("first")
    world.writes.clear()
    world.turn()
    assert world.writes == ["status", "tell"]
    record, file = world.phase("second"), told(world)
    assert (record.state, record.attempt, record.job_name) == ("Running", 1, world.newest("second")["metadata"]["name"])
    assert file is not None
    assert [(item.name, item.output) for item in file.inputs] == [("source", "audio")]
    assert (file.wait_until, file.progress.done) == (None, ("first",))
    assert jobs(world, "second") == ["1"]
    assert world.decide().empty


def test_a_job_in_which_pods_begin_early_ends_as_another_does() -> None:
    early, plain = early_world(), World(pipeline=two())
    for world in (early, plain):
        world.finish()
    assert early.state() is State.SUCCEEDED
    for one, other in zip(early.job.status.phases, plain.job.status.phases, strict=True):
        assert (one.state, one.attempt, one.failures, one.disruptions) == (
            other.state, other.attempt, other.failures, other.disruptions,
        )  # fmt: skip


def test_it_may_run_as_long_as_one_that_began_in_its_turn() -> None:
    world = waiting(two(hardLimitSeconds=60))
    world.pass_time(7.5)
    world.succeed("first")
    world.turn()
    pod = world.pods[world.newest("second")["metadata"]["name"]]
    assert pod["spec"]["activeDeadlineSeconds"] == 8 + 60


def test_the_jobs_own_deadline_holds_for_it_too() -> None:
    world = waiting(audiojob=audio_job(activeDeadlineSeconds=100))
    world.pass_time(40)
    world.succeed("first")
    world.turn()
    pod = world.pods[world.newest("second")["metadata"]["name"]]
    assert pod["spec"]["activeDeadlineSeconds"] == 40 + 60


def test_one_whose_pod_is_not_there_yet_is_told_when_it_is() -> None:
    world = begun()
    world.succeed("first")
    world.turn()
    assert (world.phase("second").state, world.writes[-1]) == ("Running", "status")
    world.pod("second")
    world.turn()
    assert told(world) is not None


def test_row_33_killed_between_status_and_telling_it_is_told_again_once() -> None:
    world = waiting()
    world.succeed("first")
    for kind, what in world.steps(world.decide()):
        if kind != "tell":
            world.write(kind, what)
    assert told(world) is None
    world.pass_time(1)
    world.turn()
    assert told(world) is not None
    assert world.decide().tell == ()


def test_a_status_that_was_not_written_is_made_again_before_anything_is_told() -> None:
    world = waiting()
    world.succeed("first")
    world.decide()  # and the operator ends
    plan = world.decide()
    assert (plan.status is not None, len(plan.tell)) == (True, 1)


def test_a_job_whose_status_write_was_lost_is_found_again() -> None:
    world = made_but_not_named()
    world.turn()
    assert (world.phase("second").early_attempt, jobs(world, "second")) == (1, ["1"])
    world.run("second")
    world.succeed("first")
    world.turn()
    assert told(world) is not None


def made_but_not_named() -> World:
    """The operator was killed after it made the second phase's Job early, before the status that names it."""
    world = early_world()
    world.turn()
    world.run("first")
    for kind, what in world.steps(world.decide()):
        if kind == "job":
            world.write(kind, what)
    assert (jobs(world, "second"), world.phase("second").early_attempt) == (["1"], None)
    return world


@pytest.mark.parametrize("placed", [True, False], ids=["its pod is on a node", "its pod is not there yet"])
def test_a_job_that_no_status_names_is_taken_over_when_the_phase_before_has_ended(placed: bool) -> None:
    world = made_but_not_named()
    if placed:
        world.run("second")
    world.succeed("first")
    world.turn()
    record = world.phase("second")
    assert (record.state, record.attempt, record.early_attempt) == ("Running", 1, 1)
    if not placed:
        world.run("second")
    world.turn()
    assert told(world) is not None
    world.finish()
    assert (world.state(), jobs(world, "second")) == (State.SUCCEEDED, ["1"]), "none is made beside it"


@pytest.mark.parametrize("code", [75, 66], ids=["for now", "for good"])
def test_a_job_that_no_status_names_goes_when_the_phase_before_has_failed(code: int) -> None:
    world = made_but_not_named()
    early = world.newest("second")["metadata"]["name"]
    world.fail("first", code, "SourceUnavailable")
    world.turn()
    record = world.phase("second")
    assert early not in world.jobs
    assert (record.state, record.attempt, record.failures) == ("Waiting", 0, 0)


def test_the_patch_fits_that_pod_alone_and_only_once() -> None:
    operations = inputs_patch(Telling("pod", "uid-1", "{}", 5))
    path = "/metadata/annotations/audiojobs.dev~1inputs"
    assert operations == [
        {"op": "test", "path": "/metadata/uid", "value": "uid-1"},
        {"op": "test", "path": path, "value": ""},
        {"op": "replace", "path": path, "value": "{}"},
        {"op": "add", "path": "/spec/activeDeadlineSeconds", "value": 5},
    ]
    assert inputs_patch(Telling("pod", "uid-1", "{}", None)) == operations[:3]


# ---------------------------------------------------------------- what goes


GOES: dict[str, Any] = {
    "row 32: the phase before fails": lambda world: world.fail("first"),
    "row 32: the phase before fails for good": lambda world: world.fail("first", 66, "SourceUnavailable"),
    "the job is cancelled": lambda world: world.edit(cancel=True),
    "the job is suspended": lambda world: world.edit(suspend=True),
    "somebody waits": lambda world: setattr(world, "may_begin_early", False),
    "it is switched off": lambda world: setattr(world, "may_begin_early", None),
    "the phase before takes longer than it may wait": lambda world: world.status.update(
        progress={"first": {"attempt": 1, "percent": 1, "etaSeconds": 500}}
    ),
}


@pytest.mark.parametrize("happens", GOES.values(), ids=GOES.keys())
def test_its_job_goes_and_nothing_is_counted_when(happens: Any) -> None:
    world = waiting()
    early = world.newest("second")["metadata"]["name"]
    happens(world)
    world.turn()
    assert early not in world.jobs
    record = world.phase("second")
    assert (record.state, record.attempt, record.failures, record.disruptions) == ("Waiting", 0, 0, 0)
    assert record.reason is None
    assert record.early_attempt == 1


def test_what_was_begun_in_vain_has_taken_its_number() -> None:
    world = waiting(audiojob=audio_job(retry={"limit": 3, "baseSeconds": 0}))
    world.fail("first")
    world.turn()
    world.may_begin_early = False
    world.finish()
    record = world.phase("second")
    assert (record.state, record.attempt, record.failures) == ("Succeeded", 2, 0)
    assert jobs(world, "second") == ["1", "2"]
    assert not [event for event in world.events.values() if event.phase == "second"], "it is its first start"


@pytest.mark.parametrize("placed", [True, False], ids=["no node has room", "a quota leaves no pod"])
def test_row_36_one_that_finds_no_room_goes_after_five_seconds(placed: bool) -> None:
    world = begun()
    if placed:
        world.pod("second", conditions=[{"type": "PodScheduled", "status": "False", "message": "full"}])
    world.pass_time(4)
    assert world.turn().delete_jobs == ()
    world.pass_time(1)
    world.turn()
    assert len(world.jobs) == 1
    world.pass_time(60)
    world.turn()
    assert jobs(world, "second") == ["1"], "it is not tried again and again"
    world.succeed("first")
    world.turn()
    assert (world.phase("second").attempt, world.phase("second").failures) == (2, 0)


def test_begun_too_soon_it_begins_once_more_when_the_phase_before_says_that_it_is_nearly_done() -> None:
    world = waiting()
    world.status["progress"] = {"first": {"attempt": 1, "percent": 1, "etaSeconds": 500}}
    world.turn()
    world.status["progress"]["first"]["etaSeconds"] = 10
    world.turn()
    assert jobs(world, "second") == ["1", "2"]
    world.run("second")
    world.status["progress"]["first"]["etaSeconds"] = 500
    world.turn()
    world.status["progress"]["first"]["etaSeconds"] = 10
    world.turn()
    assert jobs(world, "second") == ["1", "2"]


def in_vain(world: World) -> None:
    """The runner ends by itself, and says so."""
    world.end("second", 143, world.result("second", outcome="Failed", reason="Stopped"))


def test_row_37_one_that_waited_in_vain_is_not_counted() -> None:
    world = waiting()
    in_vain(world)
    world.turn()
    world.succeed("first")
    world.turn()
    record = world.phase("second")
    assert (record.state, record.attempt, record.failures, record.disruptions) == ("Running", 2, 0, 0)


@pytest.mark.parametrize("code", [64, 75, 137, 143])
def test_whatever_its_end_before_it_was_told_nothing_counts(code: int) -> None:
    world = waiting()
    world.succeed("first")
    for kind, what in world.steps(world.decide()):
        if kind == "status":
            world.write(kind, what)
    assert world.phase("second").attempt == 1
    world.end("second", code)
    world.turn()
    record = world.phase("second")
    assert (record.state, record.attempt, record.failures, record.disruptions) == ("Running", 2, 0, 0)


def test_one_that_ended_in_the_moment_in_which_it_was_told_has_not_read_it() -> None:
    world = waiting()
    world.succeed("first")
    world.turn()
    in_vain_though_told = json.loads(world.result("second", outcome="Failed", reason="Stopped"))
    del in_vain_though_told["told"]
    world.end("second", 143, json.dumps(in_vain_though_told))
    world.turn()
    record = world.phase("second")
    assert (record.state, record.attempt, record.failures) == ("Running", 2, 0)


def test_a_runner_of_an_earlier_version_that_made_something_of_no_inputs_is_not_believed() -> None:
    world = waiting()
    world.succeed("first")
    world.turn()
    made = json.loads(world.result("second"))
    del made["told"]
    world.end("second", 0, json.dumps(made))
    world.turn()
    assert (world.phase("second").state, world.phase("second").attempt) == ("Running", 2)


def test_once_it_has_read_its_inputs_its_failure_counts_as_any() -> None:
    world = waiting()
    world.succeed("first")
    world.turn()
    world.fail("second")
    world.turn()
    record = world.phase("second")
    assert (record.state, record.attempt, record.failures) == ("Waiting", 1, 1)


def test_row_35_the_node_of_one_that_waits_is_lost() -> None:
    world = waiting()
    name = world.newest("second")["metadata"]["name"]
    world.jobs.pop(name)
    world.pods.pop(name)
    world.turn()
    world.succeed("first")
    world.turn()
    record = world.phase("second")
    assert (record.state, record.attempt, record.disruptions) == ("Running", 2, 0)


def test_taken_back_where_the_operator_may_not_tell_it() -> None:
    world = waiting()
    world.succeed("first")
    for kind, what in world.steps(world.decide()):
        if kind == "status":
            world.write(kind, what)
    world.may_begin_early = None  # what the shell makes of a 403
    world.turn()
    record = world.phase("second")
    assert (record.attempt, record.failures, jobs(world, "second")) == (2, 0, ["1", "2"])


# ---------------------------------------------------------------- what does not suit


def test_one_whose_folders_are_others_by_now_goes_before_another_begins() -> None:
    world = waiting()
    early = world.newest("second")
    early["metadata"]["annotations"][c.ANNOTATION_EARLY] = "other-mounts"
    world.succeed("first")
    plan = world.turn()
    assert plan.create_jobs == ()
    assert early["metadata"]["name"] not in world.jobs
    assert world.condition("Progressing")["reason"] == Reason.STARTED_EARLY
    world.turn()
    assert (world.phase("second").state, jobs(world, "second")) == ("Running", ["1", "2"])


def test_it_goes_where_another_job_turns_out_to_do_the_same_work() -> None:
    line = pipeline(phase("first"), phase("second", "Transcode", inputs=[{"name": "source", "from": "first"}]))
    answers: list[Any] = []
    world = begun(line, settings=with_settings(overlap=ON), audiojob=audio_job())
    assert jobs(world, "second") == ["1"]
    world.run("second")
    world.ask = lambda _: answers[-1]
    answers.append(SameWork("other", 5))
    world.succeed("first")
    world.turn()
    assert (world.phase("second").state, len(world.jobs)) == ("Waiting", 1)
    answers.append(Fresh())
    world.pass_time(timedelta(seconds=301).total_seconds())
    world.turn()
    assert (world.phase("second").state, world.phase("second").attempt) == ("Running", 2)


def test_the_time_for_which_it_had_a_node_and_waited_is_told_once() -> None:
    world = waiting()
    pod = world.pod("second")
    pod["status"]["conditions"] = [
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": format_time(world.now)}
    ]
    world.pass_time(12)
    world.succeed("first")
    before, children = world.status, world.observed().children
    world.turn()
    held = list(times_held(before, world.status, children, world.now))
    assert [(each.task, each.device, each.seconds) for each in held] == [("Normalize", "CPU", 12.0)]
    assert list(times_held(world.status, world.status, children, world.now)) == []
