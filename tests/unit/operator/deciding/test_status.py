"""The status write: conditions that agree, and a patch that cannot hit the wrong object."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.operator.builders import NOW, UID, World
from tests.unit.operator.jsonpatch import FailedTestError, apply_patch

from audiojob_operator.deciding.status import Situation, conditions_for, status_patch
from audiojob_types.base import format_time
from audiojob_types.resources.job import AudioJobStatus, PhaseStatus, State
from audiojob_types.resources.state import derive_state

SETTLED = [state for state in State if state is not State.PENDING]


@pytest.mark.parametrize("state", SETTLED)
def test_the_state_that_the_conditions_amount_to_is_the_one_meant(state: State) -> None:
    reason = "Cancelled" if state is State.CANCELLED else "Whatever"
    made = conditions_for(Situation(state, reason, "Because.", admitted=True), (), 3, NOW)
    assert derive_state(made) is state
    assert {each.type for each in made} == {"Complete", "Failed", "Admitted", "Suspended", "Progressing"}
    assert all(each.observed_generation == 3 and each.reason for each in made)


@given(st.lists(st.tuples(st.sampled_from(SETTLED), st.booleans()), min_size=2, max_size=8))
def test_the_transition_time_moves_exactly_when_the_status_flips(path: list[tuple[State, bool]]) -> None:
    conditions: tuple[Any, ...] = ()
    for step, (state, admitted) in enumerate(path):
        now = NOW + timedelta(minutes=step)
        situation = Situation(state, "Cancelled" if state is State.CANCELLED else "Some", "m", admitted)
        made = conditions_for(situation, conditions, step, now)
        for old, new in zip(conditions or made, made, strict=True):
            moved = not conditions or old.status != new.status
            assert new.last_transition_time == (now if moved else old.last_transition_time)
        conditions = made


def stored(**status: Any) -> dict[str, Any]:
    return {"metadata": {"uid": UID}, "status": {"state": "Pending", "percent": 0, **status}}


RUNNING = AudioJobStatus(
    observed_generation=1, state=State.RUNNING, message="On its way.", phases=(PhaseStatus(name="only", attempt=1),)
)


def patch(obj: dict[str, Any], new: AudioJobStatus = RUNNING, percent: int = 0) -> tuple[dict[str, Any], ...]:
    made = status_patch(UID, obj["status"], new, percent)
    assert made is not None
    return made


def test_the_patch_makes_the_status_so_and_then_there_is_nothing_left_to_write() -> None:
    obj = stored(message="Waiting for the operator")
    after = apply_patch(obj, patch(obj))
    assert after["status"]["state"] == "Running"
    assert after["status"]["phases"][0]["name"] == "only"
    assert status_patch(UID, after["status"], RUNNING, 0) is None


def test_it_tests_uid_old_state_and_old_phases() -> None:
    obj = stored(phases=[{"name": "only", "state": "Waiting", "attempt": 0}])
    tests = {each["path"]: each["value"] for each in patch(obj) if each["op"] == "test"}
    assert tests == {"/metadata/uid": UID, "/status/state": "Pending", "/status/phases": obj["status"]["phases"]}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda obj: obj["metadata"].update(uid="another"), id="another object of the same name"),
        pytest.param(lambda obj: obj["status"].update(state="Succeeded"), id="a status that moved on"),
    ],
)
def test_it_is_refused_on(change: Any) -> None:
    obj = stored()
    made = patch(obj)
    change(obj)
    with pytest.raises(FailedTestError):
        apply_patch(obj, made)


def test_fields_that_no_longer_hold_are_removed() -> None:
    obj = stored(startTime=format_time(NOW), completionTime=format_time(NOW))
    after = apply_patch(obj, patch(obj))
    assert "startTime" not in after["status"]
    assert "completionTime" not in after["status"]


@pytest.mark.parametrize(("before", "percent", "after"), [(0, 0, 0), (40, 25, 40), (25, 40, 40), (100, 0, 100)])
def test_percent_only_rises(before: int, percent: int, after: int) -> None:
    obj = stored(percent=before)
    assert apply_patch(obj, patch(obj, percent=percent))["status"]["percent"] == after


def test_a_percent_that_a_runner_raised_meanwhile_is_not_put_back() -> None:
    writes = patch(stored(percent=25), percent=30)
    with pytest.raises(FailedTestError):
        apply_patch(stored(percent=31), writes)


def test_progress_is_not_in_the_patch_whatever_it_holds() -> None:
    report = {"only": {"attempt": 1, "percent": 3}}
    obj = stored(progress=report)
    new = RUNNING.model_copy(update={"progress": {}})
    assert not [each for each in patch(obj, new) if each["path"].startswith("/status/progress")]


def test_an_object_without_any_status_gets_one() -> None:
    obj = {"metadata": {"uid": UID}, "status": {}}
    assert apply_patch(obj, patch(obj))["status"]["state"] == "Running"


def test_a_stale_writer_is_refused_after_its_successor_has_worked() -> None:
    world = World()
    world.turn()
    world.succeed("first")
    stale = world.decide()
    world.turn()  # the successor
    assert stale.status is not None
    with pytest.raises(FailedTestError):
        apply_patch(world.audiojob, stale.status)
