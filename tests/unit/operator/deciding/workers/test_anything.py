"""Whatever happens to a job, its workers and its pods, in whatever order: the promises hold."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.operator.builders import audio_job, phase, pipeline
from tests.unit.operator.deciding.workers.worker_world import POOL, VIEW, WorkerWorld, worker_pod

from audiojob_operator.building.telling import read_order
from audiojob_types.base import format_time
from audiojob_types.constants import ANNOTATION_WORK
from audiojob_types.resources.job import PhaseState

FINISHED = ("Succeeded", "Failed", "Cancelled")
HAPPENINGS = (
    "turn", "turn", "turn", "crash", "begin", "begin", "report", "report", "fail", "nonsense", "lose", "out of memory",
    "stop", "edit", "leave", "new worker", "busy", "at work", "at work", "free", "no pool", "pool", "own job",
    "suspend", "resume", "wait", "wait long",
)  # fmt: skip


def told(world: WorkerWorld, name: str) -> bool:
    """Whether the worker that has the phase is told its attempt."""
    record = world.phase(name)
    pod = world.workers.get(record.pod_uid or "")
    order = read_order(pod["metadata"]["annotations"][ANNOTATION_WORK]) if pod is not None else None
    return order is not None and any((each.phase, each.attempt) == (name, record.attempt) for each in order.told)


def happen(world: WorkerWorld, what: str, which: int) -> None:
    bound = [each.name for each in world.job.status.phases if each.with_worker]
    own = [each.name for each in world.job.status.phases if each.state is PhaseState.RUNNING and not each.pod_uid]
    match what:
        case "turn":
            world.turn()
        case "crash":
            for kind, body in world.steps(world.decide())[: which + 1]:
                world.write(kind, body)
        case "suspend" | "resume":
            world.edit(suspend=what == "suspend")
        case "wait" | "wait long":
            world.pass_time(2 if what == "wait" else 400)
        case "new worker":
            number = len(world.workers) + 10 * (which + 1)
            world.workers.setdefault(f"worker-{number}", worker_pod(number))
        case "busy" | "free":
            world.busy, world.at_work = set(world.workers) if what == "busy" else set(), set()
        case "at work":  # on phases of others; a worker that is told one of this job has it beside them
            world.busy = world.at_work = set(world.workers)
        case "no pool" | "pool":
            world.pool = VIEW if what == "pool" else None
        case "own job" if own:
            world.succeed(own[which % len(own)])
        case _ if bound:
            _happen_to(world, what, bound[which % len(bound)])


def _happen_to(world: WorkerWorld, what: str, name: str) -> None:
    pod = world.workers.get(world.worker(name))
    if pod is None:
        return
    if told(world, name):
        match what:
            case "begin":
                world.take_up(name)
            case "report":
                world.report(name, outputs=("audio",))
            case "fail":
                world.report(name, code=75, outcome="Failed", reason="TemporaryFailure")
            case "nonsense":
                world.report(name, text="nonsense")
    match what:
        case "lose":
            del world.workers[world.worker(name)]
        case "out of memory":
            world.end_worker(75, name, exitCode=137, reason="OOMKilled")
        case "stop":
            world.end_worker(143, name)
        case "edit":
            pod["metadata"]["annotations"][ANNOTATION_WORK] = worker_pod(1)["metadata"]["annotations"][ANNOTATION_WORK]
        case "leave":
            pod["metadata"]["deletionTimestamp"] = format_time(world.now)


@settings(max_examples=settings().max_examples // 4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(HAPPENINGS), st.integers(0, 4)), max_size=25))
def test_the_promises_hold(story: list[tuple[str, int]]) -> None:
    line = pipeline(*(phase(name, workerPool={"name": POOL}) for name in ("one", "two")), phase("three", after=[]))
    world = WorkerWorld(audiojob=audio_job(), pipeline=line)
    attempts: dict[str, int] = {}
    for what, which in story:
        happen(world, what, which)
        records = world.job.status.phases
        for record in records:
            assert record.attempt >= attempts.get(record.name, 0), "attempts never go back"
            attempts[record.name] = record.attempt
        pods = [each.pod_uid for each in records if each.with_worker]
        assert len(pods) == len(set(pods)), "two phases of a job have one worker"
        assert len(world.created_jobs) == len(set(world.created_jobs))
        if what == "turn":
            assert world.decide().empty
            alive = {child.phase for child in world.observed().children if not (child.worker or child.finished)}
            bound = {each.name for each in records if each.with_worker}
            assert not alive & bound, "a phase is with a worker and in a Job of its own"
    _check_that_it_can_end(world)


def _check_that_it_can_end(world: WorkerWorld) -> None:
    world.edit(suspend=False)
    for _ in range(80):
        plan = world.turn()
        if world.job.status.state in FINISHED:
            return
        world.busy = world.at_work = set()  # what others had there has ended
        running = [each for each in world.job.status.phases if each.state is PhaseState.RUNNING or each.told_ahead]
        assert running or plan.requeue_after is not None, "nothing runs and nobody will look again"
        for record in running:
            if record.pod_uid is None:
                world.succeed(record.name)
            elif record.pod_uid in world.workers and told(world, record.name):
                world.report(record.name, outputs=("audio",))
        world.pass_time(plan.requeue_after or 1)
    raise AssertionError(f"the job never ended: {world.status}")
