"""What a finished job adds to the sums of an hour, and what is read out of them. Pure."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, NamedTuple

from audiojob_api.jobs.listing.rows import JobRow, milliseconds
from audiojob_api.sql.tables.archive import BUCKETS
from audiojob_types.contract import Device
from audiojob_types.resources.job import PhaseState

Object = dict[str, Any]

HOUR: Final = 3_600_000
WHOLE: Final = ""
"""The name of the phase that stands for the whole job."""
CREATED: Final = "Created"
REUSED: Final = "Reused"
BOUNDS: Final = tuple(round(500 * 1.7**number) for number in range(BUCKETS - 1))
"""The longest time of each bucket but the last, in milliseconds."""
_LONGEST_MEDIA: Final = 7 * 24 * HOUR


class Key(NamedTuple):
    """What is summed together, beside the namespace."""

    hour: int
    pipeline: str
    phase: str
    device: str
    state: str
    reason: str


@dataclass(slots=True)
class Media:
    """Of runs that worked on media of known length: what a line of time over length is drawn from."""

    count: int = 0
    minutes: float = 0.0
    squares: float = 0.0
    seconds: float = 0.0
    products: float = 0.0

    def add(self, minutes: float, seconds: float) -> None:
        """One more."""
        self.count += 1
        self.minutes += minutes
        self.squares += minutes * minutes
        self.seconds += seconds
        self.products += minutes * seconds


@dataclass(slots=True)
class Sum:
    """How many, how long together, how long they waited before, how many of each length, and for how much media."""

    count: int = 0
    sum_ms: int = 0
    waited_ms: int = 0
    buckets: list[int] | None = None
    media: Media = field(default_factory=Media)

    def add(self, took: int | None, waited: int = 0, minutes: float | None = None) -> None:
        """One more. Without a time it never began."""
        self.count += 1
        self.waited_ms += waited
        if took is not None:
            self.sum_ms += took
            self.buckets = self.buckets or [0] * BUCKETS
            self.buckets[bisect_left(BOUNDS, took)] += 1
            if minutes is not None:
                self.media.add(minutes, took / 1_000)

    def columns(self) -> dict[str, int | float]:
        """As the table has them."""
        buckets = self.buckets or [0] * BUCKETS
        named = {f"b{number:02d}": count for number, count in enumerate(buckets)}
        media = {f"media_{name}": value for name, value in asdict(self.media).items()}
        return {"count": self.count, "sum_ms": self.sum_ms, "waited_ms": self.waited_ms, **named, **media}


ADDED: Final = tuple(Sum().columns())
"""Columns that are added up."""


def sums_of(jobs: Iterable[tuple[JobRow, Object]]) -> Mapping[Key, Sum]:
    """What these finished jobs add, each given as its row and whole."""
    sums: dict[Key, Sum] = {}
    for row, job in jobs:
        status = job.get("status") or {}
        end = row.finished or row.created
        reason = str((status.get("error") or {}).get("reason") or "")[:64]
        device = str(row.device or Device.CPU)
        created = Key(_hour(row.created), row.pipeline, WHOLE, "", CREATED, "")
        sums.setdefault(created, Sum()).add(None)
        whole = Key(_hour(end), row.pipeline, WHOLE, device, row.state, reason)
        began = row.started
        took = None if began is None else max(0, end - began)
        sums.setdefault(whole, Sum()).add(took, max(0, (began or end) - row.created))
        minutes = minutes_of(job)
        for phase in status.get("phases", ()):
            _add_phase(sums, row, phase, minutes)
    return sums


def minutes_of(job: Object) -> float | None:
    """How long the media is that the job worked on: the longest that its source or an output plays; None if unknown.

    Pods tell it: what no job can have worked on is passed over.
    """
    status = job.get("status") or {}
    told = [each.get("durationMilliseconds") for each in (status.get("source") or {}, *status.get("outputs", ()))]
    known = [each for each in told if isinstance(each, int) and 0 < each <= _LONGEST_MEDIA]
    return max(known) / 60_000 if known else None


def _add_phase(sums: dict[Key, Sum], row: JobRow, phase: Object, minutes: float | None) -> None:
    ended, began = milliseconds(phase.get("completionTime")), milliseconds(phase.get("startTime"))
    state = str(phase.get("state", ""))
    if ended is None or not state:
        return
    if state == PhaseState.SUCCEEDED and phase.get("reusedFrom"):
        state = REUSED
    reason = "" if state in (PhaseState.SUCCEEDED, REUSED) else str(phase.get("reason") or "")[:64]
    key = Key(_hour(ended), row.pipeline, str(phase["name"])[:63], str(phase.get("device") or ""), state[:32], reason)
    smooth = not phase.get("failures") and not phase.get("disruptions")  # else its waits would count as work
    took = None if began is None or state == REUSED else max(0, ended - began)
    sums.setdefault(key, Sum()).add(took, minutes=minutes if smooth else None)


def quantile(buckets: Sequence[int], share: float) -> int | None:
    """The time below which this share of them lies, in milliseconds; None where there is none.

    Within a bucket times are taken to be spread by their logarithms: wrong by a tenth as a rule.
    """
    total = sum(buckets)
    if not total:
        return None
    wanted, seen = share * total, 0
    for number, count in enumerate(buckets):
        if count and seen + count >= wanted:
            low = BOUNDS[number - 1] if number else BOUNDS[0] / 1.7
            high = BOUNDS[number] if number < len(BOUNDS) else BOUNDS[-1] * 1.7
            return round(low * math.pow(high / low, (wanted - seen) / count))
        seen += count
    return None


def _hour(when: int) -> int:
    return when - when % HOUR
