"""What people are told of a pool's workers by events on it: `kubectl describe awp` lists them. None is of a phase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from audiojob_operator.building.names import event_name
from audiojob_operator.deciding.pools.decide import PoolObserved, PoolPlan, drains, hangs, is_taken, yields
from audiojob_operator.records.changes import clip
from audiojob_operator.records.plan import EventRecord
from audiojob_operator.records.workers import Worker
from audiojob_types.resources.metadata import Metadata

_POOL_CHARACTERS: Final = 200  # of an event's name
_HOUR_SECONDS: Final = 3_600


class PoolReason(StrEnum):
    """The events' reasons: words of docs/workers.md."""

    WORKERS_STARTED = "WorkersStarted"
    WORKERS_ENDED = "WorkersEnded"
    WORKERS_FAIL = "WorkersFail"
    WORKERS_REFUSED = "WorkersRefused"
    CANNOT_START = "WorkersCannotStart"


@dataclass(frozen=True, slots=True)
class Ended:
    """A worker that is gone."""

    name: str
    phases: int
    failed: bool
    why: str


def started(pool: Metadata, workers: Sequence[str], why: str) -> EventRecord:
    """Jobs of these workers were made."""
    names = ", ".join(workers)
    what = f"Started worker {names}" if len(workers) == 1 else f"Started {len(workers)} workers ({names})"
    return _record(pool, PoolReason.WORKERS_STARTED, "/".join(workers), f"{what}: {why}.")


def ended(pool: Metadata, workers: Sequence[Ended]) -> EventRecord:
    """These workers are gone."""
    told = [
        f"{each.name} {'failed' if each.failed else 'ended'} after {_phases(each.phases)}{each.why and f': {each.why}'}"
        for each in workers
    ]
    what = f"Worker {told[0]}" if len(told) == 1 else f"{len(told)} workers are gone. {' '.join(told)}"
    warns = any(each.failed for each in workers)
    return _record(pool, PoolReason.WORKERS_ENDED, "/".join(each.name for each in workers), what, warns=warns)


def trouble(pool: Metadata, reason: PoolReason, message: str, now: datetime) -> EventRecord:
    """Workers do not come about. The same is told once an hour, also by an operator that begins anew."""
    return _record(pool, reason, str(int(now.timestamp()) // _HOUR_SECONDS), message, warns=True)


def why_started(seen: PoolObserved) -> str:
    """Why a pool gets one more worker."""
    if not seen.waiting:
        return f"minWorkers is {seen.facts.pool.spec.min_workers}"
    return f"{_phases(seen.waiting)} {'waits' if seen.waiting == 1 else 'wait'}"


def why_leave(seen: PoolObserved, plan: PoolPlan, before: Mapping[str, str]) -> dict[str, str]:
    """Why workers go that were sent away, by their Jobs' names; ``before``: as the looks before this one found it."""
    found = {}
    for each in seen.workers:
        retired = each.pod is not None and each.pod.uid in plan.retire
        if (why := before.get(each.job_name, "")) or (each.live and (retired or each in plan.delete)):
            found[each.job_name] = why or _why_leaves(seen, each)
    return found


def _why_leaves(seen: PoolObserved, worker: Worker) -> str:
    if hangs(seen, worker):
        return "It did not begin its phase in time."
    if seen.facts.closed:
        return "The pool is closed."
    if worker.built_from != seen.facts.built_from:
        return "The pool, an image or a setting of the operator has changed."
    if drains(worker):
        return ""  # an operator before this one knew; the worker tells
    if yields(seen) and not is_taken(seen, worker):
        return "Others wait for what it held."
    if seen.outranked:
        return "AudioJobs that go before those of the pool wait for its GPU."
    return f"maxWorkers is {seen.facts.pool.spec.max_workers}."


def _phases(count: int) -> str:
    return "1 phase" if count == 1 else f"{count} phases"


def _record(pool: Metadata, reason: PoolReason, fact: str, message: str, *, warns: bool = False) -> EventRecord:
    name = event_name(pool.name[:_POOL_CHARACTERS].rstrip("-."), pool.uid, f"{reason}/{fact}", "", 0)
    return EventRecord(name, "Warning" if warns else "Normal", reason, clip(message))
