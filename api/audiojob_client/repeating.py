"""Which failures are answered by trying again, and after how long. Pure: nothing here waits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_FIRST_SECONDS: Final = 0.5
_LONGEST_SECONDS: Final = 10.0
_TIMES: Final = 8


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a call may wait in all before its last error is raised; 0 for not at all."""

    seconds: float = 60.0

    def wait(self, attempt: int, spent: float, retry_after: float | None) -> float | None:
        """Seconds until the next try, after ``attempt`` tries (from 1) that have waited ``spent``; None to give up.

        What the API says is followed to the second: where it is too long, waiting a part of it would be in vain.
        """
        wanted = min(_FIRST_SECONDS * 2 ** (attempt - 1), _LONGEST_SECONDS) if retry_after is None else retry_after
        if retry_after is None and attempt >= _TIMES:
            return None
        return wanted if spent + wanted <= self.seconds else None


@dataclass(frozen=True, slots=True)
class Failure:
    """A try that failed: with which status, or before an answer came; whether the request may have arrived."""

    status: int | None = None
    arrived: bool = True


def may_repeat(failure: Failure, *, safe: bool) -> bool:
    """Whether to try again. ``safe``: doing it twice does no more than once.

    429 is answered before anything is done. After a 503 or a broken connection nobody knows what was done.
    """
    if failure.status == 429 or not failure.arrived:
        return True
    return safe and failure.status in (None, 502, 503, 504)


def seconds_of(header: str | None) -> float | None:
    """What ``Retry-After`` says, where it is a number of seconds, as the API writes it."""
    if header is None or not header.isascii() or not header.isdecimal() or len(header) > 9:
        return None
    return float(header)
