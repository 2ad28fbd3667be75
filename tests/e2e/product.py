"""The installed product as the tests use it: namespaces, jobs, pipelines and what they left behind."""

from __future__ import annotations

import json
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiojob_dev.demo.store import FolderOnThisMachine, Store, open_store
from audiojob_dev.demo.tools import Cluster, ToolError
from audiojob_dev.rest import MERGE_PATCH, Rest
from audiojob_types.constants import API_VERSION, LABEL_JOB, LABEL_PHASE, LABEL_UID
from audiojob_types.resources.job import AudioJob, State

Object = dict[str, Any]
POLL_SECONDS = 0.1
TEST_LABEL = {"app.kubernetes.io/created-by": "audiojob-e2e"}


@dataclass(frozen=True, slots=True)
class Media:
    """The served files: ``folder`` is what ``base`` serves; ``canary`` is an address that must never be asked."""

    folder: Path
    base: str
    canary: str
    canary_hits: list[str]

    def url(self, name: str) -> str:
        """The address of a served file."""
        return f"{self.base}/{name}"


@dataclass(frozen=True, slots=True)
class Product:
    """audiojob on a cluster. What is looked at again and again is read by ``rest``: a kubectl takes 0.1 CPU seconds."""

    cluster: Cluster
    rest: Rest
    images: dict[str, str]
    media: Media
    namespace: str  # prepared, with a store
    without_claim: str  # prepared, its claim deleted
    unprepared: str

    def apply(self, *manifests: Object, namespace: str | None = None) -> None:
        """``kubectl apply`` of these objects, labelled so that the end of the run finds them again."""
        items = [labelled(manifest) for manifest in manifests]
        where = ("-n", namespace or self.namespace)  # which says nothing to objects of the whole cluster
        found = {"apiVersion": "v1", "kind": "List", "items": items}
        self.cluster.kubectl(*where, "apply", "-f", "-", stdin=json.dumps(found))

    def submit(self, name: str, spec: Object, namespace: str | None = None) -> str:
        """Create an AudioJob and return its name."""
        manifest = {"apiVersion": API_VERSION, "kind": "AudioJob", "metadata": {"name": name}, "spec": spec}
        self.apply(manifest, namespace=namespace)
        return name

    def job(self, name: str, namespace: str | None = None) -> AudioJob:
        """The AudioJob as it is now."""
        path = f"/apis/{API_VERSION}/namespaces/{namespace or self.namespace}/audiojobs/{name}"
        return AudioJob.model_validate(self.rest.request("GET", path))

    def patch(self, name: str, spec: Object) -> None:
        """Merge-patch an AudioJob's spec."""
        path = f"/apis/{API_VERSION}/namespaces/{self.namespace}/audiojobs/{name}"
        self.rest.request("PATCH", path, {"spec": spec}, content_type=MERGE_PATCH)

    def finished(self, name: str, seconds: float = 240, namespace: str | None = None) -> AudioJob:
        """Wait for the job's end."""
        return self.until(name, lambda job: job.status.state.finished, "its end", seconds, namespace)

    def until(
        self,
        name: str,
        check: Callable[[AudioJob], bool],
        what: str,
        seconds: float = 120,
        namespace: str | None = None,
    ) -> AudioJob:
        """Wait until ``check`` holds of the job."""
        deadline = time.monotonic() + seconds
        while True:
            job = self.job(name, namespace)
            if check(job):
                return job
            assert time.monotonic() < deadline, (
                f"{name}: {what} not within {seconds:.0f} s; {self.story(name, namespace)}"
            )
            time.sleep(POLL_SECONDS)

    def story(self, name: str, namespace: str | None = None) -> str:
        """What a person would look at, for a failed assertion."""
        where = namespace or self.namespace
        described = self.cluster.kubectl("-n", where, "describe", "audiojob", name)
        pods = self.cluster.kubectl("-n", where, "get", "jobs,pods", "-l", f"{LABEL_JOB}={name}")
        return f"\n{described}\n{pods}"

    def pods(self, name: str, namespace: str | None = None) -> list[Object]:
        """The job's pods, newest last."""
        found = self._of_job("/api/v1", "pods", name, namespace or self.namespace)
        return sorted(found, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))

    def phase_pods(self, name: str, phase: str) -> list[Object]:
        """The pods of one phase, newest last: while it works, the next one's may have begun early."""
        return [pod for pod in self.pods(name) if pod["metadata"]["labels"][LABEL_PHASE] == phase]

    def children(self, name: str) -> list[Object]:
        """The job's batch Jobs."""
        return self._of_job("/apis/batch/v1", "jobs", name, self.namespace)

    def _of_job(self, group: str, plural: str, name: str, namespace: str) -> list[Object]:
        selector = urllib.parse.quote(f"{LABEL_JOB}={name}")
        path = f"{group}/namespaces/{namespace}/{plural}?labelSelector={selector}"
        items: list[Object] = self.rest.request("GET", path)["items"]
        return items

    def nothing_runs(self, name: str, seconds: float = 120, namespace: str | None = None) -> None:
        """Wait until no pod of the job is alive."""
        deadline = time.monotonic() + seconds
        while alive := [pod["metadata"]["name"] for pod in self.pods(name, namespace) if _alive(pod)]:
            assert time.monotonic() < deadline, f"still running after {seconds:.0f} s: {alive}"
            time.sleep(POLL_SECONDS)

    def nothing_left(self, name: str, uid: str, seconds: float = 120) -> None:
        """Wait until no Job and no pod is there of the deleted AudioJob that had ``uid``."""
        deadline = time.monotonic() + seconds
        while left := [
            child["metadata"]["name"]
            for child in self.children(name) + self.pods(name)
            if child["metadata"]["labels"][LABEL_UID] == uid
        ]:
            assert time.monotonic() < deadline, f"still there after {seconds:.0f} s: {left}"
            time.sleep(POLL_SECONDS)

    def store(self) -> Store:
        """What the jobs of the namespace published."""
        return open_store(self.cluster, self.namespace, self.images["runner"])

    def published(self, job: AudioJob) -> list[str]:
        """Names of all files below the job's folder, on the embedded cluster's volume."""
        store = self.store()
        assert isinstance(store, FolderOnThisMachine)
        folder = Path(store.place(f"{job.metadata.namespace}/{job.metadata.uid}"))
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def labelled(manifest: Object) -> Object:
    """One that the end of the run finds again."""
    labels = {**manifest["metadata"].get("labels", {}), **TEST_LABEL}
    return {**manifest, "metadata": {**manifest["metadata"], "labels": labels}}


def _alive(pod: Object) -> bool:
    return pod["status"].get("phase") not in ("Succeeded", "Failed")


def simulate_pipeline(name: str, *, phases: int = 1, memory: str = "128Mi", **phase: Any) -> Object:
    """A pipeline of Simulate phases ``one``, ``two``, … with quick retries, whose pods a busy machine has time for."""
    names = ("one", "two", "three")[:phases]
    base = {
        "task": "Simulate",
        "resources": {"cpu": "50m", "memory": memory, "scratch": "64Mi"},
        "retry": {"limit": 3, "baseSeconds": 0, "capSeconds": 1},
        "startTimeoutSeconds": 60,
        **phase,
    }
    return {
        "apiVersion": API_VERSION,
        "kind": "AudioPipeline",
        "metadata": {"name": name},
        "spec": {"phases": [{"name": one, **base} for one in names]},
    }


def long_then_short(name: str, **phase: Any) -> Object:
    """A pipeline of two Simulate phases: one in which a busy machine still gets to disturb it, and a short one."""
    made = simulate_pipeline(name, phases=2, **phase)
    for each, milliseconds in zip(made["spec"]["phases"], (10_000, 200), strict=True):
        each["parameters"] = {"simulate": {"durationMilliseconds": milliseconds}}
    return made


def assert_explained(job: AudioJob, reason: str, *words: str) -> None:
    """The job failed for ``reason``, and says so in words that a person can act on."""
    assert job.status.state is State.FAILED, job.status
    error = job.status.error
    assert error is not None
    assert error.reason == reason, error
    assert error.message, "a failure needs a message"
    assert error.suggestion, "a failure needs a suggestion"
    for word in words:
        assert word in error.message, error.message
    failed = next(condition for condition in job.status.conditions if condition.type == "Failed")
    assert failed.status == "True"


__all__ = ["Media", "Product", "ToolError", "assert_explained", "long_then_short", "simulate_pipeline"]
