"""Several AudioJobs, two pools of workers and one operator, in steps that a test chooses; what must hold after each."""

from __future__ import annotations

import asyncio
import importlib
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any
from unittest.mock import patch

from tests.unit.operator.builders import NAMESPACE, NOW, audio_job, phase, pipeline
from tests.unit.operator.simulated.cluster import ENDED, KILLED, Action, Cluster
from tests.unit.operator.simulated.process import Call, Clock, Process
from tests.unit.operator.simulated.server import Server

from audiojob_kube.objects import Object, key_of
from audiojob_kube.resources import AUDIOJOBS, AUDIOPIPELINES, AUDIOQUEUES, AUDIOWORKERPOOLS, JOBS, NODES, PODS
from audiojob_operator.deciding.children.observe import gpus_of
from audiojob_types import constants as c

GPUS = 2
POOLS: dict[str, Object] = {
    "warm": {"tasks": ["Simulate"], "maxWorkers": 2, "maxPhases": 2, "idleSeconds": 20},
    "cards": {"tasks": ["Simulate"], "device": "GPU", "maxWorkers": 1, "idleSeconds": 20},
}
_WARM: Object = {"workerPool": {"name": "warm", "fallbackSeconds": 30}, "startTimeoutSeconds": 3_600}
_CARD: Object = {"workerPool": {"name": "cards", "fallbackSeconds": 30}, "startTimeoutSeconds": 3_600, "device": "GPU"}
_RETRY = {"limit": 10, "baseSeconds": 0, "capSeconds": 1}
LINES = {
    "warm": pipeline(phase("one", **_WARM), phase("two", **_WARM), name="warm", retry=_RETRY),
    "fork": pipeline(
        phase("one"), phase("two", after=["one"], **_WARM), phase("three", after=["one"]), name="fork", retry=_RETRY
    ),
    "cards": pipeline(phase("one", **_CARD), phase("two", device="GPU"), name="cards", retry=_RETRY),
}
FINISHED = ("Succeeded", "Failed", "Cancelled")
_TIMED = ("reconcile", "gather", "giving_up", "apply", "pools.reconciler")
_QUIET_SECONDS = 120.0


class Town:
    """Used within :meth:`run`. ``max_gpus``: of the queue; None: it has no limit."""

    def __init__(self, max_gpus: int | None = None) -> None:
        self._max_gpus = max_gpus
        self.clock = Clock(NOW)
        self.server = Server(lambda: self.clock.now)
        self.cluster = Cluster(self.server, self.clock)
        self.story: list[str] = []
        self._final: dict[str, str] = {}
        self._attempts: dict[tuple[str, str], int] = {}
        self.process: Process

    def run(self, steps: Callable[[Town], Any]) -> None:
        """Do the steps in a loop of their own, where the operator has this town's clock."""
        modules = [importlib.import_module(f"audiojob_operator.reconciling.{name}") for name in _TIMED]
        modules.append(importlib.import_module("audiojob_operator.admission.admitter"))
        with ExitStack() as stack:
            for module in modules:
                stack.enter_context(patch.object(module, "datetime", self.clock.datetime()))
            asyncio.run(self._run(steps))

    async def _run(self, steps: Callable[[Town], Any]) -> None:
        ready = {"conditions": [{"type": "Ready", "status": "True"}], "allocatable": {c.GPU_RESOURCE: str(GPUS)}}
        self.server.create(NODES, {"metadata": {"name": "node-1"}, "status": ready})
        for line in LINES.values():
            self.server.create(AUDIOPIPELINES, line)
        if self._max_gpus is not None:
            queue = {"metadata": {"name": "default", "namespace": NAMESPACE}, "spec": {"maxGPUs": self._max_gpus}}
            self.server.create(AUDIOQUEUES, queue)
        for name in POOLS:
            self.make_pool(name)
        self.process = Process(self.server, self.clock, GPUS)
        try:
            await steps(self)
        finally:
            await self.process.kill()

    # ---------------------------------------------------------------- what may happen

    def submit(self, line: str) -> None:
        number = len(self.server.log.get(AUDIOJOBS.plural, ()))
        self.server.create(AUDIOJOBS, audio_job(f"{line}-{number}", pipeline=line))

    def make_pool(self, name: str) -> None:
        if self.server.find(AUDIOWORKERPOOLS, (NAMESPACE, name)) is None:
            body = {"apiVersion": c.API_VERSION, "kind": "AudioWorkerPool", "spec": POOLS[name]}
            self.server.create(AUDIOWORKERPOOLS, {**body, "metadata": {"name": name, "namespace": NAMESPACE}})

    def change_pool(self, name: str, **spec: Any) -> None:
        pool = self.server.find(AUDIOWORKERPOOLS, (NAMESPACE, name))
        if pool is not None:
            metadata = {**pool["metadata"], "generation": pool["metadata"]["generation"] + 1}
            self.server.change(AUDIOWORKERPOOLS, pool, spec={**pool["spec"], **spec}, metadata=metadata)

    def edit(self, job: Object, **spec: Any) -> None:
        metadata = {**job["metadata"], "generation": job["metadata"]["generation"] + 1}
        self.server.change(AUDIOJOBS, job, spec={**job["spec"], **spec}, metadata=metadata)

    def goings_on(self) -> list[Action]:
        """What happens by itself where nothing goes wrong."""
        process = self.process
        found: list[Action] = [(call.what, partial(self._answer, call)) for call in process.calls]
        found += [(f"hear {each.plural}", partial(process.hear, each)) for each in process.behind()]
        for queue in (process.jobs, process.pools):
            found += [(f"reconcile {key}", partial(process.begin, queue, key)) for key in queue.free()]
        return found + self.cluster.actions()

    def _answer(self, call: Call, **how: Any) -> None:
        self.process.calls.remove(call)
        call.go(**how)

    async def go(self, which: int) -> None:
        """One of the things that happen by themselves; if there is none, time passes."""
        found = self.goings_on()
        if not found:
            await self.pass_time()
            return
        what, act = found[which % len(found)]
        self.story.append(what)
        act()
        await self.settle()

    async def lose(self, which: int, *, arrives: bool) -> None:
        """A call of the operator, or its answer, is lost."""
        if calls := self.process.calls:
            call = calls[which % len(calls)]
            self.story.append(f"LOST {'answer of ' * arrives}{call.what}")
            if arrives:
                self._answer(call, lost=True)
            else:
                calls.remove(call)
                call.drop()
            await self.settle()

    async def restart(self) -> None:
        """The operator is killed, and begins anew."""
        self.story.append("KILLED")
        await self.process.kill()
        self.process = Process(self.server, self.clock, GPUS)
        await self.settle()

    async def pass_time(self, seconds: float = 0.0) -> bool:
        """So many seconds pass, or as many as it takes until the operator looks at something. False: it never does."""
        moment = self.process.next_moment()
        if not seconds and moment is None:
            return False
        self.clock.seconds = self.clock.seconds + seconds if seconds else max(self.clock.seconds, moment or 0.0)
        self.story.append(f"{self.clock.seconds:.1f} s")
        self.process.wake_up()
        await self.settle()
        return True

    async def settle(self) -> None:
        """Whoever can go on does, up to the next call."""
        for _ in range(12):
            await asyncio.sleep(0)

    def harm(self, what: str, which: int) -> None:
        """Something happens to a worker, a pool or a job."""
        workers, jobs = self.cluster.live_workers(), self.unfinished()
        pool = ("warm", "cards")[which % 2]
        self.story.append(what.upper())
        match what:
            case "pool deleted" if self.server.find(AUDIOWORKERPOOLS, (NAMESPACE, pool)):
                self.server.delete(AUDIOWORKERPOOLS, (NAMESPACE, pool))
            case "pool made":
                self.make_pool(pool)
            case "pool closed" | "pool open" | "pool changed":
                spec = {"resources": {"memory": f"{which % 7 + 2}Gi"}} if what == "pool changed" else {
                    "maxWorkers": 0 if what == "pool closed" else which % 3 + 1
                }  # fmt: skip
                self.change_pool(pool, **spec)
            case "worker deleted" | "worker lost" | "worker killed" | "worker crashed" if workers:
                self._harm_worker(what, workers[which % len(workers)])
            case "cancel" | "delete job" | "fail" if jobs:
                self._harm_job(what, jobs[which % len(jobs)], which)

    def _harm_worker(self, what: str, pod: Object) -> None:
        match what:
            case "worker deleted":
                self.server.delete(PODS, key_of(pod))
            case "worker lost":
                self.server.delete(PODS, key_of(pod), force=True)
            case "worker killed":
                self.cluster.leave(pod, KILLED)
            case _:
                self.cluster.leave(pod, 75, work=139)

    def _harm_job(self, what: str, job: Object, which: int) -> None:
        match what:
            case "cancel":
                self.edit(job, cancel=True)
            case "delete job":
                self.server.delete(AUDIOJOBS, key_of(job))
            case _:
                self.cluster.fails.add((job["metadata"]["uid"], ("one", "two")[which % 2]))

    # ---------------------------------------------------------------- what holds

    def unfinished(self) -> list[Object]:
        return [each for each in self.server.all(AUDIOJOBS) if each["status"].get("state") not in FINISHED]

    def check(self) -> None:
        """What must hold at every moment."""
        told = "\n".join(self.story)
        for (uid, name), pods in self.cluster.at_work().items():
            assert len(pods) == 1, f"phase {name} of {uid} is at work in {pods}\n{told}"
        assert (held := self._gpus_held()) <= GPUS, f"{held} GPUs are held\n{told}"
        used = sum(
            record["state"] == "Running" and record.get("device") == "GPU" and self._has_pod(record)
            for job in self.server.all(AUDIOJOBS)
            for record in job["status"].get("phases", ())
        )
        assert used <= (self._max_gpus or used), f"{used} phases of the queue have GPUs\n{told}"
        begun: defaultdict[str, list[str]] = defaultdict(list)
        for job in self.server.all(AUDIOJOBS):
            self._check_job(job, begun)
        assert all(len(each) == 1 for each in begun.values()), f"a worker has two phases at work: {dict(begun)}\n{told}"
        live = Counter(
            (job["metadata"]["labels"][c.LABEL_UID], job["metadata"]["labels"][c.LABEL_PHASE])
            for job in self.server.all(JOBS)
            if c.LABEL_POOL not in job["metadata"]["labels"] and self._lives(job)
        )
        assert set(live.values()) <= {1}, f"two live Jobs: {live}\n{told}"

    def _has_pod(self, record: Object) -> bool:
        """Whether a pod is at the phase, or comes: of one that has ended the status may not say so yet."""
        name, uid = record["jobName"], record.get("podUID")
        pods = [
            pod
            for pod in self.server.all(PODS)
            if uid in (None, pod["metadata"]["uid"]) and pod["metadata"]["ownerReferences"][0]["name"] == name
        ]
        job = self.server.find(JOBS, (NAMESPACE, name))
        return any(pod["status"]["phase"] not in ENDED for pod in pods) if pods else uid is None and job is not None

    def _lives(self, job: Object) -> bool:
        uid = job["metadata"]["uid"]
        pods = (each for each in self.server.all(PODS) if each["metadata"]["ownerReferences"][0]["uid"] == uid)
        return not job["status"].get("conditions") and all(pod["status"]["phase"] not in ENDED for pod in pods)

    def _gpus_held(self) -> int:
        limits = (
            container["resources"].get("limits", {}).get(c.GPU_RESOURCE, 0)
            for pod in self.server.all(PODS)
            if pod["status"]["phase"] not in ENDED
            for container in pod["spec"]["containers"]
        )
        podless = {owner["uid"] for pod in self.server.all(PODS) for owner in pod["metadata"]["ownerReferences"]}
        jobs = (job for job in self.server.all(JOBS) if job["metadata"]["uid"] not in podless)
        return sum(map(int, limits)) + sum(gpus_of(job) for job in jobs if not job["status"].get("conditions"))

    def _check_job(self, job: Object, begun: defaultdict[str, list[str]]) -> None:
        uid, status = job["metadata"]["uid"], job["status"]
        assert self._final.setdefault(uid, status.get("state")) == status.get("state") or (
            self._final[uid] not in FINISHED
        ), "what has ended stays ended"
        self._final[uid] = status.get("state")
        for record in status.get("phases", ()):
            at = (uid, record["name"])
            assert record.get("attempt", 0) >= self._attempts.get(at, 0), "attempts never go back"
            self._attempts[at] = record.get("attempt", 0)
            report = status.get("progress", {}).get(record["name"], {})
            current = report.get("attempt") == record.get("attempt") and report.get("begun") and "result" not in report
            if record["state"] == "Running" and record.get("podUID") and current:
                begun[record["podUID"]].append(f"{job['metadata']['name']}/{record['name']}")

    async def end_in_peace(self) -> None:
        """Left in peace every job ends, in time and without anybody looking at it anew."""
        for name in POOLS:
            self.make_pool(name)
            self.change_pool(name, maxWorkers=POOLS[name]["maxWorkers"])
        began, steps = self.clock.seconds, 0
        while self.unfinished():
            told = "\n".join([*self.story, *(str(each["status"]) for each in self.unfinished())])
            assert (steps := steps + 1) < 5_000, f"no end\n{told}"
            assert self.clock.seconds - began < _QUIET_SECONDS, f"it takes too long\n{told}"
            if self.goings_on():
                await self.go(0)
                self.check()
            else:
                assert await self.pass_time(), f"nobody looks again\n{told}"
