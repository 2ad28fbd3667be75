"""Seats that a reconcile takes, what it sees of the phases that workers have, and telling one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any, cast

import pytest
from tests.unit.operator.builders import NAMESPACE, NOW, World, pipeline
from tests.unit.operator.deciding.workers.worker_world import POOL, VIEW, WorkerWorld, at_second, worker_pod
from tests.unit.operator.jsonpatch import FailedTestError, apply_patch
from tests.unit.operator.listening import Heard

from audiojob_kube.client import KubeClient
from audiojob_kube.errors import Invalid, NotFound
from audiojob_kube.objects import Object
from audiojob_operator.metrics.registry import Metrics
from audiojob_operator.reconciling.apply import Applier
from audiojob_operator.reconciling.bound import Workers, without_seats
from audiojob_operator.reconciling.errors import UntoldError
from audiojob_operator.records.objects import Key
from audiojob_operator.records.observation import Failed, Running
from audiojob_operator.records.plan import Plan
from audiojob_operator.records.workers import Binding, PoolView, Seat, WorkerWait, WorkTelling
from audiojob_operator.state.caches import Caches
from audiojob_operator.state.namespace_cache import POD_JOB_LABEL
from audiojob_operator.state.workers import WorkerBook
from audiojob_types import constants as c
from audiojob_types.resources.pipeline import AudioPipeline

KEY: Key = (NAMESPACE, "song")


class Book:
    """Notes what is asked of it; seats in ``gone`` are somebody else's."""

    def __init__(self, *gone: str) -> None:
        self.gone = gone
        self.held: list[str] = []
        self.waiting: list[tuple[str, str]] = []

    def view(self, _namespace: str, pool: str, _key: Key) -> PoolView | None:
        return VIEW if pool == POOL else None

    def hold(self, _key: Key, binding: Binding) -> bool:
        if binding.seat.pod_uid in self.gone:
            return False
        self.held.append(binding.seat.pod_uid)
        return True

    def release(self, _key: Key) -> None:
        self.held.clear()

    def waits(self, _key: Key, waits: tuple[WorkerWait, ...]) -> None:
        self.waiting = [(wait.phase, wait.pool) for wait in waits]

    def suspect(self, _key: Key, pod_uids: tuple[str, ...]) -> None:
        self.hung = pod_uids


def workers(book: Book | None) -> Workers:
    return Workers(cast("KubeClient", None), cast("WorkerBook | None", book))


def plan_of(*uids: str, waits: tuple[WorkerWait, ...] = ()) -> Plan:
    seats = (Seat(f"job-{uid}", f"pod-{uid}", uid) for uid in uids)
    return Plan(bind=tuple(Binding(POOL, f"phase-{seat.pod_uid}", 1, seat) for seat in seats), waits=waits)


def test_a_plan_gets_all_of_its_seats_or_none() -> None:
    book = Book("b")
    assert workers(book).take(KEY, plan_of("a"))
    assert not workers(book).take(KEY, plan_of("a", "b"))
    assert not book.held
    assert not workers(None).take(KEY, plan_of("a")), "without pools there is no seat"
    assert workers(None).take(KEY, Plan())


def test_who_waits_is_noted_until_nothing_waits() -> None:
    book = Book()
    workers(book).take(KEY, plan_of(waits=(WorkerWait("cut", POOL, NOW),)))
    assert book.waiting == [("cut", POOL)]
    workers(book).take(KEY, replace(plan_of("a"), hung=("b",)))
    assert not book.waiting
    assert book.hung == ("b",)


def test_pools_that_a_pipeline_names_are_seen_those_that_do_not_exist_are_left_out() -> None:
    phases = [
        {"name": name, "task": "Simulate", "workerPool": {"name": pool}}
        for name, pool in (("one", POOL), ("two", "missing"))
    ]
    spec = AudioPipeline.model_validate(pipeline(*phases)).spec
    assert workers(Book()).views(KEY, spec) == {POOL: VIEW}
    assert workers(None).views(KEY, spec) == {}
    assert workers(Book()).views(KEY, None) == {}
    assert without_seats({POOL: VIEW})[POOL].seats == ()


class Server:
    """Has these pods, and takes patches of them."""

    def __init__(self, *pods: Object) -> None:
        self.pods = {pod["metadata"]["name"]: deepcopy(pod) for pod in pods}
        self.asked: list[str] = []

    async def list(self, _resource: object, _namespace: str, *, label_selector: str) -> Any:
        self.asked.append(label_selector)
        job = label_selector.removeprefix(f"{POD_JOB_LABEL}=")
        items = [pod for pod in self.pods.values() if pod["metadata"]["labels"][POD_JOB_LABEL] == job]
        return type("Listed", (), {"items": deepcopy(items)})

    async def get(self, _resource: object, name: str, _namespace: str) -> Object:
        if name not in self.pods:
            raise NotFound(404, "NotFound", "gone")
        return deepcopy(self.pods[name])

    async def patch_json(self, _resource: object, name: str, operations: Sequence[Any], _namespace: str) -> Object:
        pod = await self.get(None, name, "")
        try:
            self.pods[name] = apply_patch(pod, tuple(operations))
        except FailedTestError as error:
            raise Invalid(422, "Invalid", "the server rejected our request due to an error in our request") from error
        return deepcopy(self.pods[name])


def stored(world: WorkerWorld, uid: str = "worker-1") -> Object:
    pod = deepcopy(world.workers[uid])
    pod["metadata"] |= {"labels": {POD_JOB_LABEL: pod["metadata"]["name"][:8]}, "resourceVersion": "7"}
    return pod


def caches_of(server: Server, *pods: Object) -> Caches:
    caches = Caches(cast("KubeClient", server), (NAMESPACE,), Heard())
    for pod in pods:
        caches.namespaces[NAMESPACE].pods.put(pod)
    return caches


def begun() -> WorkerWorld:
    world = at_second()
    world.take_up()
    return world


def untold(pod: Object) -> Object:
    """The pod as it was before it was told."""
    annotations = worker_pod(1)["metadata"]["annotations"]
    return {**pod, "metadata": {**pod["metadata"], "annotations": annotations, "resourceVersion": "6"}}


@pytest.mark.parametrize(
    ("cached", "there", "outcome", "asked"),
    [
        pytest.param("told", True, Running, 0, id="a pod that is known is not read"),
        pytest.param(None, True, Running, 1, id="one that is not known is looked for"),
        pytest.param("untold", True, Running, 1, id="one that seems to be told something else is read again"),
        pytest.param(None, False, Failed, 1, id="one that is nowhere is lost"),
    ],
)
async def test_a_phase_is_lost_only_if_the_api_server_says_so(
    cached: str | None, there: bool, outcome: type, asked: int
) -> None:
    world = begun()
    pod = stored(world)
    server = Server(*([pod] if there else []))
    caches = caches_of(server, *([pod if cached == "told" else untold(pod)] if cached else []))
    seen = Workers(cast("KubeClient", server), None)
    (found,) = await seen.observe(caches.namespaces[NAMESPACE], world.job)
    assert isinstance(found.outcome, outcome)
    assert (found.worker, found.phase, len(server.asked)) == (True, "second", asked)


async def test_a_job_without_workers_asks_for_none() -> None:
    server = Server()
    world = World()
    world.turn()
    seen = Workers(cast("KubeClient", server), None)
    assert await seen.observe(caches_of(server).namespaces[NAMESPACE], world.job) == ()


def telling(world: WorkerWorld) -> WorkTelling:
    told = world.told()
    assert told is not None
    return WorkTelling("warm-w-1-x1", "worker-1", told.uid, "second", 1, json.dumps(told.to_wire()))


@pytest.mark.parametrize(
    ("cached", "there", "told"),
    [
        pytest.param(True, True, True, id="a worker is told by one patch"),
        pytest.param(False, True, True, id="a pod that is not known is read first"),
        pytest.param(True, False, False, id="a pod that is gone is forgotten"),
    ],
)
async def test_telling_a_worker(cached: bool, there: bool, told: bool) -> None:
    world = begun()
    pod = untold(stored(world))
    server = Server(*([pod] if there else []))
    caches = caches_of(server, *([pod] if cached else []))
    applier = Applier(cast("KubeClient", server), caches, Metrics(), "test")
    plan = Plan(tell_workers=(telling(world),))
    if not told:
        with pytest.raises(UntoldError, match="is gone"):
            await applier.apply(plan, world.job.metadata)
        assert caches.namespaces[NAMESPACE].pods.get((NAMESPACE, "warm-w-1-x1")) is None
        return
    await applier.apply(plan, world.job.metadata)
    text = server.pods["warm-w-1-x1"]["metadata"]["annotations"][c.ANNOTATION_WORK]
    assert [each["phase"] for each in json.loads(text)["told"]] == ["second"]


async def test_a_pod_whose_order_is_another_one_by_now_is_read_again() -> None:
    world = begun()
    pod = untold(stored(world))
    changed = deepcopy(pod)
    order = json.loads(changed["metadata"]["annotations"][c.ANNOTATION_WORK]) | {"drain": True}
    changed["metadata"] |= {"resourceVersion": "8", "annotations": {c.ANNOTATION_WORK: json.dumps(order)}}
    server = Server(changed)
    caches = caches_of(server, pod)
    with pytest.raises(UntoldError, match="not as it was"):
        await Applier(cast("KubeClient", server), caches, Metrics(), "test").apply(
            Plan(tell_workers=(telling(world),)), world.job.metadata
        )
    known = caches.namespaces[NAMESPACE].pods.get((NAMESPACE, "warm-w-1-x1"))
    assert known is not None
    assert "drain" in known["metadata"]["annotations"][c.ANNOTATION_WORK]
