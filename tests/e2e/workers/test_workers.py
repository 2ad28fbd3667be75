"""A pool of one worker on the kubelet: jobs in turn in one pod, a cancel, kills, a new operator, and the pool's end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.product import POLL_SECONDS, Object, Product, simulate_pipeline

from audiojob_dev.demo.install import RELEASE_NAMESPACE
from audiojob_types.constants import API_VERSION, GROUP, LABEL_POOL
from audiojob_types.resources.job import AudioJob, PhaseState, State

POOL, PIPELINE = "e2e-warm", "e2e-worker"
LONG = 60_000  # milliseconds of a phase that does not end by itself before a test has done with it
ENOUGH = 3_000  # of one that a test disturbs, and that then does its work to the end


@pytest.fixture(scope="module", autouse=True)
def pool(product: Product) -> Iterator[None]:
    """One worker that is there before its first job, and stays."""
    resources = {"cpu": "50m", "memory": "256Mi", "scratch": "128Mi"}
    spec = {"tasks": ["Simulate"], "resources": resources, "minWorkers": 1, "maxWorkers": 1, "idleSeconds": 600}
    product.apply({"apiVersion": API_VERSION, "kind": "AudioWorkerPool", "metadata": {"name": POOL}, "spec": spec})
    product.apply(simulate_pipeline(PIPELINE, workerPool={"name": POOL, "fallbackSeconds": 60}))
    yield
    product.cluster.kubectl("-n", product.namespace, "delete", "audioworkerpool", POOL, "--ignore-not-found")


def submit(product: Product, milliseconds: int) -> str:
    """A job of one phase that takes so long."""
    parameters = {"simulate": {"durationMilliseconds": milliseconds}}
    return product.submit(f"warm-{uuid.uuid4().hex[:6]}", {"pipeline": PIPELINE, "parameters": parameters})


def taken_up(product: Product, name: str) -> AudioJob:
    """The job, once a worker is at its phase."""

    def begun(job: AudioJob) -> bool:
        report = job.status.progress.get("one")
        return report is not None and report.begun is True and job.status.phases[0].state is PhaseState.RUNNING

    return product.until(name, begun, "a worker at its phase")


def done_by(product: Product, job: AudioJob) -> str | None:
    """The job succeeded at the first attempt and published its file; the pod of the worker that did it."""
    (phase,) = job.status.phases
    assert job.status.state is State.SUCCEEDED, job.status
    assert (phase.attempt, phase.failures) == (1, 0)
    assert [path.rsplit("/", 1)[-1] for path in product.published(job) if path.endswith("output.bin")] == ["output.bin"]
    return phase.pod_uid


def workers(product: Product, kind: str) -> list[Object]:
    """Jobs or pods of the pool."""
    group = "/apis/batch/v1" if kind == "jobs" else "/api/v1"
    path = f"{group}/namespaces/{product.namespace}/{kind}?labelSelector={LABEL_POOL}%3D{POOL}"
    items: list[Object] = product.rest.request("GET", path)["items"]
    return items


def kill(pod_uid: str, program: str) -> None:
    """SIGKILL to a process of a pod: the kernel's kill, of which nobody in the pod hears before."""
    found = [int(each.name) for each in Path("/proc").glob("[0-9]*") if _is_of(each, pod_uid, program)]
    assert found, f"no process {program} of pod {pod_uid}"
    os.kill(min(found), signal.SIGKILL)  # the first one is that of the container, others are forked from it


def _is_of(process: Path, pod_uid: str, program: str) -> bool:
    with contextlib.suppress(OSError):  # it has ended meanwhile
        words = (process / "cmdline").read_bytes().split(b"\0")
        groups = (process / "cgroup").read_text().replace("_", "-")
        return pod_uid in groups and b"audiojob_runner" in words and program.encode() in words
    return False


def test_jobs_in_turn_have_one_pod_and_a_cancel_costs_its_phase_alone(product: Product) -> None:
    done = [product.finished(submit(product, 200)) for _ in range(2)]
    pods = {done_by(product, job) for job in done}
    assert pods == {pod["metadata"]["uid"] for pod in workers(product, "pods")}, "one worker, and it did both"

    stopped = submit(product, LONG)
    assert taken_up(product, stopped).status.phases[0].pod_uid in pods
    after = submit(product, 200)  # there is one worker: it has to wait
    product.until(after, lambda job: " worker " in (job.status.message or ""), "being told why it waits")
    product.patch(stopped, {"cancel": True})
    assert done_by(product, product.finished(after)) in pods
    assert product.finished(stopped).status.state is State.CANCELLED

    names = [*(job.metadata.name for job in done), stopped, after]
    assert not [child["metadata"]["name"] for name in names for child in product.children(name)], "no Job of a phase"
    assert len(workers(product, "jobs")) == 1


def test_an_operator_that_is_replaced_finds_the_phase_with_the_worker_that_has_it(product: Product) -> None:
    name = submit(product, ENOUGH)
    pod_uid = taken_up(product, name).status.phases[0].pod_uid
    operator = ("-n", RELEASE_NAMESPACE, "pod", "-l", "app.kubernetes.io/component=operator")
    product.cluster.kubectl("delete", *operator)  # waits until it is gone; the next one may have begun
    assert done_by(product, product.finished(name)) == pod_uid
    assert len(workers(product, "jobs")) == 1


def test_a_worker_whose_node_is_drained_costs_a_disruption_and_no_failure(product: Product) -> None:
    name = submit(product, ENOUGH)
    pod_uid = taken_up(product, name).status.phases[0].pod_uid
    (pod,) = [each["metadata"]["name"] for each in workers(product, "pods") if each["metadata"]["uid"] == pod_uid]
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
    path = f"/api/v1/namespaces/{product.namespace}/pods/{pod}/eviction"
    product.cluster.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
    job = product.finished(name)
    (phase,) = job.status.phases
    assert job.status.state is State.SUCCEEDED, job.status
    assert phase.pod_uid != pod_uid
    assert (phase.attempt, phase.failures, phase.disruptions) == (2, 0, 1)


@pytest.mark.parametrize("program", ["serve", "work"])
def test_a_worker_that_is_killed_costs_no_more_than_the_attempt_that_it_had(product: Product, program: str) -> None:
    before = product.finished(submit(product, 0))
    name = submit(product, ENOUGH)
    pod_uid = taken_up(product, name).status.phases[0].pod_uid
    assert pod_uid is not None
    kill(pod_uid, program)
    job = product.finished(name)
    (phase,) = job.status.phases
    assert job.status.state is State.SUCCEEDED, job.status
    assert phase.attempt == 2
    assert phase.pod_uid != pod_uid
    assert phase.failures == (1 if program == "work" else 0), "that of serve is the worker's own"
    assert len([path for path in product.published(job) if path.endswith("manifest.json")]) == 1
    assert product.job(before.metadata.name).status.phases[0].attempt == 1, "what was done is not done again"


def test_a_pool_that_is_deleted_under_a_phase_leaves_it_to_a_job_of_its_own(product: Product) -> None:
    name = submit(product, ENOUGH)
    taken_up(product, name)
    product.cluster.kubectl("-n", product.namespace, "delete", f"audioworkerpools.{GROUP}", POOL, "--wait=false")
    job = product.finished(name)
    (phase,) = job.status.phases
    assert job.status.state is State.SUCCEEDED, job.status
    assert phase.failures == 0
    nothing_is_left(product)


def nothing_is_left(product: Product, seconds: float = 60) -> None:
    """The pool's Jobs and pods go with it."""
    deadline = time.monotonic() + seconds
    while left := [each["metadata"]["name"] for kind in ("jobs", "pods") for each in workers(product, kind)]:
        assert time.monotonic() < deadline, f"still there after {seconds:.0f} s: {left}"
        time.sleep(POLL_SECONDS)
