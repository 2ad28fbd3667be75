"""The wait of a pod that begins before its inputs are there: it is told them once, or ends by itself.

What it is told is the whole phase file of the same attempt. The kubelet puts a changed annotation into the mounted file
within a fifth of a second, whole: it swaps a folder for another.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from audiojob_runner.errors import PhaseError
from audiojob_runner.settings import Paths, path_of_phase_file, read_phase_file
from audiojob_types.constants import INPUTS_FILE
from audiojob_types.contract import ExitCode, PhaseInput
from audiojob_types.reasons import Reason

POLL_SECONDS: Final = 0.05
MOST_SECONDS: Final = 3_600.0  # whatever the file says: clocks differ, and a pod that waits holds memory


def wait_for_inputs(
    begun: PhaseInput, environ: Mapping[str, str], paths: Paths, stop_signals: Collection[signal.Signals]
) -> PhaseInput:
    """The phase file with the inputs. The stop signals are blocked in this process, which has one thread.

    Raises :class:`PhaseError`: 143 when nothing was told by ``waitUntil`` or a signal came, 64 for a file that is not
    valid or is of another attempt.
    """
    assert begun.wait_until is not None, "only those that began early wait"
    path = path_of_phase_file(environ, paths).with_name(INPUTS_FILE)
    left = (begun.wait_until - datetime.now(UTC)).total_seconds()
    end = time.monotonic() + min(max(left, 0.0), MOST_SECONDS)
    while not _has_content(path):
        if time.monotonic() >= end:
            raise _in_vain("The pod was not told its inputs in time.")
        caught = signal.sigtimedwait(stop_signals, POLL_SECONDS)
        if caught is not None:
            name = signal.Signals(caught.si_signo).name
            raise _in_vain(f"The pod was stopped by a signal ({name}) before it was told its inputs.")
    told = read_phase_file(path)
    if _identity(told) != _identity(begun):
        raise PhaseError(
            ExitCode.USAGE,
            Reason.INVALID_SPEC,
            f"The file {path} is of other work than the pod began with.",
            "Only the operator may tell a pod its inputs; check the policy audiojob-children.",
        )
    return told


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def _in_vain(message: str) -> PhaseError:
    return PhaseError(ExitCode.STOPPED, Reason.STOPPED, message)


def _identity(file: PhaseInput) -> tuple[object, ...]:
    """What the worker was forked with, and whose outputs they are."""
    return (file.uid, file.phase, file.attempt, file.task, file.device, file.parameters, file.output_prefix)
