"""How long to wait before a failed phase is tried again, and when to give up."""

from __future__ import annotations

import hashlib
import math
from datetime import datetime, timedelta
from typing import Final

from audiojob_types.resources.job import Retry

MAX_DISRUPTIONS: Final = 20  # nobody's fault, but a phase that is always evicted must end some day


def backoff_seconds(retry: Retry, failures: int, seed: str) -> float:
    """The wait after the n-th counted failure: base × 2^(n-1), capped, times a fixed number in [0.5, 1.0) of ``seed``.

    The jitter is a hash, so that the same attempt always waits as long, whoever computes it.
    """
    doubled = retry.base_seconds << min(max(failures - 1, 0), 32)
    return min(doubled, retry.cap_seconds) * _jitter(seed)


def next_attempt_time(retry: Retry, failures: int, seed: str, now: datetime) -> datetime | None:
    """When to try again, in whole seconds as status stores them and never early; None is at once."""
    seconds = backoff_seconds(retry, failures, seed)
    if seconds <= 0:
        return None
    return datetime.fromtimestamp(math.ceil((now + timedelta(seconds=seconds)).timestamp()), tz=now.tzinfo)


def gives_up(retry: Retry, failures: int, most: int | None) -> bool:
    """Whether that many counted failures end the phase. ``most`` is a lower limit for this kind of failure."""
    return failures >= min(retry.limit, most or retry.limit)


def _jitter(seed: str) -> float:
    value = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big")
    return 0.5 + value / 2**33
