"""What can go wrong in a reconcile, beside the errors of the Kubernetes client."""

from __future__ import annotations

from typing import ClassVar

from audiojob_operator.records.observed import Refusal


class ReconcileError(Exception):
    """The object is reconciled again after a backoff. ``result`` is its word in metrics."""

    result: ClassVar[str] = "failed"


class StaleError(ReconcileError):
    """The object is not as it was when the decision was made: read it again and decide again."""

    result = "stale"


class UnreadableError(ReconcileError):
    """This version of the operator cannot read the object."""

    result = "unreadable"


class RefusedError(Exception):
    """The API server did not take a Job or a revision, by its rules, by somebody's policy, or as its name is taken."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class EarlyRefusedError(Exception):
    """The API server did not take a Job whose pod begins early, or that it is told its inputs (``for_good``)."""

    def __init__(self, message: str, *, for_good: bool) -> None:
        super().__init__(message)
        self.for_good = for_good


class UntoldError(Exception):
    """A worker was not told the phase that it has by its AudioJob's status: its pod is not as it was thought to be."""


class StatusRefusedError(ReconcileError):
    """The API server does not take the AudioJob's status, and would not take it next time."""

    result = "refused"
