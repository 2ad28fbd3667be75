"""Statistics of a span of time, by group. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from audiojob_api.jobs.statistics.sums import CREATED, HOUR, REUSED, quantile
from audiojob_api.sql.tables.archive import BUCKETS
from audiojob_types.contract import Device
from audiojob_types.resources.job import State

MOST_GROUPS: Final = 1_000
_BUCKETS: Final = tuple(f"b{number:02d}" for number in range(BUCKETS))


class By(StrEnum):
    """What statistics are told apart by."""

    ALL = "all"
    PIPELINE = "pipeline"
    PHASE = "phase"
    HOUR = "hour"
    DAY = "day"


@dataclass(slots=True)
class Group:
    """What happened to the jobs, or phases, of one group."""

    created: int = 0
    states: dict[str, int] = field(default_factory=dict)
    reused: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    succeeded_ms: int = 0
    succeeded: int = 0
    waited_ms: int = 0
    gpu_ms: int = 0
    buckets: list[int] = field(default_factory=lambda: [0] * BUCKETS)

    def add(self, row: Any) -> None:
        """One sum: a whole job's, or a phase's."""
        count = int(row.count)
        if row.state == CREATED:
            self.created += count
            return
        if row.state == REUSED:
            self.reused += count
            return
        self.states[row.state] = self.states.get(row.state, 0) + count
        self.waited_ms += int(row.waited_ms)
        if row.reason and row.state == State.FAILED:
            self.errors[row.reason] = self.errors.get(row.reason, 0) + count
        if row.state == State.SUCCEEDED:
            self.succeeded += count
            self.succeeded_ms += int(row.sum_ms)
            self.buckets = [old + int(getattr(row, name)) for old, name in zip(self.buckets, _BUCKETS, strict=True)]

    def to_wire(self) -> dict[str, Any]:
        """The JSON form: rates of nothing are left out."""
        ended = sum(self.states.values())
        wire: dict[str, Any] = {
            "created": self.created,
            "ended": ended,
            "states": self.states,
            "reused": self.reused,
            "errors": self.errors,
            "gpuHours": round(self.gpu_ms / HOUR, 3),
        }
        if ended:
            wire["successRate"] = round(self.succeeded / ended, 4)
            wire["meanWaitSeconds"] = round(self.waited_ms / ended / 1_000, 1)
        if self.succeeded:
            wire["meanSeconds"] = round(self.succeeded_ms / self.succeeded / 1_000, 1)
        if (tail := quantile(self.buckets, 0.95)) is not None:
            wire["p95Seconds"] = round(tail / 1_000, 1)
        return wire


def fold(rows: Iterable[Any], by: By) -> dict[str, Group]:
    """Rows of sums, by group. Phases count as such where they are asked for, and else for GPU time and reuse alone."""
    groups: dict[str, Group] = {}
    for row in rows:
        group = groups.setdefault(str(row.name), Group())
        if not row.whole and row.device == Device.GPU:
            group.gpu_ms += int(row.sum_ms)
        if bool(row.whole) is not (by is By.PHASE) or (row.state == REUSED and not row.whole):
            group.add(row)
    return {name: group for name, group in groups.items() if name or by is not By.PHASE}
