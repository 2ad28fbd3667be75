"""Whatever happens, in whatever order: the promises hold."""

from __future__ import annotations

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.operator.builders import World, phase, pipeline

from audiojob_types.base import format_time
from audiojob_types.models import WANTED_KEY, ModelBook
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import PhaseState, State

FINISHED = ("Succeeded", "Failed", "Cancelled")

HAPPENINGS = (
    "turn", "turn", "turn", "crash", "succeed", "succeed", "fail", "permanent", "gpu", "no result", "oom", "lose job",
    "lose pod", "unschedulable", "no image", "terminating", "suspend", "resume", "cancel", "wait", "wait long",
    "model away", "model there", "run", "run", "somebody waits", "nobody waits", "never told",
)  # fmt: skip


def happen(world: World, what: str, which: int) -> None:
    """One thing that may happen to a job."""
    running = [name for name in ("one", "two", "three") if any(f"-{name}-" in job for job in world.jobs)]
    name = running[which % len(running)] if running else None
    match what:
        case "turn":
            world.turn()
        case "crash":
            for kind, body in world.steps(world.decide())[: which + 1]:
                world.write(kind, body)
        case "suspend" | "resume":
            world.edit(suspend=what == "suspend")
        case "cancel":
            if which == 0:
                world.edit(cancel=True)
        case "wait":
            world.pass_time(2)
        case "wait long":
            world.pass_time(400)
        case "model away" | "model there":
            state = "Fetching" if what == "model away" else "Ready"
            record = {"state": state, "percent": 10 * which, "reportTime": format_time(world.now)}
            world.models = ModelBook.read({WANTED_KEY: '["htdemucs"]', "htdemucs": json.dumps(record)})
        case "somebody waits" | "nobody waits":
            world.may_begin_early = what == "nobody waits" if world.may_begin_early is not None else None
        case _ if name is not None:
            _happen_to(world, what, name)


def _happen_to(world: World, what: str, name: str) -> None:
    match what:
        case "run":
            world.run(name)
        case "succeed":
            world.succeed(name)
        case "fail":
            world.fail(name, 75)
        case "permanent":
            world.fail(name, 66, "SourceUnavailable")
        case "gpu":
            world.fail(name, 79, "GpuOutOfMemory")
        case "no result" | "oom" | "never told":
            code = {"no result": 0, "oom": 137, "never told": 143}[what]
            world.end(name, code, **({"reason": "OOMKilled"} if what == "oom" else {}))
        case "lose job" | "lose pod":
            newest = world.newest(name)["metadata"]["name"]
            if what == "lose job":
                _lose_job(world, newest)
            world.pods.pop(newest, None)
        case "unschedulable":
            world.pod(
                name, phase="Pending", conditions=[{"type": "PodScheduled", "status": "False", "message": "full"}]
            )
        case "no image":
            waiting = {"reason": "ErrImagePull", "message": "no"}
            world.pod(name, phase="Pending", containerStatuses=[{"image": "i", "state": {"waiting": waiting}}])
        case "terminating":
            world.pod(name)["metadata"]["deletionTimestamp"] = format_time(world.now)


def _lose_job(world: World, gone: str) -> None:
    world.jobs.pop(gone)
    if gone not in {record.job_name for record in world.job.status.phases}:
        world.created_jobs.remove(gone)  # nobody knew of it yet, so the same attempt is made again


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(HAPPENINGS), st.integers(0, 4)), max_size=40), st.booleans(), st.booleans())
def test_the_promises_hold(story: list[tuple[str, int]], gpu: bool, early: bool) -> None:
    line = pipeline(phase("one", device="Auto"), phase("two"), phase("three", "Separate", after=["one"]))
    world = World(pipeline=line, gpu=gpu, may_begin_early=True if early else None)
    attempts: dict[str, int] = {}
    final: str | None = None
    for what, which in story:
        happen(world, what, which)
        job = world.job
        # Terminal is final; attempts never go back.
        assert final in (None, job.status.state)
        final = job.status.state if job.status.state in FINISHED else None
        for record in job.status.phases:
            assert record.attempt >= attempts.get(record.name, 0)
            attempts[record.name] = record.attempt
        # No attempt's Job is made twice, and a decision that was carried out leaves nothing to do.
        assert len(world.created_jobs) == len(set(world.created_jobs))
        if what == "turn":
            assert world.decide().empty
            _check_settled(world)
    _check_that_it_can_end(world)


def _check_settled(world: World) -> None:
    job = world.job
    running = {record.job_name for record in job.status.phases if record.state is PhaseState.RUNNING}
    ahead = {(each.name, each.early_attempt) for each in job.status.phases if each.reason == Reason.STARTED_EARLY}
    alive = [child for child in world.observed().children if not child.finished]
    waiting = {child.job_name for child in alive if child.early and (child.phase, child.attempt) in ahead}
    live = {child.job_name for child in alive}
    assert live <= running | waiting, "a Job runs that status does not know"
    assert len({child.phase for child in alive}) == len(alive), "two Jobs of a phase are alive"
    if job.status.state in FINISHED:
        assert not live
    if job.status.state is State.FAILED:
        error = job.status.error
        assert error is not None
        assert error.reason
        assert error.message
        assert error.suggestion


def _check_that_it_can_end(world: World) -> None:
    """Nothing hangs: from any state, a resumed job whose pods all work and whose model is there comes to an end."""
    world.edit(suspend=False)
    world.models = None
    for _ in range(60):
        plan = world.turn()
        if world.job.status.state in FINISHED:
            return
        running = [each for each in world.job.status.phases if each.state is PhaseState.RUNNING]
        assert running or plan.requeue_after is not None, "nothing runs and nobody will look again"
        for record in running:
            world.succeed(record.name)
        world.pass_time(plan.requeue_after or 1)
    raise AssertionError(f"the job never ended: {world.status}")
