"""A task that runs in the container ``work``, as its supervisor in ``serve`` sees it."""

from __future__ import annotations

import logging
import select
import signal
import socket
import time
from contextlib import suppress
from typing import Final

from audiojob_runner.phase.inputs import Ahead
from audiojob_runner.phase.process import Death, Pipes, StartWorker, Worker
from audiojob_runner.phase.worker import WorkerSpec, send_line
from audiojob_runner.worker.working import wire

TAKE_SECONDS: Final = 10.0  # for the end of all that a killed task has left
_SOON_SECONDS: Final = 0.2  # from the end of its pipes until its end is told

_log = logging.getLogger(__name__)


class AwayWorker(Worker):
    """Nothing of the store is handed to it but copies, and what it says is bounded: ``serve`` outlives it."""

    holds = False
    ends_by_report = True
    most_record_bytes = 4 * 1024 * 1024


def starting(described: socket.socket, phase: socket.socket, ahead: Ahead) -> StartWorker:
    """Starts the task by the phase's two sockets, which ``work`` has the other ends of."""

    def start(spec: WorkerSpec) -> Worker:
        ours, tasks = Pipes.pair()
        try:
            line = wire.spec_to_json(spec)
            send_line(described, line, [tasks.control.fileno(), tasks.events, tasks.output])
        except OSError as error:
            _log.warning("The container work does not take the task: %s", error.strerror or error)
        finally:
            tasks.close()
            described.close()
        worker = AwayWorker(_Away(phase), ours)
        worker.ahead = ahead
        return worker

    return start


class _Away:
    """The task's process."""

    def __init__(self, phase: socket.socket) -> None:
        self._phase = phase  # open until this process ends: then the phase is over
        self._death: Death | None = None

    def has_ended(self, seconds: float) -> bool:
        end = time.monotonic() + max(seconds, _SOON_SECONDS)
        while self._death is None:
            readable, _, _ = select.select([self._phase], [], [], max(0.0, end - time.monotonic()))
            if not readable:
                return False
            with suppress(ConnectionError):
                content = self._phase.recv(4_096)
            self._death = wire.death_from_json(content) if content else Death(None, None)
        return True

    def signal(self, number: signal.Signals) -> None:
        with suppress(OSError):  # it has ended, or all of its container has
            self._phase.send(bytes([number]))

    def was_out_of_memory(self) -> bool | None:
        return self.take().out_of_memory

    def take(self) -> Death:
        if not self.has_ended(TAKE_SECONDS) or self._death is None:
            _log.error("The task's process does not end.")
            self._death = Death(None, None)
        return self._death
