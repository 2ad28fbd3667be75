"""A pool of a space, its workers, and who plays their pods."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from tests.integration.operator.conftest import Object, Space

from audiojob_dev.rest import MERGE_PATCH
from audiojob_types.constants import ANNOTATION_WORK, ANNOTATION_WORKER, API_VERSION, LABEL_POOL


def _status(phase: str, state: Object) -> Object:
    base = {"image": "test", "imageID": "", "ready": False, "restartCount": 0, "state": state}
    return {"phase": phase, "containerStatuses": [{"name": name, **base} for name in ("serve", "work")]}


RUNNING: Object = _status("Running", {"running": {}})
DRAINED: Object = _status("Succeeded", {"terminated": {"exitCode": 0, "message": "{}"}})


class Pool:
    """A pool of a space, and its workers."""

    def __init__(self, space: Space, name: str = "warm", **spec: object) -> None:
        self._rest, self._space, self._name = space.rest, space, name
        self._path = f"/apis/{API_VERSION}/namespaces/{space.namespace}/audioworkerpools"
        body = {"apiVersion": API_VERSION, "kind": "AudioWorkerPool", "metadata": {"name": name}}
        self._rest.request("POST", self._path, {**body, "spec": {"tasks": ["Simulate"], **spec}})

    def patch(self, **spec: object) -> None:
        self._rest.request("PATCH", f"{self._path}/{self._name}", {"spec": spec}, content_type=MERGE_PATCH)

    def scale(self, replicas: int | None = None) -> Object:
        """The scale subresource, as kubectl and autoscalers use it: how many there are, after it is set."""
        path = f"{self._path}/{self._name}/scale"
        if replicas is not None:
            self._rest.request("PATCH", path, {"spec": {"replicas": replicas}}, content_type=MERGE_PATCH)
        found: Object = self._rest.request("GET", path)
        return found

    def status(self) -> Object:
        found: Object = self._rest.request("GET", f"{self._path}/{self._name}").get("status", {})
        return found

    def jobs(self) -> list[Object]:
        return [each for each in self._space.batch_jobs() if each["metadata"]["labels"].get(LABEL_POOL) == self._name]

    def numbers(self) -> list[int]:
        return sorted(int(job["metadata"]["annotations"][ANNOTATION_WORKER]) for job in self.jobs())

    def pods(self) -> list[Object]:
        return [each for each in self._space.pods() if each["metadata"]["labels"].get(LABEL_POOL) == self._name]

    def orders(self) -> list[Object]:
        return [json.loads(pod["metadata"]["annotations"][ANNOTATION_WORK]) for pod in self.pods()]

    def readable(self) -> bool:
        return all(pod["metadata"]["annotations"][ANNOTATION_WORK].startswith("{") for pod in self.pods())

    def told(self) -> list[str]:
        """What events on the pool say."""
        events = self._rest.request("GET", f"/api/v1/namespaces/{self._space.namespace}/events")["items"]
        about = ("AudioWorkerPool", self._name)
        return [
            each["message"]
            for each in events
            if (each["involvedObject"]["kind"], each["involvedObject"]["name"]) == about
        ]

    def play(self) -> None:
        """Pods start; those that drain end."""
        for pod in self.pods():
            phase, order = pod["status"].get("phase"), pod["metadata"]["annotations"][ANNOTATION_WORK]
            if phase == "Pending":
                self._say(pod, RUNNING)
            elif phase == "Running" and json.loads(order)["drain"]:
                self._say(pod, DRAINED)

    def _say(self, pod: Object, status: Object) -> None:
        self._rest.request("PATCH", f"{_path(pod)}/status", {"status": status}, content_type=MERGE_PATCH)

    def start_pods(self) -> None:
        for pod in self.pods():
            self._say(pod, RUNNING)

    def edit_order(self, text: str) -> None:
        (pod,) = self.pods()
        change = {"metadata": {"annotations": {ANNOTATION_WORK: text}}}
        self._rest.request("PATCH", _path(pod), change, content_type=MERGE_PATCH)

    def until(self, check: Callable[[], bool], what: str, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not check():
            assert time.monotonic() < deadline, f"{what}: {self.status()} {self.numbers()} {self.orders()}"
            time.sleep(0.05)


def live(jobs: list[Object]) -> int:
    """How many of the Jobs have not ended."""
    return sum(not (job["status"].get("succeeded") or job["status"].get("failed")) for job in jobs)


def _path(pod: Object) -> str:
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"
