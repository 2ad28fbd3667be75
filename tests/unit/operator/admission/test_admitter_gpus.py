"""The gate and GPUs: each is given once, in turn, and is free again when its Job has ended."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.polling import eventually
from tests.unit.operator.builders import phase, pipeline
from tests.unit.operator.pool import Pool


async def test_a_gpu_given_to_a_round_is_not_given_to_another_before_its_job_is_seen() -> None:
    pool = Pool(None, node_gpus=1)
    first, second = (pool.put(name, pipeline="onegpu", started=True) for name in ("first", "second"))
    assert [(await pool.answer(first)).gpus, (await pool.answer(second)).gpus] == [1, 0]
    pool.gpu_job("first")
    pool.gate.settle(first)
    assert (await pool.answer(second)).gpus == 0


async def test_a_grant_serves_one_round_and_not_the_next_one_too() -> None:
    pool = Pool(None, node_gpus=1)
    two = pipeline(phase("one", device="GPU"), phase("two", device="GPU", after=[]), name="two")
    pool.add(pool.caches.pipelines, two)
    job = pool.put("song", pipeline="two", started=True)
    assert (await pool.answer(job)).gpus == 1
    pool.gpu_job("song")
    pool.gate.settle(job)
    again = pool.ask(job)  # at once: no pass in between
    assert again is not None
    assert again.gpus == 0


async def test_a_gpu_is_free_again_when_its_job_has_ended() -> None:
    pool = Pool(None, node_gpus=1)
    pool.put("first", started=True)
    pool.gpu_job("first")
    second = pool.put("second", pipeline="onegpu", started=True)
    assert (await pool.answer(second)).gpus == 0
    pool.gpu_job("first", conditions=[{"type": "Complete", "status": "True"}])
    assert (await pool.answer(second)).gpus == 1


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
    assert (await pool.answer(second)).gpus == 0
    pool.gpu_job("first", conditions=[{"type": "Failed", "status": "True"}])
    assert (await pool.answer(second)).gpus == 1


async def test_a_gpu_of_a_stopped_job_counts_for_its_queue() -> None:
    pool = Pool(None, node_gpus=2)
    pool.queue("default", maxGPUs=1)
    pool.put("first", started=True, suspend=True)
    pool.gpu_job("first")
    second = pool.put("second", pipeline="onegpu", started=True)
    assert (await pool.answer(second)).gpus == 0


async def test_the_administrators_number_holds_against_what_nodes_offer() -> None:
    pool = Pool(None, node_gpus=4, gpus=1)
    keys = [pool.put(name, pipeline="onegpu", started=True) for name in ("first", "second")]
    assert sum([(await pool.answer(key)).gpus for key in keys]) == 1


async def test_a_phase_that_becomes_ready_in_a_round_is_served_at_once_where_nobody_waits() -> None:
    pool = Pool(None, node_gpus=1)
    pool.add(pool.caches.pipelines, pipeline(phase("first"), phase("second", device="Auto"), name="mixed"))
    job = pool.put("song", pipeline="mixed", started=True)
    raw = pool.known(job).raw
    raw["status"]["phases"] = [{"name": "first", "state": "Running", "attempt": 1}]
    assert (await pool.answer(job)).gpus == 1


async def test_nobody_is_served_out_of_turn_while_another_waits_for_gpus() -> None:
    pool = Pool(None, node_gpus=1)
    pool.put("holder", started=True)
    pool.gpu_job("holder")
    waiting = pool.put("waiting", pipeline="onegpu", started=True, age=60)
    assert (await pool.answer(waiting)).gpus == 0
    pool.gpu_job("holder", conditions=[{"type": "Complete", "status": "True"}])
    late = pool.put("late", pipeline="onegpu", started=True)
    assert (await pool.answer(late)).gpus == 0
    assert (await pool.answer(waiting)).gpus == 1


async def test_a_gpu_that_is_not_used_wakes_nobody_again_and_again() -> None:
    pool = Pool(None, node_gpus=1)
    first = pool.put("first", pipeline="onegpu", started=True)
    for _ in range(3):
        assert (await pool.answer(first)).gpus == 1
        pool.gate.settle(first)  # a quota refused its Job, say: its backoff must not be cut short
    assert pool.woken == []


async def test_who_asked_for_a_gpu_between_two_passes_is_woken_by_the_next_one() -> None:
    pool = Pool(None, node_gpus=1)
    first = pool.put("first", pipeline="onegpu", started=True, age=5)
    pool.put("second", pipeline="onegpu", started=True)
    assert (await pool.answer(first)).gpus == 1
    pool.gate.settle(first)
    again = pool.ask(first)
    assert again is not None
    assert again.gpus == 0
    await eventually(lambda: first in pool.woken, "its wake-up")
    assert (await pool.answer(first)).gpus == 1


async def test_a_gpu_of_a_round_stays_taken_when_the_job_is_stopped_meanwhile() -> None:
    pool = Pool(None, node_gpus=1)
    first = pool.put("first", pipeline="onegpu", started=True)
    assert (await pool.answer(first)).gpus == 1
    pool.put("first", pipeline="onegpu", started=True, suspend=True)  # while its Job is being created
    second = pool.put("second", pipeline="onegpu", started=True)
    assert (await pool.answer(second)).gpus == 0


async def test_nobody_is_served_out_of_turn_with_a_gpu_that_the_last_pass_gave() -> None:
    pool = Pool(None, node_gpus=1)
    pool.add(pool.caches.pipelines, pipeline(phase("first"), phase("second", device="Auto"), name="mixed"))
    song = pool.put("song", pipeline="mixed", started=True)
    pool.known(song).raw["status"]["phases"] = [{"name": "first", "state": "Running", "attempt": 1}]
    first = pool.put("first", pipeline="onegpu", started=True)
    pool.gate.touch()
    await eventually(lambda: first in pool.woken, "a pass that gives the GPU")
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
    assert (await pool.answer(song)).gpus == 0
    assert pool.gate.numbers["music", "default"].gpus == 1
