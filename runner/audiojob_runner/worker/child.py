"""The process of one phase in ``serve``: leader of a session, with a folder and a result file of its own."""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from audiojob_runner.errors import PhaseError
from audiojob_runner.phase import result as results
from audiojob_runner.phase.inputs import Ahead
from audiojob_runner.phase.process import StartWorker
from audiojob_runner.phase.report import find_target
from audiojob_runner.phase.supervisor import run_told
from audiojob_runner.phase.watchdog import STOP_SIGNALS
from audiojob_runner.phase.worker import receive_line
from audiojob_runner.settings import Paths, PodIdentity
from audiojob_runner.worker.ahead import fetch_ahead
from audiojob_runner.worker.away import starting
from audiojob_runner.worker.begun import ask_to_begin
from audiojob_runner.worker.leftovers import die_with_parent
from audiojob_runner.worker.state import Identity
from audiojob_runner.worker.told.reading import read_phase
from audiojob_store import trees
from audiojob_types.contract import ExitCode, PhaseInput
from audiojob_types.workers.pod import ROOM


@dataclass(frozen=True, slots=True)
class Child:
    """A phase's process. ``folder`` is its own, which the container ``work`` does not see; it goes with it.

    ``result``: a file in memory, for what it says in the end, also where a task has filled the scratch volume.
    """

    pid: int
    folder: Path
    begin: socket.socket
    result: int

    def signal(self, number: signal.Signals) -> None:
        """Signal it. It is not reaped yet, so its number is its own."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def hand_over(self, described: socket.socket, phase: socket.socket) -> None:
        """Let it begin, with the two sockets of its phase."""
        with suppress(OSError):  # it has ended: that is seen soon
            socket.send_fds(self.begin, [b"\n"], [described.fileno(), phase.fileno()])
        described.close()
        phase.close()

    def end(self) -> None:
        """Kill it, and remove all that is left."""
        self.signal(signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self.remove()

    def remove(self) -> None:
        """All that is left, once it has ended and its result was read."""
        self.begin.close()
        os.close(self.result)
        with suppress(OSError):
            trees.remove_tree(self.folder.parent, self.folder.name)

    def has_ended(self) -> bool:
        """Whether it only waits to be reaped."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def fork(identity: Identity, environ: Mapping[str, str], paths: Paths, pod: PodIdentity) -> Child:
    """Start the phase's process, which fetches until it may begin. Raises OSError.

    This one has one thread, and holds the stop signals back.
    """
    folder = Path(tempfile.mkdtemp(prefix="phase-", dir=paths.scratch))
    ours, theirs = socket.socketpair()
    result = os.memfd_create("result")
    try:
        pid = os.fork()
    except OSError:
        os.close(result)
        folder.rmdir()
        raise
    if pid == 0:
        ours.close()
        room, said = paths.scratch / ROOM, Path(f"/proc/self/fd/{result}")
        own = replace(paths, scratch=room, termination_file=said)
        phase = _Phase(environ, own, pod, folder)
        _live(lambda: phase.live(identity, theirs), folder)
    theirs.close()
    return Child(pid, folder, ours, result)


def _live(work: Callable[[], int], folder: Path) -> NoReturn:
    code = int(ExitCode.TEMPORARY)
    try:
        os.setsid()
        die_with_parent()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        os.environ["TMPDIR"] = str(folder)
        tempfile.tempdir = None
        code = work()
    except BaseException:  # noqa: BLE001 - a fork must not go on as if it were its parent
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stderr.flush()
        os._exit(code)


@dataclass(frozen=True, slots=True)
class _Phase:
    """What a phase's process has."""

    environ: Mapping[str, str]
    paths: Paths
    pod: PodIdentity
    folder: Path

    def live(self, identity: Identity, begins: socket.socket) -> int:
        """Fetch, begin once it may, run; the exit code."""
        phase_input = read_phase(self.paths.work_order, identity)
        ahead = Ahead()
        if phase_input is not None:
            ahead = fetch_ahead(phase_input, self.paths, self.folder / "ahead", begins)
        line, descriptors = receive_line(begins)
        if not line or phase_input is None:
            return int(ExitCode.STOPPED)  # taken back before it began: nobody wants a result
        described, phase = (socket.socket(fileno=descriptor) for descriptor in descriptors)
        return self._run(phase_input, starting(described, phase, ahead))

    def _run(self, phase_input: PhaseInput, start: StartWorker) -> int:
        target = find_target(self.environ, self.paths, phase_input)
        try:
            ask_to_begin(target, phase_input, STOP_SIGNALS)
        except PhaseError as error:
            results.write(self.paths.termination_file, results.failure(error))
            return error.exit_code
        finally:
            if target is not None:
                target.close()
        return run_told(self.environ, self.paths, self.pod, phase_input, start)
