"""Job controller and kubelet over a simulated API server: pods of phases, and those of workers with what they do."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.unit.operator.builders import NAMESPACE
from tests.unit.operator.results import result_message
from tests.unit.operator.simulated.process import Clock
from tests.unit.operator.simulated.server import Server

from audiojob_kube.objects import Object, key_of
from audiojob_kube.resources import AUDIOJOBS, JOBS, PODS
from audiojob_operator.building.telling import read_order
from audiojob_operator.records.workers import is_told_ahead
from audiojob_types import constants as c
from audiojob_types.base import format_time
from audiojob_types.contract import PhaseInput, PhaseResult
from audiojob_types.workers.order import ReportedEnd, UnreportedEnd, WorkerEnd, WorkOrder
from audiojob_types.workers.pod import CONTAINER_SERVE, CONTAINER_WORK

ENDED = ("Succeeded", "Failed")
STOPPED, KILLED = 143, 137
Identity = tuple[str, str, int]
Action = tuple[str, Callable[[], object]]


@dataclass
class Worker:
    """What a worker's pod remembers. It begins, ends, reports and leaves in steps, each at a moment of its own."""

    at_work: PhaseInput | None = None
    begun: bool = False
    ended: dict[Identity, ReportedEnd] = field(default_factory=dict)
    settled: set[Identity] = field(default_factory=set)
    phases: int = 0
    order: WorkOrder | None = None
    idle_since: float = 0.0
    refused: float = -1.0  # when its begin was: it asks again later
    unreported: float = -1.0  # when a report was refused: the same


class Cluster:
    """What may happen next is asked for by :meth:`actions`: names, and what to call for it to happen."""

    def __init__(self, server: Server, clock: Clock) -> None:
        self._server = server
        self._clock = clock
        self.workers: defaultdict[str, Worker] = defaultdict(lambda: Worker(idle_since=clock.seconds))
        self.fails: set[tuple[str, str]] = set()  # phases (uid, name) whose next end is a failure
        self.begun_ahead = 0  # phases that workers have begun by themselves

    def actions(self) -> list[Action]:
        """What may happen now, where nothing goes wrong."""
        pods = self._server.all(PODS)
        with_pod = {owner["uid"] for pod in pods for owner in pod["metadata"].get("ownerReferences", ())}
        found: list[Action] = [
            (f"pod of {key_of(job)[1]}", partial(self._make_pod, job))
            for job in self._server.all(JOBS)
            if job["metadata"]["uid"] not in with_pod and not job["status"].get("conditions")
        ]
        return found + [action for pod in pods for action in self._of_pod(pod)]

    def _of_pod(self, pod: Object) -> list[Action]:
        name, ended = key_of(pod)[1], pod["status"].get("phase") in ENDED
        if ended and "deletionTimestamp" in pod["metadata"]:
            return [(f"{name} is gone", partial(self._server.delete, PODS, key_of(pod), force=True))]
        if ended:
            return self._of_ended(pod)
        if c.LABEL_POOL in pod["metadata"]["labels"]:
            return self._of_worker(pod)
        if "deletionTimestamp" in pod["metadata"]:
            return [(f"{name} stops", partial(self._end, pod, STOPPED, ""))]
        if pod["metadata"]["annotations"].get(c.ANNOTATION_INPUTS) != "":
            return [(f"{name} ends", partial(self._end_phase, pod))]
        return []

    def _of_ended(self, pod: Object) -> list[Action]:
        job = self._job_of(pod)
        if job is None or job["status"].get("conditions"):
            return []
        kind = "Complete" if pod["status"]["phase"] == "Succeeded" else "Failed"
        condition = {"type": kind, "status": "True", "lastTransitionTime": format_time(self._clock.now)}
        end = {**job["status"], "conditions": [condition]}
        return [(f"{key_of(job)[1]} is {kind}", partial(self._server.change, JOBS, job, status=end))]

    def _job_of(self, pod: Object) -> Object | None:
        return self._server.find(JOBS, (NAMESPACE, pod["metadata"]["labels"]["batch.kubernetes.io/job-name"]))

    def _make_pod(self, job: Object) -> None:
        template, metadata = job["spec"]["template"], job["metadata"]
        labels = {**template["metadata"]["labels"], "batch.kubernetes.io/job-name": metadata["name"]}
        owner = {"kind": "Job", "controller": True, "name": metadata["name"], "uid": metadata["uid"]}
        names = [each["name"] for each in template["spec"]["containers"]]
        states = [{"name": name, "image": "i", "state": {"running": {}}} for name in names]
        self._server.create(
            PODS,
            {
                "metadata": {
                    "name": f"{metadata['name']}-x", "namespace": NAMESPACE, "labels": labels,
                    "annotations": deepcopy(template["metadata"]["annotations"]), "ownerReferences": [owner],
                },
                "spec": {**template["spec"], "nodeName": "node-1"},
                "status": {
                    "phase": "Running", "startTime": format_time(self._clock.now), "containerStatuses": states,
                },
            },
        )  # fmt: skip

    # ---------------------------------------------------------------- a phase's own pod

    def _end_phase(self, pod: Object) -> None:
        annotations = pod["metadata"]["annotations"]
        told = annotations.get(c.ANNOTATION_INPUTS)
        given = PhaseInput.model_validate_json(told or annotations[c.ANNOTATION_PHASE])
        code, message = self._outcome(given, told=bool(told))
        self._end(pod, code, message)

    def _end(self, pod: Object, code: int, message: str) -> None:
        ended: Object = {"exitCode": code, "finishedAt": format_time(self._clock.now)} | (
            {"message": message} if message else {}
        )
        states = [{**each, "state": {"terminated": ended}} for each in pod["status"]["containerStatuses"]]
        phase = "Failed" if code else "Succeeded"
        self._server.change(PODS, pod, status={**pod["status"], "phase": phase, "containerStatuses": states})

    def _outcome(self, given: PhaseInput, *, told: bool = False) -> tuple[int, str]:
        job = {"spec": {"template": {"metadata": {"annotations": {c.ANNOTATION_PHASE: json.dumps(given.to_wire())}}}}}
        more: dict[str, Any] = {"told": True} if told else {}
        if (given.uid, given.phase) in self.fails:
            self.fails.discard((given.uid, given.phase))
            return 75, result_message(job, outcome="Failed", reason="TemporaryFailure", message="again", **more)
        return 0, result_message(job, **more)

    # ---------------------------------------------------------------- a worker's pod

    def _of_worker(self, pod: Object) -> list[Action]:
        name, worker = key_of(pod)[1], self.workers[pod["metadata"]["uid"]]
        if "deletionTimestamp" in pod["metadata"]:
            return [(f"{name} stops", partial(self.stop, pod))]
        text = pod["metadata"]["annotations"].get(c.ANNOTATION_WORK, "")
        order = read_order(text)
        if order != worker.order:  # its file lags behind
            return [(f"{name} reads", partial(setattr, worker, "order", order))]
        told = {_identity(each): each for each in (order.told if order else ())}
        worker.settled |= worker.ended.keys() - told.keys()
        for identity, end in worker.ended.items():
            if identity not in worker.settled and self._clock.seconds > worker.unreported:
                return [(f"{name} reports", partial(self._report, pod, told[identity], end))]
        if worker.at_work is not None:
            return self._of_worker_at_work(pod, worker, told)
        following = next((each for identity, each in told.items() if identity not in worker.ended), None)
        if following is not None and self._clock.seconds <= worker.refused:
            return []
        if following is not None:
            return [(f"{name} takes up", partial(setattr, worker, "at_work", following))]
        idle = self._clock.seconds - worker.idle_since
        ends = order is not None and (
            order.drain
            or worker.phases >= order.max_phases
            or (order.idle_seconds is not None and idle >= order.idle_seconds)
        )
        return [(f"{name} leaves", partial(self.leave, pod, 0))] if ends else []

    def _of_worker_at_work(self, pod: Object, worker: Worker, told: dict[Identity, PhaseInput]) -> list[Action]:
        name, phase = key_of(pod)[1], worker.at_work
        assert phase is not None
        if _identity(phase) not in told:
            return [(f"{name} gives up", partial(self._end_work, worker))]
        if not worker.begun:
            return [(f"{name} begins", partial(self._begin_work, pod, worker, phase))]
        return [(f"{name} ends", partial(self._end_at_work, worker, phase))]

    def _begin_work(self, pod: Object, worker: Worker, phase: PhaseInput) -> None:
        worker.begun = self._patch(pod, phase, {"begun": True, "percent": 0})
        if not worker.begun:
            worker.at_work, worker.refused = None, self._clock.seconds

    def _end_at_work(self, worker: Worker, phase: PhaseInput) -> None:
        code, message = self._outcome(phase)
        end = ReportedEnd(attempt=phase.attempt, exit_code=code, result=PhaseResult.read(message))
        worker.ended[_identity(phase)] = end
        self._end_work(worker)

    def _end_work(self, worker: Worker) -> None:
        worker.at_work, worker.begun, worker.phases = None, False, worker.phases + 1
        worker.idle_since = self._clock.seconds

    def _report(self, pod: Object, phase: PhaseInput, end: ReportedEnd) -> None:
        worker = self.workers[pod["metadata"]["uid"]]
        if self._patch(pod, phase, {"result": end.to_text(), "percent": 0}):
            worker.settled.add(_identity(phase))
        else:
            worker.unreported = self._clock.seconds

    def _patch(self, pod: Object, phase: PhaseInput, entry: Object) -> bool:
        """As the admission policy lets it."""
        job = self._server.find(AUDIOJOBS, (NAMESPACE, phase.job))
        records = job["status"].get("phases", ()) if job is not None and job["metadata"]["uid"] == phase.uid else ()
        record: Object = next((each for each in records if each["name"] == phase.phase), {})
        bound = (record.get("attempt"), record.get("podUID"))
        if job is None or bound != (phase.attempt, pod["metadata"]["uid"]):
            return False
        before = job["status"].get("progress", {})
        kept = before.get(phase.phase, {})
        kept = kept if kept.get("attempt") == phase.attempt else {}
        ahead = is_told_ahead(record) and (entry.get("begun") or kept.get("begun"))
        if record.get("state") != "Running" and not ahead:
            return False
        self.begun_ahead += bool(ahead and not kept.get("begun"))
        progress = {**before, phase.phase: {**kept, "attempt": phase.attempt, **entry}}
        self._server.change(AUDIOJOBS, job, status={**job["status"], "progress": progress})
        return True

    # ---------------------------------------------------------------- the end of a worker's pod

    def stop(self, pod: Object) -> None:
        """SIGTERM."""
        worker = self.workers[pod["metadata"]["uid"]]
        if (phase := worker.at_work) is not None:
            result = PhaseResult.read(json.dumps({"outcome": "Failed", "message": "stopped"}))
            end = ReportedEnd(attempt=phase.attempt, exit_code=STOPPED, result=result)
            worker.ended[_identity(phase)] = end
            self._end_work(worker)
            self._report(pod, phase, end)
        self.leave(pod, STOPPED)

    def leave(self, pod: Object, code: int, work: int = 0) -> None:
        """Both containers end; what was not reported is in the last words."""
        worker = self.workers[pod["metadata"]["uid"]]
        unreported = [
            UnreportedEnd(uid=uid, phase=phase, **end.model_dump())
            for (uid, phase, attempt), end in worker.ended.items()
            if (uid, phase, attempt) not in worker.settled
        ]
        words = WorkerEnd(message="It ended.", phases=worker.phases, unreported=tuple(unreported[-2:]))
        serve: Object = {"exitCode": code} | ({} if code == KILLED else {"message": json.dumps(words.to_wire())})
        states = {CONTAINER_SERVE: serve, CONTAINER_WORK: {"exitCode": work}}
        shown = [{"name": name, "image": "i", "state": {"terminated": state}} for name, state in states.items()]
        worker.at_work, worker.begun = None, False
        phase = "Failed" if code or work else "Succeeded"
        self._server.change(PODS, pod, status={**pod["status"], "phase": phase, "containerStatuses": shown})

    def live_workers(self) -> list[Object]:
        pods = [each for each in self._server.all(PODS) if c.LABEL_POOL in each["metadata"]["labels"]]
        return [each for each in pods if each["status"].get("phase") not in ENDED]

    def at_work(self) -> defaultdict[tuple[str, str], list[str]]:
        """Pods by the phase that they are at. One that is told to stop is on its way out."""
        found: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for pod in self._server.all(PODS):
            if pod["status"].get("phase") in ENDED or "deletionTimestamp" in pod["metadata"]:
                continue
            if c.LABEL_POOL in pod["metadata"]["labels"]:
                worker = self.workers[pod["metadata"]["uid"]]
                if worker.at_work is not None and worker.begun:
                    found[worker.at_work.uid, worker.at_work.phase].append(key_of(pod)[1])
            elif pod["metadata"]["annotations"].get(c.ANNOTATION_INPUTS) != "":
                given = PhaseInput.model_validate_json(pod["metadata"]["annotations"][c.ANNOTATION_PHASE])
                found[given.uid, given.phase].append(key_of(pod)[1])
        return found


def _identity(phase: PhaseInput) -> Identity:
    return phase.uid, phase.phase, phase.attempt
