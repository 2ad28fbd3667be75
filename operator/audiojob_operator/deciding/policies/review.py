"""Gates: phases before which the pipeline stops until somebody has looked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from audiojob_operator.building.precedence import before_among
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import AudioJobSpec, PhaseStatus, Review
from audiojob_types.resources.pipeline import AudioPipelineSpec, Phase

Records = Mapping[str, PhaseStatus]
"""The phases of a job by name, in the pipeline's order."""


def review_of(spec: AudioJobSpec, phase: Phase) -> Review | None:
    """The first review of the phase: only that one counts."""
    return next((review for review in spec.reviews if review.phase == phase.name), None)


def questions(phase: Phase, records: Records) -> dict[str, str]:
    """What phases that this one comes after or reads from ask people about their results, by their names."""
    heard = {*before_among(list(records), phase), *(binding.from_ for binding in phase.inputs)}
    return {name: each.review_asked for name, each in records.items() if name in heard and each.review_asked}


def stops(phase: Phase, records: Records) -> bool:
    """Whether the phase's gate is shut until a review, once all phases before it have succeeded."""
    return phase.gate == "Review" or (phase.gate == "ReviewIfAsked" and bool(questions(phase, records)))


def needs_review(spec: AudioJobSpec, phase: Phase, records: Records) -> bool:
    """Whether the phase waits for a review."""
    return stops(phase, records) and review_of(spec, phase) is None


def approved(spec: AudioJobSpec, phase: Phase, records: Records) -> bool:
    """Whether the phase stops nobody, or its review lets it go on. A review that rejects holds without a question."""
    review = review_of(spec, phase) if phase.gate else None
    return review.approved if review is not None else not stops(phase, records)


def review_deadline(phase: Phase, record: PhaseStatus | None, now: datetime) -> datetime:
    """When the job gives up waiting for the review."""
    return ((record.review_start_time if record else None) or now) + timedelta(seconds=phase.review_timeout_seconds)


def review_end(spec: AudioJobSpec, phase: Phase, records: Records, now: datetime) -> tuple[Reason, str] | None:
    """Why the phase's review, or the lack of one, ends the job; None if it does not."""
    review = review_of(spec, phase) if phase.gate else None
    if review is not None and not review.approved:
        said = f": {review.message}" if review.message else "."
        return Reason.REVIEW_REJECTED, f"The review did not approve the phase{said}"
    if needs_review(spec, phase, records) and now >= review_deadline(phase, records.get(phase.name), now):
        return Reason.REVIEW_TIMEOUT, f"Nobody reviewed the phase for {phase.review_timeout_seconds} s."
    return None


def pointless_reviews(spec: AudioJobSpec, pipeline: AudioPipelineSpec) -> list[Review]:
    """Reviews of phases at which the pipeline never stops."""
    gated = {phase.name for phase in pipeline.phases if phase.gate}
    return [review for review in spec.reviews if review.phase not in gated]
