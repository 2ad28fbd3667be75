"""A worker's GPUs count for the queue of the job: who waits for its room, how long, and what comes after."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest
from tests.unit.operator.builders import audio_job, phase, pipeline
from tests.unit.operator.deciding.workers.worker_world import POOL, VIEW, WorkerWorld, at_second, has_own_job, two

from audiojob_operator.deciding.attempts.attempt import AttemptPolicy, Start, after_failure, started
from audiojob_operator.records.admission import Admission, kind_of_workers
from audiojob_operator.records.observation import Failed
from audiojob_operator.records.workers import WhyOwnJob
from audiojob_types.contract import Device, FailureClass
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import PhaseState, PhaseStatus, Retry
from audiojob_types.resources.podtemplate import Resources

GPU: Final = "nvidia.com/gpu"
ONE: Final = replace(VIEW, device=Device.GPU, gpus=1, gpu_resource=GPU)
PAIR: Final = replace(ONE, gpus=2)
NONE_FREE: Final[dict[str, Any]] = {"gpu": True, "granted": 0}
FALLBACK: Final = 300
GPU_WAIT: Final = 600


def test_a_worker_s_gpus_must_be_granted_and_no_worker_is_made_for_those_that_wait() -> None:
    world = at_second(two(device="GPU"), pool=ONE, queue_gpus=1)
    assert (world.phase("second").pod_uid, world.condition("Progressing")["reason"]) == (None, Reason.WAITING_FOR_GPU)
    assert "until queue default has room for 1 more of its GPUs, for a worker of pool warm." in world.status["message"]
    plan = world.decide()
    assert (plan.empty, plan.waits, world.phase("second").gpu_wait_start_time) == (True, (), None)
    world.admission = Admission(admitted=True, gpus=1, gpu_pool=kind_of_workers(POOL))
    assert [each.seat.pod_uid for each in world.turn().bind] == ["worker-1"]


def test_two_phases_do_not_have_one_grant() -> None:
    plain: dict[str, Any] = {"workerPool": {"name": POOL}, "after": [], "device": "GPU"}
    world = WorkerWorld(audiojob=audio_job(), pipeline=pipeline(phase("one", **plain), phase("two", **plain)))
    world.pool, world.queue_gpus = ONE, 1
    world.admission = Admission(admitted=True, gpus=1, gpu_pool=kind_of_workers(POOL))
    assert [each.phase for each in world.turn().bind] == ["one"]


def test_a_worker_that_the_queue_has_never_room_for_is_not_waited_for() -> None:
    world = at_second(two(device="GPU"), pool=PAIR, queue_gpus=1, **NONE_FREE)
    assert world.phase("second").worker_wait_start_time is None
    assert world.phase("second").gpu_wait_start_time == world.now, "it asks for a GPU of its own"
    world.granted = 1
    plan = world.turn()
    assert [each.why for each in plan.own_jobs] == [WhyOwnJob.MORE_GPUS]
    assert has_own_job(world)


@pytest.mark.parametrize(
    ("device", "pool", "until"),
    [
        pytest.param("GPU", ONE, None, id="a Job would need the same room: it waits for its turn"),
        pytest.param("GPU", PAIR, FALLBACK, id="a Job would need less room than a worker"),
        pytest.param("Auto", ONE, FALLBACK, id="a Job may go to the CPU"),
    ],
)
def test_how_long_the_queue_s_room_is_waited_for(device: str, pool: Any, until: int | None) -> None:
    world = at_second(two(device=device), pool=pool, queue_gpus=2, **NONE_FREE)
    since = world.now
    assert world.decide().requeue_after == until
    world.pass_time(FALLBACK)
    world.turn()
    record = world.phase("second")
    assert record.state is PhaseState.WAITING, "there is no GPU for a Job yet"
    assert (record.worker_wait_start_time, record.gpu_wait_start_time) == (
        (None, None) if until is None else (since, world.now)
    )


def test_auto_comes_to_the_cpu_after_the_longer_of_both_waits() -> None:
    world = at_second(two(device="Auto"), pool=ONE, queue_gpus=1, **NONE_FREE)
    for seconds in (FALLBACK, GPU_WAIT - 1):
        world.pass_time(seconds)
        world.turn()
        assert not has_own_job(world)
    world.pass_time(1)
    world.turn()
    assert has_own_job(world)
    record = world.phase("second")
    assert (record.device, record.device_reason) == (Device.CPU, Reason.GPU_WAIT_EXPIRED)


def test_a_wait_for_a_worker_counts_as_one_for_a_gpu() -> None:
    world = at_second(two(device="Auto"), pool=ONE, **NONE_FREE, busy={"worker-1", "worker-2"})
    world.pass_time(GPU_WAIT)
    world.turn()
    assert world.phase("second").device is Device.CPU


def waiting(**more: Any) -> PhaseStatus:
    return PhaseStatus.model_validate(
        {"name": "cut", "state": "Waiting", "attempt": 1, "gpuWaitStartTime": "2026-03-01T12:00:00Z", **more}
    )


@pytest.mark.parametrize("pod", ["worker-1", None], ids=["a worker has the phase", "a Job of its own has it"])
def test_a_phase_asks_for_a_worker_again_once_one_has_had_it(pod: str | None) -> None:
    begun = Start(2, "job", Device.GPU, None, None, pod_uid=pod)
    world = at_second()
    after = started(waiting(), begun, world.now)
    assert (after.gpu_wait_start_time is None) == (pod is not None), "a pod may go on waiting for the GPU"


def test_the_next_attempt_waits_anew() -> None:
    policy = AttemptPolicy("uid", "GPU", Retry(), Resources(memory="1Gi"))
    failed = Failed(FailureClass.RETRY, Reason.TEMPORARY_FAILURE, "It broke.", "")
    world = at_second()
    after = after_failure(waiting(state="Running"), failed, policy, None, world.now)
    assert after.gpu_wait_start_time is None


def test_a_job_that_was_suspended_waits_anew() -> None:
    world = at_second(two(device="Auto"), pool=ONE, queue_gpus=1, **NONE_FREE)
    world.pass_time(FALLBACK)
    world.turn()
    world.edit(suspend=True)
    world.turn()
    record = world.phase("second")
    assert (record.worker_wait_start_time, record.gpu_wait_start_time) == (None, None)
