"""How a phase's process ended: its exit code and its result, made here where it left none."""

from __future__ import annotations

import os
import signal

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


def read_result(file: int) -> PhaseResult | None:
    """What the open file says; None without one that is a result."""
    try:
        content = os.pread(file, MAX_RESULT_BYTES + 1, 0)
        return PhaseResult.read(content) if len(content) <= MAX_RESULT_BYTES else None
    except (OSError, ValidationError):
        return None
