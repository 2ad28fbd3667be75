"""A Job or revision that the API server does not take: what a reconcile makes of it."""

from __future__ import annotations

from typing import Any, cast

import pytest
from tests.unit.operator.builders import NAMESPACE, World
from tests.unit.operator.jsonpatch import apply_patch
from tests.unit.operator.listening import Heard

from audiojob_kube.client import KubeClient
from audiojob_kube.errors import AlreadyExists, ApiError, Forbidden, Invalid
from audiojob_kube.resources import CONTROLLERREVISIONS, JOBS, Resource
from audiojob_operator.admission.admitter import Admitter
from audiojob_operator.deciding.status import holds_slot
from audiojob_operator.metrics.registry import Metrics
from audiojob_operator.reconciling.apply import Applier
from audiojob_operator.reconciling.bound import Workers
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
    """Takes everything but one kind of object, and keeps what it was told of the AudioJob."""

    def __init__(self, world: World, refusal: ApiError, refused: Resource) -> None:
        self.world = world
        self.refusal = refusal
        self.refused = refused
        self.owner = "somebody-else"  # of a Job whose name is taken

    async def create(self, resource: Resource, body: dict[str, Any], namespace: str | None = None) -> dict[str, Any]:
        if resource == self.refused:
            raise self.refusal
        return {**body, "metadata": {**body["metadata"], "resourceVersion": "5"}}

    async def get(self, resource: Resource, name: str, namespace: str) -> dict[str, Any]:
        owner = {"kind": "AudioJob", "name": "song", "uid": self.owner, "controller": True}
        return {"metadata": {"name": name, "namespace": namespace, "ownerReferences": [owner]}}

    async def patch_json(self, resource: Resource, name: str, operations: list[Any], *_: Any, **__: Any) -> Any:
        self.world.audiojob = apply_patch(self.world.audiojob, tuple(operations))
        self.world.audiojob["metadata"]["resourceVersion"] = "6"
        return self.world.audiojob


class WorldGatherer:
    """Gathers from the world instead of caches."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.workers = Workers(cast("KubeClient", None), None)

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

    def refuse_early(self, uid: str, *, for_good: bool) -> None:
        self.world.may_begin_early = None if for_good else False


QUOTA = Forbidden(403, "Forbidden", "exceeded quota: few")
IMPOSSIBLE = Invalid(422, "Invalid", "cpu limit too low")
TOO_LARGE = ApiError(413, "RequestEntityTooLarge", "limit is 3145728")
HOOK = ApiError(400, "BadRequest", "admission webhook says no")


def reconciler_of(world: World, refusal: ApiError, refused: Resource) -> Reconciler:
    client = cast("KubeClient", ServerWithoutRoom(world, refusal, refused))
    caches, queue, metrics = Caches(client, (), Heard()), WorkQueue[Key](), Metrics()
    admitter = Admitter(caches, Capacity(), lambda key, first: None)
    admitter.open()
    applier = Applier(client, caches, metrics, "test")
    giving_up = GivingUp(caches, admitter, applier, None)
    return Reconciler(queue, cast("Gatherer", WorldGatherer(world)), applier, admitter, giving_up, metrics)


@pytest.mark.parametrize("refused", [JOBS, CONTROLLERREVISIONS], ids=lambda resource: resource.kind)
@pytest.mark.parametrize(
    ("refusal", "state", "again"),
    [
        pytest.param(QUOTA, "Queued", 30, id="a quota is waited for"),
        pytest.param(IMPOSSIBLE, "Failed", None, id="an impossible object ends it"),
        pytest.param(TOO_LARGE, "Failed", None, id="one that is too large ends it"),
        pytest.param(HOOK, "Failed", None, id="one that a webhook refuses ends it"),
    ],
)
async def test_what_is_refused_is_told_in_status(
    refusal: ApiError, state: str, again: float | None, refused: Resource
) -> None:
    world = World()
    assert await reconciler_of(world, refusal, refused).reconcile((NAMESPACE, "song")) == again
    assert world.status["state"] == state
    assert refusal.message in world.status["message"]
    assert not holds_slot(world.job)
    if refused == CONTROLLERREVISIONS:
        assert "pipelineRevision" not in world.status, "none is stored"


async def test_a_job_whose_jobs_name_is_taken_ends_and_says_what_to_delete() -> None:
    world = World()
    taken = AlreadyExists(409, "AlreadyExists", "exists")
    assert await reconciler_of(world, taken, JOBS).reconcile((NAMESPACE, "song")) is None
    assert world.status["state"] == "Failed"
    assert "delete it" in world.status["message"]


async def test_a_job_that_runs_goes_on_though_its_lost_revision_cannot_be_made_again() -> None:
    world = World()
    world.turn()
    world.run("first")
    world.revisions.clear()
    await reconciler_of(world, QUOTA, CONTROLLERREVISIONS).reconcile((NAMESPACE, "song"))
    assert world.status["state"] == "Running"


async def test_row_36_that_no_pod_may_begin_early_is_told_to_nobody() -> None:
    world = World(may_begin_early=True)
    world.turn()
    world.run("first")
    before = world.status
    reconciler = reconciler_of(world, QUOTA, JOBS)
    assert await reconciler.reconcile((NAMESPACE, "song")) == 0.0
    await reconciler.reconcile((NAMESPACE, "song"))
    assert (world.status, world.phase("second").early_attempt) == (before, None)
