"""Reviews, queues that are drained, and jobs that refer to other jobs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.operator.builders import NOW, World, audio_job, phase, phase_input_of, pipeline

from audiojob_operator.records.admission import Admission
from audiojob_operator.records.observed import Retried
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import AudioJob
from audiojob_types.resources.pipeline import AudioPipeline

Object = dict[str, Any]

# ---------------------------------------------------------------- reviews


def reviewed_world(**more: Any) -> World:
    """The second phase waits for a review."""
    return World(pipeline=pipeline(phase("first"), phase("second", gate="Review", **more)))


def at_the_gate(world: World) -> None:
    world.turn()
    world.succeed("first")
    world.turn()


def test_a_gate_stops_the_job_before_its_phase_and_frees_its_slot() -> None:
    world = reviewed_world()
    at_the_gate(world)
    assert (world.status["state"], "startTime" in world.status) == ("Suspended", False)
    assert world.condition("Suspended") | {"lastTransitionTime": ""} == {
        "type": "Suspended",
        "status": "True",
        "observedGeneration": 1,
        "lastTransitionTime": "",
        "reason": "AwaitingReview",
        "message": "Phase second waits for a review in spec.reviews, until 2026-03-08T12:00:00Z.",
    }
    assert world.condition("Admitted")["status"] == "False"
    assert world.decide().empty, "waiting for people writes nothing"


def test_an_approval_lets_the_job_go_on() -> None:
    world = reviewed_world()
    at_the_gate(world)
    world.edit(reviews=[{"phase": "second", "approved": True}])
    world.turn()
    world.finish()
    assert world.status["state"] == "Succeeded"


def test_an_approval_given_beforehand_needs_no_stop() -> None:
    world = reviewed_world()
    world.edit(reviews=[{"phase": "second", "approved": True}])
    world.finish()
    assert world.status["state"] == "Succeeded"
    assert "AwaitingReview" not in {event.reason for event in world.events.values()}


def test_an_approved_job_waits_for_a_slot_as_any_other() -> None:
    world = reviewed_world()
    at_the_gate(world)
    world.admission = Admission(False, Reason.QUEUE_FULL, "1 of 1 jobs are running.")
    world.edit(reviews=[{"phase": "second", "approved": True}])
    world.turn()
    assert (world.status["state"], world.condition("Admitted")["reason"]) == ("Queued", "QueueFull")


def test_a_rejection_ends_the_job_at_once_even_while_the_queue_is_full() -> None:
    world = reviewed_world()
    at_the_gate(world)
    world.admission = Admission(False, Reason.QUEUE_FULL, "1 of 1 jobs are running.")
    world.edit(reviews=[{"phase": "second", "approved": False, "message": "The vocals bleed"}])
    world.turn()
    error = world.status["error"]
    assert (world.status["state"], error["reason"], error["phase"]) == ("Failed", "ReviewRejected", "second")
    assert error["message"] == "The review did not approve the phase: The vocals bleed"


def test_nobody_reviews_in_time() -> None:
    world = reviewed_world(reviewTimeoutSeconds=60)
    at_the_gate(world)
    plan = world.decide()
    assert plan.requeue_after == 60
    world.pass_time(60)
    world.turn()
    assert (world.status["state"], world.status["error"]["reason"]) == ("Failed", "ReviewTimeout")


def test_what_was_said_first_holds() -> None:
    world = reviewed_world()
    at_the_gate(world)
    world.edit(reviews=[{"phase": "second", "approved": True}, {"phase": "second", "approved": False}])
    world.turn()
    assert world.status["state"] == "Running"


def test_a_review_of_a_phase_without_a_gate_is_told_and_changes_nothing() -> None:
    world = reviewed_world()
    world.edit(reviews=[{"phase": "first", "approved": False}])
    at_the_gate(world)
    assert world.status["state"] == "Suspended"
    told = [event.message for event in world.events.values() if event.reason == "ReviewIgnored"]
    assert told == ["The pipeline does not stop before first; phases with a gate: second."]


def test_a_gate_before_the_first_phase() -> None:
    world = World(pipeline=pipeline(phase("only", gate="Review")))
    world.turn()
    assert (world.status["state"], world.jobs) == ("Suspended", {})
    world.edit(reviews=[{"phase": "only", "approved": True}])
    world.finish()
    assert world.status["state"] == "Succeeded"


def test_other_branches_go_on_while_one_waits_for_a_review() -> None:
    world = World(pipeline=pipeline(phase("one"), phase("two", after=["one"], gate="Review"), phase("three", after=[])))
    world.turn()
    world.succeed("one")
    world.turn()
    assert (world.status["state"], world.phase("three").state) == ("Running", "Running")
    world.succeed("three")
    world.turn()
    assert world.status["state"] == "Suspended"


def test_a_rejection_starts_nothing_beside_it() -> None:
    world = World(
        pipeline=pipeline(phase("one"), phase("two", after=["one"]), phase("three", after=["one"], gate="Review"))
    )
    world.turn()
    world.succeed("one")
    world.edit(reviews=[{"phase": "three", "approved": False}])
    plan = world.turn()
    assert (world.status["state"], plan.create_jobs) == ("Failed", ())
    assert world.phase("two").attempt == 0


@pytest.mark.parametrize("how", ["cancel", "suspend"])
def test_a_job_at_a_gate_can_be_cancelled_and_suspended(how: str) -> None:
    world = reviewed_world()
    at_the_gate(world)
    world.edit(**{how: True})
    world.turn()
    assert world.status["state"] == {"cancel": "Cancelled", "suspend": "Suspended"}[how]
    assert world.condition("Suspended")["reason"] in ("Cancelled", "Suspended")


# ---------------------------------------------------------------- drained queues


def test_a_drained_queue_takes_running_attempts_back_and_the_job_goes_on_later() -> None:
    world = World()
    world.turn()
    world.run("first")
    world.admission = Admission(False, Reason.HELD, "Queue default is stopped.", drained=True)
    world.turn()
    assert (world.status["state"], world.jobs, "startTime" in world.status) == ("Queued", {}, False)
    assert {kind: world.condition(kind)["status"] for kind in ("Admitted", "Suspended", "Progressing")} == {
        "Admitted": "False",
        "Suspended": "False",
        "Progressing": "False",
    }
    assert world.decide().empty
    world.admission = Admission(True)
    world.turn()
    record = world.phase("first")
    assert (record.attempt, record.failures, record.disruptions) == (2, 0, 0)
    world.finish()
    assert world.status["state"] == "Succeeded"


def test_a_result_that_came_before_the_drain_is_kept() -> None:
    world = World()
    world.turn()
    world.succeed("first")
    world.admission = Admission(False, Reason.HELD, "Queue default is stopped.", drained=True)
    world.turn()
    assert (world.phase("first").state, world.phase("second").attempt) == ("Succeeded", 0)


# ---------------------------------------------------------------- spec.source.jobRef


def sourced(output: str | None = None) -> World:
    reference = {"name": "maker"} | ({"output": output} if output else {})
    line = pipeline(phase("use", inputs=[{"name": "source", "from": "Job"}]))
    return World(audiojob=audio_job(source={"jobRef": reference}), pipeline=line)


def maker(*outputs: str) -> Object:
    """An AudioJob that has succeeded."""
    world = World(audiojob=audio_job("maker", uid="maker-uid"))
    world.finish({"second": outputs})
    return world.audiojob


def test_a_job_waits_for_the_job_that_makes_its_source_and_then_reads_its_output() -> None:
    world = sourced()
    world.turn()
    assert (world.status["state"], world.condition("Admitted")["reason"]) == ("Queued", "WaitingForJob")
    assert "There is no AudioJob maker" in world.status["message"]
    assert world.status["waitingFor"] == "maker"
    running = World(audiojob=audio_job("maker", uid="maker-uid"))
    running.turn()
    world.source_job = running.audiojob
    world.turn()
    assert world.status["message"] == "Waiting for AudioJob maker to finish."
    world.source_job = maker("audio")
    world.turn()
    given = phase_input_of(world.newest("use")).inputs[0]
    assert given.manifest is not None
    assert (given.output, given.manifest.key.split("/")[:3]) == ("audio", ["music", "maker-uid", "second"])
    mounts = world.newest("use")["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    assert {"name": "store", "mountPath": "/store/music/maker-uid/second", "subPath": "music/maker-uid/second",
            "readOnly": True} in mounts  # fmt: skip


def test_a_source_is_kept_when_the_job_that_made_it_is_deleted() -> None:
    world = sourced()
    world.source_job = maker("audio")
    world.turn()
    world.source_job = None
    world.fail("use", 75)
    world.turn()
    world.pass_time(30)
    world.turn()
    assert world.phase("use").attempt == 2


@pytest.mark.parametrize(
    ("state", "outputs", "wanted", "message"),
    [
        pytest.param("Failed", ("audio",), None, "AudioJob maker, whose output is the source, ended as Failed.",
                     id="it failed"),
        pytest.param("Cancelled", ("audio",), None, "AudioJob maker, whose output is the source, ended as Cancelled.",
                     id="it was cancelled"),
        pytest.param("Succeeded", ("audio",), "video", "AudioJob maker has no output video; it has audio, audio.",
                     id="it has no such output"),
        pytest.param("Succeeded", ("a", "b"), None,
                     "AudioJob maker has several outputs (audio, a, b); name one in source.jobRef.output.",
                     id="it has several"),
    ],
)  # fmt: skip
def test_a_source_that_will_never_come_ends_the_job(
    state: str, outputs: tuple[str, ...], wanted: str | None, message: str
) -> None:
    world = sourced(wanted)
    made = maker(*outputs)
    made["status"]["state"] = state
    world.source_job = made
    world.turn()
    error = world.status["error"]
    assert (world.status["state"], error["reason"], error["message"]) == ("Failed", "SourceJobFailed", message)


# ---------------------------------------------------------------- spec.retryOf


def failed_world(**spec: Any) -> World:
    """A job whose first phase succeeded and whose second one failed for good."""
    world = World(audiojob=audio_job("before", uid="before-uid", **spec))
    world.turn()
    world.succeed("first")
    world.turn()
    world.fail("second", 66, "SourceUnavailable")
    world.turn()
    assert world.status["state"] == "Failed"
    return world


def retried(before: World) -> Retried:
    return Retried(before.job, AudioPipeline.model_validate(before.pipeline).spec)


def test_a_retry_does_not_do_again_what_was_done() -> None:
    before = failed_world()
    world = World(audiojob=audio_job(retryOf="before"), retried=retried(before))
    world.turn()
    first = world.phase("first")
    assert (first.state, first.attempt, first.manifest) == ("Succeeded", 0, before.phase("first").manifest)
    assert first.message == "Taken over from AudioJob before."
    assert world.phase("second").attempt == 1
    assert phase_input_of(world.newest("second")).progress.done == ("first",)
    world.finish()
    assert world.status["state"] == "Succeeded"
    assert [output["phase"] for output in world.status["outputs"]] == ["first", "second"]


@pytest.mark.parametrize(
    ("old", "new", "again"),
    [
        pytest.param(None, None, False, id="both kept for ever"),
        pytest.param(None, 86_400, False, id="kept for ever where a day is wanted"),
        pytest.param(86_400, 86_400, False, id="as long as wanted"),
        pytest.param(86_400, None, True, id="for a day where for ever is wanted"),
        pytest.param(3_600, 86_400, True, id="for an hour where a day is wanted"),
    ],
)
def test_a_retry_does_again_what_would_be_swept_too_soon(old: int | None, new: int | None, again: bool) -> None:
    def line(kept: int | None) -> Object:
        made = pipeline()
        made["spec"] |= {"retentionSeconds": kept} if kept is not None else {}
        return made

    before = World(audiojob=audio_job("before", uid="before-uid"), pipeline=line(old))
    before.turn()
    before.succeed("first")
    before.turn()
    before.fail("second", 66, "SourceUnavailable")
    before.turn()
    world = World(audiojob=audio_job(retryOf="before"), pipeline=line(new), retried=retried(before))
    world.turn()
    assert world.phase("first").attempt == (1 if again else 0)


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"parameters": {"simulate": {"durationMilliseconds": 5}}}, id="other parameters"),
        pytest.param({"pipeline": "other"}, id="another task"),
    ],
)
def test_a_retry_does_again_what_would_be_different_now(spec: Object) -> None:
    before = failed_world()
    line = pipeline(phase("first", "Normalize"), phase("second")) if "pipeline" in spec else pipeline()
    world = World(audiojob=audio_job(**{"retryOf": "before", **spec}), pipeline=line, retried=retried(before))
    world.turn()
    assert world.phase("first").attempt == 1


@pytest.mark.parametrize(
    ("state", "message"),
    [
        pytest.param(None, "there is no AudioJob before; leave retryOf out to do all of the work", id="missing"),
        pytest.param(
            "Running", "AudioJob before has not finished (Running); cancel it first, or leave retryOf out", id="running"
        ),
        pytest.param("Succeeded", "AudioJob before has succeeded; there is nothing to try again", id="succeeded"),
    ],
)
def test_what_cannot_be_retried_is_refused_naming_the_field(state: str | None, message: str) -> None:
    before = failed_world()
    found = retried(before)
    if state is not None:
        raw = before.audiojob
        raw["status"]["state"] = state
        found = replace(found, job=AudioJob.model_validate(raw))
    world = World(audiojob=audio_job(retryOf="before"), retried=found if state else None)
    world.turn()
    error = world.status["error"]
    assert (error["reason"], error["message"]) == ("InvalidSpec", f"spec.retryOf: {message}")


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(pipeline(), id="for a slot"),
        pytest.param(None, id="for its pipeline"),
    ],
)
def test_a_retry_whose_predecessor_is_removed_while_it_waits_does_all_of_the_work(line: Object | None) -> None:
    world = World(audiojob=audio_job(retryOf="before"), retried=retried(failed_world()), pipeline=line)
    world.admission = Admission(False, Reason.QUEUE_FULL, "1 of 1 jobs are running.")
    world.turn()
    assert world.status["state"] == "Queued"
    world.retried, world.admission, world.pipeline = None, Admission(True), pipeline()
    world.turn()
    assert world.phase("first").attempt == 1
    world.finish()
    assert world.status["state"] == "Succeeded"


def test_a_retry_that_names_nobody_is_refused_though_its_pipeline_is_yet_to_come() -> None:
    world = World(audiojob=audio_job(retryOf="before"), pipeline=None)
    world.turn()
    assert (world.status["state"], world.status["error"]["reason"]) == ("Failed", "InvalidSpec")


def test_a_retry_whose_deleted_model_is_not_needed_any_more_goes_on() -> None:
    before = failed_world()
    world = World(audiojob=audio_job(retryOf="before"), retried=retried(before))
    world.turn()
    world.retried = None
    world.finish()
    assert world.status["state"] == "Succeeded"


def test_the_clock_of_a_retry_starts_anew() -> None:
    before = failed_world()
    world = World(audiojob=audio_job(retryOf="before"), retried=retried(before), now=NOW.replace(hour=20))
    world.turn()
    assert world.job.status.start_time == NOW.replace(hour=20)
