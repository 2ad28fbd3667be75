"""How often numbers that change all the time are written: a few times at once, then now and then."""

from __future__ import annotations

from typing import Final

BURST: Final = 5
EVERY_SECONDS: Final = 5.0


class Pace:
    """Up to `BURST` writes at once, and one more for each `EVERY_SECONDS` since: a token bucket of one object."""

    def __init__(self) -> None:
        self._spent = 0.0  # tokens
        self._at = 0.0

    def take(self, now: float) -> float:
        """Take the turn to write, and return 0; or return in how many seconds there is one. ``now`` is monotonic."""
        self._spent = max(0.0, self._spent - (now - self._at) / EVERY_SECONDS)
        self._at = now
        if self._spent <= BURST - 1:
            self._spent += 1
            return 0.0
        return (self._spent - (BURST - 1)) * EVERY_SECONDS
