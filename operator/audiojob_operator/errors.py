"""What can go wrong in one round of one AudioJob, beside the errors of the Kubernetes client."""

from __future__ import annotations


class StaleError(Exception):
    """The AudioJob is not as it was when the decision was made: read it again and decide again."""


class ForeignChildError(Exception):
    """A Job of the wanted name exists and belongs to somebody else, such as the AudioJob's deleted predecessor."""
