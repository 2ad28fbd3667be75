"""The admitter and GPUs: each is given once, in turn, and is free again when its Job has ended."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.operator.builders import phase, pipeline
from tests.unit.operator.pool import Pool

from audiojob_operator.records.objects import Key


async def test_a_gpu_given_to_a_round_is_not_given_to_another_before_its_job_is_seen() -> None:
    pool = Pool(None, node_gpus=1)
    first, second = (pool.put(name, pipeline="onegpu", started=True) for name in ("first", "second"))
    assert [pool.answer(first).gpus, pool.answer(second).gpus] == [1, 0]
    pool.gpu_job("first")
    pool.release(first)
    assert pool.answer(second).gpus == 0


async def test_a_grant_serves_one_round_and_not_the_next_one_too() -> None:
    pool = Pool(None, node_gpus=1)
    two = pipeline(phase("one", device="GPU"), phase("two", device="GPU", after=[]), name="two")
    pool.add(pool.caches.pipelines, two)
    job = pool.put("song", pipeline="two", started=True)
    assert pool.answer(job).gpus == 1
    pool.gpu_job("song")
    pool.release(job)
    again = pool.ask(job)  # at once: no pass in between
    assert again is not None
    assert again.gpus == 0


async def test_a_gpu_is_free_again_when_its_job_has_ended() -> None:
    pool = Pool(None, node_gpus=1)
    pool.put("first", started=True)
    pool.gpu_job("first")
    second = pool.put("second", pipeline="onegpu", started=True)
    assert pool.answer(second).gpus == 0
    pool.gpu_job("first", conditions=[{"type": "Complete", "status": "True"}])
    assert pool.answer(second).gpus == 1


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"suspend": True}, id="suspended"),
        pytest.param({"cancel": True}, id="cancelled"),
        pytest.param({"queueName": 7}, id="of a kind that cannot be read"),
    ],
)
async def test_a_gpu_stays_taken_until_the_job_that_was_stopped_has_ended(spec: dict[str, Any]) -> None:
    pool = Pool(None, node_gpus=1)
    pool.put("first", started=True, **spec)
    pool.gpu_job("first")
    second = pool.put("second", pipeline="onegpu", started=True)
    assert pool.answer(second).gpus == 0
    pool.gpu_job("first", conditions=[{"type": "Failed", "status": "True"}])
    assert pool.answer(second).gpus == 1


async def test_a_gpu_of_a_stopped_job_counts_for_its_queue() -> None:
    pool = Pool(None, node_gpus=2)
    pool.queue("default", maxGPUs=1)
    pool.put("first", started=True, suspend=True)
    pool.gpu_job("first")
    second = pool.put("second", pipeline="onegpu", started=True)
    assert pool.answer(second).gpus == 0


async def test_the_administrators_number_holds_against_what_nodes_offer() -> None:
    pool = Pool(None, node_gpus=4, gpus=1)
    keys = [pool.put(name, pipeline="onegpu", started=True) for name in ("first", "second")]
    assert sum([pool.answer(key).gpus for key in keys]) == 1


async def test_a_phase_that_becomes_ready_in_a_round_is_served_at_once_where_nobody_waits() -> None:
    pool = Pool(None, node_gpus=1)
    pool.add(pool.caches.pipelines, pipeline(phase("first"), phase("second", device="Auto"), name="mixed"))
    job = pool.put("song", pipeline="mixed", started=True)
    raw = pool.known(job).raw
    raw["status"]["phases"] = [{"name": "first", "state": "Running", "attempt": 1}]
    assert pool.answer(job).gpus == 1


async def test_nobody_is_served_out_of_turn_while_another_waits_for_gpus() -> None:
    pool = Pool(None, node_gpus=1)
    pool.put("holder", started=True)
    pool.gpu_job("holder")
    waiting = pool.put("waiting", pipeline="onegpu", started=True, age=60)
    assert pool.answer(waiting).gpus == 0
    pool.gpu_job("holder", conditions=[{"type": "Complete", "status": "True"}])
    late = pool.put("late", pipeline="onegpu", started=True)
    assert pool.answer(late).gpus == 0
    assert pool.answer(waiting).gpus == 1


async def test_a_gpu_that_is_not_used_wakes_nobody_again_and_again() -> None:
    pool = Pool(None, node_gpus=1)
    first = pool.put("first", pipeline="onegpu", started=True)
    for _ in range(3):
        assert pool.answer(first).gpus == 1
        pool.release(first)  # a quota refused its Job, say: its backoff must not be cut short
    assert pool.woken == []


async def test_who_asked_for_a_gpu_between_two_passes_is_woken_by_the_next_one() -> None:
    pool = Pool(None, node_gpus=1)
    first = pool.put("first", pipeline="onegpu", started=True, age=5)
    pool.put("second", pipeline="onegpu", started=True)
    assert pool.answer(first).gpus == 1
    pool.release(first)
    again = pool.ask(first)
    assert again is not None
    assert again.gpus == 0
    assert first in pool.cycle()
    assert pool.answer(first).gpus == 1


async def test_a_gpu_of_a_round_stays_taken_when_the_job_is_stopped_meanwhile() -> None:
    pool = Pool(None, node_gpus=1)
    first = pool.put("first", pipeline="onegpu", started=True)
    assert pool.answer(first).gpus == 1
    pool.put("first", pipeline="onegpu", started=True, suspend=True)  # while its Job is being created
    second = pool.put("second", pipeline="onegpu", started=True)
    assert pool.answer(second).gpus == 0


async def test_nobody_is_served_out_of_turn_with_a_gpu_that_the_last_pass_gave() -> None:
    pool = Pool(None, node_gpus=1)
    pool.add(pool.caches.pipelines, pipeline(phase("first"), phase("second", device="Auto"), name="mixed"))
    song = pool.put("song", pipeline="mixed", started=True)
    pool.known(song).raw["status"]["phases"] = [{"name": "first", "state": "Running", "attempt": 1}]
    first = pool.put("first", pipeline="onegpu", started=True)
    pool.cycle()
    early = pool.ask(song)
    assert early is not None
    assert early.gpus == 0
    told = pool.ask(first)
    assert told is not None
    assert told.gpus == 1


async def test_nobody_is_served_out_of_turn_beyond_the_limit_of_the_queue() -> None:
    pool = Pool(None, node_gpus=2)
    pool.queue("default", maxGPUs=1)
    pool.put("stopped", started=True, suspend=True)
    pool.gpu_job("stopped")
    pool.add(pool.caches.pipelines, pipeline(phase("first"), phase("second", device="Auto"), name="mixed"))
    song = pool.put("song", pipeline="mixed", started=True)
    pool.known(song).raw["status"]["phases"] = [{"name": "first", "state": "Running", "attempt": 1}]
    assert pool.answer(song).gpus == 0
    assert pool.admitter.numbers["music", "default"].gpus == 1


def with_late_gpu(queues: tuple[str, ...], queue_of_a: str, **limits: Any) -> tuple[Pool, Key, Key]:
    """`a` was just given a GPU by a cycle; `b` of queue `fast` has a phase that needs one when its first one ends."""
    pool = Pool(None, node_gpus=4)
    for name in queues:
        pool.queue(name, **{"maxGPUs": 1, **limits})
    pool.add(pool.caches.pipelines, pipeline(phase("cpu"), phase("gpu", device="GPU"), name="cpugpu"))
    a = pool.put("a", pipeline="onegpu", started=True, queueName=queue_of_a)
    b = pool.put("b", pipeline="cpugpu", started=True, queueName="fast")
    pool.known(b).raw["status"]["phases"] = [{"name": "cpu", "task": "Simulate", "state": "Running", "attempt": 1}]
    pool.cycle()
    return pool, a, b


def gpus_of(pool: Pool, *keys: Key) -> list[int | None]:
    """What reconciles of these are given that begin one after the other and go on."""
    return [answer.gpus if (answer := pool.ask(key)) else None for key in keys]


async def test_a_grant_that_no_reconcile_has_taken_yet_counts_in_its_queue() -> None:
    pool, a, b = with_late_gpu(("fast",), "fast")
    assert gpus_of(pool, b, a) == [0, 1]


async def test_gpus_taken_in_one_queue_are_not_charged_to_another() -> None:
    pool, a, b = with_late_gpu(("fast", "slow"), "slow")
    assert gpus_of(pool, a, b) == [1, 1]


async def test_a_queue_of_kueue_takes_no_spare_gpus_from_the_others() -> None:
    pool, _, b = with_late_gpu(("fast",), "fast", kueueLocalQueue="team", maxGPUs=None)
    other = pool.put("other", pipeline="cpugpu", started=True)
    pool.known(other).raw["status"]["phases"] = [{"name": "cpu", "state": "Running", "attempt": 1}]
    pool.cycle()
    pool.ask(b)
    assert gpus_of(pool, other) == [1]
    assert pool.admitter.numbers["music", "fast"].gpus == 0


async def test_a_phase_that_has_come_to_the_cpu_reserves_no_gpus() -> None:
    pool = Pool(None, node_gpus=1)
    pool.add(pool.caches.pipelines, pipeline(phase("cpu"), phase("auto", device="Auto"), name="auto"))
    fallen, other = (pool.put(name, pipeline="auto", started=True) for name in ("fallen", "other"))
    running = {"name": "cpu", "state": "Running", "attempt": 1}
    pool.known(fallen).raw["status"]["phases"] = [
        running,
        {"name": "auto", "state": "Waiting", "attempt": 1, "device": "CPU", "deviceReason": "GpuFailedBefore"},
    ]
    pool.known(other).raw["status"]["phases"] = [running]
    pool.cycle()
    assert gpus_of(pool, fallen, other) == [0, 1]


async def test_the_gpu_of_a_job_that_was_just_made_is_not_counted_twice() -> None:
    pool = Pool(None, node_gpus=2)
    first, second = (pool.put(name, pipeline="onegpu", started=True) for name in ("first", "second"))
    pool.cycle()
    assert gpus_of(pool, first) == [1]
    pool.gpu_job("first")  # seen while its reconcile goes on
    third = pool.put("third", pipeline="onegpu", started=True, age=-5)
    pool.cycle()
    assert gpus_of(pool, second, third) == [1, 0]


async def test_a_new_job_of_the_same_name_gets_nothing_that_the_former_was_given() -> None:
    pool = Pool(None, node_gpus=1)
    for name in ("fast", "slow"):
        pool.queue(name, maxRunning=1)
    pool.put("holder", started=True, queueName="slow")
    song = pool.put("song", queueName="fast")
    assert pool.answer(song).admitted
    pool.release(song)
    pool.store.gone(song, "uid-song")
    pool.put("song", queueName="slow", uid="uid-of-the-next")
    assert pool.ask(song) is None, "no cycle has looked at it"
    assert not pool.answer(song).admitted
