"""The book of workers: who has one, who waits, and that no two take the same seat."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.operator.builders import NAMESPACE, NOW

from audiojob_operator.records.workers import Binding, PoolFacts, PoolView, Worker, WorkerPod, WorkerWait
from audiojob_operator.state.workers import WorkerBook
from audiojob_types.tasks import Task
from audiojob_types.workers.order import WorkOrder
from audiojob_types.workers.pool import AudioWorkerPool

POOL = (NAMESPACE, "warm")
JOBS = [(NAMESPACE, name) for name in ("first", "second", "third")]


def pool_facts(problem: str = "", **spec: Any) -> PoolFacts:
    obj = {"metadata": {"name": "warm", "namespace": NAMESPACE, "uid": "pool"}, "spec": {"tasks": ["Simulate"], **spec}}
    return PoolFacts(AudioWorkerPool.read(obj), "now", problem)


def idle_worker(number: int = 0, *, built_from: str = "now", **order: Any) -> Worker:
    terms = WorkOrder(pool="warm", tasks=(Task.SIMULATE,), **order)
    pod = WorkerPod(f"warm-{number}-x", f"pod-{number}", "text", terms, "node-1", up=True)
    return Worker(f"warm-{number}", f"job-{number}", number, built_from, NOW, pod=pod)


def audio_job(
    key: tuple[str, str], pod: str | None, *, begun: bool = False, ahead: bool = False, **status: Any
) -> dict[str, Any]:
    record = {"name": "cut", "state": "Running", "attempt": 2} | ({"podUID": pod} if pod else {})
    record |= {"state": "Waiting", "reason": "ToldToWorker"} if ahead else {}
    progress = {"progress": {"cut": {"attempt": 2, "percent": 0, "begun": True}}} if begun else {}
    return {
        "metadata": {"name": key[1], "namespace": key[0], "uid": f"uid-{key[1]}"},
        "status": {"state": "Running", "phases": [record]} | progress | status,
    }


class Told:
    """A book of a pool with these workers, and whom it has woken."""

    def __init__(self, *workers: Worker, facts: PoolFacts | None = None) -> None:
        self.jobs: list[tuple[str, str]] = []
        self.pools: list[tuple[str, str]] = []
        self.now = 0.0
        self.book = WorkerBook(self.jobs.append, self.pools.append, lambda: self.now)
        self.book.pool_seen(POOL, facts or pool_facts())
        for worker in workers:
            self.put(worker)

    def put(self, worker: Worker) -> None:
        self.book.worker_seen(POOL, worker.job_name, worker)

    def view(self, key: tuple[str, str] = JOBS[0]) -> PoolView:
        found = self.book.view(NAMESPACE, "warm", key)
        assert found is not None
        return found

    def seats(self, key: tuple[str, str] = JOBS[0]) -> list[str]:
        return [seat.pod_uid for seat in self.view(key).seats]

    def next_seats(self, key: tuple[str, str] = JOBS[0]) -> list[str]:
        return [seat.pod_uid for seat in self.view(key).next_seats]

    def at_work(self, key: tuple[str, str], pod: str = "pod-0", **more: Any) -> None:
        self.book.seen(key, audio_job(key, pod, begun=True, **more))

    def told(self, key: tuple[str, str], pod: str = "pod-0", **more: Any) -> None:
        self.book.seen(key, audio_job(key, pod, ahead=True, **more))

    def hold(self, key: tuple[str, str], seat: int = 0) -> bool:
        return self.book.hold(key, Binding("warm", "cut", 2, self.view(key).seats[seat]))

    def wait(self, *keys: tuple[str, str]) -> None:
        for place, key in enumerate(keys):
            self.book.waits(key, [WorkerWait("cut", "warm", NOW + timedelta(seconds=place))])


def changed(pod: WorkerPod | None, **more: Any) -> WorkerPod:
    assert pod is not None
    return replace(pod, **more)


READY = idle_worker()


@pytest.mark.parametrize(
    ("worker", "free"),
    [
        pytest.param(READY, True, id="a worker that waits for work is a seat"),
        pytest.param(replace(READY, pod=None), False, id="one without a pod is none"),
        pytest.param(replace(READY, pod=changed(READY.pod, up=False)), False, id="nor one whose pod starts"),
        pytest.param(replace(READY, pod=changed(READY.pod, ended=True)), False, id="nor one whose pod has ended"),
        pytest.param(replace(READY, pod=changed(READY.pod, terminating=True)), False, id="nor one on its way out"),
        pytest.param(replace(READY, deleting=True), False, id="nor one whose Job is being deleted"),
        pytest.param(idle_worker(built_from="before"), False, id="nor one built from what the pool was"),
        pytest.param(idle_worker(drain=True), False, id="nor one that drains"),
        pytest.param(
            replace(READY, pod=changed(READY.pod, order=None)), False, id="nor one whose annotation cannot be read"
        ),
    ],
)
def test_what_a_seat_is(worker: Worker, free: bool) -> None:
    assert bool(Told(worker).seats()) is free


def test_those_that_stay_are_taken_first() -> None:
    told = Told(idle_worker(1), idle_worker(2, idle_seconds=None))
    assert told.seats() == ["pod-2", "pod-1"]


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param(pool_facts(maxWorkers=0), id="its maximum is 0"),
        pytest.param(pool_facts("no image has its tasks"), id="no worker can be made of it"),
    ],
)
def test_a_closed_pool_has_no_seats(facts: PoolFacts) -> None:
    told = Told(READY, facts=facts)
    assert told.view().closed
    assert told.seats() == []


def test_a_missing_pool_has_no_view() -> None:
    assert Told().book.view(NAMESPACE, "other", JOBS[0]) is None


def test_a_seat_is_held_by_one_and_then_bound() -> None:
    told = Told(READY)
    binding = Binding("warm", "cut", 2, told.view().seats[0])
    assert told.book.hold(JOBS[0], binding)
    assert told.seats(JOBS[0]) == ["pod-0"], "a decision that is made again finds what it holds"
    assert told.seats(JOBS[1]) == []
    assert not told.book.hold(JOBS[1], binding)
    assert [told.book.holds(key) for key in JOBS] == [True, False, False]
    told.book.seen(JOBS[0], audio_job(JOBS[0], "pod-0"))
    told.book.release(JOBS[0])
    assert not told.book.holds(JOBS[0])
    assert told.book.taken("pod-0")
    assert told.view(JOBS[1]).busy == 1
    (bound,) = told.book.bound("pod-0")
    assert (bound.key, bound.uid, bound.phase, bound.attempt, bound.begun) == (JOBS[0], "uid-first", "cut", 2, False)


def test_since_when_a_phase_is_bound_is_kept_when_it_begins() -> None:
    told = Told(READY)
    told.now = 7.0
    told.book.seen(JOBS[0], audio_job(JOBS[0], "pod-0"))
    told.now = 9.0
    told.book.seen(JOBS[0], audio_job(JOBS[0], "pod-0", begun=True))
    (bound,) = told.book.bound("pod-0")
    assert (bound.begun, bound.since) == (True, 7.0)


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(audio_job(JOBS[0], None), id="its phase is bound no more"),
        pytest.param(audio_job(JOBS[0], "pod-0", state="Cancelled"), id="it is finished"),
        pytest.param(None, id="it is gone"),
    ],
)
def test_a_seat_that_is_free_again_goes_to_whom_waits_longest(after: dict[str, Any] | None) -> None:
    told = Told(READY)
    told.book.seen(JOBS[0], audio_job(JOBS[0], "pod-0"))
    told.wait(*JOBS[1:])
    told.jobs.clear()
    told.pools.clear()
    told.book.seen(JOBS[0], after)
    assert told.jobs == [JOBS[1]]
    assert POOL in told.pools
    assert told.book.bound("pod-0") == ()


def test_who_passes_a_seat_by_leaves_it_to_the_next() -> None:
    told = Told(READY)
    told.wait(*JOBS)
    told.jobs.clear()
    told.book.release(JOBS[0])
    assert told.jobs == [JOBS[1]]
    told.book.release(JOBS[2])
    assert told.jobs == [JOBS[1]], "behind the last there is nobody"


def test_a_seat_that_was_held_in_vain_is_offered_again() -> None:
    told = Told(READY)
    told.wait(*JOBS)
    assert told.hold(JOBS[0])
    told.book.waits(JOBS[0], ())
    told.jobs.clear()
    told.book.release(JOBS[0])
    assert JOBS[1] in told.jobs


def test_a_phase_that_waits_no_more_is_not_counted_though_another_of_its_job_waits() -> None:
    told = Told()
    first, second = (WorkerWait(phase, "warm", NOW) for phase in ("cut", "paste"))
    told.book.waits(JOBS[0], (first, second))
    told.wait(JOBS[1])
    assert (told.book.waiting(POOL), told.view(JOBS[1]).ahead) == (3, 2)
    told.jobs.clear()
    told.book.waits(JOBS[0], (second,))
    assert (told.book.waiting(POOL), told.view(JOBS[1]).ahead) == (2, 1)
    told.book.waits(JOBS[0], (WorkerWait("cut", "other", NOW),))
    assert (told.book.waiting(POOL), told.book.waiting((NAMESPACE, "other"))) == (1, 1)


def test_who_waits_is_counted_in_order() -> None:
    told = Told()
    told.wait(*JOBS)
    assert told.book.waiting(POOL) == 3
    assert [told.view(key).ahead for key in JOBS] == [0, 1, 2]
    assert told.view((NAMESPACE, "new")).ahead == 3
    told.book.waits(JOBS[0], ())
    assert (told.book.waiting(POOL), told.view(JOBS[2]).ahead) == (2, 1)
    shown = told.book.numbers()[POOL]
    assert (shown.waiting, shown.waits_since, shown.most) == (2, NOW + timedelta(seconds=1), 1)
    told.book.seen(JOBS[1], None)
    assert told.book.waiting(POOL) == 1, "one that is gone waits no more"


def test_the_more_urgent_go_first_whoever_has_waited_for_longer() -> None:
    told = Told()
    told.wait(*JOBS)
    told.book.waits(JOBS[2], [WorkerWait("cut", "warm", NOW + timedelta(seconds=9), priority=9)])
    assert [told.view(key).ahead for key in JOBS] == [1, 2, 0]
    told.put(READY)
    assert (told.jobs[-1], told.book.numbers()[POOL].waits_since) == (JOBS[2], NOW)


def test_as_many_are_woken_as_there_are_seats() -> None:
    told = Told()
    told.wait(*JOBS)
    told.jobs.clear()
    told.put(READY)
    assert told.jobs == [JOBS[0]]
    told.put(idle_worker(1))
    assert told.jobs == [JOBS[0], JOBS[0], JOBS[1]]


def test_a_changed_pool_wakes_all_that_wait_for_it() -> None:
    told = Told()
    told.wait(*JOBS)
    told.jobs.clear()
    told.book.pool_seen(POOL, None)
    assert told.jobs == JOBS


def test_a_retired_worker_gets_no_phase_before_its_pod_says_so() -> None:
    told = Told(READY)
    told.book.retire(POOL, {"pod-0"})
    assert told.seats() == []
    told.book.retire(POOL, ())
    assert told.seats() == ["pod-0"]


def test_a_worker_that_did_not_begin_gets_no_phase_and_is_known_to_hang_once_it_has_none() -> None:
    told = Told(READY)
    told.book.seen(JOBS[0], audio_job(JOBS[0], "pod-0"))
    told.book.suspect(JOBS[0], ("pod-0", "of-nobody"))
    assert not told.book.hangs("pod-0"), "its status gives it the phase yet"
    told.book.seen(JOBS[0], audio_job(JOBS[0], None))
    told.book.suspect(JOBS[0], ())
    assert (told.book.hangs("pod-0"), told.seats()) == (True, [])
    told.book.worker_seen(POOL, READY.job_name, None)
    told.put(READY)
    assert (told.book.hangs("pod-0"), told.seats()) == (False, ["pod-0"]), "of one that is gone nothing is kept"


def test_one_that_has_begun_after_all_does_not_hang() -> None:
    told = Told(READY)
    told.book.seen(JOBS[0], audio_job(JOBS[0], "pod-0"))
    told.book.suspect(JOBS[0], ("pod-0",))
    told.book.suspect(JOBS[0], ())
    told.book.seen(JOBS[0], audio_job(JOBS[0], None))
    assert told.seats() == ["pod-0"]


def test_a_worker_is_found_by_its_pod_until_it_is_gone() -> None:
    told = Told(READY)
    assert told.book.worker("pod-0") == READY
    told.book.worker_seen(POOL, READY.job_name, None)
    assert told.book.worker("pod-0") is None
    assert told.book.workers(POOL) == ()


@pytest.mark.parametrize(
    ("worker", "woken"),
    [
        pytest.param(READY, False, id="it is there"),
        pytest.param(replace(READY, pod=changed(READY.pod, ended=True)), True, id="it has ended"),
        pytest.param(replace(READY, pod=changed(READY.pod, terminating=True)), True, id="it is about to end"),
        pytest.param(None, True, id="it is gone"),
    ],
)
def test_a_phase_whose_worker_ended_while_its_status_was_written_is_looked_at_again(
    worker: Worker | None, woken: bool
) -> None:
    told = Told(READY)
    assert told.hold(JOBS[0])
    told.book.worker_seen(POOL, READY.job_name, worker)
    assert told.jobs == [], "no phase is known to be with it yet"
    told.book.seen(JOBS[0], audio_job(JOBS[0], "pod-0"))
    assert told.jobs == [JOBS[0]] * woken


# ---------------------------------------------------------------- told ahead


def test_one_at_work_on_a_phase_of_another_job_is_the_seat_of_a_next_phase() -> None:
    told = Told(READY)
    assert told.next_seats(JOBS[1]) == []
    told.book.seen(JOBS[0], audio_job(JOBS[0], "pod-0"))
    assert told.next_seats(JOBS[1]) == [], "it has not begun it"
    told.at_work(JOBS[0])
    assert (told.next_seats(JOBS[1]), told.next_seats(JOBS[0])) == (["pod-0"], [])
    assert told.view(JOBS[1]).next_seats[0].order_bytes == len("text")
    told.told(JOBS[1])
    assert told.next_seats(JOBS[2]) == [], "it has its next one"
    told.book.seen(JOBS[0], None)
    assert told.next_seats(JOBS[2]) == [], "it has not begun that"
    assert (told.seats(JOBS[2]), told.view(JOBS[1]).alone) == ([], frozenset({"pod-0"}))
    told.at_work(JOBS[1])
    assert told.next_seats(JOBS[2]) == ["pod-0"]


def test_the_one_that_works_for_longest_is_the_first_seat() -> None:
    told = Told(READY, idle_worker(1))
    told.now = 5.0
    told.at_work(JOBS[1], "pod-1")
    told.now = 6.0
    told.at_work(JOBS[0])
    assert told.next_seats(JOBS[2]) == ["pod-1", "pod-0"]


def test_a_next_seat_is_held_by_one_and_no_free_one_meanwhile() -> None:
    told = Told(READY)
    told.at_work(JOBS[0])
    binding = Binding("warm", "cut", 2, told.view(JOBS[1]).next_seats[0], ahead=True)
    assert told.book.hold(JOBS[1], binding)
    assert told.book.held("pod-0")
    assert not told.book.hold(JOBS[2], binding)
    told.book.seen(JOBS[0], None)
    assert told.seats(JOBS[2]) == []
    told.told(JOBS[1])
    told.book.release(JOBS[1])
    assert (told.seats(JOBS[2]), told.seats(JOBS[1]), told.book.held("pod-0")) == ([], ["pod-0"], False)


def test_those_that_are_told_wait_but_leave_next_seats_to_others() -> None:
    told = Told(READY, idle_worker(1))
    told.at_work((NAMESPACE, "one"))
    told.at_work((NAMESPACE, "two"), "pod-1")
    told.wait(*JOBS)
    told.told(JOBS[0])
    view = told.view(JOBS[2])
    assert (told.book.waiting(POOL), view.ahead, view.ahead_untold) == (3, 2, 1)
    told.book.seen((NAMESPACE, "one"), None)
    view = told.view(JOBS[2])
    assert (view.ahead, view.ahead_untold) == (1, 1), "one that begins in a moment takes no free worker"


def test_a_worker_that_begins_wakes_the_longest_of_those_that_nobody_is_told() -> None:
    told = Told(READY, idle_worker(1))
    told.at_work((NAMESPACE, "one"))
    told.book.seen((NAMESPACE, "two"), audio_job((NAMESPACE, "two"), "pod-1"))
    told.wait(*JOBS)
    told.told(JOBS[0])
    told.jobs.clear()
    told.at_work((NAMESPACE, "two"), "pod-1")
    assert told.jobs == [JOBS[1]]


def test_a_worker_is_to_begin_what_it_is_told_ahead_once_it_has_nothing_else() -> None:
    told = Told(READY)
    told.at_work(JOBS[0])
    told.now = 2.0
    told.told(JOBS[1])
    told.now = 90.0
    told.book.seen(JOBS[0], None)
    (bound,) = told.book.bound("pod-0")
    assert (bound.ahead, bound.since, told.book.free_since("pod-0")) == (True, 90.0, 90.0)
    told.told(JOBS[1], message="looked at again")
    assert told.book.bound("pod-0")[0].since == 90.0


def test_one_that_ends_after_the_phase_that_it_has_is_no_seat_of_a_next_one() -> None:
    told = Told(READY, facts=pool_facts(maxPhases=2))
    told.at_work(JOBS[0])
    assert told.next_seats(JOBS[1]) == ["pod-0"]
    told.book.seen(JOBS[0], None)
    told.at_work(JOBS[2])
    assert told.next_seats(JOBS[1]) == []
