"""What a worker knows: the order as far as it reads it itself, the phase at work, and those that have ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from audiojob_types.base import WireModel
from audiojob_types.contract import Device, PhaseInput, PhaseResult
from audiojob_types.tasks import Task
from audiojob_types.workers.order import WorkOrder, WorkTerms


class Identity(NamedTuple):
    """Which attempt of which phase of which AudioJob."""

    uid: str
    phase: str
    attempt: int


class ToldPhase(WireModel):
    """A phase that is told, without what it works on: the worker's own process sees no job's data."""

    namespace: str
    job: str
    uid: str
    phase: str
    attempt: int
    task: Task
    device: Device
    early: bool = False  # it is to wait for its inputs

    @classmethod
    def of(cls, phase: PhaseInput) -> ToldPhase:
        """The head of that phase file."""
        return cls(
            namespace=phase.namespace,
            job=phase.job,
            uid=phase.uid,
            phase=phase.phase,
            attempt=phase.attempt,
            task=phase.task,
            device=phase.device,
            early=phase.wait_until is not None,
        )

    @property
    def identity(self) -> Identity:
        """What tells it from others."""
        return Identity(self.uid, self.phase, self.attempt)


class OrderHead(WorkTerms):
    """A :class:`WorkOrder` without what its phases work on."""

    told: tuple[ToldPhase, ...] = ()

    @classmethod
    def of(cls, order: WorkOrder) -> OrderHead:
        """The head of that order."""
        terms = {name: getattr(order, name) for name in WorkTerms.model_fields}
        return cls(**terms, told=tuple(map(ToldPhase.of, order.told)))

    def tells(self, identity: Identity) -> bool:
        """Whether that phase is told."""
        return any(told.identity == identity for told in self.told)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a phase ended, and whether the API server knows. Times are of the monotonic clock.

    ``settled``: nothing is to be sent any more, as it was taken, was refused for good, or nobody waits for it.
    """

    told: ToldPhase
    exit_code: int
    result: PhaseResult
    ended: float
    due: float
    tries: int = 0
    settled: bool = False
    reported: bool = False
    dropped: bool = False  # the order has not told it since


@dataclass(frozen=True, slots=True)
class AtWork:
    """The phase that a child works on. ``asked``: when it was asked to end; ``killed``: it was not heard."""

    told: ToldPhase
    asked: float | None = None
    killed: bool = False
    taken_back: bool = False  # nobody wants its result


class Work(StrEnum):
    """What the container ``work`` does."""

    STARTING = "Starting"  # or loading
    FREE = "Free"
    TAKEN = "Taken"  # by a phase, or by what it left
    GONE = "Gone"
    UNCLEAR = "Unclear"  # something of a phase may be left

    @property
    def is_lost(self) -> bool:
        """Whether no phase runs there any more."""
        return self in (Work.GONE, Work.UNCLEAR)


@dataclass(frozen=True, slots=True)
class State:
    """All that decisions depend on, besides the order and the time."""

    began: float
    idle_since: float
    at_work: AtWork | None = None
    ended: tuple[Ending, ...] = ()
    phases: int = 0
    stopping: float | None = None  # since when a stop signal is obeyed
    work: Work = Work.STARTING
    lost: str = ""  # why no phase runs there any more
    ahead: Identity | None = None  # the phase to come, whose inputs are fetched
