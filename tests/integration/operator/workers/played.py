"""A pool, one worker of it, and who plays its pod: it begins what it is told, and reports how that ended."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

from tests.integration.operator.conftest import Object, Space
from tests.support.faults.pool_pods import report_as_worker
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


def make_pool(space: Space, most: int = 1) -> AudioWorkerPool:
    """A pool for Simulate, of which this test makes the workers."""
    spec = {"tasks": ["Simulate"], "minWorkers": 1, "maxWorkers": most}
    body = {"apiVersion": API_VERSION, "kind": "AudioWorkerPool", "metadata": {"name": POOL}, "spec": spec}
    path = f"/apis/{API_VERSION}/namespaces/{space.namespace}/audioworkerpools"
    return AudioWorkerPool.read(space.rest.request("POST", path, body))


class PlayedWorker:
    """The worker, and the kubelet of its namespace. ``reports``: whether a phase that it has begun ends.

    Where the pool may have ``most`` workers, those that the operator makes are played too, once ``more`` is set.
    """

    def __init__(self, space: Space, reports: Ends = lambda _phase: True, most: int = 1) -> None:
        self._space = space
        self._reports = reports
        self._path = f"/api/v1/namespaces/{space.namespace}/pods"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self._placed: set[str] = set()
        self._begun: set[tuple[str, str, int]] = set()
        self._done: set[tuple[str, str, int]] = set()
        self.begun: list[tuple[str, int]] = []
        self.jobs: list[str] = []  # of what it has begun
        self.told_ahead: set[str] = set()  # jobs whose phase it was told while it had another one
        self.more = threading.Event()
        self.own: list[tuple[str, int]] = []  # phases with pods of their own
        self.own_jobs: list[tuple[str, int]] = []
        pool = make_pool(space, most)
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
        found: Object = next(each for each in pods if each["metadata"]["name"].startswith(f"{self.job_name}-"))
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
        if is_worker and not (name.startswith(self.job_name) or self.more.is_set()):
            return
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
            self.own_jobs.append((phase.job, phase.attempt))
            self._say(name, succeed(phase, pod))

    def _work(self, pod: Object, order: WorkOrder) -> None:
        phase = next((each for each in order.told if (each.job, each.phase, each.attempt) not in self._done), None)
        if phase is None:
            return
        self.told_ahead |= {each.job for each in order.told if each is not phase}
        identity = (phase.job, phase.phase, phase.attempt)
        if identity not in self._begun:
            if self._report(pod, phase, {"begun": True}):
                self._begun.add(identity)
                self.begun.append(identity[1:])
                self.jobs.append(phase.job)
        elif self._reports(phase):
            message = succeed(phase, pod)["containerStatuses"][0]["state"]["terminated"]["message"]
            end = ReportedEnd(attempt=phase.attempt, exit_code=0, result=PhaseResult.read(message))
            if self._report(pod, phase, {"result": end.to_text()}):
                self._done.add(identity)

    def _report(self, pod: Object, phase: PhaseInput, entry: Object) -> bool:
        return report_as_worker(self._space.rest, phase, pod["metadata"]["uid"], {"percent": 0, **entry})

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
