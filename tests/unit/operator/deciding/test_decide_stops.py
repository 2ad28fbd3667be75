"""Waiting to start, cancelling, suspending, deadlines, and specs that do not fit."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.operator.builders import NOW, URL, World, audio_job, phase, pipeline, separate_pipeline, with_settings

from audiojob_operator.deciding.decide import decide
from audiojob_operator.records.admission import Admission
from audiojob_operator.records.observed import Refusal
from audiojob_operator.records.plan import Plan
from audiojob_types.base import format_time
from audiojob_types.contract import S3Store
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import PhaseState, State

FULL = Admission(admitted=False, reason=Reason.QUEUE_FULL, message="10 of 10 jobs are running.")


# ---------------------------------------------------------------- waiting to start


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        pytest.param({"prepared": False}, "NamespaceNotPrepared", "jobNamespaces", id="the namespace is not prepared"),
        pytest.param({"pipeline": None}, "PipelineNotFound", "kubectl get audiopipelines", id="no such pipeline"),
        pytest.param({"admission": FULL}, "QueueFull", "10 of 10", id="all slots are taken"),
    ],
)
def test_a_job_that_waits_says_why_in_one_write_and_starts_when_it_can(
    changes: dict[str, Any], reason: str, words: str
) -> None:
    world = World(**changes)
    world.turn()
    assert world.state() is State.QUEUED
    assert world.condition("Admitted")["reason"] == reason
    assert words in world.status["message"]
    assert world.jobs == {}
    assert world.decide().empty
    world.prepared, world.pipeline, world.admission = True, pipeline(), Admission(admitted=True)
    world.turn()
    assert world.state() is State.RUNNING
    assert world.condition("Admitted")["status"] == "True"


def test_a_start_time_ahead_is_waited_for_to_the_second() -> None:
    world = World(audiojob=audio_job(startTime=format_time(NOW + timedelta(hours=1))))
    plan = world.turn()
    assert world.condition("Admitted")["reason"] == "StartTimeAhead"
    assert plan.requeue_after == 3600
    world.pass_time(3600)
    world.turn()
    assert world.state() is State.RUNNING


def test_a_job_that_runs_does_not_wait_for_admission_again() -> None:
    world = World()
    world.turn()
    world.admission = FULL
    world.succeed("first")
    world.turn()
    assert world.phase("second").state is PhaseState.RUNNING


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        pytest.param(
            {},
            "spec.source: phase download of pipeline separate needs a source; give one of url, object, library, jobRef",
            id="no source",
        ),
        pytest.param(
            {"source": {"url": URL}, "parameters": {"separate": {"stems": "SixStems"}}},
            "parameters.separate",
            id="six stems of a model with four",
        ),
        pytest.param(
            {"source": {"url": URL}, "parameters": {"separate": {"model": "mine"}}},
            "parameters.separate.model",
            id="an unknown model",
        ),
        pytest.param(
            {"source": {"url": URL}, "parameters": {"simulate": {"outputBytes": 5}}},
            "parameters.simulate",
            id="parameters of a task that the pipeline does not run",
        ),
        pytest.param(
            {"source": {"object": {"key": "../other/song.flac"}}}, "spec.source.object.key", id="a key that climbs"
        ),
    ],
)
def test_a_spec_that_does_not_fit_fails_before_any_job_and_names_the_field(spec: dict[str, Any], words: str) -> None:
    world = World(audiojob=audio_job(pipeline="separate", **spec), pipeline=separate_pipeline(), admission=FULL)
    world.turn()
    error = world.job.status.error
    assert world.state() is State.FAILED
    assert error is not None
    assert error.reason == "InvalidSpec"
    assert error.message.startswith(words)
    assert error.suggestion
    assert world.created_jobs == []
    assert world.revisions == {}


def test_a_phase_input_that_is_too_large_fails_with_its_size() -> None:
    world = World(settings=with_settings(store=S3Store(bucket="b", prefix="x" * 210_000)))
    world.turn()
    error = world.job.status.error
    assert error is not None
    assert error.reason == "InvalidSpec"
    assert "bytes" in error.message
    assert world.phase("first").attempt == 0
    assert world.created_jobs == []


# ---------------------------------------------------------------- cancel


def test_cancel_is_recorded_and_the_job_deleted_in_the_same_round() -> None:
    world = World()
    world.turn()
    world.run("first")
    name = world.phase("first").job_name
    world.edit(cancel=True)
    plan = world.turn()
    assert world.state() is State.CANCELLED
    assert (world.condition("Failed")["status"], world.condition("Failed")["reason"]) == ("True", "Cancelled")
    assert (world.phase("first").state, world.phase("second").state) == (PhaseState.CANCELLED, PhaseState.WAITING)
    assert [ref.name for ref in plan.delete_jobs] == [name]
    assert world.status["observedGeneration"] == 2
    assert world.job.status.completion_time == world.now


def test_a_job_of_a_namespace_that_is_not_ours_is_not_held_against_our_libraries() -> None:
    source = {"library": {"name": "theirs", "path": "a.flac"}}
    line = pipeline(phase("only", inputs=[{"name": "source", "from": "Job"}]))
    world = World(audiojob=audio_job(source=source), pipeline=line, prepared=False)
    world.turn()
    assert (world.state(), world.condition("Progressing")["reason"]) == (State.QUEUED, "NamespaceNotPrepared")
    world.prepared = True
    world.turn()
    assert (world.state(), world.condition("Failed")["reason"]) == (State.FAILED, "InvalidSpec")


def test_a_job_can_be_cancelled_while_it_waits_for_what_never_comes() -> None:
    world = World(pipeline=None, prepared=False)
    world.turn()
    world.edit(cancel=True)
    world.turn()
    assert world.state() is State.CANCELLED


def test_a_cancelled_job_whose_status_write_was_the_last_thing_done_still_loses_its_pod() -> None:
    world = World()
    world.turn()
    world.edit(cancel=True)
    for kind, what in world.steps(world.decide()):
        if kind != "delete":
            world.write(kind, what)
    assert len(world.turn().delete_jobs) == 1
    assert world.decide().empty


def test_work_that_was_done_when_cancel_came_is_kept() -> None:
    world = World(pipeline=pipeline(phase("only")))
    world.turn()
    world.succeed("only")
    world.edit(cancel=True)
    world.turn()
    assert world.state() is State.SUCCEEDED


# ---------------------------------------------------------------- suspend


def test_suspend_stops_the_attempt_uncounted_and_resuming_makes_the_next() -> None:
    world = World()
    world.turn()
    world.run("first")
    world.edit(suspend=True)
    plan = world.turn()
    record = world.phase("first")
    assert world.state() is State.SUSPENDED
    assert world.condition("Admitted")["status"] == "False"
    assert (record.state, record.attempt, record.failures, record.disruptions) == (PhaseState.WAITING, 1, 0, 0)
    assert len(plan.delete_jobs) == 1
    assert world.decide().empty
    world.edit(suspend=False)
    world.turn()
    assert (world.phase("first").state, world.phase("first").attempt) == (PhaseState.RUNNING, 2)


def test_a_suspended_job_waits_for_a_slot_again_when_it_is_resumed() -> None:
    world = World()
    world.turn()
    world.edit(suspend=True)
    world.turn()
    world.edit(suspend=False)
    world.admission = FULL
    world.turn()
    assert world.state() is State.QUEUED
    assert len(world.created_jobs) == 1


def test_a_job_suspended_as_its_phase_succeeded_keeps_the_result() -> None:
    world = World()
    world.turn()
    world.succeed("first")
    world.edit(suspend=True)
    world.turn()
    assert world.phase("first").state is PhaseState.SUCCEEDED
    assert world.phase("second").attempt == 0
    assert world.state() is State.SUSPENDED


def test_a_job_created_suspended_starts_nothing_and_can_be_cancelled() -> None:
    world = World(audiojob=audio_job(suspend=True))
    world.turn()
    assert (world.state(), world.jobs) == (State.SUSPENDED, {})
    world.edit(cancel=True)
    world.turn()
    assert world.state() is State.CANCELLED


def test_the_clock_of_the_deadline_stands_still_while_a_job_is_suspended() -> None:
    world = World(audiojob=audio_job(activeDeadlineSeconds=100))
    world.turn()
    world.edit(suspend=True)
    world.turn()
    world.pass_time(1_000)
    assert world.decide().empty
    world.edit(suspend=False)
    world.turn()
    assert world.state() is State.RUNNING
    assert world.job.status.start_time == world.now


# ---------------------------------------------------------------- deadlines


def test_the_deadline_ends_the_job_and_its_pod() -> None:
    world = World(audiojob=audio_job(activeDeadlineSeconds=100))
    world.turn()
    world.run("first")
    world.pass_time(99)
    assert world.turn().requeue_after == 1
    world.pass_time(1)
    plan = world.turn()
    error = world.job.status.error
    assert error is not None
    assert error.reason == "DeadlineExceeded"
    assert world.phase("first").state is PhaseState.FAILED
    assert len(plan.delete_jobs) == 1


def test_the_pipelines_deadline_holds_where_the_job_has_none() -> None:
    world = World(pipeline=pipeline(activeDeadlineSeconds=50))
    world.turn()
    world.run("first")
    world.pass_time(50)
    world.turn()
    assert world.state() is State.FAILED


def test_a_pod_never_outlives_the_jobs_deadline_even_if_the_operator_is_away() -> None:
    world = World(audiojob=audio_job(activeDeadlineSeconds=100), pipeline=pipeline(phase("only", hardLimitSeconds=500)))
    world.turn()
    assert world.newest("only")["spec"]["template"]["spec"]["activeDeadlineSeconds"] == 100


def test_a_job_that_did_not_start_in_time_fails_and_says_what_it_waited_for() -> None:
    world = World(audiojob=audio_job(queueTimeoutSeconds=60), admission=FULL)
    plan = world.turn()
    assert plan.requeue_after == 60
    world.pass_time(60)
    world.turn()
    error = world.job.status.error
    assert error is not None
    assert (error.reason, error.retryable) == ("QueueTimeout", True)
    assert "10 of 10" in error.message


def test_the_queue_timeout_counts_from_the_start_time() -> None:
    start = format_time(NOW + timedelta(seconds=100))
    world = World(audiojob=audio_job(queueTimeoutSeconds=60, startTime=start), admission=FULL)
    world.pass_time(159)
    world.turn()
    assert world.state() is State.QUEUED
    world.pass_time(1)
    world.turn()
    assert world.state() is State.FAILED


def test_a_pod_that_never_found_a_node_still_counts_as_waiting() -> None:
    world = World(audiojob=audio_job(queueTimeoutSeconds=60))
    world.turn()
    world.pod("first", conditions=[{"type": "PodScheduled", "status": "False", "message": "0/1 nodes"}])
    world.pass_time(60)
    plan = world.turn()
    assert world.job.status.error is not None
    assert world.job.status.error.reason == "QueueTimeout"
    assert len(plan.delete_jobs) == 1


def test_a_job_that_has_begun_has_no_queue_timeout_any_more() -> None:
    world = World(audiojob=audio_job(queueTimeoutSeconds=60))
    world.turn()
    world.run("first")
    world.pass_time(61)
    world.turn()
    assert world.state() is State.RUNNING


def test_a_deadline_sooner_than_the_first_look_at_the_pod_is_not_missed() -> None:
    world = World(audiojob=audio_job(activeDeadlineSeconds=5))
    assert world.turn().requeue_after == 5


# ---------------------------------------------------------------- Jobs that the API server does not take


def refused(world: World, *, permanent: bool, message: str = 'exceeded quota: "few"') -> Plan:
    """A round in which the API server refuses the Job: decided a second time, as the shell does."""
    plan = decide(replace(world.observed(), refused=Refusal(message, permanent)), world.now)
    for kind, what in world.steps(plan):
        world.write(kind, what)
    return plan


def test_a_job_that_was_bound_before_keeps_its_phases_under_a_quota() -> None:
    world = World(pipeline=pipeline(phase("only", gate="Review")))
    world.turn()
    assert world.job.status.pipeline_revision is not None
    world.edit(reviews=[{"phase": "only", "approved": True}])
    refused(world, permanent=False)
    assert (world.state(), world.condition("Progressing")["reason"]) == (State.QUEUED, "CreateRefused")
    assert world.condition("Admitted")["status"] == "False", "others can use its slot"
    assert [record.name for record in world.job.status.phases] == ["only"], "the API server lets none be removed"
    world.turn()
    assert world.state() is State.RUNNING


def test_a_job_under_a_quota_says_so_and_starts_when_there_is_room() -> None:
    world = World()
    plan = refused(world, permanent=False)
    assert (plan.create_jobs, plan.requeue_after) == ((), 30)
    assert (world.state(), world.condition("Admitted")["reason"]) == (State.QUEUED, "CreateRefused")
    assert "exceeded quota" in world.status["message"]
    assert world.job.status.pipeline_revision is None
    assert world.job.status.start_time is None
    assert refused(world, permanent=False).empty
    world.turn()
    assert world.state() is State.RUNNING


def test_a_result_is_recorded_though_the_next_job_is_refused() -> None:
    world = World()
    world.turn()
    world.succeed("first")
    plan = refused(world, permanent=False)
    assert (world.phase("first").state, world.phase("second").attempt) == (PhaseState.SUCCEEDED, 0)
    assert world.state() is State.QUEUED
    assert world.condition("Admitted")["status"] == "False", "others can use its slot"
    assert plan.rest is not None
    assert (plan.rest.until - world.now).total_seconds() == plan.requeue_after == 30
    world.turn()
    assert world.phase("second").state is PhaseState.RUNNING


def test_a_refused_sibling_does_not_hide_the_phase_that_runs() -> None:
    world = World(pipeline=pipeline(phase("start"), phase("left", after=["start"]), phase("right", after=["start"])))
    world.turn()
    world.succeed("start")
    full = world.decide()
    world.write("job", full.create_jobs[0])  # the second one is refused
    refused(world, permanent=False)
    assert refused(world, permanent=False).requeue_after == 30
    assert (world.phase("left").state, world.phase("right").state) == (PhaseState.RUNNING, PhaseState.WAITING)
    assert world.state() is State.RUNNING


def test_a_job_that_can_never_be_taken_fails_with_the_servers_words() -> None:
    world = World()
    refused(world, permanent=True, message="requests.cpu: must be less than or equal to cpu limit")
    error = world.job.status.error
    assert error is not None
    assert (error.reason, world.state()) == ("CreateRefused", State.FAILED)
    assert "less than or equal" in error.message
    assert error.suggestion
