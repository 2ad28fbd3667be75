"""A Job that the API server does not take: what a round makes of it."""

from __future__ import annotations

from typing import Any, cast

import pytest
from tests.unit.operator.builders import NAMESPACE, World
from tests.unit.operator.jsonpatch import apply_patch
from tests.unit.operator.listening import Heard

from audiojob_kube.client import KubeClient
from audiojob_kube.errors import ApiError, Forbidden, Invalid
from audiojob_kube.resources import JOBS, Resource
from audiojob_operator.admission.admitter import Admitter
from audiojob_operator.metrics.registry import Metrics
from audiojob_operator.reconciling.apply import Applier
from audiojob_operator.reconciling.gather import Gatherer
from audiojob_operator.reconciling.giving_up import GivingUp
from audiojob_operator.reconciling.reconcile import Reconciler
from audiojob_operator.reconciling.workqueue import WorkQueue
from audiojob_operator.records.admission import Admission
from audiojob_operator.records.objects import Key
from audiojob_operator.records.observed import Observed
from audiojob_operator.settings import Capacity
from audiojob_operator.state.caches import Caches
from audiojob_operator.state.jobstore import Known


class ServerWithoutRoom:
    """Takes everything but Jobs, and keeps what it was told of the AudioJob."""

    def __init__(self, world: World, refusal: ApiError) -> None:
        self.world = world
        self.refusal = refusal

    async def create(self, resource: Resource, body: dict[str, Any], namespace: str | None = None) -> dict[str, Any]:
        if resource == JOBS:
            raise self.refusal
        return {**body, "metadata": {**body["metadata"], "resourceVersion": "5"}}

    async def patch_json(self, resource: Resource, name: str, operations: list[Any], *_: Any, **__: Any) -> Any:
        self.world.audiojob = apply_patch(self.world.audiojob, tuple(operations))
        self.world.audiojob["metadata"]["resourceVersion"] = "6"
        return self.world.audiojob


class WorldGatherer:
    """Gathers from the world instead of caches."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def known(self, key: Key) -> Known:
        return Known(self.world.audiojob, 1)

    def orphans(self, key: Key, uid: str | None) -> list[dict[str, Any]]:
        return []

    def is_foreign(self, known: Known) -> bool:
        return False

    async def observe(self, key: Key, known: Known, admission: Admission) -> Observed:
        return self.world.observed()

    def ended(self, key: Key) -> set[Key]:
        return set()

    def settle(self, key: Key) -> None:
        pass


@pytest.mark.parametrize(
    ("refusal", "state", "again"),
    [
        pytest.param(Forbidden(403, "Forbidden", "exceeded quota: few"), "Queued", 30, id="a quota is waited for"),
        pytest.param(Invalid(422, "Invalid", "cpu limit too low"), "Failed", None, id="an impossible Job ends it"),
    ],
)
async def test_a_refused_job_is_told_in_status(refusal: ApiError, state: str, again: float | None) -> None:
    world = World()
    client = cast("KubeClient", ServerWithoutRoom(world, refusal))
    caches, queue, metrics = Caches(client, (), Heard()), WorkQueue[Key](), Metrics()
    admitter = Admitter(caches, Capacity(), lambda key, first: None)
    admitter.open()
    applier = Applier(client, caches, metrics, "test")
    giving_up = GivingUp(caches, admitter, applier, None)
    reconciler = Reconciler(queue, cast("Gatherer", WorldGatherer(world)), applier, admitter, giving_up, metrics)
    assert await reconciler.reconcile((NAMESPACE, "song")) == again
    assert world.status["state"] == state
    assert refusal.message in world.status["message"]
