"""What a worker of a pool is told, and what it leaves behind.

The operator writes a :class:`WorkOrder` into the annotation of the worker's pod, and rewrites it as phases come and go;
the worker reads it from ``WORK_FILE``. It reports how a phase ended as a :class:`ReportedEnd`, in
``status.progress.<phase>.result`` of the AudioJob. What it could not report is in its termination message, a
:class:`WorkerEnd`.
"""

from __future__ import annotations

import json
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from audiojob_types.base import StatusModel, WireModel
from audiojob_types.constants import API_VERSION
from audiojob_types.contract import Device, Name, PhaseInput, PhaseResult
from audiojob_types.tasks import Task

WORK_FILE: Final = "/etc/audiojob/work.json"
MAX_ORDER_BYTES: Final = 200 * 1024  # an annotation's limit is 256 KiB for all of them
MAX_TOLD: Final = 2  # the phase at work and the one to come
MAX_PRELOADED: Final = 8
RESULT_HEAD: Final = '{"attempt":%s,'
"""How the text of a :class:`ReportedEnd` begins, with its attempt. The admission policy knows its attempt by that."""

ModelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][-_.A-Za-z0-9]*$", max_length=63)]


class WorkTerms(WireModel):
    """What holds for a worker's whole life. ``idle_seconds``: without work for so long it ends; null: never.

    ``grace_seconds``: a phase that is no longer told has so long to end by itself.
    """

    api_version: str = API_VERSION
    pool: Name
    tasks: Annotated[tuple[Task, ...], Field(min_length=1, max_length=len(Task))]  # the only ones that it may serve
    device: Device = Device.CPU
    preload: Annotated[tuple[ModelName, ...], Field(max_length=MAX_PRELOADED)] = ()
    drain: bool = False  # end once all that is told has ended
    max_phases: Annotated[int, Field(ge=1, le=100_000)] = 100
    max_age_seconds: Annotated[int, Field(ge=1, le=31_536_000)] | None = None
    idle_seconds: Annotated[int, Field(ge=0, le=31_536_000)] | None = 60
    grace_seconds: Annotated[int, Field(ge=1, le=60)] = 20


class WorkOrder(WorkTerms):
    """The terms, and the phases: the first that has not ended is at work, the other one to come."""

    told: Annotated[tuple[PhaseInput, ...], Field(max_length=MAX_TOLD)] = ()

    @model_validator(mode="after")
    def _one_phase_of_a_job(self) -> Self:
        # The admission policy knows a pod's phase by its AudioJob: two of one would be two that it may write.
        uids = [phase.uid for phase in self.told]
        if len(set(uids)) < len(uids):
            raise ValueError("told must not name two phases of one AudioJob")
        return self


class ReportedEnd(StatusModel):
    """How a phase ended. ``exit_code`` is that of its process, as a phase pod's container has it."""

    attempt: Annotated[int, Field(ge=1)]
    exit_code: Annotated[int, Field(ge=0, le=255)]
    result: PhaseResult

    def to_text(self) -> str:
        """One line of JSON, as it stands in a status."""
        return json.dumps(self.to_wire(), ensure_ascii=False, separators=(",", ":"))


class UnreportedEnd(ReportedEnd):
    """One that could not be reported, with the phase that it is of."""

    uid: Annotated[str, Field(min_length=1, max_length=63)]
    phase: Annotated[str, Field(min_length=1, max_length=63)]


class WorkerEnd(StatusModel):
    """The termination message of a worker: why it ended, and the ends that the statuses do not have."""

    message: Annotated[str, Field(max_length=1_024)] = ""
    phases: Annotated[int, Field(ge=0)] = 0
    unreported: Annotated[tuple[UnreportedEnd, ...], Field(max_length=MAX_TOLD)] = ()
