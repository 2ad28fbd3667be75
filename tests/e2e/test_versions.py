"""Versions that meet on a kubelet: jobs under way while the operator is upgraded, and while it is rolled back.

The earlier version is the last one before contract numbers. Its runner image and its operator come from its own
sources, unchanged. Last, like test_operator_outage: the installed operator is away meanwhile.
"""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.e2e.product import Product, long_then_short
from tests.support.cluster import TestCluster
from tests.support.operator_process import PROGRAM, OperatorProcess

from audiojob_dev.cluster.embedded import Cluster as EmbeddedCluster
from audiojob_dev.demo.install import RELEASE, RELEASE_NAMESPACE
from audiojob_dev.images.build import build_earlier
from audiojob_dev.images.load import load
from audiojob_dev.paths import repository
from audiojob_dev.progress import Progress
from audiojob_types.constants import ANNOTATION_PHASE
from audiojob_types.contract import CONTRACT
from audiojob_types.resources.job import AudioJob, State

# The first run builds an image, without layers of today's where those differ.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

EARLIER = "f72c2ec751490047f067d6da86fe6ae02a9bd0a2"
OPERATOR = f"deployment/{RELEASE}-operator"
SYSTEM = ("-n", RELEASE_NAMESPACE)
PIPELINES = [long_then_short("e2e-versions")]


@dataclass(frozen=True)
class Earlier:
    """The earlier version: a folder with its sources, and its runner image in the cluster."""

    sources: Path
    runner: str


@pytest.fixture(scope="module")
def earlier(cluster: TestCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Earlier]:
    """Its sources as a work tree of their own, its runner image built from them and loaded."""
    here = ["git", "-C", str(repository())]
    if subprocess.run([*here, "cat-file", "-e", f"{EARLIER}^{{commit}}"], capture_output=True, check=False).returncode:
        pytest.fail(f"commit {EARLIER}, the earlier version, is not in this clone; run: git fetch --unshallow")
    sources = tmp_path_factory.mktemp("earlier") / "sources"
    subprocess.run([*here, "worktree", "add", "--detach", str(sources), EARLIER], capture_output=True, check=True)
    try:
        with Progress() as progress:
            runner = build_earlier(cluster.paths, sources, "runner", progress)
            load(cluster.paths, EmbeddedCluster(cluster.paths).containers, [runner], progress)
        yield Earlier(sources, runner)
    finally:
        subprocess.run([*here, "worktree", "remove", "--force", str(sources)], capture_output=True, check=True)


@contextmanager
def operator_away(product: Product) -> Iterator[None]:
    """The installed operator is scaled to nothing, and back."""
    product.cluster.kubectl(*SYSTEM, "scale", OPERATOR, "--replicas=0")
    gone = ("wait", "--for=delete", "pod", "-l", "app.kubernetes.io/component=operator", "--timeout=60s")
    product.cluster.kubectl(*SYSTEM, *gone)
    try:
        yield
    finally:
        product.cluster.kubectl(*SYSTEM, "scale", OPERATOR, "--replicas=1")
        product.cluster.kubectl(*SYSTEM, "rollout", "status", OPERATOR, "--timeout=90s")


def earlier_operator(product: Product, earlier: Earlier, runner: str, folder: Path) -> OperatorProcess:
    """The earlier version's operator as a process on this machine, with the settings of the chart."""
    assert product.cluster.kubeconfig is not None, "the embedded cluster has one"
    folders = [str(earlier.sources / part) for part in ("crds", "kube", "operator")]
    return OperatorProcess(
        product.cluster.kubeconfig,
        [product.namespace],
        folder / "earlier-operator.log",
        PROGRAM,
        AUDIOJOB_IMAGES__RUNNER=runner,
        AUDIOJOB_IMAGES__RUNNER_TORCH=runner,
        AUDIOJOB_IMAGES__RUNNER_MUSIC=None,  # which it does not know
        AUDIOJOB_LEASE__NAMESPACE=RELEASE_NAMESPACE,
        PYTHONPATH=os.pathsep.join(folders),
    )


def submit(product: Product) -> str:
    return product.submit(f"versions-{uuid.uuid4().hex[:6]}", {"pipeline": "e2e-versions"})


def first_phase_runs(product: Product, name: str, story: str = "") -> None:
    def runs(job: AudioJob) -> bool:
        assert not job.status.state.finished, f"{job.status.error}{story}"
        return any(phase.state == "Running" for phase in job.status.phases) and any(
            pod["status"].get("phase") == "Running" for pod in product.pods(name)
        )

    product.until(name, runs, "its first phase at work")


def phase_files(product: Product, name: str) -> list[dict[str, object]]:
    return [json.loads(pod["metadata"]["annotations"][ANNOTATION_PHASE]) for pod in product.pods(name)]


def images(product: Product, name: str) -> set[str]:
    return {container["image"] for pod in product.pods(name) for container in pod["spec"]["containers"]}


def test_a_job_goes_on_through_an_upgrade_with_the_runner_that_it_began_with(
    product: Product, earlier: Earlier, tmp_path: Path
) -> None:
    with operator_away(product), earlier_operator(product, earlier, earlier.runner, tmp_path) as before:
        name = submit(product)
        first_phase_runs(product, name, before.story())
    job = product.finished(name)
    assert job.status.state is State.SUCCEEDED, product.story(name)
    assert [phase.attempt for phase in job.status.phases] == [1, 1]
    assert images(product, name) == {earlier.runner}
    assert all("contract" not in file for file in phase_files(product, name)), "that runner refuses unknown fields"


def test_a_job_goes_on_through_a_rollback_with_the_runner_that_it_began_with(
    product: Product, earlier: Earlier, tmp_path: Path
) -> None:
    name = submit(product)
    first_phase_runs(product, name)
    product.until(name, lambda job: job.status.phases[1].early_attempt == 1, "a pod that the earlier version knows not")
    with operator_away(product), earlier_operator(product, earlier, earlier.runner, tmp_path) as before:
        job = product.finished(name, seconds=60)
        assert job.status.state is State.SUCCEEDED, before.story()
    assert [phase.attempt for phase in job.status.phases] == [1, 1]
    assert images(product, name) == {product.images["runner"]}
    assert [file.get("contract", 0) for file in phase_files(product, name)] == [CONTRACT, 0]
