"""Operators and runners of different versions that meet during an upgrade or after a rollback.

A job keeps the images of the pipeline revision that it started with, so an operator writes phase files for runners of
earlier versions, and after a rollback for those of later ones. Each side reads tolerantly (``WireModel.read``); the
contract number says what to write. Runners of contract 0 are the exception: they refuse unknown fields.
"""

from __future__ import annotations

from audiojob_types.contract import CONTRACT


def contract_to_write(revision: int) -> int:
    """The contract of phase files for runners of a revision, given the revision's own.

    An earlier runner is sent nothing that its contract lacks. A later one takes defaults for what this version does
    not write.
    """
    return min(revision, CONTRACT)


def describe_newer(written: int) -> str | None:
    """What a runner logs about a phase file of a contract above its own; None for one that it knows in full."""
    if written <= CONTRACT:
        return None
    return (
        f"The phase file has contract {written}, this runner {CONTRACT}: what it does not know is passed over. "
        "That is expected after a rollback; else check that operator and runner images are of the same release."
    )
