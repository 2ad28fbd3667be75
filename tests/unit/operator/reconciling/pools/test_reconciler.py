"""What a look at a pool writes, and what it remembers of workers that are gone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest
from tests.unit.operator.builders import NAMESPACE, SETTINGS
from tests.unit.operator.deciding.pools.played import pool_object, worker_job, worker_pod
from tests.unit.operator.jsonpatch import apply_patch
from tests.unit.operator.listening import Heard

from audiojob_kube.client import KubeClient
from audiojob_operator.building.pools.worker import pool_facts
from audiojob_operator.reconciling.pools.reconciler import Capacity, PoolReconciler
from audiojob_operator.reconciling.pools.telling import PoolTeller
from audiojob_operator.records.objects import Object
from audiojob_operator.state.caches import CacheRules, Caches

POOL = (NAMESPACE, "warm")
SONG = (NAMESPACE, "song")
FAILED = [{"type": "Failed", "status": "True"}]


class Server:
    """Has the pool, and takes all that is written."""

    def __init__(self) -> None:
        self.pool: Object = pool_object(status={"nextNumber": 1, "phasesDone": 5})
        self.deleted: list[str] = []
        self.events: list[str] = []

    async def delete(self, _resource: object, name: str, _namespace: str, **_: object) -> None:
        self.deleted.append(name)

    async def create(self, _resource: object, body: Object, _namespace: str) -> Object:
        self.events.append(body["message"])
        return body

    async def patch_json(
        self, _resource: object, _name: str, operations: Sequence[Any], _namespace: str, **_: object
    ) -> Object:
        version = str(int(self.pool["metadata"]["resourceVersion"]) + 1)
        self.pool = apply_patch(self.pool, tuple(operations))
        self.pool["metadata"] |= {"resourceVersion": version}
        return self.pool


class World(Heard):
    """A pool with one worker, which has a phase."""

    def __init__(self) -> None:
        super().__init__(None, [])
        self.server = Server()
        client = cast("KubeClient", self.server)
        self.caches = Caches(client, (NAMESPACE,), self, CacheRules(facts=lambda pool: pool_facts(pool, SETTINGS)))
        self.caches.pools.put(self.server.pool)
        self.here = self.caches.namespaces[NAMESPACE]
        self.worker = worker_job()
        self.pod = worker_pod(self.worker)
        self.put(self.worker)
        self.here.pods.put(self.pod)
        self.reconciler = PoolReconciler(
            client, self.caches, cast("Capacity", None), SETTINGS, PoolTeller(client, "me"), lambda: 100.0
        )

    def put(self, job: Object, **status: Any) -> None:
        version = str(int(job["metadata"]["resourceVersion"]) + 1)
        self.worker = {**job, "metadata": {**job["metadata"], "resourceVersion": version}, "status": status}
        self.here.jobs.put(self.worker)

    def bind(self, attempt: int | None, *, begun: bool = True) -> None:
        """The phase is with the worker by its AudioJob's status, or is there no more."""
        record = {"name": "cut", "state": "Running", "attempt": attempt, "podUID": "pod-0"}
        progress = {"cut": {"attempt": attempt, "percent": 0, "begun": begun}}
        status = {"state": "Running", "phases": [record] if attempt else [], "progress": progress}
        self.caches.workers.seen(SONG, {"metadata": {"uid": "uid-song"}, "status": status})


@pytest.mark.parametrize("how", ["it hangs", "it was killed, and says nothing"])
async def test_phases_of_a_worker_that_tells_nothing_of_them_count(how: str) -> None:
    world = World()
    for attempt in (1, 2):
        world.bind(attempt)
    world.bind(3, begun=False)
    if how == "it hangs":
        world.caches.workers.suspect(SONG, {"pod-0"})
    else:
        world.put(world.worker, conditions=FAILED)
    world.bind(None)
    await world.reconciler.reconcile(POOL)
    name = world.worker["metadata"]["name"]
    assert world.server.deleted == [name]
    assert world.server.pool["status"]["phasesDone"] == 5 + 2, "the third was never begun"
    assert any(f"Worker {name}" in each and "after 2 phases" in each for each in world.server.events)
