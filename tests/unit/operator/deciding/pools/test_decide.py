"""The one decision about a pool, by what is seen of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.operator.builders import NAMESPACE, NOW
from tests.unit.operator.deciding.pools.played import TOLD, facts, worker_job, worker_pod

from audiojob_operator.deciding.pools.decide import PoolObserved, PoolPlan, decide_pool
from audiojob_operator.deciding.pools.observe import observe_worker
from audiojob_operator.records.workers import Bound, PoolFacts, Worker
from audiojob_types.workers.order import WorkOrder

STAYS = {"idleSeconds": None}
NO_IMAGE = {"waiting": {"reason": "ErrImagePull", "message": "not found"}}
END = {"type": "Failed", "status": "True"}


def bound(number: int = 0, *, begun: bool = True, since: float = 0.0) -> dict[str, tuple[Bound, ...]]:
    return {f"pod-{number}": (Bound((NAMESPACE, "song"), "uid-song", "cut", 2, begun, since),)}


def worker(pool: PoolFacts, number: int = 0, *told: Any, started: bool = True, **pod: Any) -> Worker:
    job = worker_job(pool, number)
    return observe_worker(job, [worker_pod(job, *told, **pod)] if started else [])


def ended(pool: PoolFacts, number: int = 0) -> Worker:
    job = worker_job(pool, number)
    job["status"] = {"conditions": [END]}
    return observe_worker(job, [worker_pod(job, phase="Failed")])


def decide(pool: PoolFacts, *workers: Worker, **seen: Any) -> PoolPlan:
    return decide_pool(PoolObserved(pool, workers, NOW, clock=seen.pop("clock", 100.0), **seen))


def orders(plan: PoolPlan) -> list[WorkOrder]:
    return [WorkOrder.read(each.after) for each in plan.rewrite]


@pytest.mark.parametrize(
    ("spec", "seen", "made"),
    [
        pytest.param({}, {}, 0, id="nobody waits: none"),
        pytest.param({}, {"waiting": 3}, 1, id="from zero, up to the maximum"),
        pytest.param({"maxWorkers": 5}, {"waiting": 3}, 3, id="one for each that waits"),
        pytest.param({"maxWorkers": 5, "scaleUpQueueDepth": 4}, {"waiting": 3}, 1, id="the first for whoever waits"),
        pytest.param({"maxWorkers": 5, "scaleUpQueueDepth": 4}, {"waiting": 8}, 2, id="one for each four"),
        pytest.param({"minWorkers": 2, "maxWorkers": 3}, {}, 2, id="those that stay are made beforehand"),
        pytest.param({"minWorkers": 1}, {"wanted": True}, 0, id="not where others wait for what they take"),
        pytest.param({"maxWorkers": 0}, {"waiting": 3}, 0, id="a closed pool makes none"),
        pytest.param({"maxWorkers": 50}, {"waiting": 40}, 10, id="not all at once"),
        pytest.param({"maxWorkers": 5}, {"waiting": 5, "room": 2}, 2, id="as many as there are GPUs"),
        pytest.param({"maxWorkers": 5}, {"waiting": 5, "rests_until": 101.0}, 0, id="not while failed ones rest"),
    ],
)
def test_how_many_are_made(spec: dict[str, Any], seen: dict[str, Any], made: int) -> None:
    plan = decide(facts(**spec, status={"nextNumber": 7}), **seen)
    assert [number for number, _ in plan.create] == list(range(7, 7 + made))
    assert plan.status.next_number == 7 + made, "its status says so before a Job has a number"


@pytest.mark.parametrize(
    ("spec", "seen", "lacks"),
    [
        pytest.param({}, {"waiting": 1, "room": 0}, 1, id="phases wait and no GPU is free"),
        pytest.param({"maxWorkers": 3}, {"waiting": 5, "room": 0}, 3, id="as many as there may be"),
        pytest.param({}, {"waiting": 1, "room": 1}, 0, id="one is free"),
        pytest.param({"minWorkers": 1}, {"room": 0}, 0, id="for one that would only stay nobody gives way"),
        pytest.param({}, {"waiting": 1, "room": 0, "rests_until": 200.0}, 0, id="none is made now: its workers fail"),
    ],
)
def test_for_how_many_workers_gpus_are_kept(spec: dict[str, Any], seen: dict[str, Any], lacks: int) -> None:
    assert decide(facts(**spec), **seen).lacks == lacks


def draining(pool: PoolFacts, number: int) -> Worker:
    return worker(pool, number, terms={"drain": True})


@pytest.mark.parametrize(
    ("workers", "seen", "retired"),
    [
        pytest.param("idle busy", {}, set(), id="nobody goes before the pool's phases"),
        pytest.param("idle busy", {"outranked": 1}, {0}, id="for one that goes before, the idle one goes"),
        pytest.param("idle busy", {"outranked": 2}, {0, 1}, id="for two the busy one too, after its phase"),
        pytest.param("busy busy", {"outranked": 1}, {1}, id="the newer one of two busy ones"),
        pytest.param("draining busy", {"outranked": 1}, {0}, id="one is on its way already"),
        pytest.param("ending busy", {"outranked": 1}, set(), id="one is ending already"),
        pytest.param(
            "idle busy", {"outranked": 1, "waiting": 0, "wanted": True}, {0}, id="nobody waits for it: idle ones alone"
        ),
    ],
)
def test_which_workers_go_for_those_who_go_before(workers: str, seen: dict[str, Any], retired: set[int]) -> None:
    pool = facts(maxWorkers=2)
    made = {
        "idle": lambda number: worker(pool, number),
        "busy": lambda number: worker(pool, number, TOLD),
        "draining": lambda number: draining(pool, number),
        "ending": lambda number: replace(worker(pool, number), deleting=True),
    }
    found = [made[kind](number) for number, kind in enumerate(workers.split())]
    busy = {uid: each for number, kind in enumerate(workers.split()) if kind == "busy"
            for uid, each in bound(number).items()}  # fmt: skip
    plan = decide(pool, *found, bound=busy, **{"waiting": 3, "room": 0, **seen})
    assert plan.retire == {f"pod-{number}" for number in retired}
    assert plan.delete == (), "none is torn from its phase"
    told = {each.pod_uid: WorkOrder.read(each.after) for each in plan.rewrite}
    assert all(order.drain for order in told.values())


def test_what_there_is_counts() -> None:
    pool = facts(maxWorkers=5)
    workers = (worker(pool, 0, TOLD), worker(pool, 1), worker(pool, 2, started=False))
    plan = decide(pool, *workers, bound=bound(), waiting=3)
    assert len(plan.create) == 1
    status = plan.status
    assert (status.workers, status.busy, status.idle, status.starting, status.desired) == (3, 1, 1, 1, 4)
    assert status.selector == "audiojobs.dev/pool=warm"
    assert plan.rewrite == ()


def test_new_ones_know_that_they_stay() -> None:
    plan = decide(facts(minWorkers=1, maxWorkers=3), waiting=2)
    assert [WorkOrder.read(order).idle_seconds for _, order in plan.create] == [None, 60]


def test_the_same_ones_stay() -> None:
    pool = facts(minWorkers=1, maxWorkers=3)
    plan = decide(pool, worker(pool, 0), worker(pool, 1, terms=STAYS))
    assert plan.rewrite == ()
    (rewriting,) = decide(pool, worker(pool, 0), worker(pool, 1)).rewrite
    assert (rewriting.pod_uid, WorkOrder.read(rewriting.after).idle_seconds) == ("pod-0", None)


@pytest.mark.parametrize(
    ("spec", "seen"),
    [
        pytest.param({"maxWorkers": 0}, {}, id="the pool is closed"),
        pytest.param({"resources": {"memory": "1Gi"}}, {}, id="it is built from what the pool was"),
        pytest.param({"minWorkers": 1}, {"wanted": True}, id="others wait for what it holds, though it would stay"),
    ],
)
def test_an_idle_worker_drains(spec: dict[str, Any], seen: dict[str, Any]) -> None:
    plan = decide(facts(**spec), worker(facts()), **seen)
    assert [order.drain for order in orders(plan)] == [True]
    assert plan.retire == {"pod-0"}


def test_a_busy_one_of_an_old_image_ends_its_phase_first() -> None:
    plan = decide(facts(resources={"memory": "1Gi"}), worker(facts(), 0, TOLD), bound=bound(), waiting=1)
    (order,) = orders(plan)
    assert order.drain
    assert len(order.told) == 1
    assert plan.delete == ()
    assert plan.create == (), "its place is free when it has ended"


def test_idle_workers_stay_for_their_own_queue() -> None:
    assert decide(facts(), worker(facts()), wanted=True, waiting=1).retire == frozenset()


@pytest.mark.parametrize(
    ("seen", "dropped"),
    [
        pytest.param({}, True, id="no status has it"),
        pytest.param({"bound": bound()}, False, id="a status has it"),
        pytest.param({"held": frozenset({"pod-0"})}, False, id="a reconcile is about to tell it another"),
        pytest.param({"free_since": {"pod-0": 99.8}}, False, id="it has just ended: the next may be told any moment"),
    ],
)
def test_which_phases_are_taken_off(seen: dict[str, Any], dropped: bool) -> None:
    plan = decide(facts(), worker(facts(), 0, TOLD), **seen)
    assert [order.told for order in orders(plan)] == ([()] if dropped else [])


NEXT = {**TOLD, "job": "other", "uid": "uid-other"}


def told_ahead(*, beside: bool = True, since: float = 0.0) -> dict[str, tuple[Bound, ...]]:
    """A worker is told a phase ahead, ``beside`` one at work."""
    following = Bound((NAMESPACE, "other"), "uid-other", "cut", 2, begun=False, since=since, ahead=True)
    return {"pod-0": (*(bound()["pod-0"] if beside else ()), following)}


@pytest.mark.parametrize(
    ("told", "seen", "left"),
    [
        pytest.param((TOLD, NEXT), {"bound": told_ahead()}, None, id="both are the worker's"),
        pytest.param((TOLD, NEXT), {"bound": bound()}, ["uid-song"], id="what was taken back goes"),
        pytest.param((TOLD, NEXT), {"bound": told_ahead(beside=False)}, ["uid-other"], id="what has ended goes"),
        pytest.param(
            (TOLD, NEXT),
            {"bound": told_ahead(beside=False), "free_since": {"pod-0": 99.8}},
            None,
            id="not at once: the next may be told any moment, and takes it off",
        ),
        pytest.param((TOLD,), {"bound": told_ahead()}, None, id="what is not told yet a reconcile tells"),
        pytest.param(
            (TOLD, NEXT), {"bound": bound(), "held": frozenset({"pod-0"})}, None, id="a reconcile is about to tell"
        ),
    ],
)
def test_what_a_worker_is_told_ahead_stays_beside_what_it_has(
    told: tuple[Any, ...], seen: dict[str, Any], left: list[str] | None
) -> None:
    plan = decide(facts(), worker(facts(), 0, *told), **seen)
    assert [[each.uid for each in order.told] for order in orders(plan)] == ([left] if left is not None else [])


def test_an_order_that_cannot_be_read_is_written_anew() -> None:
    assert [order.pool for order in orders(decide(facts(), worker(facts(), terms={"tasks": []})))] == ["warm"]


HAD_ONE = {"free_since": {"pod-0": 20.0}}


@pytest.mark.parametrize(
    ("seen", "deleted"),
    [
        pytest.param({"bound": bound(begun=False, since=30.0)} | HAD_ONE, True, id="it has not begun for 70 s"),
        pytest.param({"bound": bound(begun=False, since=50.0)} | HAD_ONE, False, id="it has time yet"),
        pytest.param({"bound": bound(begun=True, since=30.0)} | HAD_ONE, False, id="it has begun"),
        pytest.param({"bound": bound(begun=False, since=30.0)}, False, id="its first phase: it may still load"),
        pytest.param({"bound": bound(begun=False, since=-201.0)}, True, id="nothing loads for 301 s"),
        pytest.param({"bound": told_ahead(since=-500.0)} | HAD_ONE, False, id="what it is told ahead is not its turn"),
        pytest.param({"bound": told_ahead(beside=False, since=30.0)} | HAD_ONE, False, id="a file is on its way yet"),
        pytest.param({"bound": told_ahead(beside=False, since=-201.0)} | HAD_ONE, True, id="its turn was 301 s ago"),
        pytest.param({"hung": frozenset({"pod-0"})}, True, id="its phase was given to another one for that"),
    ],
)
def test_a_worker_that_hangs_goes(seen: dict[str, Any], deleted: bool) -> None:
    plan = decide(facts(), worker(facts(), 0, TOLD), **seen)
    assert bool(plan.delete) is deleted
    assert plan.retire == (frozenset({"pod-0"}) if deleted else frozenset())


def test_an_ended_one_goes_once_nobody_reads_its_end() -> None:
    assert decide(facts(), ended(facts()), bound=bound()).delete == ()
    assert [each.job_name for each in decide(facts(), ended(facts())).delete] == [ended(facts()).job_name]


def test_one_that_has_not_started_and_is_not_needed_goes() -> None:
    assert len(decide(facts(maxWorkers=0), worker(facts(), started=False)).delete) == 1


@pytest.mark.parametrize(
    ("pool", "seen", "words"),
    [
        pytest.param(facts(tasks=["Separate", "Engrave"]), {}, "No image holds the code", id="no image has its tasks"),
        pytest.param(facts(maxWorkers=0), {}, "The pool is closed, as maxWorkers is 0", id="it is closed"),
        pytest.param(facts(), {"waiting": 1, "room": 0}, "All GPUs are in use", id="no GPU is free"),
        pytest.param(
            facts(), {"waiting": 1, "room": 0, "outranked": 1}, "Workers end after their phase", id="others go before"
        ),
        pytest.param(facts(), {"wanted": True}, "Idle workers end, as others wait", id="it yields"),
        pytest.param(facts(), {"rests_until": 200.0}, "Workers end before they have done", id="its workers fail"),
        pytest.param(
            facts(maxWorkers=4),
            {"waiting": 3},
            "Phases that wait: 3. Of the workers 0 of 0 have a phase, 0 start, and maxWorkers is 4.",
            id="phases wait",
        ),
        pytest.param(facts(), {}, "", id="all is well"),
    ],
)
def test_what_people_are_told(pool: PoolFacts, seen: dict[str, Any], words: str) -> None:
    message = decide(pool, **seen).status.message or ""
    assert message.startswith(words)
    assert bool(message) is bool(words)


def test_why_a_worker_does_not_start_is_told() -> None:
    plan = decide(facts(), worker(facts(), phase="Pending", serve=NO_IMAGE, work=NO_IMAGE))
    assert plan.status.message is not None
    assert "cannot start: The image runner cannot be pulled" in plan.status.message


@pytest.mark.parametrize(
    ("spec", "seconds", "words"),
    [
        pytest.param({}, 30, "0 of 1 have a phase, 1 start", id="it has just been made"),
        pytest.param({}, 31, "gets no pod: a quota of the namespace may be full", id="a full quota"),
        pytest.param({"kueueLocalQueue": "lq"}, 31, "waits for Kueue: LocalQueue lq", id="Kueue has no room"),
    ],
)
def test_a_worker_that_gets_no_pod_is_told_of(spec: dict[str, Any], seconds: int, words: str) -> None:
    pool = facts(**spec)
    seen = PoolObserved(pool, (worker(pool, started=False),), NOW + timedelta(seconds=seconds), waiting=1)
    message = decide_pool(seen).status.message or ""
    assert words in message
