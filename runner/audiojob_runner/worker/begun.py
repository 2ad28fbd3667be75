"""Before a phase begins in a worker, the operator's record must agree: a report that says so is taken, or nothing runs.

Taking a phase back is a write of the operator that makes this report a 403, so that no phase is at work in two places.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Collection
from http import HTTPStatus
from typing import Any, Final

from audiojob_runner.errors import PhaseError
from audiojob_runner.phase.report import Answer, Target
from audiojob_runner.phase.watchdog import stopped_by
from audiojob_types.contract import ExitCode, PhaseInput
from audiojob_types.reasons import Reason

GIVE_UP_SECONDS: Final = 60.0
FIRST_PAUSE_SECONDS: Final = 0.1
MOST_PAUSE_SECONDS: Final = 2.0


def begun_body(phase_input: PhaseInput) -> dict[str, Any]:
    """The merge patch. The status wants attempt and percent of each entry."""
    entry = {"attempt": phase_input.attempt, "percent": 0, "begun": True}
    return {"status": {"progress": {phase_input.phase: entry}}}


def ask_to_begin(target: Target | None, phase_input: PhaseInput, stop_signals: Collection[signal.Signals]) -> None:
    """Return once the report is taken, or outside a cluster. The stop signals are blocked in this process.

    Raises :class:`PhaseError` (143): a signal came, the AudioJob is gone, or it was refused for a minute. One in which
    the API server says nothing does not count: of a phase told ahead nobody would take the report that it gave up.
    """
    end = time.monotonic() + GIVE_UP_SECONDS
    pause = FIRST_PAUSE_SECONDS
    while target is not None:
        answer = target.patch(begun_body(phase_input))
        if answer.status // 100 == 2:
            return
        refused = answer.status == HTTPStatus.FORBIDDEN and time.monotonic() >= end
        if refused or not may_be_taken_later(answer):
            raise PhaseError(
                ExitCode.STOPPED,
                Reason.STOPPED,
                f"The phase did not begin: the API server refused its report ({answer.status}).",
            )
        if answer.status != HTTPStatus.FORBIDDEN:
            end = time.monotonic() + GIVE_UP_SECONDS
        caught = signal.sigtimedwait(stop_signals, max(pause, min(answer.retry_after, MOST_PAUSE_SECONDS)))
        if caught is not None:
            raise stopped_by(caught.si_signo)
        pause = min(MOST_PAUSE_SECONDS, 2 * pause)


def may_be_taken_later(answer: Answer) -> bool:
    """403: the operator's record is not there yet, or not seen yet where the policy looks."""
    return answer.status in (0, 403, 409, 429) or answer.status >= 500
