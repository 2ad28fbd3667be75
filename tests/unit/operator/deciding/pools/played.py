"""A pool, and Jobs and pods of its workers as the API server has them."""

from __future__ import annotations

import json
from typing import Any

from tests.unit.operator.builders import NAMESPACE, NOW, SETTINGS

from audiojob_operator.building.pools.worker import build_worker, order_text, pool_facts, work_terms
from audiojob_operator.records.workers import PoolFacts
from audiojob_types import constants as c
from audiojob_types.base import format_time
from audiojob_types.workers.pool import AudioWorkerPool

Object = dict[str, Any]
RUNNING: Object = {"running": {}}
TOLD: Object = {
    "job": "song",
    "namespace": NAMESPACE,
    "uid": "uid-song",
    "phase": "cut",
    "attempt": 2,
    "task": "Simulate",
    "outputPrefix": f"{NAMESPACE}/uid-song/cut",
}


def pool_object(name: str = "warm", *, status: Object | None = None, **spec: Any) -> Object:
    """An AudioWorkerPool."""
    return {
        "apiVersion": c.API_VERSION,
        "kind": "AudioWorkerPool",
        "metadata": {"name": name, "namespace": NAMESPACE, "uid": "pool-uid", "generation": 1, "resourceVersion": "1"},
        "spec": {"tasks": ["Simulate"], **spec},
    } | ({"status": status} if status is not None else {})


def facts(*, status: Object | None = None, **spec: Any) -> PoolFacts:
    """What is known of such a pool."""
    return pool_facts(AudioWorkerPool.read(pool_object(status=status, **spec)), SETTINGS)


def worker_job(pool: PoolFacts | None = None, number: int = 0) -> Object:
    """A worker's Job, just created."""
    pool = pool or facts()
    job = build_worker(pool, number, SETTINGS, order_text(work_terms(pool.pool, stays=False, drain=False)))
    job["metadata"] |= {"uid": f"job-{number}", "creationTimestamp": format_time(NOW), "resourceVersion": "1"}
    job["status"] = {}
    return job


def worker_pod(
    job: Object, *told: Object, phase: str = "Running", terms: Object | None = None, **states: Object
) -> Object:
    """Its pod; ``states`` are those of its containers, which run."""
    metadata = job["metadata"]
    template = job["spec"]["template"]
    order = json.loads(template["metadata"]["annotations"][c.ANNOTATION_WORK]) | (terms or {})
    order |= {"told": list(told)} if told else {}
    return {
        "metadata": {
            "name": f"{metadata['name']}-x",
            "namespace": NAMESPACE,
            "uid": f"pod-{metadata['annotations'][c.ANNOTATION_WORKER]}",
            "creationTimestamp": format_time(NOW),
            "resourceVersion": "1",
            "labels": {**template["metadata"]["labels"], "batch.kubernetes.io/job-name": metadata["name"]},
            "annotations": {**template["metadata"]["annotations"], c.ANNOTATION_WORK: json.dumps(order)},
            "ownerReferences": [{"kind": "Job", "controller": True, "name": metadata["name"], "uid": metadata["uid"]}],
        },
        "spec": {"nodeName": "node-1"},
        "status": {
            "phase": phase,
            "containerStatuses": [
                {"name": name, "image": "runner", "state": states.get(name, RUNNING)} for name in ("serve", "work")
            ],
        },
    }
