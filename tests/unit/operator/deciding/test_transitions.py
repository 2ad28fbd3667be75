"""What a status write means for the statistics."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from tests.unit.operator.builders import NOW, World, audio_job, pipeline
from tests.unit.operator.builders import phase as phase_of

from audiojob_operator.deciding.transitions import (
    AttemptClass,
    AttemptEnded,
    FellBack,
    JobEnded,
    PhaseEnded,
    PhaseReused,
    PhaseStarted,
    Transition,
    bounded_reason,
    depth,
    phase_transitions,
    status_after,
    waiting_reason,
)
from audiojob_types.base import format_time
from audiojob_types.reasons import Reason

Object = dict[str, Any]

CREATED = datetime(2026, 1, 1, 12, tzinfo=UTC)


def at(seconds: float) -> str:
    return format_time(CREATED + timedelta(seconds=seconds))


def phase(state: str = "Waiting", **more: Any) -> Object:
    return {"name": "one", "state": state, "attempt": 0, "failures": 0, "disruptions": 0} | more


def running(**more: Any) -> Object:
    return {**phase("Running", attempt=1, device="CPU", startTime=at(5)), **more}


def status(*phases: Object, state: str = "Running", reason: str = "Running", **more: Any) -> Object:
    condition = {"type": "Progressing", "status": "True", "reason": reason}
    return {"state": state, "phases": list(phases), "conditions": [condition], **more}


def attempts(before: Object, after: Object, **more: Any) -> list[tuple[str, str]]:
    """Class and reason of what ended between two records of the phase."""
    found = phase_transitions(status(before), status(after, **more), CREATED)
    return [(str(each.attempt_class), each.reason) for each in found if isinstance(each, AttemptEnded)]


def test_the_first_attempt_of_the_first_phase_has_waited_since_the_job_could_start() -> None:
    found = phase_transitions({}, status(running(device="GPU")), CREATED)
    assert found == (PhaseStarted("one", "GPU", 5.0),)


def test_a_later_phase_has_waited_since_the_one_before_ended() -> None:
    done = {**phase("Succeeded", attempt=1, startTime=at(5), completionTime=at(60)), "name": "zero"}
    found = phase_transitions(status(done, phase()), status(done, running(startTime=at(63))), CREATED)
    assert found == (PhaseStarted("one", "CPU", 3.0),)


def test_a_clock_that_went_back_makes_no_negative_time() -> None:
    found = phase_transitions({}, status(running(startTime=at(-5))), CREATED)
    assert found == (PhaseStarted("one", "CPU", 0.0),)


def test_a_success_ends_the_attempt_and_the_phase() -> None:
    done = running(state="Succeeded", completionTime=at(25))
    found = phase_transitions(status(running()), status(done), CREATED)
    assert set(found) == {AttemptEnded("one", AttemptClass.SUCCEEDED, "", 1), PhaseEnded("one", "CPU", 20.0)}


def test_a_phase_that_began_and_ended_between_two_writes_is_all_there() -> None:
    done = running(state="Succeeded", completionTime=at(25))
    kinds = [type(each) for each in phase_transitions({}, status(done), CREATED)]
    assert sorted(kind.__name__ for kind in kinds) == ["AttemptEnded", "PhaseEnded", "PhaseStarted"]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(running(), running(), [], id="an attempt that runs on has not ended"),
        pytest.param(
            running(),
            running(state="Waiting", failures=1, reason="NoResult"),
            [("Retry", "NoResult")],
            id="a counted failure is tried again",
        ),
        pytest.param(
            running(),
            running(attempt=2, failures=1),
            [("Retry", "Other")],
            id="one whose successor came in the same write has lost its reason",
        ),
        pytest.param(
            running(),
            running(attempt=2, disruptions=1),
            [("Disrupted", "Disrupted")],
            id="a disruption is repeated at once",
        ),
        pytest.param(
            running(device="GPU"),
            running(state="Waiting", device="CPU", reason="GpuOutOfMemory"),
            [("Device", "GpuOutOfMemory")],
            id="a failed GPU moves the phase to the CPU",
        ),
        pytest.param(
            running(memoryRequestBytes=100),
            running(state="Waiting", memoryRequestBytes=200, reason="OutOfMemory"),
            [("Memory", "OutOfMemory")],
            id="too little memory becomes more",
        ),
        pytest.param(
            running(),
            running(state="Waiting", disruptions=1, reason="RateLimited"),
            [("CoolDown", "RateLimited")],
            id="a site that wants to be left alone is no disruption",
        ),
        pytest.param(
            running(),
            running(state="Waiting", reason="Suspended"),
            [("Stopped", "Suspended")],
            id="suspending takes the attempt back",
        ),
        pytest.param(
            running(), running(state="Cancelled", reason="Cancelled"), [("Stopped", "Cancelled")], id="cancelling stops"
        ),
        pytest.param(
            running(failures=2),
            running(state="Failed", failures=3, reason="DiskFull", completionTime=at(9)),
            [("Exhausted", "DiskFull")],
            id="the last of the tries that were allowed",
        ),
        pytest.param(
            running(state="Waiting", failures=1, reason="NoResult"),
            running(attempt=2, failures=1),
            [],
            id="the next attempt begins and none ends",
        ),
        pytest.param(
            running(state="Waiting", failures=1, reason="NoResult"),
            running(state="Cancelled", failures=1, reason="Cancelled"),
            [],
            id="between two attempts there is none to stop",
        ),
        pytest.param(
            running(),
            running(state="Waiting", failures=1, reason="MadeUpByARunner"),
            [("Retry", "Other")],
            id="a word that is none of ours is no label",
        ),
    ],
)
def test_how_an_attempt_ended(before: Object, after: Object, expected: list[tuple[str, str]]) -> None:
    assert attempts(before, after) == expected


def test_a_phase_that_failed_the_job_for_good_was_permanent() -> None:
    failed = running(state="Failed", reason="NotMedia", completionTime=at(9))
    assert attempts(running(), failed, error={"phase": "one", "reason": "NotMedia"}) == [("Permanent", "NotMedia")]


def test_a_phase_that_was_ended_by_the_jobs_deadline_was_stopped() -> None:
    failed = running(state="Failed", reason="DeadlineExceeded", completionTime=at(9))
    assert attempts(running(), failed, error={"reason": "DeadlineExceeded"}) == [("Stopped", "DeadlineExceeded")]


def test_a_fallback_is_counted_once_however_often_the_phase_is_tried_on_the_cpu() -> None:
    waits = running(state="Waiting", device="CPU", deviceReason="GpuFailedBefore", reason="GpuError")
    first = running(attempt=2, deviceReason="GpuFailedBefore")
    history = [running(device="GPU", deviceReason="GpuOffered"), waits, first]
    history += [{**first, "state": "Waiting", "failures": 1}, {**first, "attempt": 3, "failures": 1}]
    fallbacks = [
        each
        for before, after in pairwise(history)
        for each in phase_transitions(status(before), status(after), CREATED)
        if isinstance(each, FellBack)
    ]
    assert fallbacks == [FellBack("one", "GpuFailedBefore")]


def test_a_phase_that_found_no_gpu_at_all_fell_back_too() -> None:
    found = phase_transitions({}, status(running(deviceReason="NoGpuOffered")), CREATED)
    assert FellBack("one", "NoGpuOffered") in found


def test_who_asked_for_the_cpu_did_not_fall_back() -> None:
    found = phase_transitions({}, status(running(deviceReason="Requested")), CREATED)
    assert not [each for each in found if isinstance(each, FellBack)]


def test_a_phase_that_took_over_anothers_result_is_no_attempt() -> None:
    taken = {"name": "one", "state": "Succeeded", "reusedFrom": "first", "completionTime": "2026-03-01T12:00:00Z"}
    assert phase_transitions({}, status(taken), CREATED) == (PhaseReused("one"),)
    assert phase_transitions(status(taken), status(taken), CREATED) == ()
    failed = phase_transitions(status(running()), status({**taken, "attempt": 1, "failures": 1}), CREATED)
    assert failed == (AttemptEnded("one", AttemptClass.RETRY, "Running", 1), PhaseReused("one"))


def test_the_end_of_a_job_is_counted_once() -> None:
    ended = status(state="Failed", reason="QueueTimeout")
    assert phase_transitions(status(state="Queued"), ended, CREATED) == (JobEnded("Failed", "QueueTimeout"),)
    assert phase_transitions(ended, ended, CREATED) == ()


def test_a_patch_is_applied_as_the_server_applies_it() -> None:
    before = {"state": "Queued", "message": "waits", "phases": [], "percent": 3}
    operations = [
        {"op": "test", "path": "/metadata/uid", "value": "u"},
        {"op": "test", "path": "/status/state", "value": "Queued"},
        {"op": "add", "path": "/status/state", "value": "Running"},
        {"op": "remove", "path": "/status/message"},
    ]
    assert status_after(before, operations) == {"state": "Running", "phases": [], "percent": 3}
    assert before["state"] == "Queued"
    assert status_after({}, [{"op": "add", "path": "/status", "value": {"state": "Failed"}}]) == {"state": "Failed"}


def test_every_reason_of_ours_may_be_a_label_and_no_other_word() -> None:
    assert {bounded_reason(str(reason)) for reason in Reason} == {str(reason) for reason in Reason}
    assert [bounded_reason(word) for word in ("Wharrgarbl", "", None)] == ["Other"] * 3


def test_jobs_are_counted_by_state_and_reason() -> None:
    queued = status(state="Queued", reason="QueueFull")
    new = {"state": "Pending", "percent": 0, "message": "Waiting for the operator"}
    assert depth([queued, queued, new, {}]) == {("Queued", "QueueFull"): 2, ("Pending", "WaitingForOperator"): 2}


def test_the_reason_to_wait_is_that_of_progressing_alone() -> None:
    admitted = {"type": "Admitted", "status": "True", "reason": "Admitted"}
    progressing = {"type": "Progressing", "status": "False", "reason": "Unschedulable"}
    assert waiting_reason({"conditions": [admitted, progressing]}) == "Unschedulable"


# ---------------------------------------------------------------- on the statuses that decisions really make


def told(world: World) -> list[Transition]:
    """One decision, carried out, and what it means; the status that we computed is the one that the server has."""
    before = deepcopy(world.audiojob.get("status", {}))
    plan = world.turn()
    if plan.status is None:
        return []
    after = status_after(before, plan.status)
    assert after == world.status
    return list(phase_transitions(before, after, NOW))


def classes(found: Iterable[Transition]) -> list[str]:
    return [f"{each.attempt_class} {each.reason}".strip() for each in found if isinstance(each, AttemptEnded)]


def test_the_story_of_an_undisturbed_job() -> None:
    world = World()
    found = told(world)
    for name in ("first", "second"):
        world.pass_time(30)
        world.succeed(name)
        found += told(world)
    kinds = [type(each).__name__ for each in found]
    assert sorted(kinds) == sorted(["PhaseStarted", "AttemptEnded", "PhaseEnded"] * 2 + ["JobEnded"])
    assert [each.run_seconds for each in found if isinstance(each, PhaseEnded)] == [30.0, 30.0]
    assert found[-1] == JobEnded("Succeeded", "Completed")


def test_failures_that_are_tried_again_until_the_limit() -> None:
    world = World()
    found = told(world)
    for _ in range(3):
        world.fail("first")
        found += told(world)
        world.pass_time(3_600)
        found += told(world)
    assert classes(found) == ["Retry TemporaryFailure", "Retry TemporaryFailure", "Exhausted TemporaryFailure"]
    assert found[-1] == JobEnded("Failed", "TemporaryFailure")


def test_a_permanent_failure() -> None:
    world = World()
    told(world)
    world.fail("first", 65, "NotMedia")
    assert classes(told(world)) == ["Permanent NotMedia"]


def test_a_gpu_that_fails_moves_the_phase_to_the_cpu_once() -> None:
    world = World(audiojob=audio_job(device="Auto"), pipeline=pipeline(phase_of("first", device="Auto")), gpu=True)
    found = told(world)
    world.fail("first", 79, "GpuOutOfMemory")
    found += told(world)
    world.pass_time(60)
    found += told(world)
    world.succeed("first")
    found += told(world)
    assert classes(found) == ["Device GpuFailedBefore", "Succeeded"]
    assert [each for each in found if isinstance(each, FellBack)] == [FellBack("first", "GpuFailedBefore")]
    assert [each.device for each in found if isinstance(each, PhaseStarted)] == ["GPU"]
    assert [each.device for each in found if isinstance(each, PhaseEnded)] == ["CPU"]


def test_a_cancelled_job_and_a_suspended_one() -> None:
    for change, ended in (({"cancel": True}, "Stopped Cancelled"), ({"suspend": True}, "Stopped Suspended")):
        world = World()
        told(world)
        world.edit(**change)
        assert classes(told(world)) == [ended]


def test_a_lost_job_is_a_disruption() -> None:
    world = World()
    told(world)
    world.jobs.clear()
    assert [word.split()[0] for word in classes(told(world))] == ["Disrupted"]
