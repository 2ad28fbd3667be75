"""Jobs of a queue that Kueue manages: it says when an attempt starts, and takes it back."""

from __future__ import annotations

from tests.unit.operator.builders import World

from audiojob_types import constants as c


def kueue_world() -> World:
    return World(kueue="team")


def test_a_job_of_a_kueue_queue_starts_suspended_and_says_what_it_waits_for() -> None:
    world = kueue_world()
    world.turn()
    job = world.newest("first")
    assert (job["spec"]["suspend"], job["metadata"]["labels"][c.KUEUE_QUEUE_LABEL]) == (True, "team")
    assert c.KUEUE_QUEUE_LABEL not in job["spec"]["template"]["metadata"]["labels"]
    assert (world.status["state"], world.condition("Progressing")["reason"]) == ("Queued", "WaitingForKueue")
    assert world.decide().empty


def test_kueue_lets_the_job_go_takes_it_back_and_lets_it_go_again() -> None:
    world = kueue_world()
    world.turn()
    job = world.newest("first")
    job["spec"]["suspend"] = False
    world.run("first")
    world.turn()
    assert world.status["state"] == "Running"
    # Eviction: the Job is suspended, its pod told to stop; it ends with 143 and goes.
    job["spec"]["suspend"] = True
    world.end("first", 143)
    world.turn()
    assert (world.status["state"], world.condition("Progressing")["reason"]) == ("Queued", "EvictedByKueue")
    assert world.decide().empty
    job["spec"]["suspend"] = False
    world.turn()
    assert world.phase("first").attempt == 1, "the old pod's end is no failure of the attempt"
    world.pods.clear()
    world.succeed("first")
    world.turn()
    record = world.phase("first")
    assert (record.state, record.attempt, record.failures) == ("Succeeded", 1, 0)


def test_what_kept_a_started_attempt_of_kueue_from_working_does_not_hide_that_it_is_taken_back() -> None:
    world = kueue_world()
    world.turn()
    job = world.newest("first")
    job["spec"]["suspend"] = False
    reason = {"reason": "Unschedulable", "message": "0/1 nodes are available"}
    world.pod("first", conditions=[{"type": "PodScheduled", "status": "False", **reason}])
    world.turn()
    assert world.phase("first").reason == "Unschedulable"
    job["spec"]["suspend"] = True
    world.turn()
    assert world.condition("Progressing")["reason"] == "EvictedByKueue"


def test_a_new_attempt_has_not_been_started_by_kueue() -> None:
    world = kueue_world()
    world.turn()
    world.newest("first")["spec"]["suspend"] = False
    world.fail("first", 75)
    world.newest("first")["status"] = {"conditions": [{"type": "Failed", "status": "True"}]}
    world.turn()
    world.pass_time(600)
    world.turn()
    assert (world.phase("first").attempt, world.phase("first").kueue_start_time) == (2, None)
    assert world.condition("Progressing")["reason"] == "WaitingForKueue"


def test_a_failure_of_a_kueue_job_counts_once_the_job_says_so() -> None:
    world = kueue_world()
    world.turn()
    job = world.newest("first")
    job["spec"]["suspend"] = False
    world.fail("first", 75)
    world.turn()
    assert world.phase("first").failures == 0
    job["status"] = {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}
    world.turn()
    assert world.phase("first").failures == 1
