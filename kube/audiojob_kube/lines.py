"""Cutting a watch's byte stream into lines."""

from __future__ import annotations

_LINE_LIMIT_BYTES = 32 * 1024 * 1024


class LineTooLongError(Exception):
    """No object is this large: whatever sends this does not speak the watch protocol."""


class LineSplitter:
    """Gathers chunks of any size into whole lines; the end of an unfinished line is never given out.

    aiohttp's own readline refuses lines longer than its buffer, which one large object exceeds.
    """

    def __init__(self, limit: int = _LINE_LIMIT_BYTES) -> None:
        self._limit = limit
        self._partial = bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that `chunk` completes, without their newline; empty lines are left out."""
        *whole, rest = chunk.split(b"\n")
        if whole and self._partial:
            self._partial += whole[0]
            whole[0] = bytes(self._partial)
            self._partial.clear()
        self._partial += rest
        if len(self._partial) > self._limit:
            raise LineTooLongError(f"a line of the watch is longer than {self._limit} bytes")
        return [line for line in whole if line]
