"""GPUs of workers: counted once, where their Jobs are, and in a queue while a phase of it has one."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.operator.builders import phase, pipeline
from tests.unit.operator.deciding.pools.played import facts, pool_object, worker_job, worker_pod
from tests.unit.operator.pool import Object, Pool

from audiojob_operator.admission.gpus.sharing import GpusForPool
from audiojob_operator.records.admission import kind_of_workers
from audiojob_operator.records.objects import Key
from audiojob_operator.state.caches import CacheRules
from audiojob_types.reasons import Reason

GPU = "nvidia.com/gpu"
WARM = kind_of_workers("warm")


class Warm(Pool):
    """A pool of workers with one GPU each, some of them there, and a pipeline whose phase may have one."""

    def __init__(self, workers: int = 0, *, pool: bool = True, pool_gpus: int = 1, **capacity: Any) -> None:
        super().__init__(None, **{"node_gpus": 1, **capacity})
        built = facts(device="GPU", gpus=pool_gpus)
        self.caches._rules = CacheRules(facts=lambda _: built)
        here = self.caches.namespaces["music"]
        if pool:
            self.caches.pools.put(pool_object(device="GPU", gpus=pool_gpus))
        for number in range(workers):
            job = worker_job(built, number)
            here.jobs.put(job)
            here.pods.put(worker_pod(job))
        self.add(self.caches.pipelines, pipeline(phase("cut", device="GPU", workerPool={"name": "warm"}), name="warm"))

    def job_stored(self, key: Key, obj: Object) -> None:
        self.caches.workers.seen(key, obj)

    def job(self, name: str, **spec: Any) -> Key:
        return self.put(name, pipeline="warm", **spec)

    def seen(self, *waiting: Key) -> GpusForPool:
        """What the pool may have, and what others want who go before these."""
        return self.admitter.gpus_for(("music", "warm"), GPU, self.caches.worker_gpus[GPU], waiting)

    def bind(self, name: str, number: int) -> None:
        """Its phase is with that worker now, by its status."""
        key = self.put(name, pipeline="warm", started=True)
        raw = self.known(key).raw
        record = {"name": "cut", "state": "Running", "attempt": 1, "podUID": f"pod-{number}"}
        raw["status"]["phases"] = [record]
        self._version += 1
        raw["metadata"] |= {"resourceVersion": str(self._version)}
        self.store.put({**raw})


async def test_pools_with_gpus_are_known_by_their_namespace() -> None:
    pool = Warm()
    assert pool.caches.workers.gpu_pools("music") == {"warm": 1}
    assert pool.caches.workers.gpu_pools("other") == {}


async def test_a_phase_for_a_worker_asks_for_no_gpu_of_its_own_so_that_the_worker_does_not_yield_to_it() -> None:
    pool = Warm(workers=1)
    first, second = pool.job("song"), pool.job("begun", started=True)
    assert pool.answer(first).admitted, "it would never begin else: the worker has the only GPU"
    assert pool.answer(second).gpus == 0
    assert pool.seen().to_give == 0


async def test_without_the_pool_it_asks_as_every_other_does() -> None:
    pool = Warm(workers=1)
    song = pool.job("song")
    pool.caches.pools.forget(("music", "warm"), "pool-uid")
    assert pool.answer(song).reason is Reason.WAITING_FOR_GPU
    assert pool.seen().to_give == 1


async def test_one_that_does_not_suit_the_pool_waits_for_a_gpu_of_its_own() -> None:
    pool = Warm(workers=1)
    song = pool.job("song", started=True)
    raw = pool.known(song).raw
    raw["status"]["phases"] = [{"name": "cut", "state": "Waiting", "gpuWaitStartTime": "2026-03-01T12:00:00Z"}]
    pool.answer(song)
    assert pool.seen().to_give == 1


async def test_a_queue_s_limit_counts_workers_while_they_have_phases_of_it() -> None:
    pool = Warm(workers=2, node_gpus=2)
    pool.queue("default", maxGPUs=1)
    first, second = pool.job("first", started=True, age=60), pool.job("second", started=True)
    pool.cycle()
    answers = [pool.ask(first), pool.ask(second)]
    assert [(each.gpus, each.gpu_pool) for each in answers if each] == [(1, WARM), (0, WARM)]
    pool.bind("first", 0)
    for key in (first, second):
        pool.release(key)
    assert pool.answer(second).gpus == 0, "the other one's phase has the queue's only GPU"
    late = pool.job("late")
    refused = pool.answer(late)
    assert (refused.admitted, refused.reason) == (False, Reason.WAITING_FOR_GPU)
    assert "1 of worker pool warm, 1 of 1 GPUs are in use" in refused.message
    pool.put("first", pipeline="warm", started=True, cancel=True)
    assert pool.answer(second).gpus == 1


@pytest.mark.parametrize(
    ("device", "gpus"),
    [
        pytest.param("GPU", 2, id="a worker for which the queue has never room"),
        pytest.param("Auto", 1, id="a job that may use the CPU, and has waited for long enough"),
    ],
)
async def test_a_job_does_not_wait_for_ever_for_room_for_a_worker(device: str, gpus: int) -> None:
    pool = Warm(node_gpus=2, pool_gpus=gpus)
    pool.queue("default", maxGPUs=1)
    line = pipeline(phase("cut", device=device, workerPool={"name": "warm"}), name="warm")
    pool.add(pool.caches.pipelines, line)
    pool.gpu_job("other")
    pool.put("other", pipeline="onegpu", started=True)
    assert pool.answer(pool.job("song")).admitted


async def test_a_worker_that_outlives_its_job_counts_for_the_queue_while_it_has_the_phase() -> None:
    pool = Warm(workers=2, node_gpus=2)
    pool.queue("default", maxGPUs=1)
    pool.job("second", started=True)
    pool.bind("first", 0)
    here = pool.caches.namespaces["music"]
    ((_, name),) = pool.caches.workers.workers_of(("music", "first"))
    here.jobs.forget(("music", name), "job-0")
    assert pool.answer(("music", "second")).gpus == 0
    pool.put("first", pipeline="warm", started=True, cancel=True)
    assert pool.answer(("music", "second")).gpus == 1
    assert list(pool.caches.workers.workers_of(("music", "first"))) == []


async def test_workers_without_a_phase_count_for_no_queue() -> None:
    pool = Warm(workers=2, node_gpus=3)
    pool.queue("default", maxGPUs=1)
    assert pool.answer(pool.put("song", pipeline="onegpu", started=True)).gpus == 1


@pytest.mark.parametrize("soon", [0, 1], ids=["a worker that is there", "one that is about to be made"])
async def test_a_worker_s_gpu_is_nobody_elses(soon: int) -> None:
    pool = Warm(workers=1 - soon, gpus=1)
    pool.admitter.workers_soon(GPU, soon)
    assert pool.seen().room == 0, "not even another pool's"
    song = pool.put("song", pipeline="onegpu", started=True)
    assert pool.answer(song).gpus == 0
    pool.admitter.workers_soon(GPU, -soon)
    assert pool.answer(song).gpus == soon


async def test_gpus_of_workers_are_shown_once_and_as_their_resource() -> None:
    pool = Warm(workers=1, node_gpus=2)
    pool.queue("default", maxGPUs=2)
    pool.bind("song", 0)
    pool.cycle()
    held = pool.caches.by_resource(pool.admitter.gpus) + pool.caches.worker_gpus
    assert held == {GPU: 1}
    assert pool.admitter.numbers["music", "default"].gpus == 1
