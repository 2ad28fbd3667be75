"""The workers of a pool on a real API server: made, told, replaced and taken away; the test plays their pods."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.integration.operator.conftest import Object, Space
from tests.support.operator_process import OperatorProcess

from audiojob_dev.rest import MERGE_PATCH
from audiojob_types.constants import ANNOTATION_WORK, ANNOTATION_WORKER, API_VERSION

RUNNING: Object = {
    "phase": "Running",
    "containerStatuses": [
        {"name": name, "image": "test", "imageID": "", "ready": True, "restartCount": 0, "state": {"running": {}}}
        for name in ("serve", "work")
    ],
}


class Pool:
    """A pool of a space, and its workers."""

    def __init__(self, space: Space, **spec: object) -> None:
        self._rest, self._space = space.rest, space
        self._path = f"/apis/{API_VERSION}/namespaces/{space.namespace}/audioworkerpools"
        body = {"apiVersion": API_VERSION, "kind": "AudioWorkerPool", "metadata": {"name": "warm"}}
        self._rest.request("POST", self._path, {**body, "spec": {"tasks": ["Simulate"], **spec}})

    def patch(self, **spec: object) -> None:
        self._rest.request("PATCH", f"{self._path}/warm", {"spec": spec}, content_type=MERGE_PATCH)

    def status(self) -> Object:
        found: Object = self._rest.request("GET", f"{self._path}/warm").get("status", {})
        return found

    def numbers(self) -> list[int]:
        return sorted(int(job["metadata"]["annotations"][ANNOTATION_WORKER]) for job in self._space.batch_jobs())

    def orders(self) -> list[Object]:
        return [json.loads(pod["metadata"]["annotations"][ANNOTATION_WORK]) for pod in self._space.pods()]

    def readable(self) -> bool:
        return all(pod["metadata"]["annotations"][ANNOTATION_WORK].startswith("{") for pod in self._space.pods())

    def start_pods(self) -> None:
        for pod in self._space.pods():
            self._rest.request("PATCH", f"{_path(pod)}/status", {"status": RUNNING}, content_type=MERGE_PATCH)

    def edit_order(self, text: str) -> None:
        (pod,) = self._space.pods()
        change = {"metadata": {"annotations": {ANNOTATION_WORK: text}}}
        self._rest.request("PATCH", _path(pod), change, content_type=MERGE_PATCH)

    def until(self, check: Callable[[], bool], what: str, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not check():
            assert time.monotonic() < deadline, f"{what}: {self.status()} {self.numbers()} {self.orders()}"
            time.sleep(0.05)


def _path(pod: Object) -> str:
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"


@pytest.fixture
def operator(space: Space, kubeconfig: Path, tmp_path: Path) -> Iterator[OperatorProcess]:
    lease = {"AUDIOJOB_LEASE__NAME": space.namespace}
    with OperatorProcess(kubeconfig, [space.namespace], tmp_path / "log", **lease) as running:
        yield running


@pytest.mark.usefixtures("operator")
def test_the_life_of_a_pool(space: Space) -> None:
    pool = Pool(space, minWorkers=1, maxWorkers=2)
    pool.until(lambda: len(space.pods()) == 1, "a worker stays without work")
    pool.until(lambda: pool.status().get("starting") == 1, "its status says so")
    assert pool.status()["nextNumber"] == 1
    assert pool.orders()[0]["idleSeconds"] is None
    pool.start_pods()
    pool.until(lambda: pool.status().get("idle") == 1, "it waits for work")

    pool.edit_order("no order")
    pool.until(pool.readable, "an order that somebody broke is written anew")

    pool.patch(resources={"memory": "256Mi"})
    pool.until(lambda: pool.numbers() == [0, 1], "another one is made of the pool as it is now")
    pool.until(lambda: [order["drain"] for order in pool.orders()].count(True) == 1, "the old one ends")
    pool.patch(minWorkers=0, maxWorkers=0)
    pool.until(lambda: all(order["drain"] for order in pool.orders()), "a closed pool keeps none")
    pool.until(lambda: pool.status().get("desired") == 0, "and wants none")
    assert pool.status()["message"].startswith("The pool is closed")
