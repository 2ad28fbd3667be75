"""Gates: phases before which the pipeline stops until somebody has looked."""

from __future__ import annotations

from datetime import datetime, timedelta

from audiojob_types.reasons import Reason
from audiojob_types.resources.job import AudioJobSpec, PhaseStatus, Review
from audiojob_types.resources.pipeline import AudioPipelineSpec, Phase


def review_of(spec: AudioJobSpec, phase: Phase) -> Review | None:
    """The first review of the phase: only that one counts."""
    return next((review for review in spec.reviews if review.phase == phase.name), None)


def needs_review(spec: AudioJobSpec, phase: Phase) -> bool:
    """Whether the phase waits for a review."""
    return phase.gate == "Review" and review_of(spec, phase) is None


def approved(spec: AudioJobSpec, phase: Phase) -> bool:
    """Whether the phase stops nobody, or its review lets it go on."""
    review = review_of(spec, phase)
    return phase.gate != "Review" or (review is not None and review.approved)


def review_deadline(phase: Phase, record: PhaseStatus | None, now: datetime) -> datetime:
    """When the job gives up waiting for the review."""
    return ((record.review_start_time if record else None) or now) + timedelta(seconds=phase.review_timeout_seconds)


def review_end(spec: AudioJobSpec, phase: Phase, record: PhaseStatus, now: datetime) -> tuple[Reason, str] | None:
    """Why the phase's review, or the lack of one, ends the job; None if it does not."""
    review = review_of(spec, phase) if phase.gate else None
    if review is not None and not review.approved:
        said = f": {review.message}" if review.message else "."
        return Reason.REVIEW_REJECTED, f"The review did not approve the phase{said}"
    if needs_review(spec, phase) and now >= review_deadline(phase, record, now):
        return Reason.REVIEW_TIMEOUT, f"Nobody reviewed the phase for {phase.review_timeout_seconds} s."
    return None


def pointless_reviews(spec: AudioJobSpec, pipeline: AudioPipelineSpec) -> list[Review]:
    """Reviews of phases at which the pipeline does not stop."""
    gated = {phase.name for phase in pipeline.phases if phase.gate == "Review"}
    return [review for review in spec.reviews if review.phase not in gated]
