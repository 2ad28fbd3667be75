"""One run of a few jobs under random faults and kills, all drawn from a seed, and what breaks an invariant in it."""

from __future__ import annotations

import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from http.client import HTTPException
from pathlib import Path
from typing import Any

from tests.integration.operator.conftest import PHASES, Object, Space, make_pipeline, make_space
from tests.support.faults import invariants, pools
from tests.support.faults.early_pods import ENDED, EarlyPods, outcome, plain_end
from tests.support.faults.plan import WRITES, Act
from tests.support.faults.pool_pods import PoolPods
from tests.support.faults.proxy import FaultProxy
from tests.support.faults.random_faults import random_plan
from tests.support.manypods import ManyPods
from tests.support.operator_process import OperatorProcess
from tests.support.podrunner import ended, running, succeed

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.errors import DevError
from audiojob_dev.rest import RestError
from audiojob_types.constants import API_VERSION
from audiojob_types.contract import ExitCode, Outcome, PhaseInput, PhaseResult

THREE_PHASES = ("one", "two", "three")
# What becomes of a job is in its name; chains have three phases.
KINDS = ("song", "chain", "once", "drained", "hopeless", "failing", "cancelled")
WITH_POOLS = (*KINDS, "cards")
DEADLINE_SECONDS = 75.0
CLEAN_SECONDS = 60.0
# As much of either a look takes at most: on a machine that is too busy for us all else takes longer, too.
_LONGEST_LOOK_SECONDS = 0.5
_SILENCE_SECONDS = 2  # of a frozen watch, before it is replaced
# Of two operators the other one takes over before a killed one starts again.
_REST_SECONDS = 3.0
_QUICK_LEASE = {
    "AUDIOJOB_LEASE__DURATION_SECONDS": "2",
    "AUDIOJOB_LEASE__RENEW_DEADLINE_SECONDS": "1.5",
    "AUDIOJOB_LEASE__RETRY_SECONDS": "0.3",
}


class Ground(StrEnum):
    """What there is besides operators and Jobs whose pods end as soon as they are seen."""

    PLAIN = "plain"
    OVERLAP = "overlap"  # pods are put on a node and work for a moment, so that those of the next phases begin early
    POOLS = "pools"  # and most phases are done by workers

    def pods(self, space: Space, seed: int) -> ManyPods:
        """Who plays them."""
        namespaces = [space.namespace]
        if self is Ground.POOLS:
            return PoolPods(space.rest, namespaces, play, seed)
        return (EarlyPods if self is Ground.OVERLAP else ManyPods)(space.rest, namespaces, play)

    @property
    def settings(self) -> dict[str, str]:
        """The operator's."""
        overlap = {"AUDIOJOB_OVERLAP__ENABLED": str(self is not Ground.PLAIN).lower()}
        return overlap | (pools.SETTINGS if self is Ground.POOLS else {})


def play(phase: PhaseInput, pod: Object) -> Object:
    """The same end for the same (job, phase, attempt) in every run."""
    kind = phase.job.split("-")[0]
    if kind == "cancelled":
        return running()
    if kind == "once" and phase.attempt == 1:
        return ended(ExitCode.TEMPORARY, PhaseResult(outcome=Outcome.FAILED, message="try again"))
    if kind == "failing" and phase.phase == "two":
        return ended(ExitCode.TEMPORARY, PhaseResult(outcome=Outcome.FAILED, message="The source is busy."))
    if kind == "hopeless":
        return ended(ExitCode.NOT_MEDIA, PhaseResult(outcome=Outcome.FAILED, message="This is no audio."))
    if kind == "drained" and phase.attempt == 1:
        condition = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "out"}
        return {**ended(143, None), "conditions": [condition]}
    return succeed(phase, pod)


@dataclass(frozen=True)
class Result:
    """How a run went."""

    seed: int
    breaches: list[str]
    seconds: float
    faults: int
    kills: int
    handovers: int
    story: str = field(repr=False)


@dataclass
class Run:
    """The parts of a run, and supervisors that start an operator again whenever it has ended."""

    space: Space
    proxy: FaultProxy
    operators: Sequence[OperatorProcess]
    pods: ManyPods
    history: invariants.History
    kills: int = 0
    ground: Ground = Ground.PLAIN
    mischief: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def kill(self) -> None:
        """SIGKILL to the operator that leads; its supervisor starts it again."""
        self.kills += 1
        holder = self.lease().get("holderIdentity")
        victims = [one for number, one in enumerate(self.operators) if identity(number) == holder]
        (victims or self.operators)[0].send(signal.SIGKILL)

    def supervise(self, operator: OperatorProcess) -> None:
        """As the kubelet does; ends with the run."""
        rest = _REST_SECONDS if len(self.operators) > 1 else 0.0
        while not self._over.wait(0.1):
            try:
                operator.wait(0)
            except subprocess.TimeoutExpired:
                continue
            if not self._over.wait(rest):
                operator.start()

    def story(self) -> str:
        """Faults, and what the operators have logged last."""
        hurt = self.pods.hurt if isinstance(self.pods, PoolPods) else []
        workers = "".join(f"\n{each}" for each in (*self.mischief, *map(str, hurt)))
        return workers + self.proxy.story() + self._left() + "".join(operator.story() for operator in self.operators)

    def _left(self) -> str:
        """Jobs that have not ended, and pods that have not, with what they are told."""
        jobs = [job for job in self.jobs() if invariants.unfinished([job])]
        pods = [pod for pod in self.space.pods() if pod["status"].get("phase") not in ENDED]
        told = [(pod["metadata"]["name"], pod["status"], pod["metadata"]["annotations"]) for pod in pods]
        return "".join(f"\n{each}" for each in (*(job.get("status") for job in jobs), *told)) + "\n"

    def end(self) -> None:
        self._over.set()

    def jobs(self) -> list[Object]:
        found: list[Object] = self.space.rest.request("GET", self.space.jobs_path)["items"]
        return found

    def lease(self) -> Object:
        """The spec of the Lease; {} before anybody holds it."""
        path = f"/apis/coordination.k8s.io/v1/namespaces/default/leases/{self.space.namespace}"
        try:
            spec: Object = self.space.rest.request("GET", path)["spec"]
        except RestError:
            return {}
        return spec

    def cancel_what_runs(self) -> None:
        for job in self.jobs():
            name, status = job["metadata"]["name"], job["status"]
            if name.startswith("cancelled") and status["state"] == "Running" and not job["spec"].get("cancel"):
                self.space.patch(name, {"cancel": True})

    def all_ended(self) -> bool:
        self.cancel_what_runs()
        return not invariants.unfinished(self.jobs())


def identity(number: int) -> str:
    """What an operator calls itself in the Lease."""
    return f"operator-{number}"


@contextmanager
def running_soak(
    server: LocalApiServer, folder: Path, operators: int = 1, *, ground: Ground = Ground.PLAIN, seed: int | None = None
) -> Iterator[Run]:
    """A namespace with its pipelines, operators of one Lease behind a proxy without faults yet, and who looks on.

    Pools are as ``seed`` draws them.
    """
    space = make_space(server)
    make_pipeline_of_three(server, f"{space.namespace}-chain")
    gpus = queue_gpus = None
    if ground is Ground.POOLS:
        gpus = pools.GPUS
        queue_gpus = pools.make_pools(server, space, random.Random(f"pools of {seed}") if seed is not None else None)
    settings = {
        "AUDIOJOB_LEASE__NAME": space.namespace,
        "AUDIOJOB_SWEEP__ACTIVE_SECONDS": "5",
        "AUDIOJOB_WATCH__SILENCE_SECONDS": str(_SILENCE_SECONDS),
        **ground.settings,
        **(_QUICK_LEASE if operators > 1 else {}),
    }
    with FaultProxy(server) as proxy:
        kubeconfig = proxy.write_kubeconfig(folder / f"{space.namespace}.config")
        processes = [
            OperatorProcess(
                kubeconfig,
                [space.namespace],
                folder / f"{space.namespace}-{number}.log",
                **settings,
                AUDIOJOB_LEASE__IDENTITY=identity(number),
            )
            for number in range(operators)
        ]
        with (
            ground.pods(space, seed or 0) as pods,
            invariants.History(space, gpus=gpus, queue_gpus=queue_gpus) as history,
            ExitStack() as started,
        ):
            for process in processes:
                started.enter_context(process)
            run = Run(space, proxy, processes, pods, history, ground=ground)
            supervisors = [threading.Thread(target=run.supervise, args=[each], daemon=True) for each in processes]
            for supervisor in supervisors:
                supervisor.start()
            try:
                yield run
            finally:
                run.end()
                for supervisor in supervisors:
                    supervisor.join()


def make_pipeline_of_three(server: LocalApiServer, name: str) -> None:
    """A pipeline whose second and third phase both follow the first."""
    make_pipeline(server, name)
    base = {"task": "Simulate", "retry": {"limit": 3, "baseSeconds": 0, "capSeconds": 1}}
    first, *others = THREE_PHASES
    phases = [{"name": first, **base}, *({"name": other, "after": [first], **base} for other in others)]
    path = f"/apis/{API_VERSION}/audiopipelines/{name}"
    server.rest.request("PATCH", path, {"spec": {"phases": phases}}, content_type="application/merge-patch+json")


def submit(run: Run, kinds: list[str]) -> None:
    for kind in kinds:
        pipeline = {"pipeline": f"{run.space.namespace}-{kind}"} if kind in ("chain", "cards") else {}
        run.space.submit(kind, **pipeline)


def kinds_of(seed: int, ground: Ground) -> list[str]:
    """What the run of that seed submits."""
    chance = random.Random(f"jobs of {seed}")
    return chance.sample(WITH_POOLS if ground is Ground.POOLS else KINDS, chance.randint(2, 4))


def reference_run(
    server: LocalApiServer, folder: Path, *, ground: Ground = Ground.PLAIN, seed: int | None = None
) -> dict[str, Any]:
    """The end of each kind of job when nothing goes wrong, masked; ``seed``: only of those of its run."""
    kinds = list(WITH_POOLS if ground is Ground.POOLS else KINDS) if seed is None else kinds_of(seed, ground)
    with running_soak(server, folder, ground=ground) as run:
        submit(run, kinds)
        wait_patiently("the end of the undisturbed jobs", run.all_ended, DEADLINE_SECONDS)
        breaches = [*run.history.breaches, *of_workers(run)]
        assert not breaches, breaches
        if seed is None:
            early = any("earlyAttempt" in phase for job in run.jobs() for phase in job["status"]["phases"])
            # Beside workers one begins early only where a worker takes its time.
            assert ground is Ground.POOLS or early == (ground is Ground.OVERLAP), "pods begin early where they may"
            assert not isinstance(run.pods, PoolPods) or run.pods.done > len(kinds), "workers do phases"
        return ends_of(run.jobs(), ground=ground)


def wait_patiently(what: str, check: Callable[[], bool], seconds: float) -> None:
    """As wait_until, in the time of a machine that is not too busy. Raises DevError."""
    while seconds > 0:
        began = time.monotonic()
        with suppress(OSError, HTTPException, RestError):
            if check():
                return
        time.sleep(0.1)
        seconds -= min(time.monotonic() - began, _LONGEST_LOOK_SECONDS)
    raise DevError(f"{what}: not so in time")


def ends_of(jobs: Iterable[Object], *, ground: Ground) -> dict[str, Any]:
    """How each job ended, masked."""
    ends = {job["metadata"]["name"]: invariants.masked_end(job) for job in jobs}
    return {name: plain_end(end) for name, end in ends.items()} if ground is not Ground.PLAIN else ends


def of_workers(run: Run) -> list[str]:
    """What was at work twice."""
    return run.pods.breaches if isinstance(run.pods, PoolPods) else []


# ---------------------------------------------------------------- a run


def soak_run(
    server: LocalApiServer,
    folder: Path,
    seed: int,
    reference: Mapping[str, Any],
    operators: int = 1,
    *,
    ground: Ground = Ground.PLAIN,
) -> Result:
    """Two to four jobs under the faults of ``seed``; what broke an invariant is in the result."""
    began = time.monotonic()
    chance = random.Random(f"pauses of {seed}")
    kinds = kinds_of(seed, ground)
    with running_soak(server, folder, operators, ground=ground, seed=seed) as run:
        run.proxy.begin(plan=random_plan(seed, run.space.namespace, Act(run.kill)))
        submit(run, kinds)
        with pools.Mischief(run.space, run.pods, seed) if isinstance(run.pods, PoolPods) else nullcontext() as mischief:
            for pause in (chance.uniform(0, 4) for _ in range(chance.randint(0, 2))):
                time.sleep(pause)
                run.kill()
            if mischief is not None:
                run.mischief = mischief.story
                mischief.wait()
        breaches = _judge(run, reference)
        record = run.proxy.record
        story = f"jobs {kinds}{run.story()}" if breaches else ""
        seconds = time.monotonic() - began
        return Result(
            seed, breaches, seconds, len(record.faults), run.kills, run.lease().get("leaseTransitions", 0), story
        )


def _judge(run: Run, reference: Mapping[str, Any]) -> list[str]:
    space = run.space
    try:
        wait_patiently("the end of all jobs", run.all_ended, DEADLINE_SECONDS)
    except DevError:
        return [*invariants.unfinished(run.jobs()), *run.history.breaches, *of_workers(run)]
    jobs, record = run.jobs(), run.proxy.record
    attempts = Counter((one.job, one.phase, one.attempt) for one in run.pods.of(space.namespace))
    created = Counter(w.name for w in record.writes if w.path.endswith("/jobs") and w.status == 201)
    writes = sum(call.verb in WRITES and call.namespace == space.namespace for _, call in record.calls)
    # An event that the API server did not take is not told again: work does not wait for it.
    events = None if any(call.resource == "events" for call, _ in record.faults) else space.events()
    breaches = [
        *run.history.breaches,
        *of_workers(run),
        *invariants.repeated(created, attempts),
        *_ends(run, jobs, reference),
        *invariants.storms(writes, len(attempts)),
        *invariants.unexplained(jobs, events),
    ]
    return breaches + _clean_up(run)


def _ends(run: Run, jobs: list[Object], reference: Mapping[str, Any]) -> list[str]:
    ends = ends_of(jobs, ground=run.ground)
    if not isinstance(run.pods, PoolPods):
        return invariants.strange_ends(ends, reference)
    wanted = {name: outcome(reference[name]) for name in ends}
    found = invariants.strange_ends({name: outcome(end) for name, end in ends.items()}, wanted)
    return found + invariants.miscounted(jobs, reference, run.pods.counted)


def _clean_up(run: Run) -> list[str]:
    """I7, without faults."""
    space = run.space
    run.proxy.follow()
    if run.ground is Ground.POOLS:
        pools.remove_pools(space)
    space.rest.request("DELETE", space.jobs_path, {"propagationPolicy": "Background"})

    def clean() -> bool:
        return not space.batch_jobs() and not space.pods()

    try:
        wait_patiently("nothing to be left", clean, CLEAN_SECONDS)
    except (DevError, RestError):
        return invariants.leftovers(space.batch_jobs(), space.pods())
    return []


__all__ = ["PHASES", "Ground", "Result", "random_plan", "reference_run", "soak_run"]
