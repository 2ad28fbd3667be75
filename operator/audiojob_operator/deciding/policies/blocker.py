"""What blocks a phase that is ready: one answer for decisions and for admission.

Decisions know more than admission does (other jobs, sites); what is not known blocks nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from audiojob_operator.building.handed_in import Reviews
from audiojob_operator.deciding.policies.models import lacks_model, model_wait
from audiojob_operator.deciding.policies.review import needs_review, questions, review_deadline
from audiojob_operator.records.admission import SiteAnswer
from audiojob_operator.records.changes import clip
from audiojob_operator.records.reuse import SameWork
from audiojob_types.base import format_time
from audiojob_types.contract import COOL_DOWN_REASONS
from audiojob_types.models import ModelBook
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import AudioJobSpec, PhaseStatus
from audiojob_types.resources.pipeline import Phase

# The end of the other job's attempt enqueues those that wait for it; this is for the case that it never does.
_LOOK_AGAIN: Final = timedelta(seconds=300)
_WITHOUT_SLOT: Final = frozenset({Reason.AWAITING_REVIEW, Reason.WAITING_FOR_SAME_WORK, Reason.MODEL_MISSING})


@dataclass(frozen=True, slots=True)
class Blocker:
    """Why a ready phase does not start; ``until`` if time may end it. ``other`` is the AudioJob that it waits for."""

    phase: str
    reason: Reason
    message: str
    until: datetime | None = None
    other: str | None = None

    @property
    def needs_slot(self) -> bool:
        """Whether the job keeps its slot meanwhile: not for what only people or other jobs can end."""
        return self.reason not in _WITHOUT_SLOT


@dataclass(frozen=True, slots=True)
class Facts:
    """What may block the phases of one job. ``phases`` are its records by name.

    ``unready`` are models that are on their way, ``models`` says how far they are. ``same_work``: other jobs that do
    the work of a phase now. ``host`` is the site that the source is fetched from, not asked until ``cooling_until``;
    ``site`` is admission's answer for one more download, and ``fetch_begun`` says that this decision has used it.
    ``gpu_pools``: pools of workers with GPUs that take phases, with how many each worker has.
    """

    spec: AudioJobSpec
    phases: Mapping[str, PhaseStatus] = field(default_factory=dict)
    unready: frozenset[str] = frozenset()
    models: ModelBook | None = None
    same_work: Mapping[str, SameWork] = field(default_factory=dict)
    host: str | None = None
    cooling_until: datetime | None = None
    site: SiteAnswer | None = None
    fetch_begun: bool = False
    reviews: Reviews = field(default_factory=Reviews)
    gpu_pools: Mapping[str, int] = field(default_factory=dict)


def blocker(phase: Phase, facts: Facts, now: datetime) -> Blocker | None:
    """The first that blocks a ready phase, whatever device there is; None if it may start."""
    for rule in _RULES:
        if (found := rule(phase, facts, now)) is not None:
            return found
    return None


def _review(phase: Phase, facts: Facts, now: datetime) -> Blocker | None:
    if not needs_review(facts.reviews, phase, facts.phases):
        return None
    deadline = review_deadline(phase, facts.phases.get(phase.name), now)
    asked = "".join(f" {name} asks: {text}" for name, text in questions(phase, facts.phases).items())
    message = f"Phase {phase.name} waits for a review in spec.reviews, until {format_time(deadline)}.{asked}"
    return Blocker(phase.name, Reason.AWAITING_REVIEW, message, deadline)


def _same_work(phase: Phase, facts: Facts, now: datetime) -> Blocker | None:
    other = facts.same_work.get(phase.name)
    if other is None:
        return None
    message = f"AudioJob {other.job} does the work of phase {phase.name} now; its result will be reused."
    return Blocker(phase.name, Reason.WAITING_FOR_SAME_WORK, message, now + _LOOK_AGAIN, other.job)


def _model(phase: Phase, facts: Facts, now: datetime) -> Blocker | None:
    if not lacks_model(facts.spec, phase, facts.unready):
        return None
    wait = model_wait(facts.spec, phase, facts.models, now)
    if wait is None:
        return Blocker(phase.name, Reason.MODEL_MISSING, f"Phase {phase.name} waits for its model.")
    return Blocker(phase.name, Reason.MODEL_MISSING, wait.message, wait.until)


def _backoff(phase: Phase, facts: Facts, now: datetime) -> Blocker | None:
    record = facts.phases.get(phase.name)
    if record is None or record.next_attempt_time is None or now >= record.next_attempt_time:
        return None
    when = format_time(record.next_attempt_time)
    message = f"Attempt {record.attempt} of phase {phase.name} failed ({record.reason}); the next one starts at {when}."
    if record.message:
        message = clip(f"{message} {record.message}")
    reason = Reason.COOLING_DOWN if record.reason in COOL_DOWN_REASONS else Reason.BACKING_OFF
    return Blocker(phase.name, reason, message, record.next_attempt_time)


def _cool_down(phase: Phase, facts: Facts, now: datetime) -> Blocker | None:
    until = facts.cooling_until
    if until is None or now >= until or not phase.task.descriptor.fetches:
        return None
    message = f"{facts.host} is rate-limiting us; retrying after {format_time(until)}."
    return Blocker(phase.name, Reason.COOLING_DOWN, message, until)


def _site(phase: Phase, facts: Facts, _now: datetime) -> Blocker | None:
    """Admission grants one download at a time."""
    site = facts.site
    if site is None or facts.host is None or not phase.task.descriptor.fetches:
        return None
    if site.granted and not facts.fetch_begun:
        return None
    message = site.message or "Another phase of the job has just begun to download from the site."
    return Blocker(phase.name, Reason.SITE_BUSY, message, site.until)


_Rule: TypeAlias = Callable[[Phase, Facts, datetime], Blocker | None]
# What only people or other jobs can end comes first: the job gives its slot back meanwhile.
_RULES: Final[tuple[_Rule, ...]] = (_review, _same_work, _model, _backoff, _cool_down, _site)
