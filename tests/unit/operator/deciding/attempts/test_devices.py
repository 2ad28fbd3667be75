"""Which device an attempt gets, how long it waits for a GPU, and how much memory it asks for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.operator.builders import NOW, World, audio_job, phase, pipeline, with_settings

from audiojob_operator.records.settings import SiteGpu
from audiojob_types import constants as c
from audiojob_types.base import format_time
from audiojob_types.resources.job import PhaseState

Object = dict[str, Any]


def gpu_world(wish: str = "Auto", *, granted: int = 8, **more: Any) -> World:
    """One phase that can use a GPU."""
    return World(pipeline=pipeline(phase("only", device=wish, **more)), gpu=True, granted=granted)


def limits_of(world: World) -> Object:
    found: Object = container(world)["resources"]["limits"]
    return found


def container(world: World) -> Object:
    found: Object = world.newest("only")["spec"]["template"]["spec"]["containers"][0]
    return found


def unscheduled(world: World) -> None:
    message = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
    condition = {"type": "PodScheduled", "status": "False", "message": message}
    world.pod("only", phase="Pending", conditions=[condition])


@pytest.mark.parametrize(
    ("wish", "gpu", "device", "reason"),
    [
        pytest.param("CPU", True, "CPU", "Requested", id="the pipeline says CPU"),
        pytest.param("GPU", True, "GPU", "Requested", id="the pipeline says GPU"),
        pytest.param("Auto", True, "GPU", "GpuOffered", id="a node offers a GPU"),
        pytest.param("Auto", False, "CPU", "NoGpuOffered", id="no node offers a GPU"),
    ],
)
def test_status_says_which_device_an_attempt_uses_and_why(wish: str, gpu: bool, device: str, reason: str) -> None:
    world = World(pipeline=pipeline(phase("only", device=wish)), gpu=gpu)
    world.turn()
    record = world.phase("only")
    assert (record.device, record.device_reason) == (device, reason)


def test_a_phase_that_needs_more_gpus_than_a_node_has_takes_the_cpu() -> None:
    world = gpu_world(gpus=9)
    world.turn()
    assert (world.phase("only").device, world.phase("only").device_reason) == ("CPU", "NoGpuOffered")


def test_a_phase_without_a_free_gpu_waits_and_says_how_many_there_are() -> None:
    world = gpu_world(granted=0, gpuWaitSeconds=120)
    plan = world.turn()
    assert (world.status["state"], world.jobs) == ("Queued", {})
    assert world.condition("Progressing")["reason"] == "WaitingForGPU"
    assert world.status["message"] == "Phase only needs 1, 8 of 8 GPUs are in use."
    assert world.phase("only").gpu_wait_start_time == NOW
    assert plan.requeue_after == 120


MIG = "nvidia.com/mig-1g.10gb"


def test_a_phase_asks_for_the_resource_of_its_pipeline_else_for_the_administrators() -> None:
    world = gpu_world("GPU", gpu={"resourceName": MIG})
    world.admission = replace(world.admission, gpu_pool=MIG)
    world.turn()
    assert limits_of(world)[MIG] == "1"
    other = gpu_world("GPU")
    other.settings = with_settings(gpu=SiteGpu("amd.com/gpu"))
    other.turn()
    assert limits_of(other)["amd.com/gpu"] == "1"
    assert c.GPU_RESOURCE not in limits_of(world) | limits_of(other)


def test_row_16_a_job_whose_resource_no_node_offers_waits_and_names_it_and_what_they_offer() -> None:
    world = gpu_world("GPU", granted=0)
    world.settings = with_settings(gpu=SiteGpu(MIG))
    world.admission = replace(world.admission, gpu_pool=MIG)
    world.gpus_in_all = 0
    world.turn()
    assert world.condition("Progressing")["reason"] == "WaitingForGPU"
    assert world.status["message"] == (
        f"Phase only needs 1 of {MIG}, which no Ready node offers (they offer nvidia.com/gpu)."
    )


def test_gpus_of_one_kind_are_not_taken_for_those_of_another() -> None:
    world = gpu_world("GPU", gpu={"resourceName": MIG}, granted=8)
    world.turn()
    assert world.jobs == {}
    assert world.condition("Progressing")["reason"] == "WaitingForGPU"


@pytest.mark.parametrize(
    ("site", "own", "wish", "refused"),
    [
        pytest.param(SiteGpu(shared=True), None, "GPU", True, id="the administrator says that GPUs are shared"),
        pytest.param(SiteGpu(shared=True), None, "CPU", False, id="the phase runs on the CPU"),
        pytest.param(SiteGpu(shared=True), {"resourceName": MIG}, "GPU", False, id="the phase asks for others"),
        pytest.param(SiteGpu(shared=True), {"shared": False}, "GPU", False, id="the pipeline says that they are not"),
        pytest.param(SiteGpu(), None, "GPU", False, id="nobody shares"),
    ],
)
def test_row_17_two_gpus_that_may_be_one_are_refused(
    site: SiteGpu, own: Object | None, wish: str, refused: bool
) -> None:
    more: Object = {"gpu": own} if own else {}
    world = World(pipeline=pipeline(phase("only", device=wish, gpus=2, **more)), gpu=True)
    world.settings = with_settings(gpu=site)
    world.turn()
    assert (world.status["state"] == "Failed") is refused
    if refused:
        assert world.status["error"]["reason"] == "InvalidSpec"
        assert "asks for 2 GPUs, which may be the same one, as nvidia.com/gpu is shared" in world.status["message"]


def test_numbers_that_change_while_a_phase_waits_for_a_gpu_are_not_written() -> None:
    world = gpu_world(granted=0, gpus=2)
    world.turn()
    world.granted = 1
    world.pass_time(5)
    assert world.decide().status is None


def test_auto_takes_the_cpu_when_no_gpu_frees_up_in_time() -> None:
    world = gpu_world(granted=0, gpuWaitSeconds=120)
    world.turn()
    world.pass_time(119)
    assert world.turn().create_jobs == ()
    world.pass_time(1)
    world.turn()
    record = world.phase("only")
    assert (record.device, record.device_reason, record.attempt, record.failures) == ("CPU", "GpuWaitExpired", 1, 0)


def test_gpu_never_takes_the_cpu_however_long_it_waits() -> None:
    world = gpu_world("GPU", granted=0, gpuWaitSeconds=1)
    world.turn()
    world.pass_time(1_000_000)
    world.turn()
    assert (world.jobs, world.status["state"]) == ({}, "Queued")
    world.granted = 1
    world.turn()
    assert world.phase("only").device == "GPU"


def test_a_pod_that_finds_no_free_gpu_in_time_gives_way_to_one_on_the_cpu() -> None:
    world = gpu_world(gpuWaitSeconds=60)
    world.turn()
    unscheduled(world)
    plan = world.turn()
    assert world.condition("Progressing")["reason"] == "Unschedulable"
    assert plan.requeue_after == 60
    world.pass_time(60)
    world.turn()
    record = world.phase("only")
    assert (record.attempt, record.device, record.device_reason) == (2, "CPU", "GpuWaitExpired")
    assert (record.failures, record.disruptions) == (0, 0)
    assert len(world.jobs) == 1, "the attempt that waited is deleted"


def test_a_pod_that_waits_for_something_else_than_a_gpu_stays_where_it_is() -> None:
    world = gpu_world("GPU", gpuWaitSeconds=60)
    world.turn()
    unscheduled(world)
    world.pass_time(10_000)
    world.turn()
    assert world.phase("only").attempt == 1


def test_a_gpu_that_failed_a_phase_is_not_asked_again() -> None:
    world = gpu_world()
    world.turn()
    world.fail("only", 79, "GpuOutOfMemory")
    world.turn()
    assert (world.phase("only").device, world.phase("only").device_reason) == ("CPU", "GpuFailedBefore")
    world.fail("only", 75)
    world.turn()
    world.pass_time(30)
    world.turn()
    assert (world.phase("only").attempt, world.phase("only").device_reason) == (3, "GpuFailedBefore")


def test_two_phases_share_what_is_granted() -> None:
    world = World(
        pipeline=pipeline(phase("one", device="Auto"), phase("two", device="Auto", after=[])), gpu=True, granted=1
    )
    world.turn()
    assert [world.phase(name).device for name in ("one", "two")] == ["GPU", None]
    assert world.phase("two").gpu_wait_start_time == NOW


# ---------------------------------------------------------------- memory


def killed_for_memory(world: World) -> None:
    world.end("only", 137, reason="OOMKilled")


def memory_world(**resources: Any) -> World:
    return World(pipeline=pipeline(phase("only", resources={"memory": "1Gi", **resources})))


def test_memory_grows_up_to_the_cap_without_counting_and_then_counts() -> None:
    world = memory_world(memoryCap="3Gi")
    asked = []
    for _ in range(3):
        world.turn()
        asked.append(container(world)["resources"]["limits"]["memory"])
        killed_for_memory(world)
    assert asked == ["1Gi", str(2 * 1024**3), str(3 * 1024**3)]
    world.turn()
    record = world.phase("only")
    assert (record.failures, record.memory_request_bytes) == (1, 3 * 1024**3)


def test_the_event_of_the_next_attempt_tells_how_much_memory_it_gets() -> None:
    world = memory_world(memoryCap="3Gi", memoryGrowthPercent=50)
    world.turn()
    killed_for_memory(world)
    world.turn()
    assert any("retried at once with 1536 MiB of memory" in event.message for event in world.events.values())


def test_without_a_cap_memory_never_grows_and_each_kill_counts() -> None:
    world = memory_world()
    world.turn()
    killed_for_memory(world)
    world.turn()
    assert (world.phase("only").failures, world.phase("only").reason) == (1, "OutOfMemory")


@pytest.mark.parametrize(
    ("minutes", "cap", "expected"),
    [
        pytest.param(0, None, 1024, id="an input that nobody measured"),
        pytest.param(1, None, 1024 + 100, id="a minute"),
        pytest.param(1.01, None, 1024 + 200, id="a begun minute is a minute"),
        pytest.param(600, "4Gi", 4096, id="never more than the cap"),
    ],
)
def test_memory_follows_the_length_of_the_input(minutes: float, cap: str | None, expected: int) -> None:
    resources = {"memory": "1Gi", "memoryPerMinute": "100Mi"} | ({"memoryCap": cap} if cap else {})
    line = pipeline(phase("first"), phase("only", resources=resources, inputs=[{"name": "source", "from": "first"}]))
    world = World(pipeline=line)
    world.turn()
    world.succeed("first")
    world.turn()
    world.audiojob["status"]["outputs"][0] |= {"durationMilliseconds": int(minutes * 60_000)} if minutes else {}
    world.jobs = {name: job for name, job in world.jobs.items() if "-only-" not in name}
    world.created_jobs.clear()
    world.turn()  # the Job was deleted: the next attempt is made with what is known of the input
    assert world.phase("only").memory_request_bytes == expected * 1024**2


# ---------------------------------------------------------------- hosts


def rate_limited(world: World, reason: str = "RateLimited", **more: Any) -> None:
    from tests.unit.operator.builders import result_message

    left = result_message(world.newest("get"), outcome="Failed", reason=reason, message="429 Too Many Requests", **more)
    world.end("get", 75, left)


def download_world() -> World:
    line = pipeline(phase("get", "Download", inputs=[{"name": "source", "from": "Job"}]), name="get")
    return World(audiojob=audio_job(pipeline="get", source={"url": "https://media.example.org/a"}), pipeline=line)


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        pytest.param(None, 60, id="the site did not say how long"),
        pytest.param(300, 300, id="the site asked for five minutes"),
        pytest.param(1, 60, id="the site asked for less than we give it"),
        pytest.param(86_400, 3_600, id="the site asked for a day: it gets an hour"),
    ],
)
def test_a_site_that_was_asked_too_often_is_left_alone_without_counting(asked: int | None, seconds: int) -> None:
    world = download_world()
    world.turn()
    rate_limited(world, retry_after_seconds=asked)
    world.turn()
    record = world.phase("get")
    assert (record.failures, record.disruptions, record.reason) == (0, 1, "RateLimited")
    assert record.next_attempt_time is not None
    assert seconds <= (record.next_attempt_time - NOW).total_seconds() <= seconds + 1
    assert (world.status["state"], world.condition("Progressing")["reason"]) == ("Queued", "CoolingDown")


def test_the_host_that_refused_is_recorded_and_forgotten_with_the_next_attempt() -> None:
    world = download_world()
    world.turn()
    rate_limited(world, refused_by="cdn.example.net")
    world.turn()
    assert world.status["phases"][0]["coolDown"] == {"host": "cdn.example.net", "time": format_time(NOW)}
    world.pass_time(120)
    world.turn()
    assert (world.phase("get").state, world.phase("get").cool_down) == (PhaseState.RUNNING, None)


def test_a_site_that_takes_us_for_a_robot_is_left_alone_too() -> None:
    world = download_world()
    world.turn()
    rate_limited(world, "BotCheck")
    world.turn()
    record = world.phase("get")
    assert (record.failures, record.disruptions, record.reason) == (0, 1, "BotCheck")
    assert (world.status["state"], world.condition("Progressing")["reason"]) == ("Queued", "CoolingDown")


def test_a_site_that_never_relents_ends_the_job_some_day() -> None:
    world = download_world()
    for _ in range(21):
        plan = world.turn()
        assert plan.create_jobs
        rate_limited(world)
        world.turn()
        world.pass_time(4_000)
    assert (world.status["state"], world.status["error"]["reason"]) == ("Failed", "RateLimited")


def test_another_jobs_refusal_holds_the_download_back_and_says_until_when() -> None:
    world = download_world()
    until = NOW.replace(minute=5)
    world.cooling = until
    plan = world.turn()
    assert (world.jobs, plan.requeue_after) == ({}, 300)
    assert world.status["message"] == f"media.example.org is rate-limiting us; retrying after {format_time(until)}."
    world.now = until
    world.turn()
    assert world.jobs


def test_phases_that_fetch_nothing_do_not_mind_a_host_that_cools_down() -> None:
    world = World(cooling=NOW.replace(minute=5))
    world.turn()
    assert world.jobs
