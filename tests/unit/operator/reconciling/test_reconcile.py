"""AudioJobs as a controller's kind: what a reconcile of one job must leave to all others."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest
from tests.support.polling import eventually
from tests.unit.operator.builders import NAMESPACE, audio_job
from tests.unit.operator.listening import Heard

from audiojob_kube.client import KubeClient
from audiojob_operator.admission.admitter import Admitter
from audiojob_operator.metrics.registry import Metrics
from audiojob_operator.reconciling.apply import Applier
from audiojob_operator.reconciling.bound import Workers
from audiojob_operator.reconciling.controller import Controller
from audiojob_operator.reconciling.gather import Gatherer
from audiojob_operator.reconciling.giving_up import GivingUp
from audiojob_operator.reconciling.reconcile import Reconciler
from audiojob_operator.reconciling.workqueue import WorkQueue
from audiojob_operator.records.objects import Key, Object
from audiojob_operator.records.observed import Observed
from audiojob_operator.settings import Capacity
from audiojob_operator.state.caches import Caches
from audiojob_operator.state.jobstore import Known
from audiojob_operator.state.workers import WorkerBook

MANY = 100


class NothingThere(Gatherer):
    """Every job is gone: a round over it writes nothing and waits for nothing."""

    def __init__(self, book: WorkerBook | None = None) -> None:
        self.asked = 0
        self.workers = Workers(cast("KubeClient", None), book)

    async def known(self, key: Key) -> Known | None:
        self.asked += 1
        return None

    def orphans(self, key: Key, uid: str | None) -> list[Object]:
        return []

    def ended(self, key: Key) -> set[Key]:
        return set()


def reconciler_of(
    gatherer: Gatherer, caches: Caches | None = None, applies: type[Applier] = Applier
) -> tuple[Reconciler, WorkQueue[Key], Metrics]:
    client = cast("KubeClient", None)
    caches, queue, metrics = caches or Caches(client, (), Heard()), WorkQueue[Key](), Metrics()
    admitter = Admitter(caches, Capacity(), lambda key, first: None)
    admitter.open()
    applier = applies(client, caches, metrics, "test")
    giving_up = GivingUp(caches, admitter, applier, None)
    return Reconciler(queue, gatherer, applier, admitter, giving_up, metrics), queue, metrics


async def test_rounds_that_never_wait_leave_the_loop_to_others_in_between() -> None:
    gatherer = NothingThere()
    reconciler, queue, metrics = reconciler_of(gatherer)
    controller = Controller(queue, reconciler, metrics.reconciled)
    for number in range(MANY):
        queue.add((NAMESPACE, f"job-{number}"))
    worker = asyncio.create_task(controller.run(workers=1))
    try:
        for _ in range(10):
            await asyncio.sleep(0)
        assert 0 < gatherer.asked <= 10, "each turn of the loop is one round"
        await eventually(lambda: gatherer.asked == MANY, "a round over each")
    finally:
        worker.cancel()


class SeatHeld(NothingThere):
    """The last reconcile took a seat, and its write of the status has no answer."""

    def __init__(self) -> None:
        super().__init__(cast("WorkerBook", self))
        self.calls: list[str] = []

    def holds(self, key: Key) -> bool:
        return "release" not in self.calls

    def release(self, key: Key) -> None:
        self.calls.append("release")

    async def read(self, key: Key) -> Known | None:
        self.calls.append("read")
        return None


async def test_a_seat_of_a_write_without_an_answer_is_held_until_the_job_was_read_again() -> None:
    gatherer = SeatHeld()
    reconciler, _, _ = reconciler_of(gatherer)
    await reconciler.reconcile((NAMESPACE, "song"))
    assert gatherer.calls == ["read", "release"]


class SeatTaken(SeatHeld):
    """A reconcile takes a seat, and fails."""

    def __init__(self, known: Known) -> None:
        super().__init__()
        self.known_job = known

    async def known(self, key: Key) -> Known | None:
        return self.known_job

    def holds(self, key: Key) -> bool:
        return False

    def is_foreign(self, known: Known) -> bool:
        return False

    async def observe(self, *_: object) -> Observed:
        return cast("Observed", None)  # to decide from it is a fault


class NoAnswer(Applier):
    """Its write of the status had no answer."""

    def is_unanswered(self, key: Key) -> bool:
        return True


@pytest.mark.parametrize(
    ("applies", "released"),
    [
        pytest.param(Applier, ["release"], id="nothing was written: the seat is others'"),
        pytest.param(NoAnswer, [], id="nobody knows whether the status binds it"),
    ],
)
async def test_after_a_failure_a_seat_is_held_only_where_it_may_be_bound(
    applies: type[Applier], released: list[str]
) -> None:
    caches = Caches(cast("KubeClient", None), (NAMESPACE,), Heard())
    job = audio_job("song")
    job["metadata"] |= {"resourceVersion": "7"}
    caches.audiojobs.put(job)
    key = (NAMESPACE, "song")
    known = caches.audiojobs.get(key)
    assert known is not None
    gatherer = SeatTaken(known)
    reconciler, _, _ = reconciler_of(gatherer, caches, applies)
    with pytest.raises(AttributeError):
        await reconciler.reconcile(key)
    assert gatherer.calls == released
