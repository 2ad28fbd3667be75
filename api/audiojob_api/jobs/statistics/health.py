"""Whether all is well with a namespace, in words: one line for each part. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from audiojob_api.jobs.listing.rows import JobRow
from audiojob_api.jobs.listing.steps import Steps, portions
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import State

LATE_SECONDS: Final = 60
"""A new job that the operator has not looked at for so long says that there is none."""
_HOUR: Final = 3_600_000
_BAD_RATE: Final = 0.5
_FEW: Final = 5
_WAITS: Final = frozenset({State.PENDING, State.QUEUED})


Trouble = Callable[[], Awaitable[str]]
"""Asks what is wrong with a part, for people; "" for nothing."""


class Condition(StrEnum):
    """How a part is."""

    GOOD = "Good"
    DEGRADED = "Degraded"
    BAD = "Bad"
    OFF = "Off"


@dataclass(frozen=True, slots=True)
class Part:
    """One part and how it is."""

    name: str
    state: Condition
    message: str


@dataclass(frozen=True, slots=True)
class Parts:
    """What is known of everything but the jobs."""

    synced: bool
    silent_seconds: float
    stale_after_seconds: float
    database: tuple[str, str] | None
    """Its state and what is wrong; None where there is none."""
    unarchived: int | None
    """Finished jobs that wait for the archive; None where there is none."""
    files: str | None = None
    """What is wrong with the files service, "" for nothing; None where there is none."""
    operator: str | None = None
    """What its Lease tells to be wrong with the operator, "" for nothing; None where nobody looks at it."""


def health(rows: Iterable[JobRow], parts: Parts, now_ms: int) -> Steps[list[Part]]:
    """Every part, the API server first. ``rows`` are the live jobs, which are looked at in steps."""
    waiting, late, ended, failed = Counter[str](), 0, 0, 0
    oldest: JobRow | None = None
    for portion in portions(rows):
        yield
        for row in portion:
            if row.state in _WAITS:
                waiting[row.queue] += 1
                oldest = row if oldest is None or row.created < oldest.created else oldest
                if row.in_line == Reason.WAITING_FOR_OPERATOR and now_ms - row.created > LATE_SECONDS * 1_000:
                    late += 1
            elif row.finished is not None and row.finished > now_ms - _HOUR and row.state != State.CANCELLED:
                ended += 1
                failed += row.state == State.FAILED
    return [
        _api_server(parts),
        _database(parts),
        _archive(parts),
        _files(parts),
        _operator(parts, late),
        _queues(waiting, oldest, now_ms),
        _errors(ended, failed),
    ]


def worst(parts: Iterable[Part]) -> Condition:
    """The whole is as its worst part."""
    states = {part.state for part in parts}
    return next((state for state in (Condition.BAD, Condition.DEGRADED) if state in states), Condition.GOOD)


def _api_server(parts: Parts) -> Part:
    name = "apiServer"
    if not parts.synced:
        return Part(name, Condition.BAD, "The first list of jobs is not complete yet.")
    if parts.silent_seconds > parts.stale_after_seconds:
        return Part(name, Condition.BAD, f"Last heard from {parts.silent_seconds:.0f} s ago; what is shown may be old.")
    return Part(name, Condition.GOOD, f"Last heard from {parts.silent_seconds:.0f} s ago.")


def _database(parts: Parts) -> Part:
    if parts.database is None:
        return Part("database", Condition.OFF, "None is configured (api.database).")
    state, detail = parts.database
    if state == "Ready":
        return Part("database", Condition.GOOD, "It answers.")
    return Part("database", Condition.DEGRADED if state == "ReadOnly" else Condition.BAD, detail)


def _archive(parts: Parts) -> Part:
    if parts.unarchived is None:
        return Part("archive", Condition.OFF, "Finished jobs are kept for their TTL alone (api.archive).")
    if parts.database is not None and parts.database[0] != "Ready":
        words = f"{parts.unarchived} finished jobs wait for the database; they stay in the cluster meanwhile."
        return Part("archive", Condition.DEGRADED, words)
    return Part("archive", Condition.GOOD, f"{parts.unarchived} finished jobs are on their way into it.")


def _files(parts: Parts) -> Part:
    if parts.files is None:
        return Part("files", Condition.OFF, "Files go neither in nor out through the API (files.enabled).")
    return Part("files", Condition.BAD if parts.files else Condition.GOOD, parts.files or "The service answers.")


def _operator(parts: Parts, late: int) -> Part:
    words = f"{late} jobs wait for the operator for more than a minute; look at its pod." if late else ""
    if parts.operator or words:
        return Part("operator", Condition.BAD, " ".join(filter(None, (parts.operator, words))))
    renews = "It renews its Lease, and no job waits for it." if parts.operator is not None else "No job waits for it."
    return Part("operator", Condition.GOOD, renews)


def _queues(waiting: Counter[str], oldest: JobRow | None, now_ms: int) -> Part:
    if oldest is None:
        return Part("queues", Condition.GOOD, "No job waits.")
    seconds = max(0, now_ms - oldest.created) // 1_000
    words = f"{waiting.total()} jobs wait in {len(waiting)} queues, {oldest.name} for longest: {seconds} s."
    return Part("queues", Condition.GOOD, words)


def _errors(ended: int, failed: int) -> Part:
    words = f"Of {ended} jobs that ended in the last hour and are still in the cluster {failed} failed."
    bad = ended >= _FEW and failed / ended >= _BAD_RATE
    return Part("errors", Condition.DEGRADED if bad else Condition.GOOD, words)
