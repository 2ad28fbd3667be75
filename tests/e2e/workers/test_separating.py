"""A real piece of music is separated by a worker whose network was loaded before."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.e2e.product import Object, Product

from audiojob_types.constants import API_VERSION, GROUP, LABEL_POOL
from audiojob_types.resources.job import State

pytestmark = [pytest.mark.e2e, pytest.mark.beside_others, pytest.mark.timeout(300)]

POOL, PIPELINE, MODEL = "e2e-separate", "e2e-separate", "demucs_unittest"
SMALL = {"cpu": "50m", "memory": "512Mi", "scratch": "512Mi"}
LARGE = {"cpu": "100m", "memory": "2Gi", "scratch": "1Gi"}


def phase(name: str, task: str, *inputs: Object, resources: Object, **further: object) -> Object:
    return {"name": name, "task": task, "inputs": list(inputs), "resources": resources, **further}


def bound(name: str, source: str, output: str) -> Object:
    return {"name": name, "from": source, "output": output}


PIPELINES = [{
    "apiVersion": API_VERSION,
    "kind": "AudioPipeline",
    "metadata": {"name": PIPELINE},
    "spec": {"phases": [
        phase("download", "Download", {"name": "source", "from": "Job"}, resources=SMALL),
        phase("normalize", "Normalize", bound("source", "download", "source"), resources=SMALL),
        phase("separate", "Separate", bound("audio", "normalize", "audio"), resources=LARGE, device="CPU",
              workerPool={"name": POOL, "fallbackSeconds": 300}),
    ]},
}]  # fmt: skip


@contextmanager
def pool(product: Product) -> Iterator[None]:
    """One worker that is there before it is needed."""
    spec = {"tasks": ["Separate"], "resources": LARGE, "preload": {"models": [MODEL]}, "minWorkers": 1}
    product.apply({"apiVersion": API_VERSION, "kind": "AudioWorkerPool", "metadata": {"name": POOL}, "spec": spec})
    try:
        yield
    finally:
        product.cluster.kubectl("-n", product.namespace, "delete", f"audioworkerpools.{GROUP}", POOL, "--wait=false")


def test_music_is_separated_by_a_worker_that_had_loaded_the_network(product: Product) -> None:
    spec = {
        "pipeline": PIPELINE,
        "source": {"url": product.media.url("song.mp3")},
        "parameters": {"separate": {"model": MODEL, "stems": "TwoStems"}},
        "reuse": "Never",
    }
    with pool(product):
        job = product.finished(product.submit(f"warm-{uuid.uuid4().hex[:6]}", spec), seconds=240)
        assert job.status.state is State.SUCCEEDED, job.status
        of_the_pool = ("-n", product.namespace, "-l", f"{LABEL_POOL}={POOL}")
        uids = product.cluster.kubectl("get", "pods", *of_the_pool, "-o", "jsonpath={.items[*].metadata.uid}")
        log = product.cluster.kubectl("logs", *of_the_pool, "--all-containers", "--tail=-1")
    separate = job.status.phases[-1]
    assert separate.pod_uid == uids, "the one worker did it"
    assert (separate.attempt, separate.failures) == (1, 0)
    stems = [path for path in product.published(job) if "separate/" in path and path.endswith(".flac")]
    assert len(stems) == 2, product.published(job)
    assert "Separate: 1 of 1 prepared." in log, log
    assert f"model {MODEL} was loaded ahead" in log, log
