"""What people are told of a pool's workers."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.operator.builders import NOW
from tests.unit.operator.deciding.pools.played import TOLD, facts, worker_job, worker_pod
from tests.unit.operator.deciding.pools.test_decide import NO_IMAGE, bound

from audiojob_operator.deciding.pools.decide import PoolObserved, decide_pool
from audiojob_operator.deciding.pools.observe import observe_worker
from audiojob_operator.deciding.pools.telling import Ended, PoolReason, ended, started, trouble, why_leave, why_started

POOL = facts(minWorkers=1)
ABOUT = POOL.pool.metadata
JOB = worker_job(POOL)
NAME = JOB["metadata"]["name"]


def seen(pool: Any = POOL, *, told: Any = None, **more: Any) -> PoolObserved:
    pod = worker_pod(JOB, *([told] if told else []), terms=more.pop("terms", None))
    return PoolObserved(pool, (observe_worker(JOB, [pod]),), NOW, clock=400.0, **more)


@pytest.mark.parametrize(
    ("look", "why"),
    [
        pytest.param(seen(), None, id="one that stays"),
        pytest.param(seen(replace(POOL, built_from="other")), "The pool, an image or a setting", id="a changed pool"),
        pytest.param(seen(facts(maxWorkers=0)), "The pool is closed.", id="a closed pool"),
        pytest.param(seen(wanted=True), "Others wait for what it held.", id="others wait"),
        pytest.param(seen(told=TOLD, bound=bound(begun=False)), "It did not begin its phase in time.", id="it hangs"),
        pytest.param(seen(terms={"drain": True}), "", id="an operator before this one has sent it away"),
    ],
)
def test_why_a_worker_goes(look: PoolObserved, why: str | None) -> None:
    found = why_leave(look, decide_pool(look), {})
    assert (why is None) == (found == {})
    assert found.get(NAME, "").startswith(why or "")


def test_why_it_goes_is_what_was_so_when_it_was_sent_away() -> None:
    calm = seen(terms={"drain": True})
    assert why_leave(calm, decide_pool(calm), {NAME: "Others.", "gone": "Long ago."}) == {NAME: "Others."}


def test_why_one_is_made() -> None:
    assert [why_started(seen(waiting=count)) for count in (0, 1, 7)] == [
        "minWorkers is 1",
        "1 phase waits",
        "7 phases wait",
    ]


def test_what_events_say() -> None:
    idle = Ended("a", 7, failed=False, why="It had nothing to do for 60 seconds.")
    assert started(ABOUT, ["a"], "1 phase waits").message == "Started worker a: 1 phase waits."
    assert started(ABOUT, ["a", "b"], "3 phases wait").message == "Started 2 workers (a, b): 3 phases wait."
    assert ended(ABOUT, [idle]).message == "Worker a ended after 7 phases: It had nothing to do for 60 seconds."
    both = ended(ABOUT, [idle, Ended("b", 1, failed=True, why="")])
    assert both.message.endswith("60 seconds. b failed after 1 phase")
    assert (ended(ABOUT, [idle]).type, both.type) == ("Normal", "Warning")


def test_the_same_event_has_the_same_name_and_a_trouble_is_another_one_after_an_hour() -> None:
    names = [trouble(ABOUT, PoolReason.WORKERS_FAIL, what, NOW).name for what in ("this", "that")]
    later = trouble(ABOUT, PoolReason.WORKERS_FAIL, "this", NOW + timedelta(hours=1)).name
    other = trouble(ABOUT, PoolReason.WORKERS_REFUSED, "this", NOW).name
    assert (names[0] == names[1], len({names[0], later, other})) == (True, 3)


def test_what_keeps_workers_from_their_start() -> None:
    pod = worker_pod(JOB, phase="Pending", serve=NO_IMAGE, work=NO_IMAGE)
    late = NOW + timedelta(seconds=31)
    stuck = PoolObserved(POOL, (observe_worker(JOB, [pod]),), late)
    assert "cannot start" in decide_pool(stuck).stuck
    assert not decide_pool(replace(stuck, now=NOW)).stuck, "each pod says so for a moment"
    without = PoolObserved(POOL, (observe_worker(JOB, []),), late)
    assert "gets no pod" in decide_pool(without).stuck
    assert not decide_pool(replace(without, facts=facts(minWorkers=1, kueueLocalQueue="lq"))).stuck, "Kueue only waits"
    assert not decide_pool(seen()).stuck
