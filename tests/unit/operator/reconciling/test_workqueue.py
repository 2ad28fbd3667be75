"""The work queue: nothing twice at a time, nothing lost, nothing too early."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.polling import eventually

from audiojob_kube.backoff import Backoff
from audiojob_operator.reconciling.workqueue import WorkQueue

QUICK = Backoff(first_seconds=0.02, cap_seconds=0.04)
LONG = Backoff(first_seconds=3_600.0, cap_seconds=3_600.0)


async def test_keys_come_in_the_order_they_were_added_and_each_once() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for key in ("a", "b", "a", "c", "b"):
        queue.add(key)
    assert len(queue) == 3
    assert [await queue.get() for _ in range(3)] == ["a", "b", "c"]
    assert len(queue) == 0


async def test_keys_that_go_first_overtake_the_others_in_the_order_they_were_added() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for key in ("a", "b", "c"):
        queue.add(key)
    queue.add("c", first=True)
    queue.add("d", first=True)
    queue.add("c")
    assert len(queue) == 4
    assert [await queue.get() for _ in range(4)] == ["c", "d", "a", "b"]
    assert len(queue) == 0


async def test_a_key_that_is_to_go_first_while_it_is_worked_on_does_so_afterwards() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    assert await queue.get() == "a"
    queue.add("b")
    queue.add("a")
    queue.add("a", first=True)
    queue.succeeded("a")
    assert [await queue.get(), await queue.get()] == ["a", "b"]
    assert len(queue) == 0


async def test_a_key_added_while_it_is_worked_on_is_never_given_to_a_second_worker() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    assert await queue.get() == "a"
    queue.add("a")
    queue.add("a")
    second = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not second.done()
    queue.succeeded("a")
    assert await asyncio.wait_for(second, 60) == "a"
    queue.succeeded("a")
    assert len(queue) == 0, "however often it was added, it is worked on once more"


async def test_workers_that_wait_share_what_arrives() -> None:
    queue: WorkQueue[int] = WorkQueue()
    workers = [asyncio.create_task(queue.get()) for _ in range(3)]
    await asyncio.sleep(0)
    for key in range(3):
        queue.add(key)
    assert sorted(await asyncio.wait_for(asyncio.gather(*workers), 60)) == [0, 1, 2]


async def test_many_workers_never_hold_one_key_together_and_lose_none() -> None:
    queue: WorkQueue[int] = WorkQueue()
    working: set[int] = set()
    rounds = dict.fromkeys(range(5), 0)

    async def work() -> None:
        while True:
            key = await queue.get()
            assert key not in working
            working.add(key)
            await asyncio.sleep(0)
            working.discard(key)
            rounds[key] += 1
            queue.succeeded(key)

    workers = [asyncio.create_task(work()) for _ in range(8)]
    try:
        for _ in range(50):
            for key in rounds:
                queue.add(key)
            await asyncio.sleep(0)
        await eventually(lambda: len(queue) == 0 and not working, "an empty queue")
        assert min(rounds.values()) >= 2
        assert not any(worker.done() for worker in workers)
    finally:
        for worker in workers:
            worker.cancel()


async def test_a_scheduled_key_comes_at_its_time_and_a_later_plan_replaces_the_earlier() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.schedule("a", 3_600)
    assert (len(queue), queue.scheduled) == (0, 1)
    queue.schedule("a", 0.01)
    assert queue.scheduled == 1
    assert await asyncio.wait_for(queue.get(), 60) == "a"
    assert queue.scheduled == 0


async def test_a_plan_can_be_withdrawn() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.schedule("a", 0.0)
    queue.schedule("a", None)
    assert queue.scheduled == 0
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.get(), 0.05)


async def test_a_moment_that_has_passed_is_now() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.schedule("a", -5.0)
    assert await asyncio.wait_for(queue.get(), 60) == "a"


async def test_a_failed_key_comes_back_after_a_growing_delay_until_it_succeeds() -> None:
    queue: WorkQueue[str] = WorkQueue(Backoff(first_seconds=0.01, cap_seconds=1_000.0))
    delays = []
    queue.add("a")
    for _ in range(3):
        assert await asyncio.wait_for(queue.get(), 60) == "a"
        delays.append(queue.failed("a"))
    bounds = [0.01, 0.02, 0.04]
    assert all(bound / 2 <= delay <= bound for delay, bound in zip(delays, bounds, strict=True)), delays
    assert await asyncio.wait_for(queue.get(), 60) == "a"
    queue.succeeded("a")
    queue.add("a")
    await queue.get()
    assert queue.failed("a") <= 0.01, "a success forgets the failures"


async def test_the_server_may_ask_for_a_longer_delay() -> None:
    queue: WorkQueue[str] = WorkQueue(QUICK)
    queue.add("a")
    await queue.get()
    assert queue.failed("a", at_least=7.0) == 7.0


async def test_what_arrives_during_the_work_does_not_cut_a_backoff_short() -> None:
    queue: WorkQueue[str] = WorkQueue(LONG)
    queue.add("a")
    await queue.get()
    queue.add("a")
    queue.failed("a")
    assert (len(queue), queue.scheduled) == (0, 1)


async def test_what_arrives_later_cuts_a_backoff_short_but_not_what_the_server_asked_for() -> None:
    queue: WorkQueue[str] = WorkQueue(LONG)
    queue.add("own")
    assert await queue.get() == "own"
    queue.failed("own")
    queue.add("own")
    assert await asyncio.wait_for(queue.get(), 60) == "own"
    queue.succeeded("own")
    asked: WorkQueue[str] = WorkQueue(QUICK)
    asked.add("asked")
    assert await asked.get() == "asked"
    loop = asyncio.get_running_loop()
    before = loop.time()
    asked.failed("asked", at_least=0.3)
    asked.add("asked")
    assert len(asked) == 0
    assert await asyncio.wait_for(asked.get(), 60) == "asked"
    assert loop.time() - before >= 0.29
    asked.succeeded("asked")
    asked.add("asked")
    assert await asyncio.wait_for(asked.get(), 60) == "asked"


async def test_success_without_a_time_leaves_nothing_behind() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.schedule("a", 3_600)
    queue.add("a")
    await queue.get()
    queue.succeeded("a")
    assert (len(queue), queue.scheduled) == (0, 0)


async def test_a_paused_queue_hands_out_nothing_and_loses_nothing() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    queue.pause()
    waiting = asyncio.create_task(queue.get())
    queue.add("b")
    await asyncio.sleep(0.01)
    assert not waiting.done()
    assert len(queue) == 2
    queue.resume()
    assert await asyncio.wait_for(waiting, 60) == "a"
    assert await asyncio.wait_for(queue.get(), 60) == "b"


async def test_what_arrives_within_a_moment_is_worked_on_once() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for _ in range(3):
        queue.add_soon("a", 0.01)
    assert (len(queue), queue.scheduled) == (0, 1)
    assert await queue.get() == "a"
    queue.succeeded("a")
    assert (len(queue), queue.scheduled) == (0, 0)


async def test_a_key_that_may_wait_for_a_moment_is_worked_on_at_once_with_what_may_not() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add_soon("a", 3_600)
    queue.add("a")
    assert await queue.get() == "a"
    queue.succeeded("a")
    assert queue.scheduled == 0, "what came before is done with it"


@pytest.mark.parametrize("again", [None, 3_600.0], ids=["no other moment is set", "a later moment is set"])
async def test_what_arrives_while_a_key_is_worked_on_is_not_forgotten(again: float | None) -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    assert await queue.get() == "a"
    queue.add_soon("a", 0.01)
    queue.succeeded("a", again)
    assert await queue.get() == "a"


async def test_a_moment_set_before_is_kept_if_it_is_sooner_and_brought_forward_if_not() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.schedule("sooner", 0.01)
    queue.schedule("later", 3_600)
    queue.add_soon("sooner", 3_600)
    queue.add_soon("later", 0.02)
    assert [await queue.get() for _ in range(2)] == ["sooner", "later"]


async def test_the_soonest_of_several_moments_holds() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for delay in (3_600, 0.01, 7_200):
        queue.add_soon("a", delay)
    assert await queue.get() == "a"


async def test_a_backoff_is_not_cut_short_by_what_arrived_before_the_failure() -> None:
    queue: WorkQueue[str] = WorkQueue(LONG)
    queue.add("a")
    assert await queue.get() == "a"
    queue.add_soon("a", 0.0)
    queue.failed("a")
    await asyncio.sleep(0.01)
    assert len(queue) == 0
    queue.add_soon("a", 0.0)
    assert await queue.get() == "a"
