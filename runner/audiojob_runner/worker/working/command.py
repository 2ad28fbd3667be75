"""``work``: runs one task after the other as ``serve`` asks for it. It has one thread and sees no job's data."""

from __future__ import annotations

import logging
import select
import signal
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from audiojob_runner import logs
from audiojob_runner.phase.untraceable import refuse_tracers
from audiojob_runner.phase.watchdog import STOP_SIGNALS, block_stop_signals
from audiojob_runner.settings import Paths
from audiojob_runner.worker import leftovers
from audiojob_runner.worker.working import wire
from audiojob_runner.worker.working.hold import Held
from audiojob_runner.worker.working.room import Room, end_processes
from audiojob_runner.worker.working.task import TaskProcess
from audiojob_types.contract import ExitCode
from audiojob_types.workers.order import WorkTerms
from audiojob_types.workers.pod import ROOM, SOCKET

CONNECT_SECONDS: Final = 600.0  # images are pulled one after the other
_LOOK_SECONDS: Final = 0.25
_WAIT_SECONDS: Final = 0.1

_log = logging.getLogger(__name__)


def run_work(_environ: Mapping[str, str], root: Path = Path("/")) -> int:
    """Run what ``serve`` hands over until it is gone; the exit code."""
    block_stop_signals()
    logs.configure(logs.print_line)
    paths = Paths.under(root)
    leftovers.adopt_orphans()
    refuse_tracers()
    room = paths.scratch / ROOM
    connection = _accept(room)
    if connection is None:
        return int(ExitCode.STOPPED)
    return _Working(connection, Room.under(root, room), Held(paths.models)).run()


def _accept(room: Path) -> socket.socket | None:
    """The one connection. The socket is gone from the room afterwards: nothing that runs later finds it."""
    room.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + CONNECT_SECONDS
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener, wire.short_path(room, SOCKET) as path:
        (room / SOCKET).unlink(missing_ok=True)
        listener.bind(path)
        listener.listen(1)
        while not select.select([listener], [], [], _WAIT_SECONDS)[0]:
            if signal.sigtimedwait(STOP_SIGNALS, 0) is not None or time.monotonic() >= end:
                _log.error("The container serve did not come.")
                return None
        connection, _ = listener.accept()
        (room / SOCKET).unlink()
    return connection


class _Working:
    """The loop and what it holds."""

    def __init__(self, connection: socket.socket, room: Room, held: Held) -> None:
        self._connection = connection
        self._room = room
        self._held = held
        # The end of a child wakes what waits for sockets.
        self._ended, self._ended_in = socket.socketpair()
        self._ended.setblocking(False)
        self._ended_in.setblocking(False)
        signal.signal(signal.SIGCHLD, _noted)
        signal.set_wakeup_fd(self._ended_in.fileno(), warn_on_full_buffer=False)

    def run(self) -> int:
        """Until ``serve`` is gone. Stop signals are its to obey: it gets them too, and has a phase to end."""
        while True:
            record, sockets = wire.receive(self._connection)
            if record is None:
                return int(ExitCode.OK)
            if wire.PREPARE in record:
                began = time.monotonic()
                self._held.load(WorkTerms.read(record[wire.PREPARE]))
                self._say({wire.READY: round(time.monotonic() - began, 3)})
                continue
            described, phase = sockets
            self._held.load_missing()
            self._run_phase(described, phase)
            is_clear = self._room.clear()
            self._say({wire.CLEAR: is_clear})
            if not is_clear:
                _log.error("What a phase left cannot be removed; the worker ends.")
                return int(ExitCode.TEMPORARY)

    def _run_phase(self, described: socket.socket, phase: socket.socket) -> None:
        """From the fork to the end of the phase, which its supervisor tells by closing ``phase``."""
        with phase:
            try:
                others = (self._connection, phase, self._ended, self._ended_in)
                task: TaskProcess | None = TaskProcess.fork(described, others, self._held)
            except OSError as error:
                _log.error("No process for the task: %s", error.strerror or error)
                task = None  # its supervisor sees that nobody has the task's ends of its pipes
            finally:
                described.close()
            is_alive = task is not None
            while True:
                readable, _, _ = select.select([phase, self._ended], [], [], _LOOK_SECONDS if is_alive else None)
                if self._ended in readable:
                    self._drain()
                if task is not None and is_alive:
                    task.look()
                    if task.has_ended():
                        is_alive = False
                        self._tell_death(task, phase)
                if phase in readable and not self._obey(phase, task if is_alive else None):
                    return

    def _tell_death(self, task: TaskProcess, phase: socket.socket) -> None:
        status = task.reap()
        end_processes()
        try:
            phase.send(wire.death_to_json(task.death(status)))
        except OSError:
            _log.info("The phase's supervisor is gone.")

    def _obey(self, phase: socket.socket, task: TaskProcess | None) -> bool:
        """Send the signals that are asked for; False once the supervisor is gone."""
        try:
            numbers = phase.recv(64)
        except ConnectionError:
            return False
        for number in numbers:
            if task is not None:
                task.signal(number)
        return bool(numbers)

    def _drain(self) -> None:
        try:
            while self._ended.recv(64):
                pass
        except BlockingIOError:
            return

    def _say(self, record: dict[str, object]) -> None:
        try:
            wire.send(self._connection, record)
        except OSError:
            _log.info("The container serve is gone.")


def _noted(_number: int, _frame: object) -> None:
    """Python wants a handler; the wake-up descriptor has the number."""
