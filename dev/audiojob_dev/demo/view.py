"""What the terminal shows of an AudioJob: pure functions from the resource to rows of text."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from audiojob_types.resources.job import AudioJob, PhaseState, PhaseStatus


@dataclass(frozen=True, slots=True)
class PhaseRow:
    """One bar: percent 0-100 and what to write beside it."""

    name: str
    percent: int
    state: str
    detail: str


@dataclass(frozen=True, slots=True)
class Stem:
    """One published file as people ask for it. ``seconds`` is None where the file has no duration."""

    name: str
    file: str
    bytes: int
    seconds: float | None


def phase_rows(job: AudioJob) -> list[PhaseRow]:
    """A row for each phase of the job, in pipeline order."""
    return [_row(job, phase) for phase in job.status.phases]


def _row(job: AudioJob, phase: PhaseStatus) -> PhaseRow:
    if phase.state is PhaseState.SUCCEEDED:
        return PhaseRow(phase.name, 100, phase.state, f"{phase_seconds(phase):.1f} s")
    report = job.status.progress.get(phase.name)
    if report is None or report.attempt != phase.attempt:
        return PhaseRow(phase.name, 0, phase.state, phase.message or "")
    return PhaseRow(phase.name, report.percent, phase.state, report.message)


def phase_seconds(phase: PhaseStatus) -> float:
    """Seconds from the phase's start to its end; 0 while it runs."""
    if phase.start_time is None or phase.completion_time is None:
        return 0.0
    return (phase.completion_time - phase.start_time).total_seconds()


def phase_cost(phase: PhaseStatus) -> str:
    """What a phase took, and of which worker, if it had one."""
    by = f" by worker {phase.job_name}" if phase.pod_uid is not None else ""
    return f"{phase.name} {phase_seconds(phase):.1f} s{by}"


def stems_of(manifest: dict[str, Any]) -> list[Stem]:
    """The files of a published manifest."""
    return [
        Stem(
            name=output["name"],
            file=output["file"],
            bytes=output["bytes"],
            seconds=output.get("metadata", {}).get("durationSeconds"),
        )
        for output in manifest["outputs"]
    ]


def human_bytes(count: int) -> str:
    """``count`` in the unit that people would use."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError("unreachable")


def human_seconds(seconds: float | None) -> str:
    """Minutes and seconds, as a player shows them."""
    if seconds is None:
        return "-"
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}:{rest:06.3f}"


def next_name(base: str, taken: set[str]) -> str:
    """``base-1``, or the first number that is free: a finished job keeps its name until its TTL has passed."""
    number = 1
    while f"{base}-{number}" in taken:
        number += 1
    return f"{base}-{number}"


def elapsed(start: datetime | None, end: datetime | None) -> float | None:
    """Seconds between two times, where both are known."""
    return (end - start).total_seconds() if start and end else None
