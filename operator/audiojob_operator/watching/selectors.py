"""Field selectors by which the operator reads AudioJobs: the unfinished ones, and those of one state."""

from __future__ import annotations

from typing import Final

from audiojob_types.resources.job import FINISHED_STATES, State

ACTIVE_SELECTOR: Final = ",".join(f"status.state!={state}" for state in sorted(FINISHED_STATES))
"""AudioJobs that are not finished."""


def in_state(state: State) -> str:
    """AudioJobs of one state."""
    return f"status.state={state}"
