"""What a strange server's headers ask for. Pure; one reader for all programs, so that they agree on odd values."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

MAX_RETRY_AFTER_SECONDS: Final = 86_400


def retry_after_seconds(value: str | None, now: datetime) -> int | None:
    """Seconds that a ``Retry-After`` header asks for, 0 to ``MAX_RETRY_AFTER_SECONDS``; None where it is not valid.

    Seconds or an HTTP date; a date counts from ``now``, an aware time. A negative number is not valid.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdecimal():
        # Longer numbers are as good as endless, and int() refuses thousands of digits.
        return min(int(text[:20]), MAX_RETRY_AFTER_SECONDS)
    moment = http_date(text)
    if moment is None:
        return None
    return min(max(0, -int((now - moment).total_seconds() // 1)), MAX_RETRY_AFTER_SECONDS)


def http_date(value: str | None) -> datetime | None:
    """The aware time of an HTTP date; None where it is not valid."""
    try:
        moment = parsedate_to_datetime((value or "")[:100])
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
