"""How much memory an attempt asks for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from audiojob_operator.building.quantity import quantity_bytes
from audiojob_types.resources.job import PhaseStatus
from audiojob_types.resources.podtemplate import Resources

_MINUTE_MILLISECONDS: Final = 60_000
_MIB: Final = 1024**2


def base_request(resources: Resources, durations: Iterable[int | None]) -> int:
    """Bytes of a first attempt: the pipeline's number, and its number a minute for each begun minute of the longest
    input. ``durations`` are in milliseconds, None where nobody measured."""
    base = quantity_bytes(resources.memory)
    if resources.memory_per_minute is None:
        return base
    longest = max((known for known in durations if known is not None), default=0)
    minutes = -(-longest // _MINUTE_MILLISECONDS)
    wanted = base + minutes * quantity_bytes(resources.memory_per_minute)
    # The cap is the administrator's last word, also about inputs that are very long.
    return min(wanted, max(base, quantity_bytes(resources.memory_cap))) if resources.memory_cap else wanted


def next_request(resources: Resources, record: PhaseStatus, durations: Iterable[int | None]) -> int:
    """Bytes of the next attempt: never less than an earlier attempt's failure has raised it to."""
    return max(base_request(resources, durations), record.memory_request_bytes or 0)


def grown_request(resources: Resources, used: int) -> int | None:
    """Bytes after an attempt with ``used`` ran out of memory, in whole MiB; None if it may not have more."""
    if resources.memory_cap is None:
        return None
    grown = -(-used * (100 + resources.memory_growth_percent) // (100 * _MIB)) * _MIB
    wanted = min(grown, quantity_bytes(resources.memory_cap))
    return wanted if wanted > used else None
