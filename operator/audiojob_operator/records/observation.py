"""What the Jobs and pods of an AudioJob say. Made by ``deciding.children``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from audiojob_operator.records.reuse import Donor
from audiojob_types.contract import Device, FailureClass, PhaseResult
from audiojob_types.progress import PhaseUsage
from audiojob_types.reasons import Reason


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why a pod has not started. Made by ``diagnose.diagnose_pod``.

    ``shown``: worth a line in status at once (a mere "the container is being created" is not).
    ``bounded``: nothing but a person can help, so that ``startTimeoutSeconds`` ends the attempt.
    ``expected``: nothing is wrong, so that nobody needs an event.
    """

    reason: Reason
    message: str
    suggestion: str
    shown: bool
    bounded: bool
    expected: bool = False


@dataclass(frozen=True, slots=True)
class PodObservation:
    """The pod of an attempt. ``terminating_until`` is the end of its grace period once it is being deleted."""

    name: str
    uid: str
    created: datetime
    node_name: str | None = None
    start_time: datetime | None = None  # when its node accepted it
    scheduled: datetime | None = None  # when it was given a node
    began: datetime | None = None  # when the container began that has ended
    waiting: Diagnosis | None = None
    terminating_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """No outcome yet: waiting for its pod, starting or working."""


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The pod ended with 0 and left a valid result that names its manifest."""

    result: PhaseResult
    finished: datetime | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt ended without a result to use.

    ``disrupted`` failures are nobody's fault: not counted against the retry limit, but bounded.
    ``most`` lowers the retry limit for this kind of failure (``NoResult`` is tried once more, not more often).
    """

    failure_class: FailureClass
    reason: str  # a Reason, or the runner's own word
    message: str
    suggestion: str = ""
    log_key: str | None = None
    disrupted: bool = False
    most: int | None = None
    peak_memory_bytes: int | None = None
    usage: PhaseUsage | None = None
    finished: datetime | None = None
    retry_after_seconds: int | None = None  # what the source's site asked for
    refused_by: str | None = None  # the host that did


Outcome: TypeAlias = Running | Succeeded | Failed


@dataclass(frozen=True, slots=True)
class PhaseObservation:
    """One Job (one attempt of a phase) and what its pods say. Made by ``observe.observe_job(job, pods)``."""

    job_name: str
    job_uid: str
    phase: str
    attempt: int
    revision: str  # name of the pipeline revision that the Job was built from
    device: Device
    created: datetime
    outcome: Outcome
    pod: PodObservation | None = None
    deleting: bool = False  # the Job has a deletionTimestamp
    suspended: bool = False  # spec.suspend of the Job, as a queueing system sets it
    kueue: bool = False  # Kueue decides when it starts
    begun: datetime | None = None  # when the Job controller first looked at it
    gpus: int = 0
    device_reason: str | None = None
    memory_bytes: int | None = None  # asked for
    reuse_key: str | None = None
    donor: Donor | None = None  # whose result it was offered
    review_inputs: tuple[str, ...] = ()  # that the phase's review had handed in
    early: str | None = None  # its pod begins before its inputs are there, with these mounts
    told: bool = False  # and has been told them since
    told_again: int = 0  # so often
    read: bool = False  # and says that it has read them, or has left nothing that could say so
    failed_at: datetime | None = None  # when the Job got its condition Failed
    worker: bool = False  # the Job is a pool's, and goes on with the phases of others
    taken_up: bool = False  # a worker says that it has begun the phase
    finished: bool = False  # the Job has condition Complete or Failed, or its only pod has ended: nothing runs any more

    @property
    def never_told(self) -> bool:
        """Whether it began early, and ended before it knew what to do: nothing of it counts."""
        return self.early is not None and not isinstance(self.outcome, Running) and not (self.told and self.read)
