"""Gates: phases before which the pipeline stops until somebody has looked."""

from __future__ import annotations

from datetime import datetime, timedelta

from audiojob_types.resources.job import AudioJobSpec, PhaseStatus, Review
from audiojob_types.resources.pipeline import AudioPipelineSpec, Phase


def review_of(spec: AudioJobSpec, phase: Phase) -> Review | None:
    """The first review of the phase: what was said first holds."""
    return next((review for review in spec.reviews if review.phase == phase.name), None)


def needs_review(spec: AudioJobSpec, phase: Phase) -> bool:
    """Whether the phase waits for a review."""
    return phase.gate == "Review" and review_of(spec, phase) is None


def approved(spec: AudioJobSpec, phase: Phase) -> bool:
    """Whether the phase stops nobody, or its review lets it go on."""
    review = review_of(spec, phase)
    return phase.gate != "Review" or (review is not None and review.approved)


def review_deadline(phase: Phase, record: PhaseStatus, now: datetime) -> datetime:
    """When the job gives up waiting for the review."""
    return (record.review_start_time or now) + timedelta(seconds=phase.review_timeout_seconds)


def pointless_reviews(spec: AudioJobSpec, pipeline: AudioPipelineSpec) -> list[Review]:
    """Reviews of phases at which the pipeline does not stop."""
    gated = {phase.name for phase in pipeline.phases if phase.gate == "Review"}
    return [review for review in spec.reviews if review.phase not in gated]
