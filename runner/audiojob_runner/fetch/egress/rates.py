"""Transfer rates: a bandwidth limit for all connections, and a lower bound for each. Pure: the clock is passed in."""

from __future__ import annotations

from typing import Final

# A server that sends less than this in a minute stalls.
STALL_SECONDS: Final = 60.0
STALL_BYTES: Final = 64 * 1024
# After a pause of this length the measurement starts again: the connection was idle, or the client gives it up itself.
PAUSE_SECONDS: Final = 20.0


class RateLimit:
    """Spreads bytes over time. All connections share one."""

    def __init__(self, bytes_per_second: int | None) -> None:
        self._rate = bytes_per_second
        self._free = 0.0

    def wait(self, number: int, now: float) -> float:
        """Seconds to wait after these bytes, so that the bandwidth is kept. One caller at a time."""
        if not self._rate:
            return 0.0
        self._free = max(self._free, now) + number / self._rate
        return self._free - now


class StallDetector:
    """Detects a connection on which bytes trickle in too slowly for the download ever to end."""

    def __init__(self, now: float) -> None:
        self._start = self._last = now
        self._bytes = 0

    def sent(self, now: float) -> None:
        """The client sent a request: short answers to many requests are no stall."""
        self._restart(now)

    def received(self, number: int, now: float) -> bool:
        """Count bytes from the server; true when the connection stalls."""
        if now - self._last >= PAUSE_SECONDS:
            self._restart(now)
        self._last = now
        self._bytes += number
        if now - self._start < STALL_SECONDS:
            return False
        stalls = self._bytes < STALL_BYTES
        self._restart(now)
        return stalls

    def _restart(self, now: float) -> None:
        self._start = self._last = now
        self._bytes = 0
