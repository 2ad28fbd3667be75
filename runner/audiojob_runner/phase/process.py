"""The supervisor's handle of the worker: forks it, sends its inputs, follows its progress, ends its session."""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

from audiojob_runner.errors import PhaseError
from audiojob_runner.phase import usage
from audiojob_runner.phase.watchdog import Interruption
from audiojob_runner.phase.worker import Order, WorkerSpec, result_from_record, run_worker
from audiojob_runner.task import TaskResult
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason

POLL_SECONDS: Final = 0.2
# Nothing that a task could still save is wanted; the time is for programs that remove their own temporary files.
TERMINATE_SECONDS: Final = 1.5
OUTPUT_SECONDS: Final = 2.0

_log = logging.getLogger(__name__)


class Worker:
    """One forked worker. Made by :meth:`fork` while the process has a single thread."""

    def __init__(self, pid: int, control: socket.socket, events: int, output: int) -> None:
        self._pid = pid
        self._control = control
        self._events = events
        self._output = output
        self._status: int | None = None
        self._killed_by_us = False
        self._oom_kills_before = usage.oom_kills()
        self._pump: threading.Thread | None = None

    @classmethod
    def fork(cls, spec: WorkerSpec) -> Worker:
        """Start the worker. It loads its task at once and waits for :meth:`order`."""
        control, workers_control = socket.socketpair()  # not a pipe: it carries open files
        events_read, events_write = os.pipe()
        output_read, output_write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.setsid()
            control.close()
            for descriptor in (events_read, output_read):
                os.close(descriptor)
            _redirect_standard_streams(output_write)
            run_worker(spec, workers_control, events_write)
        workers_control.close()
        for descriptor in (events_write, output_write):
            os.close(descriptor)
        return cls(pid, control, events_read, output_read)

    def follow_output(self, write_line: Callable[[str], None]) -> None:
        """Hand each line that the worker and its programs print to ``write_line``, on a thread."""
        self._pump = threading.Thread(target=_pump, args=(self._output, write_line), name="output", daemon=True)
        self._pump.start()

    def order(self, order: Order, held: Sequence[int] = ()) -> None:
        """Let the worker begin. ``held`` are the descriptors of the files that ``order.held`` names."""
        line = order.to_json().encode() + b"\n"
        try:
            socket.send_fds(self._control, [line[:1]], held)
            self._control.sendall(line[1:])
        except (BrokenPipeError, ConnectionResetError):
            _log.warning("The worker ended before it got its inputs.")

    def wait(
        self, interruption: Interruption, on_progress: Callable[[float, str], None], meter: usage.Meter
    ) -> TaskResult:
        """The task's result. Raises :class:`PhaseError`: the task's own, the interruption's, or how the worker died."""
        try:
            return self._wait(interruption, on_progress, meter)
        finally:
            meter.end()

    def _wait(
        self, interruption: Interruption, on_progress: Callable[[float, str], None], meter: usage.Meter
    ) -> TaskResult:
        for record in self._records(interruption):
            if "percent" in record:
                on_progress(record["percent"], record["message"])
            elif "begun" in record:
                meter.begin()
            elif "used" in record:
                meter.told(record["used"])
            elif "result" in record:
                return result_from_record(record["result"])
            elif "error" in record:
                raise self._task_error(record["error"])
        self.end()
        interruption.check()
        raise self._death()

    def end(self) -> None:
        """End the worker and everything it started. Safe to call twice; returns within a few seconds."""
        if self._status is not None:
            return
        if not self._has_exited(wait_seconds=0.0):
            self._killed_by_us = True
            self._signal_session(signal.SIGTERM)
            self._has_exited(wait_seconds=TERMINATE_SECONDS)
        # The leader is not reaped yet, so its number cannot be another session's by now.
        self._signal_session(signal.SIGKILL)
        _, self._status = os.waitpid(self._pid, 0)
        if self._pump is not None:
            self._pump.join(OUTPUT_SECONDS)
        self._control.close()
        os.close(self._events)

    def _records(self, interruption: Interruption) -> Iterator[dict[str, Any]]:
        pending = bytearray()
        while True:
            interruption.check()
            readable, _, _ = select.select([self._events], [], [], POLL_SECONDS)
            if not readable:
                continue
            chunk = os.read(self._events, 65_536)
            if not chunk:
                return
            pending += chunk
            *lines, rest = pending.split(b"\n")
            pending = bytearray(rest)
            for line in lines:
                yield json.loads(line)

    def _task_error(self, record: dict[str, Any]) -> PhaseError:
        error = PhaseError(record["exit_code"], Reason(record["reason"]), record["message"], record["suggestion"])
        error.retry_after_seconds = record["retry_after_seconds"]
        error.refused_by = record["refused_by"]
        # A program of the task that the kernel killed for memory looks like any other crash to the task.
        if error.exit_code != ExitCode.GPU and self._was_out_of_memory():
            return _out_of_memory(error.message)
        return error

    def _death(self) -> PhaseError:
        assert self._status is not None
        if os.WIFSIGNALED(self._status):
            number = os.WTERMSIG(self._status)
            name = signal.Signals(number).name
            counted = self._was_out_of_memory()
            unknown = counted is None and number == signal.SIGKILL and not self._killed_by_us
            if counted or unknown:
                return _out_of_memory(f"The worker was killed ({name}).")
            return _crashed(name)
        code = os.WEXITSTATUS(self._status)
        return PhaseError(
            ExitCode.TEMPORARY,
            Reason.TEMPORARY_FAILURE,
            f"The worker ended with code {code} and without a result.",
        )

    def _was_out_of_memory(self) -> bool | None:
        """Whether the kernel killed something in this container for memory since the start; None if unknown."""
        now = usage.oom_kills()
        if now is None or self._oom_kills_before is None:
            return None
        return now > self._oom_kills_before

    def _has_exited(self, wait_seconds: float) -> bool:
        deadline = time.monotonic() + wait_seconds
        while True:
            if os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None:
                return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.02)

    def _signal_session(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, number)


def _crashed(signal_name: str) -> PhaseError:
    """How a worker died by a signal that was not for memory."""
    message, suggestion = f"The worker crashed with signal {signal_name}.", ""
    if signal_name == "SIGILL":
        message += " The node's processor lacks an instruction that a library of this task needs, such as AVX."
        suggestion = "Let the phase run on nodes with newer processors: a node selector in the pipeline's templates."
    return PhaseError(ExitCode.TEMPORARY, Reason.TEMPORARY_FAILURE, message, suggestion)


def _out_of_memory(detail: str) -> PhaseError:
    return PhaseError(ExitCode.TEMPORARY, Reason.OUT_OF_MEMORY, f"The phase ran out of memory. {detail}".strip())


def _redirect_standard_streams(output: int) -> None:
    """Input from nowhere, both outputs into the log: no program of a task may wait for a terminal."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(nothing)
    os.close(output)


def _pump(descriptor: int, write_line: Callable[[str], None]) -> None:
    with os.fdopen(descriptor, "r", encoding="utf-8", errors="replace") as stream:
        for line in stream:
            stripped = line.rstrip()
            if stripped:
                write_line(stripped)
