"""Which phases begin early: those of which all is known but their inputs, where nobody waits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.operator.builders import SHA, World, audio_job, phase, pipeline, with_settings
from tests.unit.operator.deciding.overlap.early_world import ON, begun, early_world, jobs, two
from tests.unit.operator.deciding.workers.worker_world import POOL, VIEW, WorkerWorld

from audiojob_operator.records.observed import Refusal
from audiojob_operator.records.reuse import Donor, Fresh
from audiojob_operator.records.settings import Overlap
from audiojob_operator.records.workers import PoolView
from audiojob_types import constants as c
from audiojob_types.contract import ManifestRef, PhaseInput
from audiojob_types.models import WANTED_KEY, ModelBook
from audiojob_types.resources.job import State


def test_while_the_first_phase_works_the_pod_of_the_second_begins_without_inputs() -> None:
    world = begun()
    job = world.newest("second")
    template = job["spec"]["template"]
    given = PhaseInput.model_validate_json(template["metadata"]["annotations"][c.ANNOTATION_PHASE])
    assert (given.inputs, given.attempt, given.wait_until is not None) == ((), 1, True)
    assert template["metadata"]["annotations"][c.ANNOTATION_INPUTS] == ""
    assert "activeDeadlineSeconds" not in template["spec"]
    files = [item["path"] for volume in template["spec"]["volumes"] if volume["name"] == "phase"
             for item in volume["downwardAPI"]["items"]]  # fmt: skip
    assert files == ["phase.json", "inputs.json"]
    mounts = [mount.get("subPath", "") for mount in template["spec"]["containers"][0]["volumeMounts"]]
    assert [mount.rpartition("/")[2] for mount in mounts if mount] == ["second", "first"]


def test_status_shows_it_as_waiting_and_counts_no_attempt() -> None:
    record = begun().phase("second")
    assert (record.state, record.reason, record.attempt, record.early_attempt) == ("Waiting", "StartedEarly", 0, 1)
    assert (record.job_name, record.start_time) == (None, None)


def test_the_job_as_a_whole_stands_as_without_it() -> None:
    world = begun()
    assert world.state() is State.RUNNING
    assert world.status["message"] == "Phase 1 of 2, first, is running."
    assert [each.reason for each in world.events.values()] == ["PhaseStarted"]


def test_before_a_node_has_the_first_pod_nothing_begins_early() -> None:
    world = early_world()
    world.turn()
    world.pod("first")
    world.turn()
    assert jobs(world, "second") == []


NEVER: dict[str, dict[str, Any]] = {
    "its pipeline says Never": {"line": two(overlap="Never")},
    "it waits for a review": {"line": two(gate="Review")},
    "it fetches, so that a site's limit holds": {"line": two(task="Download")},
    "an administrator's program runs first": {"line": two(task="Container", image="example.org/a:1")},
    "its memory depends on the length of its input": {"line": two(resources={"memoryPerMinute": "10Mi"})},
    "Kueue decides when it starts": {"kueue": "team"},
    "another job's pod of the phase has found no room lately": {"without_room": frozenset({"second"})},
    "its model is on the way": {
        "line": two(task="Separate", inputs=[{"name": "audio", "from": "first"}]),
        "models": ModelBook.read({WANTED_KEY: '["htdemucs"]', "htdemucs": '{"state": "Fetching"}'}),
    },
}  # fmt: skip


@pytest.mark.parametrize("given", NEVER.values(), ids=NEVER.keys())
def test_it_never_begins_early_where(given: dict[str, Any]) -> None:
    world = early_world(**given)
    world.turn()
    if world.kueue:
        world.newest("first")["spec"]["suspend"] = False
    world.run("first")
    world.turn()
    assert jobs(world, "second") == []
    assert world.decide().empty


@pytest.mark.parametrize(
    ("pool", "begins"),
    [
        pytest.param(None, True, id="there is no such pool: it has a Job of its own"),
        pytest.param(replace(VIEW, closed=True), True, id="the pool is closed"),
        pytest.param(VIEW, False, id="it may get a worker"),
    ],
)
def test_whether_a_phase_that_names_a_pool_begins_early(pool: PoolView | None, begins: bool) -> None:
    line = two(workerPool={"name": POOL})
    world = WorkerWorld(
        pipeline=line, audiojob=audio_job(), pool=pool, may_begin_early=True, settings=with_settings(overlap=ON)
    )
    world.turn()
    world.run("first")
    world.turn()
    assert jobs(world, "second") == (["1"] if begins else [])
    if begins:
        world.run("second")
        world.turn()
        world.succeed("first")
        assert [(each.phase, each.pool) for each in world.turn().own_jobs] == [("second", POOL)]
        assert jobs(world, "second") == ["1"], "its own Job is the one that began early"


def test_of_two_that_follow_none_begins_early() -> None:
    line = pipeline(phase("first"), phase("second", after=["first"]), phase("third", after=["first"]))
    assert jobs(begun(line), "second") == []


def test_one_that_comes_after_two_begins_early_once_only_one_of_them_works() -> None:
    line = pipeline(phase("first"), phase("side", after=[]), phase("last", after=["first", "side"]))
    world = early_world(line)
    world.turn()
    world.run("first")
    world.run("side")
    world.turn()
    assert jobs(world, "last") == []
    world.succeed("side")
    world.turn()
    assert jobs(world, "last") == ["1"]


def test_the_third_begins_early_while_the_second_works_in_a_pod_that_did() -> None:
    world = begun(pipeline(phase("first"), phase("second"), phase("third")))
    world.run("second")
    world.succeed("first")
    world.turn()
    world.turn()
    assert (world.phase("second").state, jobs(world, "third")) == ("Running", ["1"])


@pytest.mark.parametrize("may", [None, False], ids=["it is switched off", "somebody waits"])
def test_where_it_may_not_the_world_is_as_ever(may: bool | None) -> None:
    world = early_world()
    world.may_begin_early = may
    plain = World(pipeline=two())
    for each in (world, plain):
        each.finish()
    assert world.writes == plain.writes
    assert world.status == plain.status


@pytest.mark.parametrize(("eta", "begins"), [(None, True), (20, True), (21, False)])
def test_it_begins_when_the_phase_before_is_nearly_done_or_does_not_tell(eta: int | None, begins: bool) -> None:
    world = early_world()
    world.turn()
    world.run("first")
    if eta is not None:
        world.status["progress"] = {"first": {"attempt": 1, "percent": 1, "etaSeconds": eta}}
    plan = world.turn()
    assert jobs(world, "second") == (["1"] if begins else [])
    if not begins:
        assert plan.requeue_after == eta - 20 if eta is not None else False


def test_word_of_an_earlier_attempt_is_no_word() -> None:
    world = early_world()
    world.turn()
    world.run("first")
    world.status["progress"] = {"first": {"attempt": 7, "percent": 1, "etaSeconds": 999}}
    world.turn()
    assert jobs(world, "second") == ["1"]


GPU = two(task="Separate", device="GPU", inputs=[{"name": "audio", "from": "first"}])
GPUS: dict[str, tuple[int, Overlap, list[str]]] = {
    "one lies free": (1, ON, ["1"]),
    "all are in use": (0, ON, []),
    "phases on GPUs are left out": (1, replace(ON, gpu="Never"), []),
}


@pytest.mark.parametrize(("granted", "overlap", "made"), GPUS.values(), ids=GPUS.keys())
def test_a_phase_on_a_gpu_begins_early_where(granted: int, overlap: Overlap, made: list[str]) -> None:
    world = begun(GPU, gpu=True, granted=granted, settings=with_settings(overlap=overlap))
    assert jobs(world, "second") == made


def test_its_gpus_are_counted_from_when_its_job_is_made() -> None:
    job = begun(GPU, gpu=True, granted=1).newest("second")
    assert job["metadata"]["annotations"][c.ANNOTATION_GPUS] == "1"


def test_what_the_api_server_refuses_is_told_to_nobody_and_its_turn_comes() -> None:
    world = early_world()
    world.turn()
    world.run("first")
    assert world.decide().create_early is not None
    world.may_begin_early = False  # what the shell makes of a refusal, such as a full quota's
    assert world.decide().empty
    world.succeed("first")
    world.turn()
    assert (jobs(world, "second"), world.phase("second").attempt) == (["1"], 1)
    assert Refusal("quota", permanent=False).message not in str(world.events)


def _reader(**more: Any) -> World:
    line = pipeline(
        phase("first", "Normalize", inputs=[{"name": "source", "from": "Job"}]),
        phase("second", "Transcode", inputs=[{"name": "source", "from": "first"}]),
    )
    world = early_world(line, audiojob=audio_job(source={"jobRef": {"name": "maker"}}), **more)
    maker = World(audiojob=audio_job("maker", uid="maker-uid"), pipeline=pipeline(phase("only")))
    maker.finish()
    world.source_job = maker.audiojob
    return world


def test_it_begins_early_where_nobody_has_done_the_work_of_the_phase_before() -> None:
    world = _reader(ask=lambda _: Fresh())
    world.turn()
    world.run("first")
    world.turn()
    assert jobs(world, "second") == ["1"]


def test_not_where_another_job_has_done_that_and_so_perhaps_this_too() -> None:
    donor = Donor("other", "first", ManifestRef(key=f"music/u/first/1-a/{'manifest.json'}", sha256=SHA, count=1), ())
    world = _reader(ask=lambda _: donor)
    world.turn()
    world.run("first")
    world.turn()
    assert jobs(world, "second") == []
