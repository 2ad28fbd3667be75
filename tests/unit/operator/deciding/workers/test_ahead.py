"""A phase that a worker is told ahead: who may be, how it begins, and how it is taken back, never at work twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from tests.unit.operator.builders import NAMESPACE
from tests.unit.operator.deciding.workers.worker_world import (
    OTHER,
    VIEW,
    WorkerWorld,
    at_second,
    has_own_job,
    two,
)

from audiojob_operator.building.telling import told_order
from audiojob_operator.deciding.transitions import AttemptEnded, PhaseStarted, phase_transitions
from audiojob_operator.deciding.workers import ahead
from audiojob_operator.records.objects import Object
from audiojob_operator.records.workers import WhyOwnJob
from audiojob_types.base import format_time
from audiojob_types.constants import ANNOTATION_WORK
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import PhaseState, State

BOTH = ("worker-1", "worker-2")
FILE: Object = {
    "job": "other",
    "namespace": NAMESPACE,
    "uid": OTHER[0],
    "phase": OTHER[1],
    "attempt": OTHER[2],
    "task": "Simulate",
    "outputPrefix": f"{NAMESPACE}/{OTHER[0]}/cut",
}


def have_others(world: WorkerWorld, *pods: str) -> None:
    """These workers, and no others, work on phases of other AudioJobs."""
    world.busy, world.at_work = set(pods), set(pods)
    for pod in pods:
        annotations = world.workers[pod]["metadata"]["annotations"]
        annotations[ANNOTATION_WORK] = told_order(annotations[ANNOTATION_WORK], json.dumps(FILE))


def told_of(world: WorkerWorld, pod: str) -> list[tuple[str, int]]:
    order = json.loads(world.workers[pod]["metadata"]["annotations"][ANNOTATION_WORK])
    return [(each["phase"], each["attempt"]) for each in order.get("told", ())]


def begin_first(world: WorkerWorld, *pods: str) -> None:
    """The first phase has ended, and those workers have phases of others."""
    world.turn()
    have_others(world, *pods)
    world.succeed("first", "audio")
    world.turn()


def told_ahead(line: Object | None = None, **more: Any) -> WorkerWorld:
    """Both workers are at work on phases of others, and the first one is told the second phase ahead."""
    world = WorkerWorld(pipeline=line or two(), **more)
    begin_first(world, *BOTH)
    return world


def test_a_phase_is_told_ahead_by_the_status_and_then_its_worker_is_told_beside_what_it_has() -> None:
    world = told_ahead()
    record = world.phase("second")
    assert record.told_ahead
    assert (record.attempt, record.pod_uid, record.job_name) == (1, "worker-1", "warm-w-1")
    assert (record.start_time, record.bound_time, record.worker_wait_start_time) == (None, None, world.now)
    assert world.writes[-2:] == ["status", "worker"]
    assert told_of(world, "worker-1") == [("cut", 1), ("second", 1)], "the phase at work stays the first one"
    assert (world.state(), world.condition("Progressing")["reason"]) == (State.QUEUED, Reason.TOLD_TO_WORKER)
    assert world.condition("Admitted")["status"] == "True"
    plan = world.decide()
    assert plan.empty
    assert [(each.phase, each.since) for each in plan.waits] == [("second", world.now)], "it goes on waiting"
    assert plan.requeue_after == 300


def test_it_is_at_work_once_its_worker_says_so() -> None:
    world = told_ahead()
    since = world.now
    world.pass_time(40)
    have_others(world, "worker-2")
    world.take_up()
    plan = world.turn()
    record = world.phase("second")
    assert (record.state, record.attempt, record.pod_uid, record.reason) == ("Running", 1, "worker-1", None)
    assert (record.start_time, record.bound_time, record.worker_wait_start_time) == (world.now, world.now, None)
    assert record.start_time != since
    assert (plan.waits, plan.tell_workers, world.state()) == ((), (), State.RUNNING)
    world.report()
    world.turn()
    assert world.state() is State.SUCCEEDED


def test_begun_and_ended_in_one_look_is_one_attempt_that_has_ended() -> None:
    world = told_ahead()
    before = json.loads(json.dumps(world.status))
    world.report(code=75, outcome="Failed", reason="TemporaryFailure")
    world.turn()
    record = world.phase("second")
    assert (record.state, record.attempt, record.failures) == (PhaseState.WAITING, 1, 1)
    found = phase_transitions(before, world.status, world.now)
    assert [(each.attempt, each.worker) for each in found if isinstance(each, AttemptEnded)] == [(1, True)]


def test_of_one_that_never_began_no_end_is_counted() -> None:
    world = WorkerWorld()
    world.turn()
    have_others(world, *BOTH)
    world.succeed("first", "audio")
    stored = [json.loads(json.dumps(world.status))]
    world.turn()
    stored.append(json.loads(json.dumps(world.status)))
    have_others(world, "worker-1")
    world.turn()
    stored.append(json.loads(json.dumps(world.status)))
    found = [each for pair in pairwise(stored) for each in phase_transitions(*pair, world.now)]
    assert [(each.phase, each.attempt) for each in found if isinstance(each, AttemptEnded)] == [("first", 1)]
    assert [each.phase for each in found if isinstance(each, PhaseStarted)] == ["second"]


@pytest.mark.parametrize(
    ("line", "pool", "told"),
    [
        pytest.param({}, {}, True, id="a first attempt"),
        pytest.param({}, {"ahead_untold": 1}, True, id="where there is a seat for those that wait for longer too"),
        pytest.param({}, {"ahead_untold": 2}, False, id="not where those that wait for longer could have it"),
        pytest.param({}, {"ahead": 5}, True, id="those of them that are told already do not matter"),
        pytest.param({"gate": "ReviewIfAsked"}, {}, False, id="not behind a review, which may change its mind"),
        pytest.param({"workerPool": {"name": "warm", "fallbackSeconds": 0}}, {}, False, id="not one that never waits"),
    ],
)
def test_who_is_told_ahead(line: dict[str, Any], pool: dict[str, Any], told: bool) -> None:
    world = told_ahead(two(**line), pool=replace(VIEW, **pool))
    assert world.phase("second").told_ahead is told


def test_a_worker_that_has_not_begun_what_it_has_is_told_nothing_ahead() -> None:
    world = WorkerWorld()
    world.turn()
    world.busy = set(BOTH)
    world.succeed("first", "audio")
    world.turn()
    assert world.condition("Progressing")["reason"] == Reason.WAITING_FOR_WORKER


def test_what_does_not_fit_beside_the_phase_at_work_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "MAX_ORDER_BYTES", 2_000)
    world = told_ahead()
    assert not world.phase("second").told_ahead
    assert told_of(world, "worker-1") == [("cut", 1)]


def test_a_retry_is_told_to_nobody_ahead() -> None:
    world = at_second()
    world.report(code=75, outcome="Failed", reason="TemporaryFailure")
    world.turn()
    have_others(world, *BOTH)
    world.pass_time(600)
    world.turn()
    assert world.condition("Progressing")["reason"] == Reason.WAITING_FOR_WORKER


def test_who_ended_between_the_two_writes_is_made_up_for() -> None:
    world = told_ahead()
    have_others(world, *BOTH)  # as if the second write had been lost
    plan = world.turn()
    assert (plan.status, [each.phase for each in plan.tell_workers]) == (None, ["second"])
    assert told_of(world, "worker-1") == [("cut", 1), ("second", 1)]


# ---------------------------------------------------------------- taken back


def is_cancelled(world: WorkerWorld) -> None:
    world.edit(cancel=True)


def is_suspended(world: WorkerWorld) -> None:
    world.edit(suspend=True)


def waits_too_long(world: WorkerWorld) -> None:
    world.pass_time(300)


def closes(world: WorkerWorld) -> None:
    world.pool = replace(VIEW, closed=True)


def is_deleted(world: WorkerWorld) -> None:
    world.pool = None


def loses_its_worker(world: WorkerWorld) -> None:
    del world.workers["worker-1"]


def has_a_worker_on_its_way_out(world: WorkerWorld) -> None:
    world.workers["worker-1"]["metadata"]["deletionTimestamp"] = format_time(world.now)


def has_a_worker_that_ended(world: WorkerWorld) -> None:
    world.end_worker(0)


def has_a_broken_order(world: WorkerWorld) -> None:
    world.workers["worker-1"]["metadata"]["annotations"][ANNOTATION_WORK] = "no order"


Happens = Callable[[WorkerWorld], None]
TAKES_BACK: tuple[Happens, ...] = (
    is_cancelled,
    is_suspended,
    waits_too_long,
    closes,
    is_deleted,
    loses_its_worker,
    has_a_worker_on_its_way_out,
    has_a_worker_that_ended,
    has_a_broken_order,
)


@pytest.mark.parametrize("happens", TAKES_BACK, ids=lambda happens: happens.__name__)
def test_taking_back_is_a_write_that_no_report_may_come_before_and_no_job_is_made_with_it(happens: Happens) -> None:
    world = told_ahead()
    happens(world)
    plan = world.decide()
    assert plan.status is not None
    assert "/metadata/resourceVersion" in [each["path"] for each in plan.status if each["op"] == "test"]
    assert (plan.create_jobs, plan.bind, plan.tell_workers) == ((), (), ())
    world.turn()
    record = world.phase("second")
    assert not record.told_ahead
    assert (record.attempt, record.failures, record.disruptions) == (1, 0, 0), "nothing of it counts but the number"


@pytest.mark.parametrize("happens", TAKES_BACK[2:], ids=lambda happens: happens.__name__)
def test_then_it_goes_on_with_the_next_number_and_never_where_it_was(happens: Happens) -> None:
    world = told_ahead()
    happens(world)
    world.turn()
    assert world.decide().requeue_after is not None
    world.pass_time(300)
    world.turn()
    record = world.phase("second")
    assert (record.state, record.attempt) == (PhaseState.RUNNING, 2)
    assert has_own_job(world)
    assert record.pod_uid is None


@pytest.mark.parametrize("happens", TAKES_BACK[:5], ids=lambda happens: happens.__name__)
def test_a_begin_that_was_faster_holds(happens: Happens) -> None:
    world = told_ahead()
    happens(world)
    world.take_up()
    world.turn()
    record = world.phase("second")
    assert record.start_time == world.now
    assert (record.attempt, has_own_job(world)) == (1, False)
    wanted: dict[Happens, PhaseState] = {is_cancelled: PhaseState.CANCELLED, is_suspended: PhaseState.WAITING}
    assert record.state is wanted.get(happens, PhaseState.RUNNING)


def test_of_a_worker_that_is_gone_the_next_one_takes_it_also_in_a_pool_of_one() -> None:
    world = told_ahead(pool=replace(VIEW, most=1))
    del world.workers["worker-1"]
    world.turn()
    world.pass_time(1)
    assert world.decide().create_jobs == ()
    have_others(world)
    world.turn()
    assert (world.phase("second").attempt, world.phase("second").pod_uid) == (2, "worker-2")


def test_why_it_has_a_job_of_its_own_is_that_none_was_free_in_time_also_in_a_pool_of_one() -> None:
    world = told_ahead(pool=replace(VIEW, most=1))
    world.pass_time(300)
    world.turn()
    world.pass_time(1)
    assert [each.why for each in world.decide().own_jobs] == [WhyOwnJob.WAIT_EXPIRED]


def test_a_worker_that_becomes_free_takes_it_over_by_one_write() -> None:
    world = told_ahead()
    world.pass_time(10)
    have_others(world, "worker-1")
    plan = world.turn()
    assert [(each.attempt, each.seat.pod_uid, each.ahead) for each in plan.bind] == [(2, "worker-2", False)]
    record = world.phase("second")
    assert (record.state, record.attempt, record.pod_uid) == (PhaseState.RUNNING, 2, "worker-2")
    assert record.start_time == world.now
    assert ("second", 2) in told_of(world, "worker-2")


@pytest.mark.parametrize(
    ("busy", "ahead"),
    [
        pytest.param(set(), 0, id="its own worker has no other phase any more, and begins it in a moment"),
        pytest.param({"worker-1"}, 1, id="others have waited for the free one for longer"),
    ],
)
def test_it_stays_where_it_is(busy: set[str], ahead: int) -> None:
    world = told_ahead()
    world.busy = busy
    world.pool = replace(VIEW, ahead=ahead)
    assert world.decide().empty


def test_a_phase_before_it_that_is_to_be_done_again_takes_it_back() -> None:
    world = told_ahead()
    record = next(each for each in world.status["phases"] if each["name"] == "first")
    record |= {"state": "Waiting", "reuseOff": True}
    world.turn()
    assert not world.phase("second").told_ahead
