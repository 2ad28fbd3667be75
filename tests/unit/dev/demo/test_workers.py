"""The demo's pool is one that the operator takes, and its jobs suit it."""

from __future__ import annotations

from typing import Any

from audiojob_dev.demo.models import POOL, WORKER_VALUES
from audiojob_dev.demo.view import phase_cost
from audiojob_operator.building.pools.worker import image_family
from audiojob_types.descriptor import ImageFamily
from audiojob_types.resources.job import PhaseStatus
from audiojob_types.workers.pool import AudioWorkerPool


def test_one_worker_of_the_image_that_the_demo_builds_does_both_phases() -> None:
    (values,) = WORKER_VALUES["workerPools"]
    spec = {key: value for key, value in values.items() if key != "name"}
    pool = AudioWorkerPool.model_validate({"metadata": {"name": POOL}, "spec": spec})
    assert image_family(pool.spec.tasks) is ImageFamily.RUNNER_TORCH
    assert {task.value.lower() for task in pool.spec.tasks} == set(WORKER_VALUES["pipelines.workerPools"])
    assert (pool.spec.min_workers, pool.spec.max_workers) == (1, 1)


def test_what_a_phase_cost_names_the_worker_that_did_it() -> None:
    phase: dict[str, Any] = {
        "name": "separate",
        "state": "Succeeded",
        "startTime": "2026-01-01T00:00:00Z",
        "completionTime": "2026-01-01T00:00:09Z",
        "jobName": "demo-w-1",
    }
    assert phase_cost(PhaseStatus.model_validate(phase)) == "separate 9.0 s"
    assert phase_cost(PhaseStatus.model_validate(phase | {"podUID": "u"})) == "separate 9.0 s by worker demo-w-1"
