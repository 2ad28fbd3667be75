"""The connection of ``serve`` to the container ``work``, made once: what ``work`` runs later cannot take it over."""

from __future__ import annotations

import logging
import select
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from audiojob_runner.worker.state import Work
from audiojob_runner.worker.working import wire
from audiojob_types.workers.order import WorkTerms
from audiojob_types.workers.pod import SOCKET

CONNECT_SECONDS: Final = 120.0
CLEAR_SECONDS: Final = 15.0

_log = logging.getLogger(__name__)


class Link:
    """What is known of ``work``."""

    def __init__(self, room: Path) -> None:
        self._room = room
        self._connection: socket.socket | None = None
        self._asked = False
        self._late = time.monotonic() + CONNECT_SECONDS
        self.work = Work.STARTING
        self.why = ""
        """Of one that cannot be used any more."""

    def look(self, terms: WorkTerms | None) -> None:
        """Connect, ask it to prepare once there is something to prepare, and take what it says. Never waits."""
        if self.work in (Work.GONE, Work.UNCLEAR):
            return
        if self._connection is None:
            self._connect()
        elif not self._asked and terms is not None:
            self._asked = True
            wanted = {name: value for name, value in terms.to_wire().items() if name != "told"}
            self._send({wire.PREPARE: wanted})
        self._take(0.0)

    def hand_over(self) -> tuple[socket.socket, socket.socket]:
        """Two sockets for a phase: its task is described by the first, and ended by closing the second.

        Raises :class:`OSError` where there are no descriptors.
        """
        described, theirs = socket.socketpair()
        phase, phase_theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._send({wire.PHASE: True}, theirs.fileno(), phase_theirs.fileno())
        theirs.close()
        phase_theirs.close()
        self.work = Work.TAKEN if self.work is Work.FREE else self.work
        return described, phase

    def wait_until_clear(self) -> None:
        """Once a phase is over: until nothing of it is left, or it is known that this will not be."""
        end = time.monotonic() + CLEAR_SECONDS
        while self.work is Work.TAKEN:
            left = end - time.monotonic()
            if left <= 0:
                self._lose(Work.UNCLEAR, f"did not remove what a phase left within {CLEAR_SECONDS:.0f} s")
                return
            self._take(left)

    def close(self) -> None:
        """Let ``work`` end."""
        if self._connection is not None:
            self._connection.close()

    def _connect(self) -> None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with wire.short_path(self._room, SOCKET) as path:
                connection.connect(path)
        except OSError:
            connection.close()
            if time.monotonic() >= self._late:
                self._lose(Work.GONE, f"did not start within {CONNECT_SECONDS:.0f} s")
            return
        self._connection = connection

    def _send(self, record: dict[str, Any], *descriptors: int) -> None:
        if self._connection is None:
            return
        with suppress(OSError):  # its end is seen when it is read
            wire.send(self._connection, record, descriptors)

    def _take(self, seconds: float) -> None:
        """What it says within so many seconds."""
        while self._connection is not None and select.select([self._connection], [], [], seconds)[0]:
            record, _ = wire.receive(self._connection)
            if record is None:
                self._lose(Work.GONE, "has ended")
            elif wire.READY in record:
                self.work = Work.FREE
                _log.info("The container work is ready; it loaded for %.1f s.", record[wire.READY])
            elif record.get(wire.CLEAR):
                self.work = Work.FREE
            else:
                self._lose(Work.UNCLEAR, "cannot remove what a phase left")
            seconds = 0.0

    def _lose(self, work: Work, why: str) -> None:
        self.work, self.why = work, f"The container work {why}"
        _log.error("%s.", self.why)
        self.close()
        self._connection = None
