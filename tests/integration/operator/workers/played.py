"""A pool, one worker of it, and who plays its pod: it begins what it is told, and reports how that ended."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

from tests.integration.operator.conftest import Object, Space
from tests.support.podrunner import running, succeed

from audiojob_dev.rest import JSON_PATCH, MERGE_PATCH, RestError
from audiojob_operator.building.pools.worker import build_worker, order_text, pool_facts, work_terms
from audiojob_operator.settings import OperatorSettings
from audiojob_types.constants import ANNOTATION_PHASE, ANNOTATION_WORK, API_VERSION
from audiojob_types.contract import PhaseInput, PhaseResult
from audiojob_types.workers.order import ReportedEnd, WorkOrder
from audiojob_types.workers.pod import CONTAINER_SERVE, CONTAINER_WORK
from audiojob_types.workers.pool import AudioWorkerPool

POOL = "warm"
IMAGES = {"runner": "audiojob/runner:test", "runner_torch": "audiojob/runner-torch:test"}
IMAGES["runner_music"] = "audiojob/runner-music:test"

Ends = Callable[[PhaseInput], bool]


def make_pool(space: Space) -> AudioWorkerPool:
    """A pool of one worker for Simulate."""
    spec = {"tasks": ["Simulate"], "minWorkers": 1, "maxWorkers": 1}
    body = {"apiVersion": API_VERSION, "kind": "AudioWorkerPool", "metadata": {"name": POOL}, "spec": spec}
    path = f"/apis/{API_VERSION}/namespaces/{space.namespace}/audioworkerpools"
    return AudioWorkerPool.read(space.rest.request("POST", path, body))


class PlayedWorker:
    """The worker, and the kubelet of its namespace. ``reports``: whether a phase that it has begun ends."""

    def __init__(self, space: Space, reports: Ends = lambda _phase: True) -> None:
        self._space = space
        self._reports = reports
        self._path = f"/api/v1/namespaces/{space.namespace}/pods"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self._placed: set[str] = set()
        self._done: set[tuple[str, int]] = set()
        self.begun: list[tuple[str, int]] = []
        self.own: list[tuple[str, int]] = []  # phases with pods of their own
        pool = make_pool(space)
        settings = OperatorSettings(job_namespaces=(space.namespace,), images=IMAGES)  # type: ignore[arg-type]
        decisions = settings.for_decisions()
        order = order_text(work_terms(pool, stays=True, drain=False))
        body = build_worker(pool_facts(pool, decisions), 0, decisions, order)
        self.job_name: str = body["metadata"]["name"]
        space.rest.request("POST", f"/apis/batch/v1/namespaces/{space.namespace}/jobs", body)

    def __enter__(self) -> PlayedWorker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def pod(self) -> Object:
        """The worker's pod."""
        pods = self._space.rest.request("GET", self._path)["items"]
        found: Object = next(each for each in pods if ANNOTATION_WORK in (each["metadata"].get("annotations") or {}))
        return found

    def end(self, code: int, **work: Any) -> None:
        """The containers of the worker end."""
        serve = {"exitCode": code, "reason": "Error", "message": "{}"}
        self._say(self.pod()["metadata"]["name"], _containers("Failed", {"terminated": serve}, {"terminated": work}))

    def _run(self) -> None:
        while not self._stop.wait(0.03):
            for pod in self._space.rest.request("GET", self._path)["items"]:
                try:
                    self._play(pod)
                except RestError as error:
                    if error.status not in (404, 409, 422):  # else it was deleted meanwhile
                        raise

    def _play(self, pod: Object) -> None:
        name, annotations = pod["metadata"]["name"], pod["metadata"].get("annotations") or {}
        is_worker = ANNOTATION_WORK in annotations
        if name not in self._placed:
            self._placed.add(name)
            binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}}
            node = {"apiVersion": "v1", "kind": "Node", "name": "node-1"}
            self._space.rest.request("POST", f"{self._path}/{name}/binding", {**binding, "target": node})
            state: Object = {"running": {}}
            self._say(name, _containers("Running", state, state) if is_worker else running())
        elif is_worker and pod["status"]["phase"] == "Running":
            self._work(pod, WorkOrder.read(annotations[ANNOTATION_WORK]))
        elif ANNOTATION_PHASE in annotations and pod["status"]["phase"] == "Running":
            phase = PhaseInput.model_validate_json(annotations[ANNOTATION_PHASE])
            self.own.append((phase.phase, phase.attempt))
            self._say(name, succeed(phase, pod))

    def _work(self, pod: Object, order: WorkOrder) -> None:
        for phase in order.told:
            identity = (phase.phase, phase.attempt)
            if identity not in self.begun:
                self._report(phase, {"begun": True})
                self.begun.append(identity)
            elif identity not in self._done and self._reports(phase):
                self._done.add(identity)
                message = succeed(phase, pod)["containerStatuses"][0]["state"]["terminated"]["message"]
                end = ReportedEnd(attempt=phase.attempt, exit_code=0, result=PhaseResult.read(message))
                self._report(phase, {"result": end.to_text()})

    def _report(self, phase: PhaseInput, entry: Object) -> None:
        progress = {phase.phase: {"attempt": phase.attempt, "percent": 0, **entry}}
        path = f"{self._space.jobs_path}/{phase.job}/status"
        self._space.rest.request("PATCH", path, {"status": {"progress": progress}}, content_type=MERGE_PATCH)

    def _say(self, name: str, status: Object) -> None:
        self._space.rest.request("PATCH", f"{self._path}/{name}/status", {"status": status}, content_type=MERGE_PATCH)

    def tell_otherwise(self) -> None:
        """Somebody takes off the annotation what the worker is told."""
        pod = self.pod()
        order = json.loads(pod["metadata"]["annotations"][ANNOTATION_WORK]) | {"told": []}
        path = f"/metadata/annotations/{ANNOTATION_WORK.replace('/', '~1')}"
        patch = [{"op": "replace", "path": path, "value": json.dumps(order)}]
        self._space.rest.request("PATCH", f"{self._path}/{pod['metadata']['name']}", patch, content_type=JSON_PATCH)


def _containers(phase: str, serve: Object, work: Object) -> Object:
    states = {CONTAINER_SERVE: serve, CONTAINER_WORK: work}
    base = {"image": "test", "imageID": "", "ready": False, "restartCount": 0}
    return {
        "phase": phase,
        "containerStatuses": [{"name": name, **base, "state": state} for name, state in states.items()],
    }
