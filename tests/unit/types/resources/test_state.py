"""The one word for people, from conditions."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import permutations

import pytest

from audiojob_types.resources.job import FINISHED_STATES, Condition, PhaseState, State
from audiojob_types.resources.state import derive_state

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def condition(kind: str, status: str = "True", reason: str = "Because") -> Condition:
    return Condition.model_validate(
        {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": "",
            "observedGeneration": 1,
            "lastTransitionTime": MOMENT,
        }
    )


CASES: dict[str, tuple[list[Condition], State]] = {
    "nobody has looked yet": ([], State.PENDING),
    "not admitted": ([condition("Admitted", "False", "QueueFull")], State.QUEUED),
    "admitted, and nothing runs yet": ([condition("Admitted"), condition("Progressing", "False")], State.QUEUED),
    "a phase runs": ([condition("Admitted"), condition("Progressing")], State.RUNNING),
    "suspended while admitted": (
        [condition("Admitted"), condition("Suspended"), condition("Progressing")],
        State.SUSPENDED,
    ),
    "no longer suspended": ([condition("Suspended", "False"), condition("Progressing")], State.RUNNING),
    "complete": ([condition("Complete"), condition("Progressing", "False")], State.SUCCEEDED),
    "failed": ([condition("Failed", reason="NotMedia"), condition("Progressing", "False")], State.FAILED),
    "cancelled": ([condition("Failed", reason="Cancelled")], State.CANCELLED),
    "cancelled while suspended": ([condition("Failed", reason="Cancelled"), condition("Suspended")], State.CANCELLED),
    "not failed, though somebody spoke of cancelling": (
        [condition("Failed", "False", "Cancelled"), condition("Progressing")],
        State.RUNNING,
    ),
    "unknown counts as not": ([condition("Complete", "Unknown")], State.QUEUED),
}


@pytest.mark.parametrize(("conditions", "state"), CASES.values(), ids=CASES.keys())
def test_state_in_any_order_of_conditions(conditions: list[Condition], state: State) -> None:
    for order in permutations(conditions):
        assert derive_state(order) is state


def test_finished_states() -> None:
    assert {state for state in State if state.finished} == FINISHED_STATES
    assert {state.value for state in FINISHED_STATES} == {"Succeeded", "Failed", "Cancelled"}
    assert {state.value for state in PhaseState if state.finished} == {"Succeeded", "Failed", "Cancelled"}
