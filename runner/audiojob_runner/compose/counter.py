"""Reads from what ``-progress`` writes how many pictures the first stream has: exact, where times are rounded."""

from __future__ import annotations

from collections.abc import Callable


class PictureCounter:
    """Counts the pictures that are coded; ``moved`` is told each new number."""

    def __init__(self, moved: Callable[[int], None]) -> None:
        self._moved = moved
        self._rest = b""
        self.count = 0

    def feed(self, data: bytes) -> bool:
        """Take a piece of the stream; true when it says that the work has moved on."""
        before = self.count
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[-1_000:]
        for line in lines:
            key, _, value = line.strip().partition(b"=")
            if key == b"frame" and value.strip().isdigit() and int(value) > self.count:
                self.count = int(value)
                self._moved(self.count)
        return self.count > before
