"""What a status write means for the statistics: pure, from the status before and after it.

Metrics are derived from the statuses and not counted along the way, so that what is counted is what was recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, TypeAlias

from audiojob_operator.records.objects import Object
from audiojob_operator.records.workers import is_told_ahead
from audiojob_types.contract import COOL_DOWN_REASONS, Device
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import FINISHED_STATES, PhaseState

OTHER: Final = "Other"
"""Stands for a word that is none of ours: labels must be bounded, and runners may leave any reason."""

_REASONS: Final = frozenset(str(reason) for reason in Reason)
_FINISHED: Final = frozenset(str(state) for state in FINISHED_STATES)
FALLBACK_REASONS: Final = frozenset({Reason.GPU_WAIT_EXPIRED, Reason.GPU_FAILED_BEFORE, Reason.NO_GPU_OFFERED})


class AttemptClass(StrEnum):
    """How an attempt ended."""

    SUCCEEDED = "Succeeded"
    RETRY = "Retry"  # counted, tried again
    PERMANENT = "Permanent"  # trying again cannot help
    EXHAUSTED = "Exhausted"  # the retry limit, or that of disruptions, is reached
    DEVICE = "Device"  # moves to the CPU
    MEMORY = "Memory"  # again with more memory
    COOL_DOWN = "CoolDown"  # the source's site asked for a pause
    DISRUPTED = "Disrupted"  # nobody's fault
    STOPPED = "Stopped"  # cancelled, suspended, taken back, or over because the job is


_KNOWN_REASONS: Final = {
    AttemptClass.DEVICE: str(Reason.GPU_FAILED_BEFORE),
    AttemptClass.MEMORY: str(Reason.OUT_OF_MEMORY),
    AttemptClass.DISRUPTED: str(Reason.DISRUPTED),
}


@dataclass(frozen=True, slots=True)
class PhaseStarted:
    """The first attempt of a phase. `wait_seconds`: since the phase could have started."""

    phase: str
    device: str
    wait_seconds: float


@dataclass(frozen=True, slots=True)
class PhaseEnded:
    """A phase that has succeeded or failed. `run_seconds`: since its first attempt started."""

    phase: str
    device: str
    run_seconds: float


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """One attempt, by its number. `reason` is "" for a success. `worker`: a worker of a pool had it."""

    phase: str
    attempt_class: AttemptClass
    reason: str
    attempt: int
    worker: bool = False


@dataclass(frozen=True, slots=True)
class FellBack:
    """An attempt that wanted a GPU and runs on the CPU."""

    phase: str
    reason: str


@dataclass(frozen=True, slots=True)
class PhaseReused:
    """A phase that took over what another job has done, in place of an attempt."""

    phase: str


@dataclass(frozen=True, slots=True)
class JobEnded:
    """The job's end: its state, and why."""

    state: str
    reason: str


Transition: TypeAlias = PhaseStarted | PhaseEnded | AttemptEnded | FellBack | PhaseReused | JobEnded


def bounded_reason(reason: object) -> str:
    """The reason if it is a documented one, else `OTHER`."""
    return str(reason) if reason in _REASONS else OTHER


def status_after(before: Object, operations: Iterable[Object]) -> Object:
    """The status that a plan's JSON Patch makes of the one before. Only what plans hold: whole keys of the status."""
    after = dict(before)
    for operation in operations:
        parts = operation["path"].split("/")[1:]
        if operation["op"] == "test" or parts[0] != "status" or len(parts) > 2:  # in progress, which nothing reads
            continue
        if len(parts) == 1:
            after = dict(operation["value"])
        elif operation["op"] == "remove":
            after.pop(parts[1], None)
        else:
            after[parts[1]] = operation["value"]
    return after


def phase_transitions(before: Object, after: Object, eligible: datetime) -> tuple[Transition, ...]:
    """What happened between two statuses as stored. `eligible`: since when the job could have started."""
    old = {record["name"]: record for record in before.get("phases") or ()}
    records: Sequence[Object] = after.get("phases") or ()
    found: list[Transition] = []
    for record in records:
        earlier = old.get(record["name"], {})
        found += _attempts(earlier, record, after)
        found += _phase(earlier, record, _ready_since(record, records, eligible))
    if after.get("state") in _FINISHED and before.get("state") not in _FINISHED:
        found.append(JobEnded(str(after["state"]), _reason_of(after)))
    return tuple(found)


def waiting_reason(status: Object) -> str:
    """Why a job stands where it stands: the reason of its condition Progressing, which the operator always sets."""
    if not status.get("conditions"):
        return str(Reason.WAITING_FOR_OPERATOR)
    return bounded_reason(_reason_of(status))


def depth(statuses: Iterable[Object]) -> dict[tuple[str, str], int]:
    """How many jobs there are of each state and reason."""
    counted: dict[tuple[str, str], int] = {}
    for status in statuses:
        place = (str(status.get("state") or "Pending"), waiting_reason(status))
        counted[place] = counted.get(place, 0) + 1
    return counted


def _reason_of(status: Object) -> str:
    for condition in status.get("conditions") or ():
        if condition.get("type") == "Progressing":
            return bounded_reason(condition.get("reason"))
    return OTHER


def _phase(before: Object, after: Object, ready: datetime) -> Iterable[Transition]:
    if after.get("reusedFrom") and not before.get("reusedFrom"):
        yield PhaseReused(after["name"])
        return
    device = str(after.get("device") or Device.CPU)
    start, end = _time(after, "startTime"), _time(after, "completionTime")
    if start is not None and not before.get("startTime"):
        yield PhaseStarted(after["name"], device, max(0.0, (start - ready).total_seconds()))
    ended = _state(after) in (PhaseState.SUCCEEDED, PhaseState.FAILED)
    if ended and _state(before) != _state(after) and start is not None and end is not None:
        yield PhaseEnded(after["name"], device, max(0.0, (end - start).total_seconds()))


def _attempts(before: Object, after: Object, status: Object) -> Iterable[Transition]:
    name = after["name"]
    # Once for a phase: from then on it stays on the CPU, and says why.
    if after.get("deviceReason") in FALLBACK_REASONS and before.get("deviceReason") not in FALLBACK_REASONS:
        yield FellBack(name, str(after["deviceReason"]))
    moved_on = after.get("attempt", 0) > before.get("attempt", 0)
    had = _state(before) == PhaseState.RUNNING or _was_begun(before, after, moved_on=moved_on)
    if had and moved_on:
        # Its successor was made in the same write, which has taken the place of its reason.
        kind = _again(before, after)
        reason, worker = _KNOWN_REASONS.get(kind, OTHER), bool(before.get("podUID"))
        yield AttemptEnded(name, kind, reason, before.get("attempt", 0), worker)
    if _state(after) != PhaseState.RUNNING and (had or (moved_on and not is_told_ahead(after))):
        kind = _end(before, after, status)
        reason = "" if kind is AttemptClass.SUCCEEDED else bounded_reason(after.get("reason") or _reason_of(status))
        yield AttemptEnded(name, kind, reason, after.get("attempt", 0), bool(after.get("podUID")))


def _was_begun(before: Object, after: Object, *, moved_on: bool) -> bool:
    """Whether an attempt that was told ahead has begun, and ended, between the two. One that has not is none."""
    if not is_told_ahead(before) or not after.get("startTime"):
        return False
    return not moved_on or _grew(before, after, "failures") or _grew(before, after, "disruptions")


def _end(before: Object, after: Object, status: Object) -> AttemptClass:
    """How the newest attempt ended."""
    state = _state(after)
    if state == PhaseState.SUCCEEDED and not after.get("reusedFrom"):
        return AttemptClass.SUCCEEDED
    if state == PhaseState.CANCELLED:
        return AttemptClass.STOPPED
    if state != PhaseState.FAILED:
        return _again(before, after)
    if _grew(before, after, "disruptions") or _grew(before, after, "failures"):
        return AttemptClass.EXHAUSTED
    # Else it was ended with the job, which has passed its deadline.
    failed_itself = (status.get("error") or {}).get("phase") == after["name"]
    return AttemptClass.PERMANENT if failed_itself else AttemptClass.STOPPED


def _again(before: Object, after: Object) -> AttemptClass:
    if after.get("reason") in COOL_DOWN_REASONS and not _grew(before, after, "failures"):
        return AttemptClass.COOL_DOWN
    if _grew(before, after, "disruptions"):
        return AttemptClass.DISRUPTED
    if _grew(before, after, "failures"):
        return AttemptClass.RETRY
    if before.get("device") == Device.GPU and after.get("device") == Device.CPU:
        return AttemptClass.DEVICE
    if _grew(before, after, "memoryRequestBytes"):
        return AttemptClass.MEMORY
    return AttemptClass.STOPPED


def _grew(before: Object, after: Object, field: str) -> bool:
    return bool((after.get(field) or 0) > (before.get(field) or 0))


def _ready_since(record: Object, records: Sequence[Object], eligible: datetime) -> datetime:
    """Since when the phase could start: the last end of another phase before its own start, else `eligible`."""
    start = _time(record, "startTime")
    if start is None:
        return eligible
    ends = [_time(other, "completionTime") for other in records if other["name"] != record["name"]]
    return max([end for end in ends if end is not None and end <= start], default=eligible)


def _state(record: Object) -> str:
    return str(record.get("state") or PhaseState.WAITING)


def _time(record: Object, field: str) -> datetime | None:
    text = record.get(field)
    return datetime.fromisoformat(text) if text else None
