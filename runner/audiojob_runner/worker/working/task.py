"""The process of one phase's task, forked from the one that holds libraries and networks."""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from audiojob_runner.phase import usage
from audiojob_runner.phase.process import Death, redirect_standard_streams
from audiojob_runner.phase.untraceable import allow_tracers
from audiojob_runner.phase.worker import receive_line, run_worker
from audiojob_runner.worker.leftovers import die_with_parent
from audiojob_runner.worker.working import wire
from audiojob_runner.worker.working.hold import Held
from audiojob_types.contract import ExitCode


class TaskProcess:
    """A task at work, seen from the process that it was forked from."""

    def __init__(self, pid: int, oom_kills: int | None) -> None:
        self.pid = pid
        self._oom_kills = oom_kills
        self._cpu_seconds = _cpu_seconds()
        self._peak_bytes = 0

    @classmethod
    def fork(cls, described: socket.socket, others: Sequence[socket.socket], held: Held) -> TaskProcess:
        """Start it. It reads from ``described`` what to do; it has none of the ``others``. Raises :class:`OSError`."""
        oom_kills = usage.oom_kills()
        pid = os.fork()
        if pid == 0:
            _live(described, others, held)
        return cls(pid, oom_kills)

    def has_ended(self) -> bool:
        """Whether it only waits to be reaped."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None

    def signal(self, number: int) -> None:
        """Signal its session. It is not reaped yet, so its number is its own."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def look(self) -> None:
        """Note what its container holds now."""
        self._peak_bytes = max(self._peak_bytes, usage.held_bytes() or 0)

    def reap(self) -> int:
        """Its status. It has ended, or was killed."""
        _, status, used = os.wait4(self.pid, 0)
        self._peak_bytes = max(self._peak_bytes, used.ru_maxrss * 1024)
        return status

    def death(self, status: int) -> Death:
        """How it ended, and what it took together with all that it left and that is reaped by now."""
        return Death(
            status, usage.more_oom_kills(self._oom_kills), _cpu_seconds() - self._cpu_seconds, self._peak_bytes
        )


def _cpu_seconds() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def _live(described: socket.socket, others: Sequence[socket.socket], held: Held) -> NoReturn:
    code = int(ExitCode.TEMPORARY)
    try:
        os.setsid()
        die_with_parent()
        allow_tracers()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for each in others:
            each.close()
        line, descriptors = receive_line(described)
        described.close()
        if not line:  # taken back before it began
            os._exit(int(ExitCode.OK))
        control, events, output = descriptors
        redirect_standard_streams(output)
        spec = wire.spec_from_json(line)
        run_worker(spec, socket.socket(fileno=control), events, held.fitting(spec))
    except BaseException:  # noqa: BLE001 - a fork must not go on as if it were its parent
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stderr.flush()
        os._exit(code)
