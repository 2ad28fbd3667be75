"""Stories of jobs whose work another job has done, or is at."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.operator.builders import (
    NAMESPACE,
    URL,
    World,
    audio_job,
    phase,
    pipeline,
    result_message,
    separate_pipeline,
)
from tests.unit.operator.town import OUTPUTS, STEPS, Town, donors

from audiojob_operator.deciding.decide import decide
from audiojob_operator.deciding.revisions import parse_revision
from audiojob_operator.records.admission import Admission
from audiojob_operator.records.observed import Retried
from audiojob_types import constants as c
from audiojob_types.reasons import Reason

FULL = Admission(False, Reason.QUEUE_FULL, "2 of 2 jobs are running.")


def condition(world: World) -> str:
    reason: str = world.condition(c.CONDITION_PROGRESSING)["reason"]
    return reason


def test_a_whole_job_that_was_done_before_needs_one_round_and_no_job(town: Town) -> None:
    first = town.add("first")
    first.finish(OUTPUTS)
    second = town.add("second")
    second.admission = FULL
    second.turn()
    assert (second.state(), donors(second), second.created_jobs) == ("Succeeded", ["first"] * 3, [])
    assert second.writes.count("status") == 1
    assert second.status["percent"] == 100
    assert second.status["outputs"] == first.status["outputs"]
    assert second.status["pipelineRevision"] == first.status["pipelineRevision"]
    assert {event.reason for event in second.events.values()} == {"PhaseReused", "Completed"}


def test_the_phases_that_were_done_are_taken_once_the_job_is_let_in(town: Town) -> None:
    town.add("first").finish(OUTPUTS)
    second = town.add("second", parameters={"separate": {"model": "mdx"}})
    second.admission = FULL
    second.turn()
    assert (second.state(), second.job.status.phases, second.job.status.outputs) == ("Queued", (), ())
    second.admission = Admission(True)
    second.turn()
    assert donors(second) == ["first", "first", None]
    assert second.phase("separate").state == "Running"
    given = second.newest("separate")["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    mine = [mount for mount in given if mount["mountPath"] == "/store/music/uid-first/normalize"]
    assert [mount["readOnly"] for mount in mine] == [True]


def test_the_key_is_recorded_with_the_start(town: Town) -> None:
    first = town.add("first")
    first.turn()
    record = first.phase("download")
    assert record.reuse_key is not None
    annotations = first.newest("download")["metadata"]["annotations"]
    assert annotations[c.ANNOTATION_REUSE_KEY] == record.reuse_key
    assert annotations[c.ANNOTATION_HOST] == "media.example.org"


def test_the_key_of_a_start_whose_status_write_was_lost_comes_from_its_job(town: Town) -> None:
    first = town.add("first", line=separate_pipeline(retentionSeconds=3600))
    plan = first.decide()
    for kind, what in first.steps(plan):
        if kind != "status":
            first.write(kind, what)
    first.turn()
    record = first.phase("download")
    assert record.reuse_key == first.newest("download")["metadata"]["annotations"][c.ANNOTATION_REUSE_KEY]
    assert record.expires_time is not None


def test_a_job_waits_for_one_that_does_the_same_and_holds_no_slot(town: Town) -> None:
    first, second = town.add("first"), town.add("second")
    first.turn()
    second.turn()
    assert (second.state(), condition(second), second.created_jobs) == ("Queued", "WaitingForSameWork", [])
    assert second.condition(c.CONDITION_ADMITTED)["status"] == "False"
    assert second.status["waitingFor"] == "first"
    assert "AudioJob first" in second.status["message"]
    assert second.turn().status is None, "a job that waits is not written again"
    for name in STEPS:
        first.succeed(name, *OUTPUTS[name])
        first.turn()
    second.turn()
    assert (second.state(), donors(second)) == ("Succeeded", ["first"] * 3)
    assert "waitingFor" not in second.status


def test_a_phase_in_the_middle_waits_too_and_its_clock_stands_still(town: Town) -> None:
    first = town.add("first", activeDeadlineSeconds=100)
    second = town.add("second", reuse="Allowed", parameters={"download": {"maxBytes": 7}}, activeDeadlineSeconds=100)
    for world in (first, second):
        world.turn()
        world.succeed("download", "source")
    first.turn()
    second.turn()
    assert [record.state for record in second.job.status.phases] == ["Succeeded", "Waiting", "Waiting"]
    assert condition(second) == "WaitingForSameWork"
    second.pass_time(1_000)
    second.turn()
    assert second.state() == "Queued"
    assert second.job.status.start_time is None
    first.edit(cancel=True)
    first.turn()
    second.turn()
    assert second.phase("normalize").state == "Running"


@pytest.mark.parametrize(
    "what",
    [
        pytest.param({"cancel": True}, id="it is cancelled"),
        pytest.param({"suspend": True}, id="it is suspended"),
    ],
)
def test_nobody_waits_for_a_job_once(town: Town, what: dict[str, bool]) -> None:
    first, second = town.add("first"), town.add("second")
    first.turn()
    second.turn()
    first.edit(**what)
    first.turn()
    second.turn()
    assert second.phase("download").state == "Running"


def test_a_retry_of_who_failed_waits_for_who_went_ahead(town: Town) -> None:
    first, second = town.add("first"), town.add("second")
    first.turn()
    second.turn()
    first.fail("download")
    first.turn()
    second.turn()
    assert second.phase("download").state == "Running"
    first.pass_time(60)
    first.turn()
    assert (condition(first), len(first.created_jobs)) == ("WaitingForSameWork", 1)
    second.finish(OUTPUTS)
    first.turn()
    assert (first.state(), donors(first)) == ("Succeeded", ["second"] * 3)


@pytest.mark.parametrize("priority", [9, 5, 1])
def test_nobody_waits_for_a_job_that_gets_nowhere_however_urgent(town: Town, priority: int) -> None:
    first, second = town.add("first"), town.add("second", priority=priority)
    first.turn()
    second.turn()
    assert condition(second) == "WaitingForSameWork"
    first.pod("download", phase="Pending", conditions=[
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available"}
    ])  # fmt: skip
    first.turn()
    assert first.phase("download").reason == "Unschedulable"
    second.turn()
    assert second.phase("download").state == "Running"


def test_a_job_that_waits_for_another_and_for_a_review_says_the_same_at_each_look(town: Town) -> None:
    given = [{"name": "source", "from": "Job"}]
    line = pipeline(
        phase("download", "Download", inputs=given),
        phase("check", after=[], gate="Review"),
        name="separate",
    )
    first, second = town.add("first"), town.add("second", line=line)
    first.turn()
    for admission in (FULL, Admission(True), FULL, Admission(True)):
        second.admission = admission
        second.turn()
    assert (second.state(), condition(second), second.created_jobs) == ("Queued", "WaitingForSameWork", [])
    for second.admission in (FULL, Admission(True)):
        assert second.decide().empty
    assert second.phase("check").review_start_time is not None, "the time for the review runs"
    second.admission = FULL
    first.edit(cancel=True)
    first.turn()
    second.turn()
    assert condition(second) == "QueueFull"
    second.admission = Admission(True)
    second.turn()
    assert second.phase("download").state == "Running"


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        pytest.param({"reuse": "Never"}, None, id="the job wants its own"),
        pytest.param(
            {},
            pipeline(phase("download", "Download", inputs=[{"name": "source", "from": "Job"}], reuse="Never"),
                     name="separate"),
            id="the pipeline forbids it",
        ),
    ],
)  # fmt: skip
def test_all_of_the_work_is_done_where(town: Town, spec: dict[str, Any], line: Any) -> None:
    first = town.add("first", line=line)
    first.finish(OUTPUTS)
    second = town.add("second", line=line, **spec)
    second.finish(OUTPUTS)
    assert set(donors(second)) == {None}
    assert len(second.created_jobs) == len(first.created_jobs)


def test_nothing_is_taken_where_the_administrator_has_switched_it_off(town: Town) -> None:
    town.add("first").finish(OUTPUTS)
    second = town.add("second")
    second.ask = None
    second.turn()
    assert second.phase("download").state == "Running"


def test_an_old_download_is_fetched_again_and_what_it_proves_equal_is_taken(town: Town) -> None:
    town.add("first").finish(OUTPUTS)
    second = town.add("second")
    second.pass_time(86_401)
    second.turn()
    assert second.phase("download").state == "Running"
    second.succeed("download", "source")
    second.turn()
    second.succeed("normalize")
    second.turn()
    assert (second.state(), donors(second)) == ("Succeeded", [None, "first", "first"])
    assert [second.phase(name).attempt for name in STEPS] == [1, 1, 0], "one pod compared, which does for the rest"
    assert second.phase("separate").manifest == town.worlds[0].phase("separate").manifest


def test_a_result_that_was_taken_over_is_as_old_as_the_work(town: Town) -> None:
    town.add("first").finish(OUTPUTS)
    second = town.add("second")
    second.pass_time(80_000)
    second.turn()
    third = town.add("third")
    town.worlds.pop(0)
    third.pass_time(90_000)
    third.turn()
    assert third.phase("download").state == "Running", "a day after the download, and not after it was taken over"


def test_a_start_time_ahead_is_waited_for(town: Town) -> None:
    town.add("first").finish(OUTPUTS)
    second = town.add("second", startTime="2026-03-01T13:00:00Z")
    second.turn()
    assert (second.state(), condition(second)) == ("Queued", "StartTimeAhead")


def test_a_phase_with_a_gate_is_reviewed_before_its_result_is_taken(town: Town) -> None:
    line = separate_pipeline()
    line["spec"]["phases"][2]["gate"] = "Review"
    town.add("first").finish(OUTPUTS)
    second = town.add("second", line=line)
    second.turn()
    assert (second.state(), condition(second)) == ("Suspended", "AwaitingReview")
    assert donors(second) == ["first", "first", None]
    second.edit(reviews=[{"phase": "separate", "approved": True}])
    second.turn()
    assert (second.state(), donors(second)) == ("Succeeded", ["first"] * 3)


@pytest.mark.parametrize("admission", [FULL, Admission(True)])
def test_a_phase_whose_review_rejects_it_is_never_taken_over(town: Town, admission: Admission) -> None:
    line = separate_pipeline()
    line["spec"]["phases"][2]["gate"] = "Review"
    town.add("first").finish(OUTPUTS)
    second = town.add("second", line=line)
    second.turn()
    assert (second.state(), condition(second)) == ("Suspended", "AwaitingReview")
    second.admission = admission
    second.edit(reviews=[{"phase": "separate", "approved": False}])
    second.turn()
    assert (second.state(), second.status["error"]["reason"]) == ("Failed", "ReviewRejected")
    assert donors(second) == ["first", "first", None]


def test_a_review_that_rejects_beforehand_is_not_overruled_by_what_others_have_done(town: Town) -> None:
    line = separate_pipeline()
    line["spec"]["phases"][2]["gate"] = "Review"
    town.add("first").finish(OUTPUTS)
    second = town.add("second", line=line, reviews=[{"phase": "separate", "approved": False}])
    second.turn()
    assert (second.state(), second.status["error"]["reason"]) == ("Failed", "ReviewRejected")


@pytest.mark.parametrize("later", [{}, {"retryOf": "first", "reuse": "Never"}], ids=["reuse", "a retry"])
def test_a_result_that_was_taken_over_asks_again(town: Town, later: dict[str, Any]) -> None:
    line = separate_pipeline()
    line["spec"]["phases"][2]["gate"] = "ReviewIfAsked"
    first = town.add("first", line=line)
    first.turn()
    first.succeed("download", "source")
    first.turn()
    asked = result_message(first.newest("normalize"), outputs=("audio",), review_asked="Line 3 may be wrong.")
    first.end("normalize", 0, asked)
    first.turn()
    assert condition(first) == "AwaitingReview"
    first.edit(reviews=[{"phase": "separate", "approved": False}])
    first.turn()
    second = town.add("second", line=line, **later)
    second.retried = Retried(first.job, parse_revision(next(iter(first.revisions.values()))).spec) if later else None
    second.turn()
    assert (second.state(), condition(second), donors(second)) == (
        "Suspended",
        "AwaitingReview",
        ["first", "first", None],
    )
    assert second.status["message"].endswith("normalize asks: Line 3 may be wrong.")


def test_a_retry_names_whose_work_it_keeps() -> None:
    first = World(audiojob=audio_job("first", uid="uid-first", pipeline="separate", source={"url": URL}),
                  pipeline=separate_pipeline())  # fmt: skip
    first.turn()
    first.succeed("download", "source")
    first.turn()
    first.fail("normalize", 65, "NotMedia")
    first.turn()
    revision = parse_revision(next(iter(first.revisions.values())))
    again = World(audiojob=audio_job("again", uid="uid-again", pipeline="separate", source={"url": URL},
                                     retryOf="first", reuse="Never"),
                  pipeline=separate_pipeline(), retried=Retried(first.job, revision.spec))  # fmt: skip
    again.turn()
    assert (again.phase("download").reused_from, again.phase("download").reuse_key) == (
        "first",
        first.phase("download").reuse_key,
    )


def test_a_question_stands_alone(town: Town) -> None:
    second = town.add("second")
    plan = decide(replace(second.observed(), reuse={}), second.now)
    assert len(plan.asks) == 1
    assert plan.empty


def test_a_phase_costs_as_many_writes_as_without_reuse(town: Town) -> None:
    with_it, without = town.add("first"), town.add("other")
    without.ask = None
    for world in (with_it, without):
        world.finish(OUTPUTS)
    assert with_it.writes == without.writes


def test_a_reused_job_names_the_folders_logs_and_warnings_of_the_job_that_did_the_work(town: Town) -> None:
    first = town.add("first")
    first.finish(OUTPUTS, warnings=("No cover.",), log_key="log/0000")
    second = town.add("second")
    second.finish(OUTPUTS)
    assert set(donors(second)) == {"first"}
    assert second.job.status.output_prefix == first.job.status.output_prefix
    for mine, theirs in zip(second.job.status.phases, first.job.status.phases, strict=True):
        assert mine.manifest is not None
        assert f"{mine.output_prefix}/manifest.json" == mine.manifest.key
        assert (mine.output_prefix, mine.log_key) == (theirs.output_prefix, "log/0000")
    assert second.job.status.warnings == first.job.status.warnings != ()


def test_a_job_of_which_only_a_part_was_reused_has_a_folder_of_its_own(town: Town) -> None:
    first = town.add("first")
    first.finish(OUTPUTS)
    second = town.add("second", parameters={"separate": {"stems": "TwoStems"}})
    second.finish(OUTPUTS)
    assert donors(second) == ["first", "first", None]
    assert second.job.status.output_prefix == f"{NAMESPACE}/uid-second"
    assert second.phase("download").output_prefix == first.phase("download").output_prefix


def test_a_retry_keeps_the_warnings_of_the_phases_that_it_takes_over(town: Town) -> None:
    first = town.add("first")
    first.turn()
    first.end("download", 0, result_message(first.newest("download"), outputs=("source",), warnings=("No cover.",)))
    first.turn()
    first.fail("normalize", code=65, reason="NotMedia")
    first.turn()
    assert first.state() == "Failed"
    second = town.add("second", retryOf="first", reuse="Never")
    second.retried = Retried(first.job, parse_revision(next(iter(first.revisions.values()))).spec)
    second.turn()
    assert second.phase("download").reused_from == "first"
    assert second.phase("download").output_prefix == first.phase("download").output_prefix
    assert [each.message for each in second.job.status.warnings] == ["No cover."]
