"""Who goes first where a pool of workers and Jobs of their own want the same GPUs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.unit.operator.admission.gpus.test_workers import GPU, Warm
from tests.unit.operator.builders import phase, pipeline

from audiojob_operator.admission.gpus.sharing import GpusForPool, Want, for_pool
from audiojob_operator.records.objects import Key

POOL: Key = ("music", "warm")


def want(rank: int, gpus: int = 1, times: int = 1) -> Want:
    """Of those with a lower rank is the first."""
    return Want((rank, datetime(2026, 3, 1, tzinfo=UTC), ("music", "")), gpus, times)


@pytest.mark.parametrize(
    ("wants", "turn", "free", "has", "expected"),
    [
        pytest.param([], None, 2, 0, GpusForPool(2, 0), id="nobody else wants any"),
        pytest.param([want(1)], 2, 2, 0, GpusForPool(1, 0), id="of two one is for who goes before"),
        pytest.param([want(1)], 2, 0, 1, GpusForPool(0, 1), id="none is free: a worker's is"),
        pytest.param([want(3)], 2, 0, 1, GpusForPool(0, 0), id="who comes after waits"),
        pytest.param([want(3)], 2, 1, 0, GpusForPool(1, 0), id="or has what is left"),
        pytest.param([want(3)], None, 0, 1, GpusForPool(0, 1), id="where nobody waits for the pool all go before it"),
        pytest.param([want(3, 2)], None, 0, 1, GpusForPool(0, 2), id="also those who need more than it has"),
        pytest.param([want(1, 2)], 2, 1, 0, GpusForPool(1, 0), id="to who wants two one free GPU is of no use"),
        pytest.param([want(1, 2)], 2, 1, 1, GpusForPool(0, 1), id="with that of a worker it is"),
        pytest.param([want(1, 2)], 2, 0, 1, GpusForPool(0, 0), id="a worker's alone is not"),
        pytest.param([want(0, 2), want(1)], 2, 1, 0, GpusForPool(0, 0), id="it is for the next"),
        pytest.param([want(1, 1, times=3)], 2, 1, 1, GpusForPool(0, 1), id="another pool lacks three workers"),
    ],
)
def test_what_a_pool_may_have(wants: list[Want], turn: int | None, free: int, has: int, expected: GpusForPool) -> None:
    asks = want(turn).urgency if turn is not None else None
    assert for_pool(wants, asks, free, has) == expected


class Shared(Warm):
    """The pool, and a pipeline whose phase needs a GPU of its own."""

    def __init__(self, workers: int = 0, **more: Any) -> None:
        super().__init__(workers, **more)
        for name, gpus in (("card", 1), ("pair", 2)):
            self.add(self.caches.pipelines, pipeline(phase("cut", device="GPU", gpus=gpus), name=name))

    def card(self, name: str = "card", **more: Any) -> Key:
        return self.put(name, **{"pipeline": "card", "started": True, **more})


@pytest.mark.parametrize(
    ("job", "lacks", "gpus"),
    [
        pytest.param({"age": 120}, 1, 1, id="an older one goes first"),
        pytest.param({"age": 0}, 1, 0, id="a younger one leaves the GPU to a worker for an older one"),
        pytest.param({"priority": 9}, 1, 1, id="a more urgent one goes first"),
        pytest.param({}, 0, 1, id="the pool lacks no worker"),
    ],
)
async def test_to_whom_admission_gives_a_free_gpu(job: dict[str, Any], lacks: int, gpus: int) -> None:
    pool = Shared(gpus=1)
    song = pool.job("song", started=True, age=60)
    pool.cycle()
    card = pool.card(**job)
    pool.admitter.workers_lack(POOL, GPU, lacks, 1, [song])
    assert pool.answer(card).gpus == gpus
    pool.release(card)
    pool.cycle()
    assert pool.seen(song).room == 1 - gpus, "the pool has what the other one has not"


async def test_one_that_has_not_begun_waits_for_its_turn_too() -> None:
    pool = Shared(gpus=1)
    song = pool.job("song", started=True, age=60)
    pool.cycle()
    pool.admitter.workers_lack(POOL, GPU, 1, 1, [song])
    older, younger = pool.card("older", started=False, age=120), pool.card("younger", started=False)
    assert not pool.answer(younger).admitted
    assert pool.answer(older).admitted


async def test_no_gpu_is_kept_for_workers_that_do_not_fit_or_that_nobody_waits_for_any_more() -> None:
    pool = Shared(gpus=1)
    song = pool.job("song", started=True, age=60)
    pool.cycle()
    pool.admitter.workers_lack(POOL, GPU, 1, 2, [song])
    assert pool.answer(pool.card()).gpus == 1, "one GPU makes no worker"
    pool = Shared(gpus=1)
    song = pool.job("song", started=True, age=60)
    pool.cycle()
    pool.admitter.workers_lack(POOL, GPU, 1, 1, [song])
    pool.put("song", pipeline="warm", cancel=True, started=True)
    assert pool.answer(pool.card()).gpus == 1, "its AudioJob waits no more"


async def test_of_several_that_wait_for_the_pool_the_first_counts() -> None:
    pool = Shared(gpus=1)
    songs = [pool.job("young", started=True), pool.job("old", started=True, age=90)]
    card = pool.card(age=60)
    pool.cycle()
    assert pool.seen(*songs).to_give == 0
    assert pool.seen(songs[0]).to_give == 1 - pool.answer(card).gpus
    pool.admitter.workers_lack(POOL, GPU, 1, 1, songs)
    assert pool.answer(card).gpus == 0


async def test_pools_are_looked_at_when_somebody_begins_to_wait_and_when_a_gpu_is_free_for_one() -> None:
    pool = Shared(workers=1, gpus=1)
    pool.cycle()
    pool.pools.clear()
    song = pool.job("song", started=True, age=60)
    card = pool.card()
    pool.cycle()
    assert pool.pools == [POOL], "its worker may have to go"
    pool.pools.clear()
    pool.admitter.workers_lack(POOL, GPU, 1, 1, [song])
    assert pool.pools == [POOL], "of other pools too"
    pool.pools.clear()
    pool.admitter.workers_lack(POOL, GPU, 1, 1, [song])
    pool.cycle()
    assert pool.pools == [], "nothing has changed"
    (worker,), here = pool.caches.workers.workers(POOL), pool.caches.namespaces["music"]
    assert worker.pod is not None
    here.pods.forget(("music", worker.pod.name), worker.pod.uid)
    here.jobs.forget(("music", worker.job_name), worker.job_uid)
    pool.pools.clear()
    assert pool.answer(card).gpus == 0
    assert POOL in pool.pools, "there is a GPU for a worker"


@pytest.mark.parametrize(
    ("queue", "job", "wanted"),
    [
        pytest.param({}, {}, 1, id="nothing but a GPU is missing"),
        pytest.param({}, {"started": False}, 1, id="nor to one that has not begun"),
        pytest.param({}, {"pipeline": "pair"}, 0, id="no node has as many"),
        pytest.param({"maxGPUs": 1}, {}, 0, id="its queue has all the GPUs that it may have"),
        pytest.param({"maxGPUs": 1}, {"started": False}, 0, id="so it has for one that has not begun"),
        pytest.param({"maxGPUs": 2}, {}, 1, id="its queue has room"),
        pytest.param({"maxRunning": 1}, {"started": False}, 0, id="its queue has no slot for it"),
        pytest.param({"stopPolicy": "Hold"}, {"started": False}, 0, id="its queue is stopped"),
        pytest.param({"stopPolicy": "HoldAndDrain"}, {}, 0, id="its queue is drained"),
    ],
)
async def test_workers_give_way_to_those_whom_only_a_gpu_keeps_from_their_start(
    queue: dict[str, Any], job: dict[str, Any], wanted: int
) -> None:
    pool = Shared(workers=1, gpus=2)
    pool.queue("default", **queue)
    pool.put("other", started=True)
    pool.gpu_job("other")
    pool.card(**job)
    pool.cycle()
    assert pool.seen().to_give == wanted
