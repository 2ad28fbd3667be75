"""The container beside a Container phase's program: reads its progress file and reports it, until it is stopped.

It alone of the pod's containers has the token. It cannot end the program: what it finds too slow it leaves as its
termination message, by which the operator ends the attempt.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from audiojob_runner import logs
from audiojob_runner.errors import PhaseError
from audiojob_runner.phase import result
from audiojob_runner.phase.logpieces import LogPieces
from audiojob_runner.phase.progress import TASK_SHARE, Progress, Tracker
from audiojob_runner.phase.report import Reporter, find_target
from audiojob_runner.phase.watchdog import Interruption, Watchdog, block_stop_signals
from audiojob_runner.settings import Paths, node_name, read_phase_input
from audiojob_runner.tasks.program_folder import PROGRESS, PROGRESS_BYTES, PUBLISHING, parse_progress, read_plain_file
from audiojob_types.contract import ExitCode, PhaseInput, PhaseLimits
from audiojob_types.reasons import Reason

LOOK_SECONDS: Final = 0.5
CLOSE_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


def run_watch(environ: Mapping[str, str], root: Path = Path("/")) -> int:
    """Watch until SIGTERM (0), or until the program is too slow (75, with a termination message)."""
    block_stop_signals()
    paths = Paths.under(root)
    logs.configure(LogPieces().write_line)
    try:
        error = _watch(environ, paths, read_phase_input(environ, paths))
    except Exception:  # noqa: BLE001 - see below
        # A reporter that ended would be started again and again, and might keep the program from starting.
        _log.exception("No progress is reported for this phase.")
        error = _wait_for_stop()
    if error is None or error.reason is Reason.STOPPED:
        return int(ExitCode.OK)
    result.write(paths.termination_file, result.failure(error))
    return error.exit_code


def _watch(environ: Mapping[str, str], paths: Paths, phase_input: PhaseInput) -> PhaseError | None:
    interruption = Interruption()
    watchdog = Watchdog(phase_input.limits, interruption, _leave)
    target = find_target(environ, paths, phase_input)
    reporter = Reporter(target, phase_input, node_name(environ)) if target else None
    watch = ProgramWatch(paths, Tracker(reporter.update if reporter else _drop))
    try:
        with watchdog.watching():
            while interruption.error is None and not watch.over:
                if watch.look():
                    watchdog.beat()
                time.sleep(LOOK_SECONDS)
        # Publishing has limits of its own, and they are not this container's to watch.
        return interruption.error or _wait_for_stop()
    finally:
        if reporter is not None:
            reporter.close(CLOSE_SECONDS)


def _wait_for_stop() -> PhaseError | None:
    interruption = Interruption()
    with Watchdog(PhaseLimits(), interruption, _leave).watching():
        while interruption.error is None:
            time.sleep(LOOK_SECONDS)
    return interruption.error


class ProgramWatch:
    """Follows a program by its progress file, and then the one that publishes by the mark that it sets."""

    def __init__(self, paths: Paths, tracker: Tracker) -> None:
        self._progress = paths.work / PROGRESS
        self._publishing = paths.control / PUBLISHING
        self._tracker = tracker
        self._seen: tuple[int, bytes] | None = None
        self._has_spoken = False
        self.over = False
        tracker.say(0, "The program starts")

    def look(self) -> bool:
        """Report what is new; whether that, or that nothing is owed yet, is a sign of life.

        A program that has reported nothing yet does not stall: its image may still be pulled, or it never reports.
        Writing the same again, or touching the file, is a sign of life too.
        """
        if self._publishing.exists():
            self.over = True
            self._tracker.say(TASK_SHARE, "Publishing the outputs")
            return True
        content = read_plain_file(self._progress, PROGRESS_BYTES, tail=True)
        progress = parse_progress(content) if content else None
        if content is None or progress is None:
            return not self._has_spoken
        seen = (self._changed_at(), content)
        if seen == self._seen:
            return False
        self._seen, self._has_spoken = seen, True
        self._tracker.task(progress.percent, progress.message or "The program runs")
        return True

    def _changed_at(self) -> int:
        with suppress(OSError):
            return self._progress.lstat().st_mtime_ns
        return 0


def _drop(_progress: Progress) -> None:
    """Outside a cluster nothing is reported."""


def _leave(error: PhaseError) -> None:
    """The main thread does not come back."""
    os._exit(error.exit_code)
