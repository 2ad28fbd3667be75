"""How a phase's process ended: its exit code and its result, made here where it left none."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

from pydantic import ValidationError

from audiojob_runner.errors import PhaseError
from audiojob_runner.phase import result as results
from audiojob_types.contract import MAX_RESULT_BYTES, ExitCode, Outcome, PhaseResult
from audiojob_types.reasons import Reason

_SIGNALLED = 128  # what a shell and the kubelet add to the signal's number


def ending_of(status: int, left: PhaseResult | None) -> tuple[int, PhaseResult]:
    """Exit code and result, from the wait status and what the process left in its result file."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        name = signal.Signals(-code).name
        code = _SIGNALLED - code
        why = f"The phase's process was ended by a signal ({name})."
    else:
        why = f"The phase's process ended with code {code} and without a result."
    fits = left is not None and (left.outcome is Outcome.SUCCEEDED) == (code == 0)
    if left is not None and fits:
        return code, left
    return code or int(ExitCode.TEMPORARY), results.failure(
        PhaseError(ExitCode.TEMPORARY, Reason.TEMPORARY_FAILURE, why)
    )


def read_result(path: Path) -> PhaseResult | None:
    """What the file says; None without one that is a result. The phase's processes could put anything there."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        try:
            content = file.read(MAX_RESULT_BYTES + 1)
            return PhaseResult.read(content) if len(content) <= MAX_RESULT_BYTES else None
        except (OSError, ValidationError):
            return None
