"""The supervisor's handle of the worker: starts it, sends its inputs, follows its progress, ends its session."""

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
from dataclasses import dataclass
from typing import Any, Final, Protocol

from audiojob_runner.errors import PhaseError
from audiojob_runner.phase import usage
from audiojob_runner.phase.inputs import Ahead
from audiojob_runner.phase.watchdog import Interruption
from audiojob_runner.phase.worker import Order, WorkerSpec, result_from_record, run_worker, send_line
from audiojob_runner.task import TaskResult
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason

POLL_SECONDS: Final = 0.2
# Nothing that a task could still save is wanted; the time is for programs that remove their own temporary files.
TERMINATE_SECONDS: Final = 1.5
OUTPUT_SECONDS: Final = 2.0
MOST_RECORD_BYTES: Final = 96 * 1024 * 1024  # a manifest has at most 64 MiB
MOST_LINE_CHARACTERS: Final = 64 * 1024

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Death:
    """How a task's process ended. ``status`` is that of ``waitpid``; None where nobody can tell any more.

    ``out_of_memory``: whether the kernel killed something beside it for memory; None if unknown. What it took is told
    where this process cannot see it.
    """

    status: int | None
    out_of_memory: bool | None
    cpu_seconds: float = 0.0
    peak_bytes: int = 0


class TaskProcess(Protocol):
    """The process of a task, a child of this one or of another container's."""

    def has_ended(self, seconds: float) -> bool:
        """Whether it ends within so many seconds."""

    def signal(self, number: signal.Signals) -> None:
        """Signal it and all of its session."""

    def was_out_of_memory(self) -> bool | None:
        """Whether the kernel killed something beside it for memory since it began; None if unknown."""

    def take(self) -> Death:
        """Wait for its end, which must be near, and give it up."""


@dataclass(frozen=True, slots=True)
class Pipes:
    """The ends of one side: what the task is told, its events, what it prints."""

    control: socket.socket  # not a pipe: it carries open files
    events: int
    output: int

    @classmethod
    def pair(cls) -> tuple[Pipes, Pipes]:
        """The supervisor's ends and the task's."""
        control, tasks_control = socket.socketpair()
        events_read, events_write = os.pipe()
        output_read, output_write = os.pipe()
        return cls(control, events_read, output_read), cls(tasks_control, events_write, output_write)

    def close(self) -> None:
        """Close all three."""
        self.control.close()
        os.close(self.events)
        os.close(self.output)


class Worker:
    """One task's process. Made by :meth:`fork` while this process has a single thread, or with one that runs.

    ``holds``: inputs may be handed to it as open files of the store. Whoever has one may open it again for writing,
    wherever the one who opened it could write. ``ahead``: what of them is here already.
    ``ends_by_report``: its result is reported at once, so that the last progress need not be.
    """

    holds: bool = True
    ends_by_report: bool = False
    ahead: Ahead | None = None
    most_record_bytes: int = MOST_RECORD_BYTES
    death: Death | None = None

    def __init__(self, process: TaskProcess, pipes: Pipes) -> None:
        self._process = process
        self._control = pipes.control
        self._events = pipes.events
        self._output = pipes.output
        self._killed_by_us = False
        self._pump: threading.Thread | None = None

    @classmethod
    def fork(cls, spec: WorkerSpec) -> Worker:
        """Start it as a child. It loads its task at once and waits for :meth:`order`."""
        ours, tasks = Pipes.pair()
        pid = os.fork()
        if pid == 0:
            os.setsid()
            ours.close()
            redirect_standard_streams(tasks.output)
            run_worker(spec, tasks.control, tasks.events)
        tasks.close()
        return cls(_Child(pid), ours)

    def follow_output(self, write_line: Callable[[str], None]) -> None:
        """Hand each line that the worker and its programs print to ``write_line``, on a thread."""
        self._pump = threading.Thread(target=_pump, args=(self._output, write_line), name="output", daemon=True)
        self._pump.start()

    def order(self, order: Order, held: Sequence[int] = ()) -> None:
        """Let the worker begin. ``held`` are the descriptors of the files that ``order.held`` names."""
        try:
            send_line(self._control, order.to_json(), held)
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
        if self.death is not None:
            return
        if not self._process.has_ended(0.0):
            self._killed_by_us = True
            self._process.signal(signal.SIGTERM)
            self._process.has_ended(TERMINATE_SECONDS)
        self._process.signal(signal.SIGKILL)
        self.death = self._process.take()
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
            if len(pending) > self.most_record_bytes:  # of a task that was taken over
                raise PhaseError(
                    ExitCode.TEMPORARY, Reason.TEMPORARY_FAILURE, "The worker sends an event that has no end."
                )
            if b"\n" not in chunk:
                continue
            *lines, rest = pending.split(b"\n")
            pending = bytearray(rest)
            for line in lines:
                yield json.loads(line)

    def _task_error(self, record: dict[str, Any]) -> PhaseError:
        error = PhaseError(record["exit_code"], Reason(record["reason"]), record["message"], record["suggestion"])
        error.retry_after_seconds = record["retry_after_seconds"]
        error.refused_by = record["refused_by"]
        # A program of the task that the kernel killed for memory looks like any other crash to the task.
        if error.exit_code != ExitCode.GPU and self._process.was_out_of_memory():
            return _out_of_memory(error.message)
        return error

    def _death(self) -> PhaseError:
        assert self.death is not None
        status, counted = self.death.status, self.death.out_of_memory
        if status is None:
            return PhaseError(
                ExitCode.TEMPORARY, Reason.TEMPORARY_FAILURE, "The container that the task ran in is gone."
            )
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            name = signal.Signals(number).name
            unknown = counted is None and number == signal.SIGKILL and not self._killed_by_us
            if counted or unknown:
                return _out_of_memory(f"The worker was killed ({name}).")
            return _crashed(name)
        code = os.WEXITSTATUS(status)
        return PhaseError(
            ExitCode.TEMPORARY,
            Reason.TEMPORARY_FAILURE,
            f"The worker ended with code {code} and without a result.",
        )


StartWorker = Callable[[WorkerSpec], Worker]


class _Child:
    """A task's process that was forked from this one."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._oom_kills_before = usage.oom_kills()

    def has_ended(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while True:
            if os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None:
                return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.02)

    def signal(self, number: signal.Signals) -> None:
        # The leader is not reaped yet, so its number cannot be another session's by now.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, number)

    def was_out_of_memory(self) -> bool | None:
        return usage.more_oom_kills(self._oom_kills_before)

    def take(self) -> Death:
        _, status = os.waitpid(self._pid, 0)
        return Death(status, self.was_out_of_memory())


def _crashed(signal_name: str) -> PhaseError:
    """How a worker died by a signal that was not for memory."""
    message, suggestion = f"The worker crashed with signal {signal_name}.", ""
    if signal_name == "SIGILL":
        message += " The node's processor lacks an instruction that a library of this task needs, such as AVX."
        suggestion = "Let the phase run on nodes with newer processors: a node selector in the pipeline's templates."
    return PhaseError(ExitCode.TEMPORARY, Reason.TEMPORARY_FAILURE, message, suggestion)


def _out_of_memory(detail: str) -> PhaseError:
    return PhaseError(ExitCode.TEMPORARY, Reason.OUT_OF_MEMORY, f"The phase ran out of memory. {detail}".strip())


def redirect_standard_streams(output: int) -> None:
    """Input from nowhere, both outputs into the log: no program of a task may wait for a terminal."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(nothing)
    os.close(output)


def _pump(descriptor: int, write_line: Callable[[str], None]) -> None:
    with os.fdopen(descriptor, "r", encoding="utf-8", errors="replace") as stream:
        while line := stream.readline(MOST_LINE_CHARACTERS):  # a longer one comes in parts
            stripped = line.rstrip()
            if stripped:
                write_line(stripped)
