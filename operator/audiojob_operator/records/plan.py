"""The output of a decision: what is to be done about one AudioJob. ``reconciling.apply`` carries it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from audiojob_operator.records.admission import Rest
from audiojob_operator.records.objects import Object
from audiojob_operator.records.reuse import ReuseAsk
from audiojob_operator.records.workers import Binding, OwnJob, WorkerWait, WorkTelling
from audiojob_types.resources.job import State


@dataclass(frozen=True, slots=True)
class JobRef:
    """A Job to delete: Background propagation, with the uid as precondition."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event on the AudioJob. ``name`` is the same for the same fact: AlreadyExists is success."""

    name: str
    type: Literal["Normal", "Warning"]
    reason: str
    message: str
    phase: str = ""


@dataclass(frozen=True, slots=True)
class Telling:
    """What a pod that began early is told: the phase file with its inputs, and how long it may run from its start."""

    pod: str
    uid: str
    phase_file: str
    deadline_seconds: int | None


@dataclass(frozen=True, slots=True)
class TellingAgain:
    """A pod that was told its inputs and shows no sign of having read them, and for which time it is told so again."""

    pod: str
    uid: str
    time: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now, in this order: create_revision, create_jobs, create_early, events, status, tell, tell_workers,
    delete_jobs, delete_self.

    Jobs come before the status that names them, so that a crash between the two is adopted by the next decision.
    Events come before the status write too: after a crash between them the same decision makes the same events again
    (their names are the same), whereas the other order would lose them. Job deletions come after the status that
    records why. A step that fails stops the rest; deciding again is always safe.

    ``create_early`` is a Job whose pod begins before its inputs are there: one that is refused is no trouble. A pod is
    told its inputs after the status that says so: whoever finds it untold tells it then. So is a worker.

    ``status`` is a JSON Patch for the ``status`` subresource, or None for no change. ``requeue_after`` is in seconds.
    ``delete_self`` deletes the AudioJob (its TTL ran out) with its uid as precondition. ``asks`` stand alone: the
    decision depends on their answers, and is made again with them in ``Observed.reuse``.
    ``rest``: until then admission gives the job nothing. ``bind``: seats of workers that the plan takes; without each
    of them another plan must be made. ``waits``: phases that wait for one. ``hung``: pods of workers that have not
    begun what they were told; the phase begins anew elsewhere.
    """

    create_revision: Object | None = None
    create_jobs: tuple[Object, ...] = ()
    create_early: Object | None = None
    events: tuple[EventRecord, ...] = ()
    status: tuple[Object, ...] | None = None
    tell: tuple[Telling | TellingAgain, ...] = ()
    tell_workers: tuple[WorkTelling, ...] = ()
    delete_jobs: tuple[JobRef, ...] = ()
    delete_self: bool = False
    requeue_after: float | None = None
    state: State | None = None  # what the job's state is once this is done; for log lines and metrics
    asks: tuple[ReuseAsk, ...] = ()
    rest: Rest | None = None
    bind: tuple[Binding, ...] = ()
    waits: tuple[WorkerWait, ...] = ()
    own_jobs: tuple[OwnJob, ...] = ()  # among create_jobs; for metrics
    hung: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing is to be written."""
        return not (
            self.create_revision
            or self.create_jobs
            or self.create_early
            or self.events
            or self.status
            or self.tell
            or self.tell_workers
            or self.delete_jobs
            or self.delete_self
        )
