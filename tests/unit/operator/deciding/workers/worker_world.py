"""A world with a pool of workers: two phases, of which a worker may do the second."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

from tests.unit.operator.builders import NAMESPACE, World, audio_job, phase, pipeline
from tests.unit.operator.jsonpatch import apply_patch
from tests.unit.operator.results import result_message

from audiojob_operator.building.telling import read_order, work_patch
from audiojob_operator.deciding.workers.observe import observe_bound
from audiojob_operator.records.objects import Object
from audiojob_operator.records.observed import Observed
from audiojob_operator.records.plan import Plan
from audiojob_operator.records.workers import PoolView, Seat
from audiojob_types import constants as c
from audiojob_types.contract import Device, PhaseInput, PhaseResult
from audiojob_types.resources.job import AudioJob, PhaseStatus
from audiojob_types.tasks import Task
from audiojob_types.workers.order import ReportedEnd, UnreportedEnd, WorkerEnd, WorkTerms

POOL = "warm"
OTHER = ("other-uid", "cut", 1)  # a phase of another AudioJob, which a busy worker may be told
READS = [{"name": "audio", "from": "first", "output": "audio"}]
TERMS = WorkTerms(pool=POOL, tasks=(Task.SEPARATE, Task.SIMULATE, Task.TRANSCRIBE))
VIEW = PoolView(
    name=POOL,
    tasks=frozenset(TERMS.tasks),
    device=Device.CPU,
    any_input=False,
    closed=False,
    kueue_local_queue=None,
    memory_bytes=8 * 1024**3,
    scratch_bytes=8 * 1024**3,
    seats=(),
    busy=0,
    workers=0,
    most=2,
    ahead=0,
)


def worker_pod(number: int) -> Object:
    """The pod of a worker, at work and without a phase."""
    states: list[Object] = [{"name": name, "state": {"running": {}}} for name in ("serve", "work")]
    return {
        "metadata": {
            "name": f"warm-w-{number}-x1",
            "namespace": NAMESPACE,
            "uid": f"worker-{number}",
            "annotations": {c.ANNOTATION_WORK: json.dumps(TERMS.to_wire())},
        },
        "spec": {"nodeName": "node-1"},
        "status": {"phase": "Running", "containerStatuses": states},
    }


def _order(pod: Object) -> str:
    text: str = pod["metadata"]["annotations"][c.ANNOTATION_WORK]
    return text


def two(**second: Any) -> Object:
    """The pipeline, with more said of its second phase."""
    given = {"task": "Separate", "inputs": READS, "workerPool": {"name": POOL}, **second}
    return pipeline(phase("first", "Normalize", inputs=[{"name": "source", "from": "Job"}]), phase("second", **given))


@dataclass
class WorkerWorld(World):
    """``busy``: pods of workers that other AudioJobs have, ``at_work`` those that have begun their phases.

    ``queue_gpus``: those of the job's queue.
    """

    audiojob: Object = field(default_factory=lambda: audio_job(source={"url": "https://media.example.org/a.ogg"}))
    pipeline: Object | None = field(default_factory=two)
    pool: PoolView | None = VIEW
    workers: dict[str, Object] = field(default_factory=lambda: {f"worker-{n}": worker_pod(n) for n in (1, 2)})
    busy: set[str] = field(default_factory=set)
    at_work: set[str] = field(default_factory=set)
    queue_gpus: int | None = None

    def observed(self) -> Observed:
        found, job = super().observed(), self.job
        bound = [each for each in job.status.phases if each.with_worker]
        children = (observe_bound(job, each, self.workers.get(each.pod_uid or "")) for each in bound)
        pools = {POOL: self._view(self.pool, bound)} if self.pool else {}
        most = self.queue_gpus
        return replace(found, children=(*children, *found.children), pools=pools, queue_max_gpus=most)

    def _view(self, pool: PoolView, bound: list[PhaseStatus]) -> PoolView:
        """As the book of workers has it."""
        told = {each.pod_uid for each in bound}
        ahead = {each.pod_uid for each in bound if each.told_ahead and each.pod_uid}
        up = {
            uid: Seat(pod["metadata"]["name"][:8], pod["metadata"]["name"], uid, "node-1", len(_order(pod)))
            for uid, pod in self.workers.items()
            if "running" in pod["status"]["containerStatuses"][0]["state"]
        }
        return replace(
            pool,
            seats=tuple(seat for uid, seat in up.items() if uid not in self.busy),
            next_seats=tuple(seat for uid, seat in up.items() if uid in self.busy & self.at_work and uid not in told),
            alone=frozenset(ahead - self.busy),
            busy=len(self.busy | told),
            workers=len(self.workers),
        )

    def steps(self, plan: Plan) -> list[tuple[str, Any]]:
        made = super().steps(plan)
        at = next((i for i, (kind, _) in enumerate(made) if kind in ("delete", "self")), len(made))
        return [*made[:at], *(("worker", each) for each in plan.tell_workers), *made[at:]]

    def write(self, kind: str, what: Any) -> None:
        if kind != "worker":
            super().write(kind, what)
            return
        self.writes.append(kind)
        pod = self.workers[what.pod_uid]
        uid = self.audiojob["metadata"]["uid"]
        mine = (each for each in self.job.status.phases if each.with_worker and each.pod_uid == what.pod_uid)
        bound = [(uid, each.name, each.attempt) for each in mine]
        changed = apply_patch(pod, work_patch(what, _order(pod), [*bound, OTHER]))
        self.workers[what.pod_uid] = changed

    # ---------------------------------------------------------------- the worker's part

    def told(self, name: str = "second") -> PhaseInput | None:
        """What the worker that has the phase is told."""
        order = read_order(_order(self.workers[self.worker(name)]))
        assert order is not None
        return next((each for each in order.told if each.phase == name), None)

    def worker(self, name: str = "second") -> str:
        """The pod of the worker that has the phase, or had it last."""
        return self.phase(name).pod_uid or ""

    def take_up(self, name: str = "second") -> None:
        """The worker begins what it is told."""
        told = self.told(name)
        assert told is not None
        self.audiojob["status"].setdefault("progress", {})[name] = {
            "attempt": told.attempt,
            "percent": 0,
            "begun": True,
        }

    def report(self, name: str = "second", code: int = 0, text: str = "", **result: Any) -> None:
        """The worker has begun, and reports how the phase ended."""
        told = self.told(name)
        assert told is not None
        self.take_up(name)
        end = text or ReportedEnd(attempt=told.attempt, exit_code=code, result=self.result_of(name, **result)).to_text()
        self.audiojob["status"]["progress"][name] |= {"result": end}
        AudioJob.model_validate(self.audiojob)

    def result_of(self, name: str = "second", **result: Any) -> PhaseResult:
        told = self.told(name)
        assert told is not None
        annotations = {c.ANNOTATION_PHASE: json.dumps(told.to_wire())}
        job = {"spec": {"template": {"metadata": {"annotations": annotations}}}}
        return PhaseResult.read(result_message(job, **{"outputs": ("vocals",), **result}))

    def end_worker(self, code: int, name: str = "second", *, left: Any = None, **work: Any) -> None:
        """The worker's pod ends: ``serve`` with that code, ``work`` as it is said."""
        end = WorkerEnd(message="It ended.", unreported=(left,) if left is not None else ())
        serve = {"exitCode": code, "message": json.dumps(end.to_wire())}
        self.workers[self.worker(name)]["status"] |= {
            "phase": "Failed" if code else "Succeeded",
            "containerStatuses": [
                {"name": "serve", "state": {"terminated": serve}},
                {"name": "work", "state": {"terminated": {"exitCode": 0, **work}}},
            ],
        }

    def left(self, code: int = 0, attempt: int = 1, **result: Any) -> UnreportedEnd:
        """The end of the second phase, which the worker could not report."""
        uid = self.audiojob["metadata"]["uid"]
        return UnreportedEnd(uid=uid, phase="second", attempt=attempt, exit_code=code, result=self.result_of(**result))


def at_second(line: Object | None = None, **more: Any) -> WorkerWorld:
    """The first phase has ended, and the second has begun where it may."""
    world = WorkerWorld(pipeline=line or two(), **more)
    world.turn()
    world.succeed("first", "audio")
    world.turn()
    return world


def has_own_job(world: World, name: str = "second") -> bool:
    """Whether the phase has a Job of its own."""
    return any(f"-{name}-" in job for job in world.jobs)
