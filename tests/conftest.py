"""Fixtures of the whole test set: a real API server for integration tests, a real cluster for e2e tests."""

from __future__ import annotations

import gc
import os
import uuid
from collections.abc import Generator, Iterator

import pytest
from hypothesis import HealthCheck, settings
from tests.support.cluster import NO_CLUSTER, TestCluster, find_cluster
from tests.support.parallel import FilesBesideEachOther, give_way, scheduler, tell_shortly

from audiojob_dev.cluster.apiserver import LocalApiServer, fresh_apiserver
from audiojob_dev.paths import paths_from_environment
from audiojob_dev.progress import Progress
from audiojob_dev.tools import binaries
from audiojob_runner.cpus import wait_without_spinning

wait_without_spinning(os.environ)  # as every phase does, before anything imports torch
# helm, kubectl, API servers and etcd: a sixth less time, for memory that they give back when their tests are over.
os.environ.setdefault("GOGC", "400")

# Everywhere the same inputs, so that a run fails for what was changed. `make properties` tries others, and many more.
PATIENT = [HealthCheck.too_slow]  # a busy machine is slow
settings.register_profile(
    "tests", max_examples=50, derandomize=True, database=None, deadline=None, suppress_health_check=PATIENT
)
settings.register_profile("long", max_examples=2_000, database=None, deadline=None, print_blob=True)
settings.load_profile("tests")


@pytest.fixture(scope="session")
def apiserver() -> Iterator[LocalApiServer]:
    """etcd and kube-apiserver with our resource types, one for the whole run; needs no root.

    No controllers run: a deleted namespace stays Terminating and Jobs make no pods. See `controllers`.
    """
    with fresh_apiserver("apiserver") as server:
        yield server


@pytest.fixture(scope="session")
def controllers(apiserver: LocalApiServer) -> LocalApiServer:
    """The API server with Job, garbage-collector, TTL, service-account and namespace controllers (no nodes)."""
    with Progress() as progress:
        binaries.ensure(paths_from_environment(), ("kube-controller-manager",), progress)
    apiserver.start_controllers()
    return apiserver


@pytest.fixture
def namespace(apiserver: LocalApiServer) -> Iterator[str]:
    """A fresh namespace of the API server, with its `default` service account; deleted afterwards."""
    name = f"test-{uuid.uuid4().hex[:10]}"
    apiserver.create_namespace(name)
    yield name
    apiserver.rest.request("DELETE", f"/api/v1/namespaces/{name}")


@pytest.fixture(scope="session")
def cluster() -> TestCluster:
    """A cluster that runs pods: the embedded one (started unless it is up; it stays up), or CONTEXT's.

    Without root and without CONTEXT the test is skipped, and fails where CI is set: CI must run every test.
    """
    found = find_cluster(paths_from_environment(), os.environ, os.geteuid())
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(NO_CLUSTER)
        pytest.skip(NO_CLUSTER)
    return found


@pytest.fixture
def cluster_namespace(cluster: TestCluster) -> Iterator[str]:
    """A fresh namespace of the cluster that admits restricted pods only; deleted afterwards."""
    name = f"test-{uuid.uuid4().hex[:10]}"
    cluster.create_namespace(name)
    yield name
    cluster.delete_namespace(name)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> FilesBesideEachOther:
    """Where there are several workers: files beside each other, but all end-to-end tests on one."""
    return scheduler(config, log)


def pytest_configure(config: pytest.Config) -> None:
    """One of several workers gives way to the end-to-end tests on another."""
    if hasattr(config, "workerinput"):
        give_way()


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """One of several workers tells only what somebody sees; a report for machines has all."""
    seen = hasattr(item.config, "workerinput") and not item.config.getoption("xmlpath")
    return tell_shortly(item, nextitem) if seen else None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """No garbage is looked for while modules are imported and tests collected: nearly all of that stays."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """Garbage is looked for among what tests make: modules and thousands of collected tests stay to the end."""
    gc.freeze()
