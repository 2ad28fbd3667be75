"""Cool-down: hosts that limit requests are not asked by any job for a while."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from audiojob_types.contract import COOL_DOWN_REASONS
from audiojob_types.resources.job import PhaseStatus

_FIRST_SECONDS: Final = 60
_LONGEST_SECONDS: Final = 3_600


def cool_down_seconds(times: int, asked: int | None) -> int:
    """How long the host is not asked after the n-th refusal in a row: a minute, doubling, or what it asked for."""
    own = min(_FIRST_SECONDS << min(max(times - 1, 0), 16), _LONGEST_SECONDS)
    return max(own, asked or 0)


def cooling_until(phases: Iterable[PhaseStatus], now: datetime) -> datetime | None:
    """Until when a job says that its host must not be asked."""
    times = [
        record.next_attempt_time
        for record in phases
        if record.reason in COOL_DOWN_REASONS and record.next_attempt_time is not None
    ]
    latest = max(times, default=None)
    return latest if latest is not None and latest > now else None


def next_try(times: int, asked: int | None, now: datetime) -> datetime:
    """When to ask the host again, in whole seconds as status stores them."""
    return (now + timedelta(seconds=cool_down_seconds(times, asked) + 1)).replace(microsecond=0)
