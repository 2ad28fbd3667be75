"""The log: each line goes to standard error at once, and in pieces to the store, where it outlives the pod."""

from __future__ import annotations

import sys
import threading
from typing import Final, TextIO

from audiojob_runner.errors import PhaseError
from audiojob_runner.store.base import Store

LOG_PIECE_BYTES: Final = 1024 * 1024
LOG_PIECE_SECONDS: Final = 30
MAX_LOG_BYTES: Final = 20 * 1024 * 1024
MAX_LINE_BYTES: Final = 64 * 1024
RETRY_SECONDS: Final = 1.0
CUT_NOTICE: Final = b'{"level":"warning","logger":"audiojob_runner","message":"The log is full; the rest is cut."}\n'


class LogPieces:
    """Collects lines. Once :meth:`start` names a store, they are written there as ``<folder>/0000``, ``0001``, ….

    A piece has at most ``LOG_PIECE_BYTES``; all of them at most ``MAX_LOG_BYTES``. A write that fails is retried; it
    never fails or delays the work.
    """

    def __init__(self, echo: TextIO = sys.stderr, seconds: float = LOG_PIECE_SECONDS) -> None:
        self._echo = echo
        self._seconds = seconds
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._buffer = bytearray()
        self._collected = 0
        self._full = False
        self._number = 0
        self._store: Store | None = None
        self._folder = ""
        self._failed: PhaseError | None = None
        self._thread: threading.Thread | None = None
        self.first_key: str | None = None

    def write_line(self, line: str) -> None:
        """Add one line, without its line end. Thread-safe."""
        content = line.encode("utf-8", "replace")[:MAX_LINE_BYTES] + b"\n"
        with self._lock:
            try:
                self._echo.write(content.decode("utf-8", "replace"))
                self._echo.flush()
            except (OSError, ValueError):
                pass  # standard error is closed: the store still gets the line
            self._collect(content)
            if len(self._buffer) >= LOG_PIECE_BYTES:
                self._wake.set()

    def start(self, store: Store, folder: str) -> None:
        """Start to write pieces into ``folder``."""
        self._store, self._folder = store, folder
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def close(self, timeout: float) -> None:
        """Write the last piece, within ``timeout`` seconds."""
        self._closing.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout)

    @property
    def failed(self) -> PhaseError | None:
        """Why the newest piece could not be written."""
        return self._failed

    def _collect(self, content: bytes) -> None:
        if self._full:
            return
        if self._collected + len(content) + len(CUT_NOTICE) > MAX_LOG_BYTES:
            self._full = True
            content = CUT_NOTICE
        self._collected += len(content)
        self._buffer += content

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.wait(self._seconds)
            self._wake.clear()
            self._write_pieces()
            if self._failed is not None:
                self._closing.wait(RETRY_SECONDS)  # also when lines are waiting
        self._write_pieces()

    def _write_pieces(self) -> None:
        assert self._store is not None
        while True:
            with self._lock:
                piece = bytes(_cut_at_line(self._buffer, LOG_PIECE_BYTES))
            if not piece:
                return
            key = f"{self._folder}/{self._number:04}"
            try:
                self._store.write(key, piece)
            except PhaseError as error:
                self._failed = error
                return
            self._failed = None
            self.first_key = self.first_key or key
            self._number += 1
            with self._lock:
                del self._buffer[: len(piece)]


def _cut_at_line(content: bytearray, limit: int) -> bytearray:
    """The longest start of whole lines within ``limit`` bytes; lines are shorter than that."""
    if len(content) <= limit:
        return content
    return content[: content.rfind(b"\n", 0, limit) + 1]
