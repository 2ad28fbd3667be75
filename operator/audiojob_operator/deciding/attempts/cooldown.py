"""Cool-down: a host that limits requests is not asked for a while. ``admission.cooldowns`` says when by others too."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from audiojob_types.contract import COOL_DOWN_REASONS
from audiojob_types.resources.job import PhaseStatus

_FIRST_SECONDS: Final = 60


def cool_down_seconds(times: int, asked: int | None, most: int) -> int:
    """How long the host is not asked after the n-th refusal in a row: a minute, doubling, or what it asked for.

    ``most`` is the administrator's: what a server asks for is a stranger's word.
    """
    return min(max(_FIRST_SECONDS << min(max(times - 1, 0), 16), asked or 0), most)


def refusals(phases: Iterable[PhaseStatus], since: datetime | None) -> dict[str, datetime]:
    """The hosts that have refused a job, and until when it leaves each alone; refusals before ``since`` are void."""
    found: dict[str, datetime] = {}
    for record in phases:
        refused, until = record.cool_down, record.next_attempt_time
        if refused is None or until is None or record.reason not in COOL_DOWN_REASONS:
            continue
        if since is None or refused.time > since:
            found[refused.host] = max(until, found.get(refused.host, until))
    return found


def next_try(times: int, asked: int | None, most: int, now: datetime) -> datetime:
    """When to ask the host again, in whole seconds as status stores them."""
    return (now + timedelta(seconds=cool_down_seconds(times, asked, most) + 1)).replace(microsecond=0)
