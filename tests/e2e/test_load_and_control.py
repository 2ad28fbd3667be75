"""GPUs that others hold, evictions, memory that grows, drained queues, and jobs that use what other jobs made."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.product import Product, long_then_short, simulate_pipeline
from tests.support.cluster import TestCluster

from audiojob_types.constants import API_VERSION, GPU_RESOURCE
from audiojob_types.resources.job import AudioJob, State

Object = dict[str, Any]


GROWS = {"cpu": "50m", "memory": "64Mi", "memoryCap": "512Mi", "memoryGrowthPercent": 400, "scratch": "64Mi"}
UPLOAD = {"name": "audio", "task": "Normalize", "inputs": [{"name": "source", "from": "Job"}],
          "resources": {"cpu": "50m", "memory": "256Mi", "scratch": "256Mi"}}  # fmt: skip
GET = {**UPLOAD, "name": "get", "task": "Download"}
THEN = {"name": "then", "task": "Simulate", "resources": {"cpu": "50m", "memory": "128Mi", "scratch": "64Mi"}}
LAST = {**UPLOAD, "name": "last", "inputs": [{"name": "source", "from": "get", "output": "source"}], "gate": "Review"}


def pipeline(name: str, *phases: Object) -> Object:
    return {
        "apiVersion": API_VERSION,
        "kind": "AudioPipeline",
        "metadata": {"name": name},
        "spec": {"phases": list(phases)},
    }


PIPELINES = [
    long_then_short("e2e-load"),
    simulate_pipeline("e2e-gpu", device="Auto", gpuWaitSeconds=5),
    simulate_pipeline("e2e-grow", resources=GROWS),
    pipeline("e2e-normal", UPLOAD),
    pipeline("e2e-redo", GET, THEN, LAST),
]


def unique(base: str) -> str:
    return f"{base}-{uuid.uuid4().hex[:6]}"


def says(job: AudioJob, reason: str) -> bool:
    return any(each.type == "Progressing" and each.reason == reason for each in job.status.conditions)


@pytest.mark.beside_others
def test_an_evicted_pod_costs_no_attempt_of_the_budget(product: Product) -> None:
    name = product.submit(unique("evicted"), {"pipeline": "e2e-load"})
    product.until(
        name, lambda _: any(p["status"].get("phase") == "Running" for p in product.phase_pods(name, "one")), "its pod"
    )
    pod = product.phase_pods(name, "one")[-1]["metadata"]["name"]
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": product.namespace},
    }
    path = f"/api/v1/namespaces/{product.namespace}/pods/{pod}/eviction"
    product.cluster.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
    job = product.finished(name)
    first = job.status.phases[0]
    assert job.status.state is State.SUCCEEDED
    assert (first.attempt, first.failures, first.disruptions) == (2, 0, 1)


@pytest.fixture
def taken_gpu(product: Product, cluster: TestCluster) -> Iterator[None]:
    """The node offers one GPU, and somebody else's pod has it."""
    cluster.offer_gpus(1)
    name = unique("other")
    limits = {GPU_RESOURCE: "1", "cpu": "10m", "memory": "64Mi"}
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True,
                "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}}  # fmt: skip
    container = {"name": "main", "image": product.images["runner"], "imagePullPolicy": "IfNotPresent",
                 "command": ["sleep", "600"], "resources": {"limits": limits}, "securityContext": security}  # fmt: skip
    product.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
                   "spec": {"containers": [container], "terminationGracePeriodSeconds": 0}})  # fmt: skip
    product.cluster.kubectl("-n", product.namespace, "wait", f"pod/{name}", "--for=condition=Ready", "--timeout=60s")
    yield
    product.cluster.kubectl("-n", product.namespace, "delete", "pod", name, "--force", "--grace-period=0")
    cluster.offer_gpus(0)


def test_a_phase_whose_pod_finds_no_free_gpu_moves_to_the_cpu(product: Product, taken_gpu: None) -> None:
    name = product.submit(
        unique("gpu"), {"pipeline": "e2e-gpu", "parameters": {"simulate": {"durationMilliseconds": 100}}}
    )
    job = product.until(name, lambda job: says(job, "Unschedulable"), "the reason")
    assert "too few GPUs left" in (job.status.message or "")
    job = product.finished(name)
    record = job.status.phases[0]
    assert job.status.state is State.SUCCEEDED
    assert (record.device, record.device_reason, record.failures) == ("CPU", "GpuWaitExpired", 0)


@pytest.mark.beside_others
def test_memory_grows_after_a_kill_until_the_work_fits(product: Product) -> None:
    spec = {"pipeline": "e2e-grow", "parameters": {"simulate": {"memoryMebibytes": 150}}}
    job = product.finished(product.submit(unique("grow"), spec))
    record = job.status.phases[0]
    assert job.status.state is State.SUCCEEDED
    assert (record.attempt, record.failures, record.memory_request_bytes) == (2, 0, 320 * 1024**2)


@pytest.mark.beside_others
def test_a_drained_queue_stops_pods_and_goes_on_later(product: Product) -> None:
    queue = unique("team")
    product.apply({"apiVersion": API_VERSION, "kind": "AudioQueue", "metadata": {"name": queue}, "spec": {}})
    name = product.submit(unique("drained"), {"pipeline": "e2e-load", "queueName": queue})
    product.until(name, lambda _: any(p["status"].get("phase") == "Running" for p in product.pods(name)), "its pod")

    def stop(policy: str) -> None:
        product.cluster.kubectl(
            "-n", product.namespace, "patch", "audioqueue", queue, "--type=merge", "-p",
            json.dumps({"spec": {"stopPolicy": policy}}),
        )  # fmt: skip

    stop("HoldAndDrain")
    product.until(name, lambda job: says(job, "Held"), "being taken back")
    product.nothing_runs(name)
    stop("None")
    job = product.finished(name)
    assert job.status.state is State.SUCCEEDED
    assert job.status.phases[0].failures == 0


@pytest.mark.beside_others
def test_a_retry_reads_what_the_failed_job_has_published(product: Product) -> None:
    """Across two jobs' folders: the new job's pod sees the old phase's folder, and only that."""
    source = {"url": product.media.url("song.mp3")}
    before = product.submit(
        unique("before"),
        {"pipeline": "e2e-redo", "source": source, "reuse": "Never", "parameters": {"simulate": {"exitCode": 65}}},
    )
    assert product.finished(before).status.state is State.FAILED
    after = product.submit(unique("after"), {"pipeline": "e2e-redo", "source": source, "retryOf": before})
    job = product.until(after, lambda job: says(job, "AwaitingReview"), "the gate")
    assert [(each.name, each.attempt) for each in job.status.phases] == [("get", 0), ("then", 1), ("last", 0)]
    product.patch(after, {"reviews": [{"phase": "last", "approved": True}]})
    job = product.finished(after)
    assert job.status.state is State.SUCCEEDED
    # A third job takes its output as source.
    third = product.submit(
        unique("third"), {"pipeline": "e2e-normal", "source": {"jobRef": {"name": after, "output": "audio"}}}
    )
    done = product.finished(third)
    assert done.status.state is State.SUCCEEDED
    assert done.status.source is not None
    # Wherever it lies: another job may have done the same work before, and its result was taken over.
    assert done.status.source.manifest in [phase.manifest for phase in job.status.phases]
