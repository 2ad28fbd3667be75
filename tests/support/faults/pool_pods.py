"""The kubelet's part where workers do phases: besides pods of phases it plays both containers of a worker's pod.

A worker does what the runner's ``serve`` does (runner/audiojob_runner/worker/deciding.py). It sees its annotation late,
and its writes to statuses are taken or refused as the admission policy does it.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from http.client import HTTPException
from typing import Any

from tests.support.faults.early_pods import ENDED, EarlyPods
from tests.support.manypods import Object, delete_pod, phase_of, pods_path, set_pod_status

from audiojob_dev.rest import JSON_PATCH, MERGE_PATCH, Rest, RestError
from audiojob_operator.building.telling import order_patch, read_order
from audiojob_operator.records.workers import is_told_ahead
from audiojob_types.constants import ANNOTATION_INPUTS, ANNOTATION_WORK, API_VERSION, LABEL_POOL
from audiojob_types.contract import ExitCode, Outcome, PhaseInput, PhaseResult
from audiojob_types.workers.order import ReportedEnd, UnreportedEnd, WorkerEnd, WorkOrder
from audiojob_types.workers.pod import CONTAINER_SERVE, CONTAINER_WORK

MAY_FAIL = ("song", "chain", "cards")  # kinds of jobs whose end stays the same when an attempt of theirs fails
_KILLED = 137
_CRASHED = 139
_MOST_LAG = 0.4
_MOST_WORK = 0.8
_MOST_STOPPING = 1.0

Identity = tuple[str, str, int]


class Hurt(StrEnum):
    """What happens to a worker."""

    OUT_OF_MEMORY = "its container work is killed for want of memory"
    CRASH = "its container work crashes"
    SERVE_KILLED = "its container serve is killed for want of memory"
    EVICTED = "its pod is evicted"
    DELETED = "its pod is deleted"
    LOST = "its pod is gone at once, as with its node"
    MUTE = "it ends before it has reported a result"
    EDITED = "somebody takes off its annotation what it is told"
    BROKEN = "somebody breaks its annotation"


COUNTED = (Hurt.OUT_OF_MEMORY, Hurt.CRASH)  # the attempt fails, and that counts
_TAMPERED = (Hurt.EDITED, Hurt.BROKEN)


@dataclass
class Worker:
    """A worker's pod, as its kubelet knows it. ``until`` None: it has not begun what it is told yet."""

    pod: Object
    lag: float
    orders: deque[tuple[float, str]]
    idle_since: float
    order: WorkOrder | None = None
    at_work: PhaseInput | None = None
    until: float | None = None
    ended: dict[Identity, ReportedEnd] = field(default_factory=dict)
    settled: set[Identity] = field(default_factory=set)
    phases: int = 0
    gone_at: float | None = None  # it was told to stop, and has ended by then
    mute: bool = False
    tampered: bool = False

    def told(self) -> tuple[PhaseInput, ...]:
        return self.order.told if self.order is not None else ()


class PoolPods(EarlyPods):
    """As EarlyPods, with workers. ``counted``: failures that it has made, by job and phase; ``breaches``: what was at
    work twice."""

    def __init__(
        self, rest: Rest, namespaces: list[str], behaviour: Callable[[PhaseInput, Object], Object], seed: int = 0
    ) -> None:
        super().__init__(rest, namespaces, behaviour)
        self._chance = random.Random(f"workers of {seed}")
        self._workers: dict[str, Worker] = {}  # by pod uid
        self._hurts: deque[Hurt] = deque()
        self._own: defaultdict[tuple[str, str], set[str]] = defaultdict(set)  # pods at work, by uid and phase
        self._there: set[str] = set()
        self.counted: Counter[tuple[str, str]] = Counter()
        self.breaches: list[str] = []
        self.hurt: list[Hurt] = []
        self.done = 0  # by workers

    def harm(self, hurt: Hurt) -> None:
        """Let it happen to a worker at the next look, one at work if there is one."""
        self._hurts.append(hurt)

    # ---------------------------------------------------------------- a look

    def _look(self) -> None:
        self._own.clear()
        self._there.clear()
        super()._look()
        for uid in self._workers.keys() - self._there:
            del self._workers[uid]
        while self._hurts:
            self._harm(self._hurts.popleft())
        self.breaches += self._doubled()

    def _handle(self, pod: Object) -> None:
        if LABEL_POOL in pod["metadata"]["labels"]:
            self._there.add(pod["metadata"]["uid"])
            self._handle_worker(pod)
            return
        super()._handle(pod)
        name, phase = pod["metadata"]["name"], phase_of(pod)
        told = pod["metadata"]["annotations"].get(ANNOTATION_INPUTS) != ""
        ended = pod["status"].get("phase") in ENDED or "deletionTimestamp" in pod["metadata"]
        if told and name in self._at_work and name not in self._over and not ended:
            self._own[phase.uid, phase.phase].add(name)

    def _doubled(self) -> list[str]:
        """I9: what is at work in two pods."""
        at_work = {phase: set(pods) for phase, pods in self._own.items()}
        for worker in self._workers.values():
            # Who edits what the operator tells a worker lets it go on beside what the operator begins anew.
            if worker.at_work is not None and worker.until is not None and not worker.tampered:
                phase = worker.at_work.uid, worker.at_work.phase
                at_work.setdefault(phase, set()).add(worker.pod["metadata"]["name"])
        return [
            f"I9: phase {phase} of {uid} is at work in {', '.join(sorted(pods))}"
            for (uid, phase), pods in at_work.items()
            if len(pods) > 1
        ]

    # ---------------------------------------------------------------- a worker

    def _handle_worker(self, pod: Object) -> None:
        worker = self._workers.get(pod["metadata"]["uid"])
        if "deletionTimestamp" in pod["metadata"]:
            self._terminate(pod, worker)
        elif pod["status"].get("phase") in ENDED:
            self._workers.pop(pod["metadata"]["uid"], None)
        elif worker is None:
            self._start(pod)
        else:
            self._see(worker, pod)
            self._go_on(worker)

    def _start(self, pod: Object) -> None:
        if not pod["spec"].get("nodeName"):
            self._place(pod)
        set_pod_status(self._rest, pod, both("Running", {"running": {}}, {"running": {}}))
        now = time.monotonic()
        self._workers[pod["metadata"]["uid"]] = Worker(pod, self._chance.uniform(0, _MOST_LAG), deque(), now)

    def _see(self, worker: Worker, pod: Object) -> None:
        """The annotation as the file shows it, which lags behind."""
        worker.pod, now, text = pod, time.monotonic(), pod["metadata"]["annotations"].get(ANNOTATION_WORK, "")
        if not worker.orders or worker.orders[-1][1] != text:
            worker.orders.append((now, text))
        while len(worker.orders) > 1 and worker.orders[1][0] <= now - worker.lag:
            worker.orders.popleft()
        if worker.orders[0][0] <= now - worker.lag:
            worker.order = read_order(worker.orders[0][1]) or worker.order

    def _go_on(self, worker: Worker) -> None:
        now = time.monotonic()
        told = {identity(each): each for each in worker.told()}
        for name in worker.ended.keys() - told.keys():
            worker.settled.add(name)  # nobody waits for it
        for name, end in worker.ended.items():
            if name in told and name not in worker.settled:
                self._report(worker, told[name], end)
        if worker.at_work is not None:
            self._work_on(worker, now, is_told=identity(worker.at_work) in told)
            return
        following = next((each for name, each in told.items() if name not in worker.ended), None)
        if following is not None:
            worker.at_work, worker.until, worker.idle_since = following, None, now
        elif worker.ended.keys() <= worker.settled and (why := self._reason_to_end(worker, now)):
            self._leave(worker, why, 0, {"exitCode": 0, "reason": "Completed"})

    def _work_on(self, worker: Worker, now: float, *, is_told: bool) -> None:
        phase = worker.at_work
        assert phase is not None
        if not is_told:
            worker.at_work, worker.phases, worker.idle_since = None, worker.phases + 1, now
        elif worker.until is None:
            if self._patch(worker, phase, {"begun": True, "percent": 0}):
                worker.until = now + self._chance.uniform(0, _MOST_WORK)
                name = worker.pod["metadata"]["name"]
                self.seen[f"{name}/{phase.uid}/{phase.phase}/{phase.attempt}"] = phase
        elif now >= worker.until:
            self._finish(worker, phase, now)

    def _finish(self, worker: Worker, phase: PhaseInput, now: float) -> None:
        number = self._tries[phase.uid, phase.phase] + 1
        status = self._behaviour(phase.model_copy(update={"attempt": number}), worker.pod)
        ended: Any = status["containerStatuses"][0]["state"].get("terminated")
        if ended is None:
            return  # until it is taken back
        self._tries[phase.uid, phase.phase] = number
        if "message" not in ended:
            work = {"exitCode": _KILLED, "reason": "Error"}
            self._leave(worker, "Evicted.", int(ExitCode.STOPPED), work, status.get("conditions", ()))
            return
        result = PhaseResult.read(ended["message"])
        end = ReportedEnd(attempt=phase.attempt, exit_code=ended["exitCode"], result=result)
        worker.ended[identity(phase)] = end
        worker.at_work, worker.phases, worker.idle_since = None, worker.phases + 1, now
        self.done += 1
        if worker.mute:
            self._leave(worker, "The worker was stopped.", int(ExitCode.STOPPED), _STOPPED)
        else:
            self._report(worker, phase, end)

    def _report(self, worker: Worker, phase: PhaseInput, end: ReportedEnd) -> None:
        if self._patch(worker, phase, {"result": end.to_text(), "percent": 100 if end.exit_code == 0 else 0}):
            worker.settled.add(identity(phase))

    def _patch(self, worker: Worker, phase: PhaseInput, entry: Object) -> bool:
        try:
            return report_as_worker(self._rest, phase, worker.pod["metadata"]["uid"], entry)
        except (OSError, HTTPException, RestError):
            return False

    def _reason_to_end(self, worker: Worker, now: float) -> str:
        order = worker.order
        if order is None:
            return ""
        if order.drain:
            return "The worker was told to drain."
        if worker.phases >= order.max_phases:
            return f"The worker has run {worker.phases} phases."
        if order.idle_seconds is not None and now - worker.idle_since >= order.idle_seconds:
            return f"The worker had nothing to do for {order.idle_seconds} seconds."
        return ""

    # ---------------------------------------------------------------- its end

    def _terminate(self, pod: Object, worker: Worker | None) -> None:
        """SIGTERM: the phase at work is ended, and that is reported."""
        now = time.monotonic()
        if worker is None or pod["status"].get("phase") in ENDED:
            delete_pod(self._rest, pod)
            return
        if worker.gone_at is None:
            worker.gone_at = now + self._chance.uniform(0, _MOST_STOPPING)
            if (phase := worker.at_work) is not None:
                result = PhaseResult(outcome=Outcome.FAILED, message="The phase was stopped.")
                end = ReportedEnd(attempt=phase.attempt, exit_code=int(ExitCode.STOPPED), result=result)
                worker.ended[identity(phase)] = end
                worker.at_work = None
                self._report(worker, phase, end)
        if now >= worker.gone_at:
            self._leave(worker, "The worker was stopped.", int(ExitCode.STOPPED), _STOPPED)
            delete_pod(self._rest, pod)

    def _leave(self, worker: Worker, why: str, code: int, work: Object, conditions: Sequence[Object] = ()) -> None:
        """Both containers end. What was not reported is in the last words."""
        told = {identity(each): each for each in worker.told()}
        unreported = tuple(
            UnreportedEnd(uid=uid, phase=phase, **end.model_dump())
            for (uid, phase, attempt), end in worker.ended.items()
            if (uid, phase, attempt) in told and (uid, phase, attempt) not in worker.settled
        )
        words = WorkerEnd(message=why, phases=worker.phases, unreported=unreported)
        serve: Object = {"exitCode": code, "reason": "Error" if code else "Completed"}
        if code != _KILLED:
            serve["message"] = json.dumps(words.to_wire())
        ends = "Failed" if code or work["exitCode"] else "Succeeded"
        status = both(ends, {"terminated": serve}, {"terminated": work})
        worker.at_work = None
        set_pod_status(self._rest, worker.pod, {**status, "conditions": list(conditions)})

    def _harm(self, hurt: Hurt) -> None:
        found = sorted(self._workers.values(), key=lambda each: each.at_work is None or each.until is None)
        found = [each for each in found if each.gone_at is None and (hurt not in COUNTED or self._may_fail(each))]
        if not found:
            return
        self.hurt.append(hurt)
        try:
            self._hit(found[0], hurt)
        except RestError as error:
            if error.status not in (404, 409, 422):
                raise

    def _may_fail(self, worker: Worker) -> bool:
        """Once for each phase, of jobs that end the same after it."""
        phase = worker.at_work
        return phase is None or (phase.job.split("-")[0] in MAY_FAIL and not self.counted[phase.job, phase.phase])

    def _hit(self, worker: Worker, hurt: Hurt) -> None:
        pod = worker.pod
        if hurt in COUNTED and worker.at_work is not None:
            self.counted[worker.at_work.job, worker.at_work.phase] += 1
        worker.tampered |= hurt in _TAMPERED
        match hurt:
            case Hurt.OUT_OF_MEMORY | Hurt.CRASH:
                code, reason = (_KILLED, "OOMKilled") if hurt is Hurt.OUT_OF_MEMORY else (_CRASHED, "Error")
                self._leave(worker, "The container work ended.", int(ExitCode.TEMPORARY), _work(code, reason))
            case Hurt.SERVE_KILLED:
                self._leave(worker, "", _KILLED, _work(0, "Completed"))
            case Hurt.EVICTED:
                condition = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
                self._leave(worker, "Evicted.", int(ExitCode.STOPPED), _STOPPED, [{**condition, "message": "out"}])
            case Hurt.DELETED:
                self._rest.request("DELETE", f"{pods_path(pod['metadata']['namespace'])}/{pod['metadata']['name']}")
            case Hurt.LOST:
                worker.at_work = None
                delete_pod(self._rest, pod)
            case Hurt.MUTE:
                worker.mute = True
            case Hurt.EDITED | Hurt.BROKEN:
                self._edit(pod, broken=hurt is Hurt.BROKEN)

    def _edit(self, pod: Object, *, broken: bool) -> None:
        before = pod["metadata"]["annotations"][ANNOTATION_WORK]
        after = "no order" if broken else json.dumps({**json.loads(before), "told": []})
        path = f"{pods_path(pod['metadata']['namespace'])}/{pod['metadata']['name']}"
        patch = order_patch(pod["metadata"]["uid"], before, after)
        self._rest.request("PATCH", path, patch, content_type=JSON_PATCH)


def identity(phase: PhaseInput) -> Identity:
    """What tells a phase that is told from others."""
    return phase.uid, phase.phase, phase.attempt


def report_as_worker(rest: Rest, phase: PhaseInput, pod_uid: str, entry: Object) -> bool:
    """Report on the phase while its status lets this pod; no other write comes between. Whether it does."""
    path = f"/apis/{API_VERSION}/namespaces/{phase.namespace}/audiojobs/{phase.job}"
    job = rest.request("GET", path)
    if not may_report(job, phase, pod_uid, entry):
        return False
    body = {
        "metadata": {"resourceVersion": job["metadata"]["resourceVersion"]},
        "status": {"progress": {phase.phase: {"attempt": phase.attempt, **entry}}},
    }
    rest.request("PATCH", f"{path}/status", body, content_type=MERGE_PATCH)
    return True


def may_report(job: Object, phase: PhaseInput, pod_uid: str, entry: Object) -> bool:
    """Whether the AudioJob's status gives that attempt to the pod, or tells it ahead and this says that it begins."""
    status = job.get("status", {})
    found: Object = next((each for each in status.get("phases", ()) if each["name"] == phase.phase), {})
    if job["metadata"]["uid"] != phase.uid or (found.get("attempt"), found.get("podUID")) != (phase.attempt, pod_uid):
        return False
    before = status.get("progress", {}).get(phase.phase, {})
    begins = entry.get("begun") or (before.get("begun") and before.get("attempt") == phase.attempt)
    return found.get("state") == "Running" or (is_told_ahead(found) and bool(begins))


def both(phase: str, serve: Object, work: Object) -> Object:
    """The status of a worker's pod, by the states of its containers."""
    states = {CONTAINER_SERVE: serve, CONTAINER_WORK: work}
    base = {"image": "test", "imageID": "", "ready": False, "restartCount": 0}
    return {
        "phase": phase,
        "containerStatuses": [{"name": name, **base, "state": state} for name, state in states.items()],
    }


def _work(code: int, reason: str) -> Object:
    return {"exitCode": code, "reason": reason}


_STOPPED = _work(int(ExitCode.STOPPED), "Error")
