"""What can go wrong in one round of one AudioJob, beside the errors of the Kubernetes client."""

from __future__ import annotations

from audiojob_operator.records.observed import Refusal


class StaleError(Exception):
    """The AudioJob is not as it was when the decision was made: read it again and decide again."""


class RefusedError(Exception):
    """The API server did not take a Job, by its rules or by somebody's policy."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class ForeignChildError(Exception):
    """A Job of the wanted name exists and belongs to somebody else, such as the AudioJob's deleted predecessor."""
