"""GPUs under several names: each kind is counted on its own, and a queue's limit counts all of them."""

from __future__ import annotations

import pytest
from tests.unit.operator.builders import phase, pipeline
from tests.unit.operator.pool import Pool

from audiojob_operator.records.objects import Key
from audiojob_types import constants as c

MIG, AMD, NVIDIA = "nvidia.com/mig-1g.10gb", "amd.com/gpu", c.GPU_RESOURCE


def pool_with(**offered: int) -> Pool:
    """Nodes offer so many slices and so many whole GPUs; pipeline ``mig`` asks for a slice, ``onegpu`` for a GPU."""
    pool = Pool(None)
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    names = {"mig": MIG, "amd": AMD, "nvidia": NVIDIA}
    allocatable = {"cpu": "4", **{names[kind]: str(count) for kind, count in offered.items()}}
    pool.add(pool.caches.nodes, {"metadata": {"name": "node"}, "status": {**ready, "allocatable": allocatable}})
    slice_ = phase("only", device="GPU", gpu={"resourceName": MIG})
    pool.add(pool.caches.pipelines, pipeline(slice_, name="mig"))
    pool.add(pool.caches.pipelines, pipeline(phase("only", device="GPU"), name="gpu"))
    both = (phase("whole", device="GPU"), phase("part", device="GPU", gpu={"resourceName": MIG}, after=[]))
    pool.add(pool.caches.pipelines, pipeline(*both, name="both"))
    return pool


def granted(pool: Pool, key: Key) -> tuple[int, str]:
    found = pool.answer(key)
    return found.gpus, found.gpu_pool if found.gpus else "-"


async def test_a_busy_gpu_does_not_keep_a_slice_from_its_job() -> None:
    pool = pool_with(nvidia=1, mig=1)
    for name, of in (("a", "gpu"), ("b", "gpu"), ("c", "mig"), ("d", "mig")):
        pool.put(name, pipeline=of, started=True)
    keys = [("music", name) for name in "abcd"]
    assert [granted(pool, key) for key in keys] == [(1, ""), (0, "-"), (1, MIG), (0, "-")]


async def test_a_job_of_an_earlier_version_names_no_resource_and_has_the_usual_one() -> None:
    pool = pool_with(nvidia=1, mig=1)
    pool.put("old", pipeline="gpu", started=True)
    pool.gpu_job("old")
    slice_, whole = pool.put("slice", pipeline="mig", started=True), pool.put("whole", pipeline="gpu", started=True)
    assert [granted(pool, each) for each in (slice_, whole)] == [(1, MIG), (0, "-")]


async def test_a_job_that_wants_two_kinds_at_once_gets_one_after_the_other() -> None:
    pool = pool_with(nvidia=1, mig=1)
    job = pool.put("song", pipeline="both", started=True)
    assert granted(pool, job) == (1, "")
    pool.gpu_job("song")
    pool.known(job).raw["status"]["phases"] = [{"name": "whole", "state": "Running", "attempt": 1}]
    pool.put("song", pipeline="both", started=True)
    pool.known(job).raw["status"]["phases"] = [{"name": "whole", "state": "Running", "attempt": 1}]
    pool.admitter.changed(job)
    assert granted(pool, job) == (1, MIG)


async def test_a_queues_limit_counts_gpus_of_all_kinds() -> None:
    pool = pool_with(nvidia=4, mig=4)
    pool.queue("default", maxGPUs=1)
    first, second = pool.put("a", pipeline="gpu", started=True), pool.put("b", pipeline="mig", started=True)
    assert [granted(pool, each)[0] for each in (first, second)] == [1, 0]


@pytest.mark.parametrize(
    ("offered", "admitted", "says"),
    [
        pytest.param({"nvidia": 2}, False, f"1 of {MIG}, which no Ready node offers (they offer {NVIDIA})",
                     id="nodes offer GPUs under another name, so the name is wrong"),
        pytest.param({"amd": 1, "nvidia": 2}, False, f"(they offer {AMD}, {NVIDIA})", id="all of them are named"),
        pytest.param({}, True, "", id="nodes offer none, and a pod that waits makes an autoscaler add one"),
    ],
)  # fmt: skip
async def test_row_16_a_resource_that_no_node_offers(offered: dict[str, int], admitted: bool, says: str) -> None:
    pool = pool_with(**offered)
    found = pool.answer(pool.put("song", pipeline="mig"))
    assert (found.admitted, found.reason) == (admitted, "Admitted" if admitted else "WaitingForGPU")
    assert admitted or says in found.message
