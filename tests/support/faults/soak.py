"""One run of a few jobs under random faults and kills, all drawn from a seed, and what breaks an invariant in it."""

from __future__ import annotations

import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.integration.operator.conftest import PHASES, Object, Space, make_pipeline, make_space
from tests.support.faults import invariants
from tests.support.faults.early_pods import EarlyPods, plain_end
from tests.support.faults.plan import (
    WRITES,
    Act,
    Answer,
    Delay,
    Drop,
    Duplicate,
    Expire,
    Fault,
    Freeze,
    Lose,
    Match,
    Plan,
    Reorder,
    Rule,
    StaleList,
    Verb,
    on,
)
from tests.support.faults.proxy import FaultProxy
from tests.support.manypods import ManyPods
from tests.support.operator_process import OperatorProcess
from tests.support.podrunner import ended, running, succeed

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.errors import DevError
from audiojob_dev.rest import RestError, wait_until
from audiojob_types.constants import API_VERSION
from audiojob_types.contract import ExitCode, Outcome, PhaseInput, PhaseResult

THREE_PHASES = ("one", "two", "three")
# What becomes of a job is in its name; chains have three phases.
KINDS = ("song", "chain", "once", "drained", "hopeless", "failing", "cancelled")
DEADLINE_SECONDS = 75.0
CLEAN_SECONDS = 60.0
_SILENCE_SECONDS = 2  # of a frozen watch, before it is replaced
# Of two operators the other one takes over before a killed one starts again.
_REST_SECONDS = 3.0
_QUICK_LEASE = {
    "AUDIOJOB_LEASE__DURATION_SECONDS": "2",
    "AUDIOJOB_LEASE__RENEW_DEADLINE_SECONDS": "1.5",
    "AUDIOJOB_LEASE__RETRY_SECONDS": "0.3",
}


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
    overlap: bool = False
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
        return self.proxy.story() + "".join(operator.story() for operator in self.operators)

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
def running_soak(server: LocalApiServer, folder: Path, operators: int = 1, *, overlap: bool = False) -> Iterator[Run]:
    """A namespace with its pipelines, operators of one Lease behind a proxy without faults yet, and who looks on.

    ``overlap``: pods are put on a node and work for a moment, so that those of the next phases begin early.
    """
    space = make_space(server)
    make_pipeline_of_three(server, f"{space.namespace}-chain")
    settings = {
        "AUDIOJOB_LEASE__NAME": space.namespace,
        "AUDIOJOB_SWEEP__ACTIVE_SECONDS": "5",
        "AUDIOJOB_WATCH__SILENCE_SECONDS": str(_SILENCE_SECONDS),
        "AUDIOJOB_OVERLAP__ENABLED": str(overlap).lower(),
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
            (EarlyPods if overlap else ManyPods)(server.rest, [space.namespace], play) as pods,
            invariants.History(space) as history,
            ExitStack() as started,
        ):
            for process in processes:
                started.enter_context(process)
            run = Run(space, proxy, processes, pods, history, overlap=overlap)
            supervisors = [
                threading.Thread(target=run.supervise, args=[process], name="supervisor", daemon=True)
                for process in processes
            ]
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
        pipeline = {"pipeline": f"{run.space.namespace}-chain"} if kind == "chain" else {}
        run.space.submit(kind, **pipeline)


def reference_run(server: LocalApiServer, folder: Path, *, overlap: bool = False) -> dict[str, Any]:
    """The end of each kind of job when nothing goes wrong, masked."""
    with running_soak(server, folder, overlap=overlap) as run:
        submit(run, list(KINDS))
        wait_until("the end of the undisturbed jobs", run.all_ended, seconds=DEADLINE_SECONDS)
        assert not run.history.breaches, run.history.breaches
        early = any("earlyAttempt" in phase for job in run.jobs() for phase in job["status"]["phases"])
        assert early == overlap, "pods begin early where they may"
        return ends_of(run.jobs(), overlap=overlap)


def ends_of(jobs: Iterable[Object], *, overlap: bool) -> dict[str, Any]:
    """How each job ended, masked."""
    ends = {job["metadata"]["name"]: invariants.masked_end(job) for job in jobs}
    return {name: plain_end(end) for name, end in ends.items()} if overlap else ends


# ---------------------------------------------------------------- faults


def random_plan(seed: int, namespace: str, kill: Act) -> Plan:
    """Three to seven rules; none of them lasts for ever, so that every run can end."""
    chance = random.Random(seed)
    rules = [_rule(chance, namespace) for _ in range(chance.randint(3, 6))]
    writes = Match(WRITES, namespace=namespace)
    rules += [Rule(writes, kill, skip=chance.randint(0, 25), count=1) for _ in range(chance.randint(0, 2))]
    return Plan(tuple(rules), seed)


def _rule(chance: random.Random, namespace: str) -> Rule:
    kind = chance.choice(["write", "write", "read", "watch", "watch", "list"])
    if kind == "write":
        match = on(*WRITES, namespace=namespace)
        answers: tuple[int, ...] = (409, 429, 500, 503, 504)
        if chance.random() < 0.3:  # the patch's own tests answer 422 too: read again, decide again
            match = on(Verb.PATCH, namespace=namespace, resource="audiojobs", subresource="status")
            answers = (409, 422)
        made = _call_fault(chance, answers)
        return Rule(match, made, count=chance.randint(1, 12), probability=chance.uniform(0.05, 0.5))
    if kind == "read":
        made = _call_fault(chance, (429, 500, 503, 504))
        return Rule(on(Verb.GET, Verb.LIST), made, count=chance.randint(1, 8), probability=chance.uniform(0.05, 0.4))
    if kind == "list":
        return Rule(on(Verb.LIST), StaleList(), count=chance.randint(1, 10), probability=chance.uniform(0.2, 1.0))
    faults: list[Fault] = [
        Duplicate(chance.uniform(0.1, 1.0)),
        Reorder(chance.uniform(0.1, 0.6)),
        Freeze(chance.randint(0, 6)),
        Expire(chance.randint(0, 6)),
        Drop(),
        Answer(410),
    ]
    resource = chance.choice(["", "audiojobs", "jobs", "pods"])
    return Rule(on(Verb.WATCH, resource=resource), chance.choice(faults), count=chance.randint(1, 4), probability=0.7)


def _call_fault(chance: random.Random, statuses: tuple[int, ...]) -> Fault:
    status = chance.choice(statuses)
    faults: list[Fault] = [
        Drop(),
        Lose(),
        Delay(chance.uniform(0.1, 1.0)),
        Answer(status, retry_after=1 if status == 429 else None),
    ]
    return chance.choice(faults)


# ---------------------------------------------------------------- a run


def soak_run(
    server: LocalApiServer,
    folder: Path,
    seed: int,
    reference: Mapping[str, Any],
    operators: int = 1,
    *,
    overlap: bool = False,
) -> Result:
    """Two to four jobs under the faults of ``seed``; what broke an invariant is in the result."""
    began = time.monotonic()
    chance = random.Random(f"jobs of {seed}")
    kinds = chance.sample(KINDS, chance.randint(2, 4))
    with running_soak(server, folder, operators, overlap=overlap) as run:
        run.proxy.begin(plan=random_plan(seed, run.space.namespace, Act(run.kill)))
        submit(run, kinds)
        for pause in (chance.uniform(0, 4) for _ in range(chance.randint(0, 2))):
            time.sleep(pause)
            run.kill()
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
        wait_until("the end of all jobs", run.all_ended, seconds=DEADLINE_SECONDS)
    except DevError:
        return [*invariants.unfinished(run.jobs()), *run.history.breaches]
    jobs, record = run.jobs(), run.proxy.record
    attempts = Counter((one.job, one.phase, one.attempt) for one in run.pods.of(space.namespace))
    created = Counter(w.name for w in record.writes if w.path.endswith("/jobs") and w.status == 201)
    writes = sum(call.verb in WRITES and call.namespace == space.namespace for _, call in record.calls)
    # An event that the API server did not take is not told again: work does not wait for it.
    events = None if any(call.resource == "events" for call, _ in record.faults) else space.events()
    breaches = [
        *run.history.breaches,
        *invariants.repeated(created, attempts),
        *invariants.strange_ends(ends_of(jobs, overlap=run.overlap), reference),
        *invariants.storms(writes, len(attempts)),
        *invariants.unexplained(jobs, events),
    ]
    return breaches + _clean_up(run)


def _clean_up(run: Run) -> list[str]:
    """I7, without faults."""
    space = run.space
    run.proxy.follow()
    space.rest.request("DELETE", space.jobs_path, {"propagationPolicy": "Background"})

    def clean() -> bool:
        return not space.batch_jobs() and not space.pods()

    try:
        wait_until("nothing to be left", clean, seconds=CLEAN_SECONDS)
    except (DevError, RestError):
        return invariants.leftovers(space.batch_jobs(), space.pods())
    return []


__all__ = ["PHASES", "Result", "random_plan", "reference_run", "soak_run"]
