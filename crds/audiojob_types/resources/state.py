"""State from conditions: the one place where the word for people is derived."""

from __future__ import annotations

from collections.abc import Iterable

from audiojob_types import constants as c
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import Condition, State


def derive_state(conditions: Iterable[Condition]) -> State:
    """The state that the conditions amount to; an empty set means that nobody has looked yet."""
    by_type = {condition.type: condition for condition in conditions}

    def is_true(kind: str) -> bool:
        return kind in by_type and by_type[kind].status == "True"

    if is_true(c.CONDITION_COMPLETE):
        return State.SUCCEEDED
    if is_true(c.CONDITION_FAILED):
        cancelled = by_type[c.CONDITION_FAILED].reason == Reason.CANCELLED
        return State.CANCELLED if cancelled else State.FAILED
    if is_true(c.CONDITION_SUSPENDED):
        return State.SUSPENDED
    if is_true(c.CONDITION_PROGRESSING):
        return State.RUNNING
    return State.QUEUED if by_type else State.PENDING
