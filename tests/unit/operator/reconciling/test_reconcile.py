"""AudioJobs as a controller's kind: what a reconcile of one job must leave to all others."""

from __future__ import annotations

import asyncio
from typing import cast

from tests.support.polling import eventually
from tests.unit.operator.builders import NAMESPACE
from tests.unit.operator.listening import Heard

from audiojob_kube.client import KubeClient
from audiojob_operator.admission.admitter import Admitter
from audiojob_operator.metrics.registry import Metrics
from audiojob_operator.reconciling.apply import Applier
from audiojob_operator.reconciling.controller import Controller
from audiojob_operator.reconciling.gather import Gatherer
from audiojob_operator.reconciling.giving_up import GivingUp
from audiojob_operator.reconciling.reconcile import Reconciler
from audiojob_operator.reconciling.workqueue import WorkQueue
from audiojob_operator.records.objects import Key, Object
from audiojob_operator.settings import Capacity
from audiojob_operator.state.caches import Caches
from audiojob_operator.state.jobstore import Known

MANY = 100


class NothingThere(Gatherer):
    """Every job is gone: a round over it writes nothing and waits for nothing."""

    def __init__(self) -> None:
        self.asked = 0

    async def known(self, key: Key) -> Known | None:
        self.asked += 1
        return None

    def orphans(self, key: Key, uid: str | None) -> list[Object]:
        return []

    def ended(self, key: Key) -> set[Key]:
        return set()


async def test_rounds_that_never_wait_leave_the_loop_to_others_in_between() -> None:
    client = cast("KubeClient", None)
    caches, queue, metrics, gatherer = Caches(client, (), Heard()), WorkQueue[Key](), Metrics(), NothingThere()
    admitter = Admitter(caches, Capacity(), lambda key, first: None)
    applier = Applier(client, caches, metrics, "test")
    giving_up = GivingUp(caches, admitter, applier, None)
    reconciler = Reconciler(queue, gatherer, applier, admitter, giving_up, metrics)
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
