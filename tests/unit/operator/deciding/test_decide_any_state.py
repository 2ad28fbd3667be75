"""Cancel, suspend, resume and deletion in every place where a job can stand: one table of them, one promise each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.unit.operator.builders import NOW, URL, World, audio_job, phase, pipeline

from audiojob_operator.records.admission import Admission
from audiojob_types import constants as c
from audiojob_types.base import format_time
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import MAX_ATTEMPTS, AudioJob, State

FULL = Admission(False, Reason.QUEUE_FULL, "10 of 10 jobs are running; the job waits for a slot.")
HELD = Admission(False, Reason.HELD, "Queue default is stopped.", drained=True)


def just_created() -> World:
    return World()


def first_runs() -> World:
    world = World()
    world.turn()
    world.run("first")
    world.turn()
    return world


def queue_is_full() -> World:
    return _turned(World(admission=FULL))


def start_time_ahead() -> World:
    return _turned(World(audiojob=audio_job(startTime=format_time(NOW + timedelta(hours=1)))))


def pipeline_is_missing() -> World:
    return _turned(World(pipeline=None))


def namespace_is_not_prepared() -> World:
    return _turned(World(prepared=False))


def source_job_has_not_ended() -> World:
    reader = phase("first", "Normalize", inputs=[{"name": "source", "from": "Job"}])
    return _turned(World(audiojob=audio_job(source={"jobRef": {"name": "maker"}}), pipeline=pipeline(reader)))


def pod_cannot_start() -> World:
    world = _turned(World())
    message = "0/1 nodes are available: 1 Insufficient memory."
    world.pod("first", conditions=[{"type": "PodScheduled", "status": "False", "message": message}])
    world.turn()
    assert world.state() is State.QUEUED
    return world


def first_backs_off() -> World:
    world = first_runs()
    world.fail("first")
    world.turn()
    assert world.condition("Progressing")["reason"] == "BackingOff"
    return world


def host_cools_down() -> World:
    download = pipeline(phase("first", "Download", inputs=[{"name": "source", "from": "Job"}]))
    world = World(audiojob=audio_job(source={"url": URL}), pipeline=download, cooling=NOW + timedelta(minutes=5))
    return _turned(world)


def waits_for_a_gpu() -> World:
    return _turned(World(pipeline=pipeline(phase("first", device="GPU")), gpu=True, granted=0))


def waits_for_kueue() -> World:
    return _turned(World(kueue="team"))


def between_two_phases() -> World:
    world = first_runs()
    world.succeed("first")
    world.turn()
    return world


def before_the_end_is_recorded_of_a_phase() -> World:
    world = first_runs()
    world.succeed("first")
    return world


def waits_for_a_review() -> World:
    world = World(pipeline=pipeline(phase("first"), phase("second", gate="Review")))
    world.turn()
    world.succeed("first")
    world.turn()
    assert world.condition("Suspended")["reason"] == "AwaitingReview"
    return world


def queue_is_drained() -> World:
    world = first_runs()
    world.admission = HELD
    world.turn()
    assert world.state() is State.QUEUED
    return world


def suspended() -> World:
    world = first_runs()
    world.edit(suspend=True)
    world.turn()
    return world


def _turned(world: World) -> World:
    world.turn()
    return world


PLACES: dict[str, Callable[[], World]] = {
    "nobody has looked at it": just_created,
    "its queue is full": queue_is_full,
    "its start lies ahead": start_time_ahead,
    "its pipeline is missing": pipeline_is_missing,
    "its namespace is not prepared": namespace_is_not_prepared,
    "the job that makes its source runs": source_job_has_not_ended,
    "no node takes its pod": pod_cannot_start,
    "its first phase runs": first_runs,
    "its first phase waits for the next attempt": first_backs_off,
    "its host cools down": host_cools_down,
    "it waits for a GPU": waits_for_a_gpu,
    "Kueue has not let it go": waits_for_kueue,
    "its second phase has just begun": between_two_phases,
    "its first phase has ended and nobody has noted it": before_the_end_is_recorded_of_a_phase,
    "it waits for a review": waits_for_a_review,
    "its queue is drained": queue_is_drained,
    "it is suspended": suspended,
}
everywhere = pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())


def quiet(world: World) -> None:
    """Nothing works for the job, and nothing is left to do."""
    world.turn()
    assert world.jobs == {} or all(_has_ended(world, name) for name in world.jobs), world.jobs
    assert world.decide().empty


def _has_ended(world: World, name: str) -> bool:
    pod = world.pods.get(name)
    return pod is not None and pod["status"]["phase"] in ("Succeeded", "Failed")


@everywhere
def test_cancel_ends_the_job_wherever_it_stands(place: Callable[[], World]) -> None:
    world = place()
    world.edit(cancel=True)
    world.turn()
    assert world.state() is State.CANCELLED
    assert (world.condition("Failed")["status"], world.condition("Failed")["reason"]) == ("True", "Cancelled")
    quiet(world)


@everywhere
def test_suspend_stops_the_job_wherever_it_stands_and_counts_nothing(place: Callable[[], World]) -> None:
    world = place()
    before = _counted(world.job)
    world.edit(suspend=True)
    world.turn()
    assert world.state() is State.SUSPENDED
    assert world.condition(c.CONDITION_SUSPENDED)["reason"] == "Suspended"
    assert world.condition(c.CONDITION_ADMITTED)["status"] == "False", "its slot is free"
    assert _counted(world.job) == before
    quiet(world)


@everywhere
def test_a_resumed_job_ends_as_if_it_had_never_been_suspended(place: Callable[[], World]) -> None:
    world = place()
    world.edit(suspend=True)
    world.turn()
    world.edit(suspend=False)
    _let_go(world)
    for _ in range(20):
        world.turn()
        if world.state().finished:
            break
        for job in world.jobs.values():
            job["spec"]["suspend"] = False
        _let_go(world)
        for record in world.job.status.phases:
            if record.state == "Running":
                world.succeed(record.name)
    assert world.state() is State.SUCCEEDED


@everywhere
def test_the_work_of_a_job_that_is_being_deleted_ends_though_a_finalizer_keeps_the_job(
    place: Callable[[], World],
) -> None:
    world = place()
    world.audiojob["metadata"]["deletionTimestamp"] = format_time(world.now)
    at_work = {child.job_name for child in world.observed().children if not child.finished and not child.deleting}
    plan = world.decide()
    assert {each.name for each in plan.delete_jobs} >= at_work
    assert replace(plan, delete_jobs=()).empty


def test_resuming_what_was_never_suspended_changes_nothing() -> None:
    world = first_runs()
    world.edit(suspend=False)
    plan = world.turn()
    assert (plan.create_jobs, plan.delete_jobs, plan.events) == ((), (), ())
    assert (world.state(), world.phase("first").attempt) == (State.RUNNING, 1)
    assert world.status["observedGeneration"] == 2


@pytest.mark.parametrize("attempts", [1, 998, 999, 1_000])
def test_who_suspends_and_resumes_a_job_without_end_does_not_keep_its_slot(attempts: int) -> None:
    world = first_runs()
    world.edit(suspend=True)
    world.turn()
    world.status["phases"][0]["attempt"] = attempts
    world.edit(suspend=False)
    world.turn()
    if attempts < MAX_ATTEMPTS:
        assert (world.state(), world.phase("first").attempt) == (State.RUNNING, attempts + 1)
        return
    assert (world.state(), world.status["error"]["reason"]) == (State.FAILED, Reason.TOO_MANY_ATTEMPTS)
    assert "1000 attempts" in world.status["error"]["message"]
    assert world.condition(c.CONDITION_ADMITTED)["status"] == "False", "its slot is free"


def test_cancel_after_the_end_changes_nothing() -> None:
    world = World()
    world.finish()
    world.edit(cancel=True)
    assert world.decide().empty


def test_a_start_time_in_the_past_is_now() -> None:
    world = World(audiojob=audio_job(startTime=format_time(NOW - timedelta(days=365))))
    world.turn()
    assert (world.state(), world.phase("first").attempt) == (State.RUNNING, 1)


def _counted(job: AudioJob) -> list[tuple[int, int]]:
    return [(each.failures, each.disruptions) for each in job.status.phases]


def _let_go(world: World) -> None:
    """Everything that the job may have waited for is there now."""
    world.pass_time(7_200)
    world.admission, world.prepared, world.cooling, world.granted = Admission(admitted=True), True, None, 8
    world.pipeline = world.pipeline or pipeline()
    if world.job.spec.source is not None and world.job.spec.source.job_ref is not None and world.source_job is None:
        maker = World(audiojob=audio_job("maker", uid="maker-uid"))
        maker.finish()
        world.source_job = maker.audiojob
    if not world.job.spec.reviews and any(each.get("gate") for each in world.pipeline["spec"]["phases"]):
        world.edit(reviews=[{"phase": "second", "approved": True}])
