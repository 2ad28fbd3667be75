"""The operator's process on a real API server: a namespace, pipelines and jobs."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support.faults.proxy import FaultProxy
from tests.support.operator_process import OperatorProcess
from tests.support.podrunner import Behaviour, PodRunner

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.rest import MERGE_PATCH, Rest
from audiojob_types.constants import API_VERSION, RUNNER_SERVICE_ACCOUNT

Object = dict[str, Any]

PHASES = ("one", "two")


@dataclass(frozen=True, slots=True)
class Space:
    """One namespace with what jobs need, and short ways to work in it."""

    rest: Rest
    namespace: str
    pipeline: str

    @property
    def jobs_path(self) -> str:
        return f"/apis/{API_VERSION}/namespaces/{self.namespace}/audiojobs"

    def submit(self, name: str, **spec: Any) -> Object:
        """Create an AudioJob of the space's pipeline."""
        body = {
            "apiVersion": API_VERSION,
            "kind": "AudioJob",
            "metadata": {"name": name},
            "spec": {"pipeline": self.pipeline, **spec},
        }
        created: Object = self.rest.request("POST", self.jobs_path, body)
        return created

    def job(self, name: str) -> Object:
        found: Object = self.rest.request("GET", f"{self.jobs_path}/{name}")
        return found

    def jobs(self) -> list[Object]:
        items: list[Object] = self.rest.request("GET", self.jobs_path)["items"]
        return items

    def patch(self, name: str, spec: Object) -> None:
        self.rest.request("PATCH", f"{self.jobs_path}/{name}", {"spec": spec}, content_type=MERGE_PATCH)

    def batch_jobs(self) -> list[Object]:
        items: list[Object] = self.rest.request("GET", f"/apis/batch/v1/namespaces/{self.namespace}/jobs")["items"]
        return items

    def pods(self) -> list[Object]:
        items: list[Object] = self.rest.request("GET", f"/api/v1/namespaces/{self.namespace}/pods")["items"]
        return items

    def events(self) -> list[Object]:
        items: list[Object] = self.rest.request("GET", f"/api/v1/namespaces/{self.namespace}/events")["items"]
        return [item for item in items if item["involvedObject"]["kind"] == "AudioJob"]

    def until(
        self,
        name: str,
        check: Callable[[Object], bool],
        what: str,
        seconds: float = 60,
        story: Callable[[], str] = str,
    ) -> Object:
        """Wait until ``check`` holds of the job's status."""
        deadline = time.monotonic() + seconds
        while True:
            job = self.job(name)
            if check(job.get("status", {})):
                return job
            assert time.monotonic() < deadline, f"{name}: {what} not within {seconds} s: {job}{story()}"
            time.sleep(0.05)

    def finished(self, name: str, seconds: float = 60, story: Callable[[], str] = str) -> Object:
        """Wait for the job's end."""
        states = ("Succeeded", "Failed", "Cancelled")
        return self.until(name, lambda status: status.get("state") in states, "its end", seconds, story)


def make_space(server: LocalApiServer, **phase: Any) -> Space:
    """A new namespace, and a pipeline of two Simulate phases of its own."""
    name = f"op-{uuid.uuid4().hex[:8]}"
    server.create_namespace(name)
    server.ensure_service_account(name, RUNNER_SERVICE_ACCOUNT)
    make_pipeline(server, name, **phase)
    return Space(server.rest, name, name)


def make_pipeline(server: LocalApiServer, name: str, **phase: Any) -> None:
    """A pipeline of two Simulate phases with quick retries."""
    base = {"task": "Simulate", "retry": {"limit": 3, "baseSeconds": 0, "capSeconds": 1}, **phase}
    body = {
        "apiVersion": API_VERSION,
        "kind": "AudioPipeline",
        "metadata": {"name": name},
        "spec": {"phases": [{"name": one, **base} for one in PHASES]},
    }
    server.rest.request("POST", f"/apis/{API_VERSION}/audiopipelines", body)


@contextmanager
def working(space: Space, proxy: FaultProxy, folder: Path, behaviour: Behaviour, **settings: str) -> Iterator[Space]:
    """The space while one operator of its own works in it, and somebody plays the pods."""
    proxy.begin()
    kubeconfig = proxy.write_kubeconfig(folder / "config")
    settings = {"AUDIOJOB_LEASE__NAME": space.namespace, **settings}
    operator = OperatorProcess(kubeconfig, [space.namespace], folder / "log", **settings)
    with operator, PodRunner(space.rest, space.namespace, behaviour):
        yield space


@pytest.fixture
def space(controllers: LocalApiServer) -> Space:
    """A namespace and a pipeline for one test."""
    return make_space(controllers)


@pytest.fixture(scope="module")
def proxy(controllers: LocalApiServer) -> Iterator[FaultProxy]:
    """A proxy in front of the API server."""
    with FaultProxy(controllers) as running:
        yield running


@pytest.fixture
def kubeconfig(proxy: FaultProxy, tmp_path: Path) -> Path:
    """A kubeconfig that leads through the proxy."""
    return proxy.write_kubeconfig(tmp_path / "kubeconfig")
