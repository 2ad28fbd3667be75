"""The process of one phase in ``serve``: leader of a session, with a folder and a result file of its own."""

from __future__ import annotations

import os
import signal
import socket
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
from audiojob_runner.phase.process import StartWorker
from audiojob_runner.phase.report import find_target
from audiojob_runner.phase.supervisor import run_told
from audiojob_runner.phase.watchdog import STOP_SIGNALS
from audiojob_runner.phase.worker import receive_line
from audiojob_runner.settings import Paths, PodIdentity
from audiojob_runner.worker.away import starting
from audiojob_runner.worker.begun import ask_to_begin
from audiojob_runner.worker.leftovers import die_with_parent
from audiojob_runner.worker.reading import read_phase
from audiojob_runner.worker.state import Identity
from audiojob_store import trees
from audiojob_types.contract import ExitCode, PhaseInput
from audiojob_types.workers.pod import ROOM

RESULT_FILE: Final = "result"


@dataclass(frozen=True, slots=True)
class Child:
    """A phase's process. ``folder`` is its own, which the container ``work`` does not see; it goes with it."""

    pid: int
    folder: Path
    begin: socket.socket

    @property
    def result_file(self) -> Path:
        """Where it leaves its result."""
        return self.folder / RESULT_FILE

    def signal(self, number: signal.Signals) -> None:
        """Signal it. It is not reaped yet, so its number is its own."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def hand_over(self, described: socket.socket, phase: socket.socket) -> None:
        """Let it begin, with the two sockets of its phase."""
        with suppress(OSError):  # it has ended: that is seen soon
            socket.send_fds(self.begin, [b"\n"], [described.fileno(), phase.fileno()])
        for each in (self.begin, described, phase):
            each.close()

    def remove_files(self) -> None:
        """Once it has ended and its result was read."""
        with suppress(OSError):
            trees.remove_tree(self.folder.parent, self.folder.name)

    def has_ended(self) -> bool:
        """Whether it only waits to be reaped."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def fork(identity: Identity, environ: Mapping[str, str], paths: Paths, pod: PodIdentity) -> Child:
    """Start the phase's process. This one has one thread, and holds the stop signals back. Raises OSError."""
    folder = Path(tempfile.mkdtemp(prefix="phase-", dir=paths.scratch))
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        own = replace(paths, scratch=paths.scratch / ROOM, termination_file=folder / RESULT_FILE)
        _live(identity, environ, own, pod, theirs)
    theirs.close()
    return Child(pid, folder, ours)


def _live(
    identity: Identity, environ: Mapping[str, str], paths: Paths, pod: PodIdentity, begin: socket.socket
) -> NoReturn:
    code = int(ExitCode.TEMPORARY)
    try:
        os.setsid()
        die_with_parent()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        os.environ["TMPDIR"] = str(paths.termination_file.parent)
        tempfile.tempdir = None
        phase_input = read_phase(paths.work_order, identity)
        line, descriptors = receive_line(begin)
        # Without one it was taken back this moment: nobody wants a result.
        code = int(ExitCode.STOPPED)
        if line and phase_input is not None:
            described, phase = (socket.socket(fileno=descriptor) for descriptor in descriptors)
            code = _run(phase_input, environ, paths, pod, starting(described, phase))
    except BaseException:  # noqa: BLE001 - a fork must not go on as if it were its parent
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stderr.flush()
        os._exit(code)


def _run(
    phase_input: PhaseInput, environ: Mapping[str, str], paths: Paths, pod: PodIdentity, start: StartWorker
) -> int:
    target = find_target(environ, paths, phase_input)
    try:
        ask_to_begin(target, phase_input, STOP_SIGNALS)
    except PhaseError as error:
        results.write(paths.termination_file, results.failure(error))
        return error.exit_code
    finally:
        if target is not None:
            target.close()
    return run_told(environ, paths, pod, phase_input, start)
