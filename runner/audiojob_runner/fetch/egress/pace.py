"""How fast bytes come: not faster than a bandwidth, and not so slowly that they never end. Pure: the clock is given."""

from __future__ import annotations

from typing import Final

# A server that sends less than this in a minute never gets done.
SLOW_SECONDS: Final = 60.0
SLOW_BYTES: Final = 64 * 1024
# A pause of this length is no trickle: a connection that is kept for later, or one that the client gives up by itself.
PAUSE_SECONDS: Final = 20.0


class Pace:
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


class Trickle:
    """Tells when one connection brings next to nothing, again and again, without a pause."""

    def __init__(self, now: float) -> None:
        self._start = self._last = now
        self._bytes = 0

    def sent(self, now: float) -> None:
        """The client asked for something: short answers to many questions are no trickle."""
        self._restart(now)

    def received(self, number: int, now: float) -> bool:
        """Note bytes from the server; true when it is a trickle."""
        if now - self._last >= PAUSE_SECONDS:
            self._restart(now)
        self._last = now
        self._bytes += number
        if now - self._start < SLOW_SECONDS:
            return False
        slow = self._bytes < SLOW_BYTES
        self._restart(now)
        return slow

    def _restart(self, now: float) -> None:
        self._start = self._last = now
        self._bytes = 0
