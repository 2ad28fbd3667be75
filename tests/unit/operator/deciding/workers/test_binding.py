"""Which phases a worker gets, which wait for one, and which take a Job of their own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.operator.builders import SETTINGS, audio_job, phase, pipeline, with_settings
from tests.unit.operator.deciding.workers.worker_world import (
    POOL,
    READS,
    TERMS,
    VIEW,
    WorkerWorld,
    at_second,
    has_own_job,
    two,
)

from audiojob_operator.building.telling import told_order
from audiojob_operator.deciding.workers import seat
from audiojob_operator.records.settings import Images
from audiojob_types.contract import Device
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import PhaseState, State
from audiojob_types.tasks import Task


def test_a_phase_is_bound_by_the_status_and_then_its_worker_is_told() -> None:
    world = at_second()
    record = world.phase("second")
    assert (record.state, record.attempt, record.pod_uid, record.job_name) == ("Running", 1, "worker-1", "warm-w-1")
    assert (record.device, record.bound_time, record.worker_wait_start_time) == (Device.CPU, world.now, None)
    assert world.writes[-2:] == ["status", "worker"], "told before the status says so, a worker would be refused"
    told = world.told()
    assert told is not None
    assert (told.phase, told.attempt, told.task, told.wait_until) == ("second", 1, Task.SEPARATE, None)
    assert [each.name for each in told.inputs] == ["audio"]
    assert not has_own_job(world)
    assert world.state() is State.RUNNING
    assert world.decide().empty


def test_the_terms_of_an_order_stay_and_what_was_told_before_goes() -> None:
    world = at_second()
    first, before = world.told(), world.workers["worker-1"]["metadata"]["annotations"]["audiojobs.dev/work"]
    assert first is not None
    order = told_order(before.replace('"pool":"warm"', '"pool":"warm","later":7'), '{"uid":"other"}')
    assert '"later":7' in order
    assert first.uid not in order
    with pytest.raises(ValueError, match="no work order"):
        told_order("{}", "{}")


SPLEETED = pipeline(
    phase("first", "Normalize", inputs=[{"name": "source", "from": "Job"}]),
    phase("between", "Separate", inputs=READS),
    phase(
        "second",
        "Transcribe",
        inputs=[{"name": "audio", "from": "between", "output": "audio"}],
        workerPool={"name": POOL},
    ),
)
MIG = "nvidia.com/mig-1g.10gb"
ON_GPU: dict[str, Any] = {"device": Device.GPU, "gpus": 1, "gpu_resource": "nvidia.com/gpu"}
OTHER_IMAGES = Images({family: f"{image}-next" for family, image in SETTINGS.images.by_family.items()})


@pytest.mark.parametrize(
    ("given", "pool", "served"),
    [
        pytest.param({}, {}, True, id="a phase on what Normalize wrote is served"),
        pytest.param({"workerPool": None}, {}, False, id="a phase without a pool has a Job of its own"),
        pytest.param({}, {"closed": True}, False, id="a closed pool is not waited for"),
        pytest.param({}, {"tasks": frozenset({Task.TRANSCRIBE})}, False, id="the pool must serve the task"),
        pytest.param({}, {"device": Device.GPU}, False, id="a phase for the CPU is none for a pool with GPUs"),
        pytest.param({"device": "GPU"}, ON_GPU, True, id="a GPU of a worker needs no grant"),
        pytest.param({"device": "Auto"}, ON_GPU, True, id="Auto takes a worker with a GPU"),
        pytest.param({"device": "GPU", "gpus": 2}, ON_GPU, False, id="two GPUs are a Job's"),
        pytest.param({"device": "GPU", "gpu": {"resourceName": MIG}}, ON_GPU, False, id="another kind of GPU"),
        pytest.param(
            {"device": "GPU", "gpu": {"resourceName": MIG}}, ON_GPU | {"gpu_resource": MIG}, True, id="the same kind"
        ),
        pytest.param({"device": "GPU"}, ON_GPU | {"gpu_resource": MIG}, False, id="a pool of another kind of GPU"),
        pytest.param({"device": "Auto"}, {}, True, id="Auto without a GPU in the cluster takes a worker on the CPU"),
        pytest.param({"resources": {"memory": "9Gi"}}, {}, False, id="a worker with too little memory is none"),
        pytest.param({"resources": {"scratch": "9Gi"}}, {}, False, id="a worker with too little scratch is none"),
        pytest.param({"task": "Simulate", "inputs": []}, {}, True, id="Simulate without inputs reads no media"),
        pytest.param(
            {"inputs": [{"name": "audio", "from": "Job"}]}, {}, False, id="a file from outside is not our own input"
        ),
        pytest.param(
            {"inputs": [{"name": "audio", "from": "Job"}]}, {"any_input": True}, True, id="trust AnyInput takes it"
        ),
        pytest.param({}, {"kueue_local_queue": "lq"}, True, id="a pool of Kueue serves other queues too"),
    ],
)
def test_who_is_served(given: dict[str, Any], pool: dict[str, Any], served: bool) -> None:
    line = two(**given)
    line["spec"]["phases"] = [{k: v for k, v in each.items() if v is not None} for each in line["spec"]["phases"]]
    world = at_second(line, pool=replace(VIEW, **pool))
    assert (world.phase("second").pod_uid is not None) == served
    assert has_own_job(world) == (not served and world.phase("second").state is PhaseState.RUNNING)


def test_what_separate_made_is_no_input_of_our_own() -> None:
    world = WorkerWorld(pipeline=SPLEETED)
    for name in ("first", "between"):
        world.turn()
        world.succeed(name, "audio")
    world.turn()
    assert has_own_job(world)


def test_a_result_of_normalize_that_another_job_made_is_no_input_of_our_own() -> None:
    world = WorkerWorld()
    world.turn()
    world.succeed("first", "audio")
    message = world.pods[world.newest("first")["metadata"]["name"]]["status"]["containerStatuses"][0]
    assert "manifest.json" in message["state"]["terminated"]["message"]
    world.turn()
    record = next(each for each in world.status["phases"] if each["name"] == "first")
    world.audiojob["status"]["phases"][1] |= {"state": "Waiting"}
    record["manifest"]["key"] = "music/other-uid/first/1-abcd1234/manifest.json"
    world.turn()
    assert has_own_job(world)


def test_another_release_s_images_are_not_the_workers() -> None:
    world = WorkerWorld()
    world.turn()
    world.settings = with_settings(images=OTHER_IMAGES)
    world.succeed("first", "audio")
    world.turn()
    assert has_own_job(world)


@pytest.mark.parametrize(
    ("contract", "served"), [(2, False), (3, True)], ids=["from before there were workers", "of the first workers"]
)
def test_a_revision_is_served_from_the_contract_on_that_brought_workers(contract: int, served: bool) -> None:
    world = WorkerWorld()
    world.turn()
    for revision in world.revisions.values():
        revision["data"]["contract"] = contract  # with tags of images that stay the same
    world.succeed("first", "audio")
    world.turn()
    assert has_own_job(world) is not served


def test_a_queue_of_kueue_is_served_by_a_pool_with_the_same_queue_alone() -> None:
    assert has_own_job(at_second(kueue="lq", pool=VIEW))
    assert not has_own_job(at_second(kueue="lq", pool=replace(VIEW, kueue_local_queue="lq")))


def test_a_pool_that_does_not_exist_is_not_waited_for() -> None:
    assert has_own_job(at_second(pool=None))


def test_a_phase_waits_for_a_worker_and_then_takes_a_job_of_its_own() -> None:
    world = at_second(busy={"worker-1", "worker-2"}, pool=replace(VIEW, ahead=3))
    since = world.now
    assert (world.state(), world.status["message"]) == (
        State.QUEUED,
        "Phase second waits for a worker of pool warm: 3 ahead, 2 of 2 workers busy.",
    )
    assert world.condition("Progressing")["reason"] == Reason.WAITING_FOR_WORKER
    assert world.phase("second").worker_wait_start_time == since
    plan = world.decide()
    assert plan.empty
    assert [(each.phase, each.pool, each.since, each.priority) for each in plan.waits] == [("second", POOL, since, 5)]
    assert plan.requeue_after == 300
    world.pass_time(299)
    world.turn()
    assert not has_own_job(world)
    world.pass_time(1)
    world.turn()
    assert has_own_job(world)
    record = world.phase("second")
    assert (record.pod_uid, record.bound_time, record.worker_wait_start_time) == (None, None, None)
    assert not world.decide().waits


def test_a_phase_that_waits_gets_the_seat_that_becomes_free() -> None:
    world = at_second(busy={"worker-1", "worker-2"})
    world.pass_time(20)
    world.busy = {"worker-1"}
    plan = world.turn()
    assert [each.seat.pod_uid for each in plan.bind] == ["worker-2"]
    assert not plan.waits
    assert world.phase("second").state is PhaseState.RUNNING


def test_those_that_have_waited_for_longer_are_served_first() -> None:
    assert at_second(pool=replace(VIEW, ahead=1)).phase("second").pod_uid == "worker-1", "there are two seats"
    assert at_second(pool=replace(VIEW, ahead=2)).phase("second").pod_uid is None


@pytest.mark.parametrize("busy", [{"worker-2"}, set()], ids=["the only one that is free", "one of two"])
def test_the_next_phase_goes_on_in_the_worker_that_has_just_ended_one_of_the_job(busy: set[str]) -> None:
    """Before others that have waited for longer, with one status write for both."""
    line = pipeline(*(phase(name, workerPool={"name": POOL}) for name in ("one", "second")))
    world = WorkerWorld(audiojob=audio_job(), pipeline=line)
    world.turn()
    world.busy, world.pool = busy, replace(VIEW, ahead=5)
    world.report("one", outputs=("audio",))
    world.writes.clear()
    plan = world.turn()
    assert world.writes.count("status") == 1
    assert [(each.phase, each.seat.pod_uid) for each in plan.bind] == [("second", "worker-1")]
    told = world.told()
    assert told is not None
    assert (told.phase, told.progress.done) == ("second", ("one",))


def test_fallback_after_no_time_waits_for_nobody() -> None:
    line = two(workerPool={"name": POOL, "fallbackSeconds": 0})
    assert has_own_job(at_second(line, busy={"worker-1", "worker-2"}))


def test_two_phases_of_a_job_never_have_one_worker() -> None:
    plain: dict[str, Any] = {"workerPool": {"name": POOL}, "after": []}
    line = pipeline(phase("one", **plain), phase("two", **plain), phase("three", **plain))
    world = WorkerWorld(audiojob=audio_job(), pipeline=line)
    plan = world.turn()
    assert [each.seat.pod_uid for each in plan.bind] == ["worker-1", "worker-2"]
    assert [each.phase for each in plan.waits] == ["three"]
    assert world.state() is State.RUNNING


def test_a_phase_whose_file_leaves_no_room_in_an_order_has_a_job_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seat, "MAX_ORDER_BYTES", 9_000)
    assert has_own_job(at_second())


def test_terms_are_those_of_the_pod() -> None:
    world = at_second()
    text = world.workers["worker-1"]["metadata"]["annotations"]["audiojobs.dev/work"]
    assert all(f'"{task.value}"' in text for task in TERMS.tasks)
