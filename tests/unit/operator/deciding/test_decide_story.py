"""A job's undisturbed life: what is written, when, and how little."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.unit.operator.builders import (
    NAMESPACE,
    UID,
    URL,
    World,
    audio_job,
    phase,
    phase_input_of,
    pipeline,
    result_message,
    separate_pipeline,
)

from audiojob_types.contract import Device
from audiojob_types.resources.job import PhaseState, State


def test_two_phases_cost_two_job_creates_three_status_patches_and_two_events() -> None:
    world = World()
    world.finish()
    assert Counter(world.writes) == {"revision": 1, "job": 2, "event": 2, "status": 3}
    assert [event.reason for event in world.events.values()] == ["PhaseStarted", "Completed"]


def test_the_next_job_is_created_before_the_one_patch_that_ends_a_phase_and_starts_the_next() -> None:
    world = World()
    world.turn()
    world.succeed("first")
    plan = world.turn()
    assert [body["metadata"]["labels"]["audiojobs.dev/phase"] for body in plan.create_jobs] == ["second"]
    assert (world.phase("first").state, world.phase("second").state) == (PhaseState.SUCCEEDED, PhaseState.RUNNING)


def test_a_pod_that_starts_and_works_costs_no_write() -> None:
    world = World()
    world.turn()
    for change in (lambda: world.pod("first"), lambda: world.run("first")):
        change()
        assert world.decide().empty


def test_the_runners_reports_cost_no_write_and_are_never_touched() -> None:
    world = World()
    world.turn()
    world.run("first")
    world.status["progress"] = {"first": {"attempt": 1, "percent": 40, "message": "on its way"}}
    world.status["percent"] = 20
    assert world.decide().empty
    world.succeed("first")
    world.turn()
    assert world.status["progress"] == {"first": {"attempt": 1, "percent": 40, "message": "on its way"}}
    assert world.status["percent"] == 50


def test_percent_is_raised_at_phase_ends_never_lowered_and_100_at_the_end() -> None:
    world = World(pipeline=pipeline(phase("first", weight=1), phase("second", weight=3)))
    world.turn()
    world.succeed("first")
    world.turn()
    assert world.status["percent"] == 25
    world.status["percent"] = 80  # the runner's own count
    world.run("second")
    assert world.decide().empty
    world.succeed("second")
    world.turn()
    assert world.status["percent"] == 100


def test_status_tells_the_running_phase_and_who_it_is() -> None:
    world = World()
    world.turn()
    status = world.job.status
    assert status.state is State.RUNNING
    assert status.phase == "first"
    assert status.message == "Phase 1 of 2, first, is running."
    assert status.output_prefix == f"{NAMESPACE}/{UID}"
    assert status.start_time == world.now
    assert status.observed_generation == 1
    assert world.phase("first").job_name in world.jobs
    assert world.phase("second").job_name is None


def test_a_finished_job_names_all_its_outputs_with_their_phase() -> None:
    world = World()
    world.finish({"first": ("source",), "second": ("vocals", "accompaniment")})
    assert [(output.phase, output.name) for output in world.job.status.outputs] == [
        ("first", "source"),
        ("second", "vocals"),
        ("second", "accompaniment"),
    ]


def test_a_result_counts_before_the_kubernetes_job_says_complete() -> None:
    world = World()
    world.turn()
    world.succeed("first")
    assert "status" not in world.newest("first")
    world.turn()
    assert world.phase("first").state is PhaseState.SUCCEEDED


def test_a_finished_job_asks_for_nothing_until_its_ttl_then_deletes_itself() -> None:
    world = World(audiojob=audio_job(ttlSecondsAfterFinished=100))
    world.finish()
    world.pass_time(99)
    assert world.decide().empty
    assert world.decide().requeue_after == 1
    world.pass_time(1)
    assert world.decide().delete_self


def test_a_job_that_ended_where_the_operator_runs_none_is_left_to_people() -> None:
    world = World(audiojob=audio_job(ttlSecondsAfterFinished=0, cancel=True), prepared=False)
    world.turn()
    assert world.state() is State.CANCELLED
    world.pass_time(1)
    assert world.decide().empty
    assert world.decide().requeue_after is None
    world.prepared = True
    assert world.decide().delete_self


@pytest.mark.parametrize(("seconds", "again"), [(0, 0.1), (1, 1.0), (3_600, 3_600.0)])
def test_the_plan_that_ends_a_job_asks_for_a_look_at_the_end_of_its_ttl(seconds: int, again: float) -> None:
    """Nothing else need happen until then: no child changes any more."""
    world = World(audiojob=audio_job(ttlSecondsAfterFinished=seconds), pipeline=pipeline(phase("only")))
    world.turn()
    world.succeed("only")
    plan = world.turn()
    assert world.state() is State.SUCCEEDED
    assert plan.requeue_after == again


def test_the_ttl_of_the_pipeline_holds_where_the_job_has_none() -> None:
    world = World(pipeline=pipeline(ttlSecondsAfterFinished=60))
    world.finish()
    world.pass_time(60)
    assert world.decide().delete_self


def test_a_job_that_is_being_deleted_is_left_alone() -> None:
    world = World()
    world.turn()
    world.audiojob["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z"
    world.jobs.clear()
    assert world.decide().empty


# ---------------------------------------------------------------- phases and their order


def test_phases_that_only_wait_for_the_same_one_run_side_by_side_and_the_join_waits_for_both() -> None:
    world = World(
        pipeline=pipeline(
            phase("start"),
            phase("left", after=["start"]),
            phase("right", after=["start"]),
            phase("join", after=["left", "right"]),
        )
    )
    world.turn()
    world.succeed("start")
    world.turn()
    assert {name for name in ("left", "right", "join") if world.phase(name).state is PhaseState.RUNNING} == {
        "left",
        "right",
    }
    assert world.status["message"] == "Phase 2 of 4, left and phase 3 of 4, right, are running."
    world.succeed("left")
    world.turn()
    assert world.phase("join").state is PhaseState.WAITING
    world.succeed("right")
    world.turn()
    assert world.phase("join").state is PhaseState.RUNNING


def test_phases_with_an_empty_after_start_at_once() -> None:
    world = World(pipeline=pipeline(phase("one"), phase("two", after=[])))
    world.turn()
    assert len(world.jobs) == 2


def test_inputs_of_later_phases_are_manifests_of_earlier_ones() -> None:
    world = World(audiojob=audio_job(pipeline="separate", source={"url": URL}), pipeline=separate_pipeline())
    world.finish({"download": ("source",), "separate": ("vocals", "drums", "bass", "other")})
    download, normalize, separate = (
        phase_input_of(world.newest(name)) for name in ("download", "normalize", "separate")
    )
    assert download.inputs[0].url == URL
    manifest = world.phase("download").manifest
    assert (normalize.inputs[0].manifest, normalize.inputs[0].output) == (manifest, "source")
    assert separate.inputs[0].output == "audio"
    assert separate.progress.done == ("download", "normalize")
    assert separate.progress.weights == {"download": 1, "normalize": 1, "separate": 8}


def test_an_input_without_an_output_name_takes_the_only_output() -> None:
    second = phase("second", inputs=[{"name": "input", "from": "first"}])
    world = World(pipeline=pipeline(phase("first"), second))
    world.turn()
    world.succeed("first", "lonely")
    world.turn()
    assert phase_input_of(world.newest("second")).inputs[0].output == "lonely"


def test_an_input_without_an_output_name_fails_where_there_are_several() -> None:
    second = phase("second", inputs=[{"name": "input", "from": "first"}])
    world = World(pipeline=pipeline(phase("first"), second))
    world.turn()
    world.succeed("first", "one", "two")
    world.turn()
    error = world.job.status.error
    assert error is not None
    assert error.reason == "InvalidSpec"
    assert "inputs[input].output" in error.message
    assert world.phase("first").state is PhaseState.SUCCEEDED
    assert len(world.created_jobs) == 1


# ---------------------------------------------------------------- revisions


def test_the_revision_is_stored_before_the_first_job_and_named_in_status_and_on_the_job() -> None:
    world = World()
    world.turn()
    assert world.writes[:2] == ["revision", "job"]
    (name,) = world.revisions
    assert name.startswith("pair-")
    assert world.job.status.pipeline_revision == name
    assert world.newest("first")["metadata"]["annotations"]["audiojobs.dev/revision"] == name
    assert "ownerReferences" not in world.revisions[name]["metadata"]


def test_editing_the_pipeline_does_not_change_a_running_job() -> None:
    world = World()
    world.turn()
    world.pipeline = pipeline(phase("other"))
    world.succeed("first")
    world.turn()
    assert world.phase("second").state is PhaseState.RUNNING


def test_deleting_the_pipeline_does_not_stop_a_running_job() -> None:
    world = World()
    world.turn()
    world.pipeline = None
    world.finish()
    assert world.state() is State.SUCCEEDED


def test_a_job_made_before_the_status_write_was_lost_keeps_its_revision() -> None:
    world = World()
    before = dict(world.audiojob)
    world.turn()
    world.audiojob = before  # the status write never arrived
    world.pipeline = pipeline(phase("other"))
    world.turn()
    assert [each.name for each in world.job.status.phases] == ["first", "second"]
    assert len(world.jobs) == 1


def test_a_second_job_of_the_pipeline_does_not_create_the_revision_again() -> None:
    world = World()
    world.turn()
    stored = world.revisions
    other = World(audiojob=audio_job("other", uid="another-uid"), revisions=stored)
    assert other.decide().create_revision is None


def test_a_deleted_revision_is_made_again_while_its_pipeline_is_unchanged() -> None:
    world = World()
    world.turn()
    world.revisions.clear()
    world.succeed("first")
    world.turn()
    assert world.revisions
    assert world.phase("second").state is PhaseState.RUNNING


def test_a_deleted_revision_of_a_changed_pipeline_ends_the_job_with_a_reason() -> None:
    world = World()
    world.turn()
    world.revisions.clear()
    world.pipeline = pipeline(phase("other"))
    plan = world.turn()
    assert world.job.status.error is not None
    assert world.job.status.error.reason == "PipelineNotFound"
    assert [ref.name for ref in plan.delete_jobs] == [world.phase("first").job_name]


# ---------------------------------------------------------------- device


def test_auto_takes_a_gpu_where_a_node_offers_one_and_remembers_it() -> None:
    world = World(pipeline=pipeline(phase("only", device="Auto", gpus=2)), gpu=True)
    world.turn()
    container = world.newest("only")["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert world.phase("only").device is Device.GPU
    assert "NVIDIA_VISIBLE_DEVICES" not in {env["name"] for env in container["env"]}


def test_the_jobs_wish_for_a_gpu_does_not_move_phases_that_cannot_use_one() -> None:
    world = World(audiojob=audio_job(device="GPU"), gpu=True)
    world.turn()
    assert world.phase("first").device is Device.CPU


def test_two_long_phases_on_nodes_cost_three_status_writes_of_the_operator() -> None:
    world = World()
    for name, node in (("first", "node-7"), ("second", "node-8")):
        world.turn()
        world.run(name, node)
        for _ in range(5):
            world.turn()
            world.pass_time(3_600)
        world.succeed(name, node=node)
    world.turn()
    assert world.state() is State.SUCCEEDED
    assert world.writes.count("status") == 3
    assert [world.phase(name).node_name for name in ("first", "second")] == ["node-7", "node-8"]


def test_the_node_that_a_runner_reports_stays_until_the_next_phase_begins() -> None:
    world = World()
    world.turn()
    world.run("first", node="node-7")
    world.status["nodeName"] = "node-7"  # as the runner writes it with its progress
    assert world.decide().empty
    world.succeed("first", node="node-7")
    world.turn()
    assert "nodeName" not in world.status, "the second phase has no node yet"
    assert world.phase("first").node_name == "node-7"


def test_a_status_that_is_written_anyway_tells_the_node() -> None:
    world = World(pipeline=pipeline(phase("left", after=[]), phase("right", after=[])))
    world.turn()
    world.run("left", node="node-7")
    world.succeed("right")
    world.turn()
    assert (world.job.status.node_name, world.phase("left").node_name) == ("node-7", "node-7")


def test_what_phases_that_succeeded_could_not_do_and_where_their_logs_are_is_in_status() -> None:
    world = World(pipeline=pipeline(phase("only")))
    world.turn()
    told = result_message(
        world.newest("only"), warnings=("No subtitles.", "No cover."), log_key="music/u/only/log/0000"
    )
    world.end("only", 0, told)
    world.turn()
    warnings = [(each.phase, each.message) for each in world.job.status.warnings]
    assert warnings == [("only", "No subtitles."), ("only", "No cover.")]
    assert world.phase("only").log_key == "music/u/only/log/0000"
    assert world.phase("only").output_prefix == f"{NAMESPACE}/{UID}/only/1-abcd1234"


def test_of_many_warnings_the_first_ten_are_in_status() -> None:
    world = World()
    for name in ("first", "second"):
        world.turn()
        warnings = tuple(f"{name} {number}" for number in range(8))
        world.end(name, 0, result_message(world.newest(name), warnings=warnings))
    world.turn()
    assert [each.message for each in world.job.status.warnings][-2:] == ["second 0", "second 1"]
    assert len(world.job.status.warnings) == 10


def test_a_failed_attempt_leaves_its_log_in_status_until_the_next_one_starts() -> None:
    world = World(pipeline=pipeline(phase("only"), retry={"limit": 2, "baseSeconds": 0}))
    world.turn()
    left = result_message(world.newest("only"), outcome="Failed", reason="TemporaryFailure", log_key="log/0000")
    world.end("only", 75, left)
    world.turn()
    assert (world.phase("only").attempt, world.phase("only").log_key) == (2, None)
    left = result_message(world.newest("only"), outcome="Failed", reason="TemporaryFailure", log_key="log/0001")
    world.end("only", 75, left)
    world.turn()
    assert world.phase("only").log_key == "log/0001"
