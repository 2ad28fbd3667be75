"""A worker that does not begin what it is told is told again, twice and no more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.operator.builders import NAMESPACE, NOW
from tests.unit.operator.deciding.pools.played import TOLD, facts, worker_job, worker_pod

from audiojob_operator.deciding.pools.again import told_again
from audiojob_operator.deciding.pools.decide import PoolObserved, PoolPlan, decide_pool
from audiojob_operator.deciding.pools.observe import observe_worker
from audiojob_operator.records.workers import Bound, PoolFacts
from audiojob_types.workers.order import MAX_ORDER_BYTES, WorkOrder

OTHER = {**TOLD, "attempt": 1}
LATER = 10_000.0


def decide(waited: float, told: Any = TOLD, *, begun: bool = False, spaces: int = 0, **seen: Any) -> PoolPlan:
    """A worker was given a phase so long ago, and told ``told``; it has been told again ``spaces`` times."""
    pool: PoolFacts = seen.pop("pool", facts())
    worker = observe_worker(worker_job(), [worker_pod(worker_job(), told)])
    assert worker.pod is not None
    worker = replace(worker, pod=replace(worker.pod, order_text=worker.pod.order_text + " " * spaces))
    bound = Bound((NAMESPACE, "song"), "uid-song", "cut", 2, begun, LATER - waited)
    return decide_pool(PoolObserved(pool, (worker,), NOW, clock=LATER, bound={"pod-0": (bound,)}, **seen))


@pytest.mark.parametrize(
    ("waited", "seen", "spaces", "look"),
    [
        pytest.param(0.0, {}, None, 4.0, id="just told"),
        pytest.param(3.9, {}, None, 0.1, id="not yet"),
        pytest.param(4.0, {}, 1, 11.0, id="once"),
        pytest.param(4.1, {"spaces": 1}, None, 10.9, id="not over and over"),
        pytest.param(15.0, {"spaces": 1}, 2, 15.0, id="once more"),
        pytest.param(15.0, {}, 2, 15.0, id="the operator was away meanwhile: in one write"),
        pytest.param(59.0, {"spaces": 2}, None, 15.0, id="and no more"),
        pytest.param(0.0, {"spaces": 1}, None, 4.0, id="an operator that has just started counts from anew"),
        pytest.param(4.0, {"spaces": 1}, None, 11.0, id="but knows what the one before it wrote"),
        pytest.param(59.0, {"begun": True}, None, 15.0, id="it has begun in time"),
        pytest.param(59.0, {"begun": True, "spaces": 2}, None, 15.0, id="it has begun late: nothing is tidied up"),
        pytest.param(59.0, {"told": OTHER}, None, 0.5, id="it was not told yet: a reconcile does that"),
        pytest.param(61.0, {"free_since": {"pod-0": 1.0}}, None, 15.0, id="it hangs, and goes"),
    ],
)
def test_when_it_is_told_again(waited: float, seen: dict[str, Any], spaces: int | None, look: float) -> None:
    plan = decide(waited, **seen)
    found = [(each.after.rstrip(" "), len(each.after) - len(each.after.rstrip(" "))) for each in plan.rewrite]
    before = [each.before.rstrip(" ") for each in plan.rewrite]
    assert found == ([(before[0], spaces)] if spaces is not None else [])
    assert plan.requeue_after == pytest.approx(look)
    assert bool(plan.delete) is (waited > 60)


@pytest.mark.parametrize(
    ("waited", "spaces", "after"),
    [
        pytest.param(1.0, 0, 0, id="a change of its own is one"),
        pytest.param(5.0, 0, 1, id="what is due goes with it"),
        pytest.param(5.0, 1, 1, id="what was written still counts"),
    ],
)
def test_terms_that_change_meanwhile(waited: float, spaces: int, after: int) -> None:
    (rewriting,) = decide(waited, spaces=spaces, pool=facts(maxWorkers=0)).rewrite
    order = WorkOrder.read(rewriting.after)
    assert (order.drain, [each.phase for each in order.told]) == (True, ["cut"])
    assert len(rewriting.after) - len(rewriting.after.rstrip(" ")) == after


def test_an_order_without_room_is_left_as_it_is() -> None:
    bound = [Bound((NAMESPACE, "song"), "uid-song", "cut", 2)]
    order = "é" * (MAX_ORDER_BYTES // 2)
    assert told_again(order, order, bound, 4.0) == order
    assert told_again(order[1:], order[1:], bound, 4.0) == order[1:] + " "


@pytest.mark.parametrize("beside", [True, False], ids=["not beside another one", "once it has no other"])
def test_what_is_told_ahead_is_told_again(beside: bool) -> None:
    bound = Bound((NAMESPACE, "song"), "uid-song", "cut", 2, begun=False, since=LATER - 5, ahead=True)
    at_work = Bound((NAMESPACE, "other"), "uid-other", "cut", 2, begun=True)
    after = told_again("{}", "{}", (at_work, bound) if beside else (bound,), LATER)
    assert after == ("{}" if beside else "{} ")
