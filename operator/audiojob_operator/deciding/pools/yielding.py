"""Whether idle workers give way: to whom, for what, and after how long."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from audiojob_operator.deciding.children.diagnose import condition_of, parse_time
from audiojob_operator.deciding.children.scheduler_message import Shortage, shortage
from audiojob_operator.records.objects import Object

YIELD_GRACE_SECONDS: Final = 5.0
"""For so long somebody waits before idle workers give way. A pod whose predecessor is just ending is refused too, and
placed when the scheduler tries again, after 1 and 2 s. A worker that is given up in vain costs the pool's next phase a
start and a loading of models: more than this."""

_EVERY_POD_HAS: Final = frozenset({"cpu", "memory", "ephemeral-storage", "pods"})


@dataclass(frozen=True, slots=True)
class Lack:
    """Somebody waits since then for what idle workers may hold. ``short``: what for; None where nobody tells."""

    since: datetime
    short: Shortage | None = None


@dataclass(frozen=True, slots=True)
class Yielding:
    """Whether idle workers give way, and if not, when they may have to."""

    now: bool = False
    at: datetime | None = None


def lack_of(pod: Object) -> Lack | None:
    """What a pod lacks that the scheduler has found no node for; None if it waits for something else."""
    placed = condition_of(pod, "PodScheduled")
    if placed is None or placed.get("status") != "False" or placed.get("reason") != "Unschedulable":
        return None
    since = parse_time(placed.get("lastTransitionTime")) or parse_time(pod["metadata"].get("creationTimestamp"))
    return Lack(since, shortage(placed.get("message") or "")) if since is not None else None


def has_waited(since: datetime | None, now: datetime) -> bool:
    """Whether that is for long enough."""
    return since is not None and since + timedelta(seconds=YIELD_GRACE_SECONDS) <= now


def yielding(lacks: Iterable[Lack], gpu: str | None, now: datetime) -> Yielding:
    """Whether workers of a pool give way to these. ``gpu``: the resource that its workers have besides."""
    has = _EVERY_POD_HAS if gpu is None else _EVERY_POD_HAS | {gpu}
    grace, soonest = timedelta(seconds=YIELD_GRACE_SECONDS), None
    for lack in lacks:
        if not _helps(has, lack.short):
            continue
        at = lack.since + grace
        if at <= now:
            return Yielding(now=True)
        soonest = min(soonest or at, at)
    return Yielding(at=soonest)


def _helps(has: frozenset[str], short: Shortage | None) -> bool:
    """Whether there may be a node that lacks nothing but what a worker gives back.

    A node that is barred is looked at no further, so it is not among those that lack something.
    """
    if short is None:
        return True
    helped = any(count for resource, count in short.lacking if resource in has)
    lost = short.barred + max((count for resource, count in short.lacking if resource not in has), default=0)
    return helped and lost < short.nodes
