"""How a phase fails: one exception that carries the exit code, the reason and a sentence for people."""

from __future__ import annotations

import errno
from typing import Final

from audiojob_types.contract import MAX_MESSAGE_CHARACTERS, ExitCode
from audiojob_types.outside.redaction import redact
from audiojob_types.reasons import EXPLANATIONS, Reason

NO_SPACE_ERRNOS: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class PhaseError(Exception):
    """The phase cannot succeed. ``exit_code`` decides what the operator does next, ``reason`` what it shows.

    ``message`` is one sentence about this very case; ``suggestion`` is what to do, by default the reason's own.
    Both are redacted and cut to ``MAX_MESSAGE_CHARACTERS``. ``exit_code`` is an :class:`ExitCode` but for Simulate.
    ``refused_by`` is the host that limits requests, and ``retry_after_seconds`` what it asked for: set by who knows it.
    """

    retry_after_seconds: int | None = None
    refused_by: str | None = None

    def __init__(self, exit_code: ExitCode | int, reason: Reason, message: str, suggestion: str = "") -> None:
        message = redact(message)
        super().__init__(message)
        self.exit_code = int(exit_code)
        self.reason = reason
        self.message = message[:MAX_MESSAGE_CHARACTERS]
        self.suggestion = (redact(suggestion) or EXPLANATIONS[reason].suggestion)[:MAX_MESSAGE_CHARACTERS]

    def __repr__(self) -> str:
        return f"PhaseError({self.exit_code}, {self.reason.value}, {self.message!r})"


def stopped() -> PhaseError:
    """The error for work that was stopped from outside."""
    return PhaseError(ExitCode.STOPPED, Reason.STOPPED, "The phase was stopped.")


def is_disk_full(error: BaseException) -> bool:
    """Whether this error, or one that caused it, is the operating system's "no space left" or "quota exceeded"."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        if isinstance(current, OSError) and current.errno in NO_SPACE_ERRNOS:
            return True
        # Libraries with a foreign core (libsndfile, object_store) keep the words and lose the number.
        if "No space left on device" in str(current) or "Disk quota exceeded" in str(current):
            return True
        current = current.__cause__ or current.__context__
    return False


def as_phase_error(error: BaseException, doing: str) -> PhaseError:
    """The :class:`PhaseError` for any exception; ``doing`` ("Separate", "publishing") says where it happened."""
    if isinstance(error, PhaseError):
        return error
    if is_disk_full(error):
        return PhaseError(ExitCode.DISK_FULL, Reason.DISK_FULL, f"The disk was full while {doing} ran.")
    if isinstance(error, MemoryError):
        return PhaseError(ExitCode.TEMPORARY, Reason.OUT_OF_MEMORY, f"There was not enough memory while {doing} ran.")
    detail = " ".join(str(error).split())
    return PhaseError(
        ExitCode.TEMPORARY,
        Reason.TEMPORARY_FAILURE,
        f"{doing} failed: {type(error).__name__}{': ' + detail if detail else ''}",
        "The log has the details.",
    )
