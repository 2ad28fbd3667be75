"""The admitter: who may start, who is woken, and that no slot is given away twice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.polling import eventually
from tests.unit.operator.builders import NAMESPACE, audio_job
from tests.unit.operator.pool import Object, Pool

from audiojob_operator.admission.admitter import Pace
from audiojob_operator.admission.limits import Limits
from audiojob_operator.admission.scheduler import Scheduler, Wakeup
from audiojob_operator.records.objects import Key
from audiojob_types.base import format_time
from audiojob_types.reasons import Reason


async def test_without_a_limit_everybody_may_start() -> None:
    pool = Pool(None)
    answers = [pool.ask(pool.put(f"song-{number}")) for number in range(20)]
    assert all(answer is not None and answer.admitted for answer in answers)


async def test_places_go_to_as_many_as_there_are_and_no_more() -> None:
    pool = Pool(2)
    keys = [pool.put(f"song-{number}") for number in range(5)]
    answers = [pool.answer(key) for key in keys]
    assert [answer.admitted for answer in answers] == [True, True, False, False, False]
    assert answers[2].reason == Reason.QUEUE_FULL
    assert "2 of 2" in answers[2].message


@pytest.mark.parametrize(
    ("one", "other", "first"),
    [
        pytest.param({}, {"age": 60}, "other", id="the older one goes first"),
        pytest.param({"priority": 6}, {"age": 60}, "one", id="the more urgent one goes before the older"),
    ],
)
async def test_the_order_of_places(one: Object, other: Object, first: str) -> None:
    pool = Pool(1)
    keys = {"one": pool.put("one", **one), "other": pool.put("other", **other)}
    admitted = [name for name, key in keys.items() if pool.answer(key).admitted]
    assert admitted == [first]


async def test_a_job_that_is_made_more_urgent_while_it_waits_goes_before_the_others() -> None:
    pool = Pool(1)
    holder = pool.put("holder", started=True)
    older, newer = pool.put("older", age=60), pool.put("newer")
    assert not pool.answer(older).admitted
    pool.put("newer", priority=6)
    pool.store.gone(holder, "uid-holder")
    assert not pool.answer(older).admitted
    assert pool.answer(newer).admitted


async def test_a_started_job_keeps_its_slot_and_is_never_asked_again() -> None:
    pool = Pool(1)
    running = pool.put("running", started=True)
    waiting = pool.put("waiting", priority=10, age=60)
    assert not pool.answer(waiting).admitted
    assert pool.answer(running).admitted


async def test_a_slot_given_is_not_given_again_before_the_status_tells_it() -> None:
    pool = Pool(1)
    first = pool.put("first")
    assert pool.answer(first).admitted
    # The round over `first` is under way. A more urgent job comes meanwhile and must not get the same slot.
    urgent = pool.put("urgent", priority=10)
    assert not pool.answer(urgent).admitted
    pool.put("first", started=True)
    pool.release(first)
    assert not pool.answer(urgent).admitted


async def test_a_round_that_did_not_start_the_job_gives_the_slot_back() -> None:
    pool = Pool(1)
    first = pool.put("first")
    assert pool.answer(first).admitted
    urgent = pool.put("urgent", priority=10)
    assert not pool.answer(urgent).admitted
    pool.release(first)
    assert pool.answer(urgent).admitted
    assert not pool.answer(first).admitted


async def test_an_end_wakes_the_next_in_line_and_nobody_else() -> None:
    pool = Pool(1)
    running = pool.put("running", started=True)
    waiting = [pool.put("second", age=5), pool.put("third")]
    for key in waiting:
        assert not pool.answer(key).admitted
    pool.store.gone(running, "uid-running")
    pool.woken.clear()
    pool.woken_first.clear()
    pool.cycle()
    assert pool.woken == pool.woken_first == [waiting[0]]


async def test_who_got_a_slot_is_looked_at_before_those_who_are_told_to_wait() -> None:
    pool = Pool(1)
    older, younger = pool.put("older", age=5), pool.put("younger")
    pool.cycle()
    assert pool.woken_first == [older]
    assert younger in pool.woken


async def test_a_job_that_holds_a_slot_goes_first_and_one_that_waits_does_not() -> None:
    pool = Pool(1)
    running, waiting = pool.put("running", started=True), pool.put("waiting")
    pool.answer(waiting)
    assert (pool.admitter.goes_first(running), pool.admitter.goes_first(waiting)) == (True, False)


async def test_a_retry_whose_predecessor_cannot_be_read_keeps_no_slot_from_others() -> None:
    pool = Pool(1)
    retry, other = pool.put("retry", retryOf="gone", age=5), pool.put("other")
    pool.known(retry).raw["status"] = {"waitingFor": "gone"}
    assert pool.answer(other).admitted
    assert pool.known(retry).job.status.waiting_for, "the status can be read"


async def test_nobody_goes_first_where_nothing_is_limited() -> None:
    pool = Pool(None)
    job = pool.put("job")
    assert pool.cycle() == [job]
    assert pool.woken_first == []


def in_an_hour() -> str:
    return format_time(datetime.now(UTC) + timedelta(hours=1))


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda pool: pool.put("idle", suspend=True), id="a suspended job"),
        pytest.param(lambda pool: pool.put("idle", cancel=True), id="a cancelled job"),
        pytest.param(lambda pool: pool.put("idle", startTime=in_an_hour()), id="a job whose time has not come"),
        pytest.param(lambda pool: pool.put("idle", pipeline="none"), id="a job without its pipeline"),
        pytest.param(lambda pool: pool.put("idle", namespace="elsewhere"), id="a job of an unprepared namespace"),
    ],
)
async def test_jobs_that_cannot_start_get_an_answer_at_once_and_take_no_slot(make: Callable[[Pool], Key]) -> None:
    pool = Pool(1)
    idle = make(pool)
    answer = pool.ask(idle)
    assert answer is not None, "no pass would ever answer, and the job would never be decided on"
    assert not answer.admitted
    assert pool.answer(pool.put("ready")).admitted


@pytest.mark.parametrize(
    ("took", "idle", "pause"),
    [
        pytest.param(0.0, False, 0.05, id="a cycle that cost nothing is followed by a short pause"),
        pytest.param(0.03, False, 0.3, id="a tenth of the time goes into cycles"),
        pytest.param(5.0, False, 1.0, id="free slots are not left empty for long"),
        pytest.param(0.0, True, 1.0, id="where nothing is limited cycles only count, and are rare"),
    ],
)
def test_pauses(took: float, idle: bool, pause: float) -> None:
    assert Pace().pause(took, idle=idle) == pytest.approx(pause)


async def test_an_answer_that_is_not_there_yet_comes_with_the_next_cycle() -> None:
    pool = Pool(1, pace=Pace(shortest=0.05, longest=0.05))
    first = pool.put("first")
    assert pool.answer(first).admitted
    late = pool.put("late", age=-5)
    assert pool.ask(late) is None, "the cycle of a moment ago did not see it, and the next is not due"
    pool.release(late)
    pool.woken.clear()
    await eventually(lambda: late in pool.woken, "its wake-up")
    found = pool.ask(late)
    assert found is not None
    assert not found.admitted


async def test_the_first_job_that_must_ask_is_answered_at_once_though_passes_are_rare() -> None:
    pool = Pool(None)
    pool.queue("fast", maxRunning=1)
    pool.answer(pool.put("first"))
    limited = pool.put("limited", queueName="fast")
    answer = pool.ask(limited)
    assert answer is not None
    assert answer.admitted


async def test_a_job_that_cannot_be_read_stops_no_pass() -> None:
    pool = Pool(1)
    broken = audio_job("broken", uid="uid-broken", priority="high")
    broken["metadata"]["resourceVersion"] = "1000"
    pool.store.put(broken)
    assert pool.answer(pool.put("fine")).admitted


# ---------------------------------------------------------------- queues


async def test_a_job_of_a_queue_that_is_missing_waits_and_starts_when_it_appears() -> None:
    pool = Pool(None)
    job = pool.put("song", queueName="fast")
    answer = pool.answer(job)
    assert (answer.admitted, answer.reason) == (False, Reason.QUEUE_NOT_FOUND)
    pool.woken.clear()
    pool.queue("fast")
    assert job in pool.cycle()
    assert pool.answer(job).admitted


async def test_how_many_run_in_all_queues_is_counted() -> None:
    pool = Pool(3)
    pool.queue("fast")
    for number in range(4):
        pool.put(f"song-{number}", queueName="fast" if number % 2 else "default")
    pool.answer(pool.put("last"))
    assert pool.admitter.running == 3


async def test_what_a_pass_counted_is_what_queues_tell() -> None:
    pool = Pool(None)
    pool.queue("default", maxRunning=1)
    keys = [pool.put("running", started=True), pool.put("waiting")]
    for key in keys:
        pool.answer(key)
    numbers = pool.admitter.numbers[NAMESPACE, "default"]
    assert (numbers.running, numbers.pending, numbers.gpus) == (1, 1, 0)


async def test_a_job_whose_status_write_was_lost_holds_its_slot_by_its_job() -> None:
    pool = Pool(1)
    first = pool.put("first")
    pool.gpu_job("first", 0)
    urgent = pool.put("urgent", priority=10, age=60)
    assert not pool.answer(urgent).admitted
    assert pool.answer(first).admitted


async def test_no_slot_is_given_away_before_all_that_hold_one_are_known() -> None:
    pool = Pool(1, known=False)
    first = pool.put("first")
    assert pool.ask(first) is None
    pool.put("running", started=True)
    pool.admitter.open()
    assert first in pool.woken
    answer = pool.ask(first)
    assert answer is not None
    assert not answer.admitted


async def test_a_drained_queue_takes_its_running_jobs_back() -> None:
    pool = Pool(None)
    running = pool.put("running", started=True)
    assert pool.answer(running).admitted
    pool.queue("default", stopPolicy="HoldAndDrain")
    answer = pool.answer(running)
    assert (answer.admitted, answer.drained, answer.reason) == (False, True, Reason.HELD)


async def test_a_fault_of_ours_in_a_cycle_ends_neither_the_cycles_nor_the_reconcile_that_asked(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pool = Pool(1, known=False, pace=Pace(shortest=0.01, longest=0.02))
    first = pool.put("first")
    faults, whole = [KeyError("bug")] * 3, Scheduler.cycle

    def fail_at_first(self: Scheduler, limits: Limits, now: datetime) -> list[Wakeup]:
        if faults:
            raise faults.pop()
        return whole(self, limits, now)

    monkeypatch.setattr(Scheduler, "cycle", fail_at_first)
    pool.admitter.open()
    assert "a scheduling cycle failed" in caplog.text
    assert pool.ask(first) is None
    pool.release(first)
    await eventually(lambda: first in pool.woken, "its wake-up, for the cycle is made again")
    assert not faults


async def test_one_odd_job_keeps_no_other_from_its_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool(2)
    update = Scheduler.update

    def touchy(self: Scheduler, key: Key, *facts: Any) -> None:
        if key[1] == "odd":
            raise KeyError("bug")
        update(self, key, *facts)

    monkeypatch.setattr(Scheduler, "update", touchy)
    odd, song = pool.put("odd"), pool.put("song")
    assert odd not in pool.cycle()
    assert pool.answer(song).admitted
