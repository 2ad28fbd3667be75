"""The process of one phase: leader of a session, with a scratch folder and a result file of its own."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NoReturn

from audiojob_runner.errors import PhaseError
from audiojob_runner.phase import result as results
from audiojob_runner.phase.report import find_target
from audiojob_runner.phase.supervisor import run_told
from audiojob_runner.phase.untraceable import allow_tracers
from audiojob_runner.phase.watchdog import STOP_SIGNALS
from audiojob_runner.settings import Paths, PodIdentity
from audiojob_runner.worker.begun import ask_to_begin
from audiojob_runner.worker.leftovers import die_with_parent
from audiojob_runner.worker.reading import read_phase
from audiojob_runner.worker.state import Identity
from audiojob_types.contract import ExitCode, PhaseInput

RESULT_FILE: Final = "result"


@dataclass(frozen=True, slots=True)
class Child:
    """A phase's process. ``folder`` is its scratch folder; it goes with it."""

    pid: int
    folder: Path

    @property
    def result_file(self) -> Path:
        """Where it leaves its result."""
        return self.folder / RESULT_FILE

    def signal(self, number: signal.Signals) -> None:
        """Signal it. It is not reaped yet, so its number is its own."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def has_ended(self) -> bool:
        """Whether it only waits to be reaped."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def fork(identity: Identity, environ: Mapping[str, str], paths: Paths, pod: PodIdentity) -> Child:
    """Start the phase's process. This one has one thread, and holds the stop signals back. Raises OSError."""
    folder = Path(tempfile.mkdtemp(prefix="phase-", dir=paths.scratch))
    pid = os.fork()
    if pid == 0:
        _live(identity, environ, replace(paths, scratch=folder, termination_file=folder / RESULT_FILE), pod)
    return Child(pid, folder)


def _live(identity: Identity, environ: Mapping[str, str], paths: Paths, pod: PodIdentity) -> NoReturn:
    code = int(ExitCode.TEMPORARY)
    try:
        os.setsid()
        die_with_parent()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        allow_tracers()
        os.environ["TMPDIR"] = str(paths.scratch)
        tempfile.tempdir = None
        phase_input = read_phase(paths.work_order, identity)
        # Without one it was taken back this moment: nobody wants a result.
        code = int(ExitCode.STOPPED) if phase_input is None else _run(phase_input, environ, paths, pod)
    except BaseException:  # noqa: BLE001 - a fork must not go on as if it were its parent
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stderr.flush()
        os._exit(code)


def _run(phase_input: PhaseInput, environ: Mapping[str, str], paths: Paths, pod: PodIdentity) -> int:
    target = find_target(environ, paths, phase_input)
    try:
        ask_to_begin(target, phase_input, STOP_SIGNALS)
    except PhaseError as error:
        results.write(paths.termination_file, results.failure(error))
        return error.exit_code
    finally:
        if target is not None:
            target.close()  # before the task's worker is forked
    return run_told(environ, paths, pod, phase_input)
