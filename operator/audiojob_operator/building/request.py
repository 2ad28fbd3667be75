"""What one attempt is built from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from audiojob_operator.building.precedence import retention_seconds
from audiojob_operator.records.reuse import Donor
from audiojob_operator.records.settings import DecideSettings, Revision
from audiojob_types.contract import Device, PhaseInputFile
from audiojob_types.resources.job import AudioJob
from audiojob_types.resources.pipeline import Phase


@dataclass(frozen=True, slots=True)
class AttemptRequest:
    """One attempt of one phase, all choices made. ``done`` are the phases that have already succeeded.

    ``remaining_seconds`` is what is left of the job's own deadline, if it has one. ``kueue_queue`` is the LocalQueue
    that the Job is handed to. ``donor`` has done the work, if the inputs are what is recorded of them. ``host`` is whom
    the attempt fetches from. ``running`` is how many AudioJobs run, this one or not. ``review_inputs``: names of inputs
    that the phase's own review has handed in. ``wait_until``: the pod begins before its inputs are there, and waits
    until then; ``inputs`` only say in which folders they will lie.
    """

    job: AudioJob
    revision: Revision
    phase: Phase
    attempt: int
    device: Device
    inputs: tuple[PhaseInputFile, ...]
    done: tuple[str, ...]
    settings: DecideSettings
    now: datetime
    memory_bytes: int
    device_reason: str
    remaining_seconds: int | None = None
    kueue_queue: str | None = None
    reuse_key: str | None = None
    donor: Donor | None = None
    host: str | None = None
    running: int = 0
    review_inputs: tuple[str, ...] = ()
    wait_until: datetime | None = None

    @property
    def namespace(self) -> str:
        """The job's namespace, where its pods run."""
        return self.job.metadata.namespace

    @property
    def expires(self) -> datetime | None:
        """When what the attempt publishes may be swept; None is never."""
        kept = retention_seconds(self.revision, self.phase)
        return None if kept is None else self.now + timedelta(seconds=kept)

    @property
    def limit_seconds(self) -> int | None:
        """How long the attempt may run."""
        limits = [seconds for seconds in (self.phase.hard_limit_seconds, self.remaining_seconds) if seconds]
        return min(limits, default=None)

    @property
    def uid(self) -> str:
        """The AudioJob's uid."""
        return self.job.metadata.uid
