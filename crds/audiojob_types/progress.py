"""What phases tell of their work: how far it is, as one number for a whole job, and what it took."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import Field

from audiojob_types.base import StatusModel, WrittenTime

MAX_USAGE_BYTES: Final = 250
"""Of a `PhaseUsage` in a termination message, with its key."""
MAX_ATTEMPTS: Final = 1_000
"""Of one phase: a job that is suspended, drained or moved again and again must end some day."""
MAX_REPORTED_BYTES: Final = 3_500
"""Of how a phase ended, in a status."""
MAX_MEDIA_SECONDS: Final = 604_800
"""A week: the longest sound that any task takes."""


class PhaseUsage(StatusModel):
    """What an attempt took, as its runner measured it; absent is not known. For statistics only: who reads it compares
    it with what it knows itself.

    ``work`` is the time in which the task ran, ``start`` that from the start of the process until then, ``media`` how
    long the sound is that was worked on, ``cpu`` that of all processes of the phase. ``read`` and ``written`` are bytes
    of inputs and outputs.
    """

    cpu_milliseconds: Annotated[int | None, Field(alias="cpu", ge=0, le=2**53)] = None
    media_milliseconds: Annotated[int | None, Field(alias="media", ge=0, le=MAX_MEDIA_SECONDS * 1_000)] = None
    work_milliseconds: Annotated[int | None, Field(alias="work", ge=0, le=2**53)] = None
    start_milliseconds: Annotated[int | None, Field(alias="start", ge=0, le=2**53)] = None
    gpu_peak_bytes: Annotated[int | None, Field(alias="gpuPeak", ge=0, le=2**53)] = None
    read_bytes: Annotated[int | None, Field(alias="read", ge=0, le=2**53)] = None
    written_bytes: Annotated[int | None, Field(alias="written", ge=0, le=2**53)] = None


class PhaseProgressReport(StatusModel):
    """What a runner reports while it works. Readers ignore a report of another attempt."""

    attempt: Annotated[int, Field(ge=1, le=MAX_ATTEMPTS, description="attempt that reports.")]
    percent: Annotated[int, Field(ge=0, le=100, description="percent of the phase that is done.")]
    message: Annotated[str, Field(max_length=256, description="message says what it does now.")] = ""
    eta_seconds: Annotated[
        Annotated[int, Field(ge=0, le=31_536_000)] | None,
        Field(description="etaSeconds is the estimated time to the end of the phase."),
    ] = None
    report_time: Annotated[WrittenTime | None, Field(description="reportTime is the runner's clock at the report.")] = (
        None
    )
    begun: Annotated[
        bool | None, Field(description="begun is true once a worker has begun the attempt that it was told.")
    ] = None
    result: Annotated[
        Annotated[str, Field(max_length=MAX_REPORTED_BYTES)] | None,
        Field(
            description="result is how the attempt of a worker ended, as JSON: what the termination message is for "
            "other attempts. Written once; the operator takes it away when it has recorded it."
        ),
    ] = None


def overall_percent(weights: Mapping[str, int], percents: Mapping[str, int], previous: int = 0) -> int:
    """The job's percent (0-99) from phase weights and phase percents (0-100); never below ``previous``.

    Phases without a percent count as 0. 100 is the operator's to write, once the job is complete.
    """
    total = sum(weights.values())
    if total <= 0:
        return max(previous, 0)
    done = sum(weight * min(100, max(0, percents.get(phase, 0))) for phase, weight in weights.items())
    return max(previous, min(99, done // total))
