"""Gates: phases before which the pipeline stops until somebody has looked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from audiojob_operator.building.handed_in import Reviews, has_begun
from audiojob_operator.building.precedence import before_among
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import AudioJobSpec, PhaseStatus, Review
from audiojob_types.resources.pipeline import AudioPipelineSpec, Phase

Records = Mapping[str, PhaseStatus]
"""The phases of a job by name, in the pipeline's order."""


def questions(phase: Phase, records: Records) -> dict[str, str]:
    """What phases that this one comes after or reads from ask people about their results, by their names."""
    heard = {*before_among(list(records), phase), *(binding.from_ for binding in phase.inputs)}
    return {name: each.review_asked for name, each in records.items() if name in heard and each.review_asked}


def stops(phase: Phase, records: Records) -> bool:
    """Whether the phase's gate is shut until a review, once all phases before it have succeeded."""
    return phase.gate == "Review" or (phase.gate == "ReviewIfAsked" and bool(questions(phase, records)))


def needs_review(reviews: Reviews, phase: Phase, records: Records) -> bool:
    """Whether the phase waits for a review."""
    return stops(phase, records) and phase.name not in reviews.counted


def approved(reviews: Reviews, phase: Phase, records: Records) -> bool:
    """Whether the phase stops nobody, or its review lets it go on. A review that rejects holds without a question."""
    review = reviews.counted.get(phase.name)
    return review.approved if review is not None else not stops(phase, records)


def review_deadline(phase: Phase, record: PhaseStatus | None, now: datetime) -> datetime:
    """When the job gives up waiting for the review."""
    return ((record.review_start_time if record else None) or now) + timedelta(seconds=phase.review_timeout_seconds)


def review_end(reviews: Reviews, phase: Phase, records: Records, now: datetime) -> tuple[Reason, str] | None:
    """Why the phase's review, or the lack of one, ends the job; None if it does not."""
    review = reviews.counted.get(phase.name)
    if review is not None and not review.approved:
        said = f": {review.message}" if review.message else "."
        return Reason.REVIEW_REJECTED, f"The review did not approve the phase{said}"
    if needs_review(reviews, phase, records) and now >= review_deadline(phase, records.get(phase.name), now):
        return Reason.REVIEW_TIMEOUT, f"Nobody reviewed the phase for {phase.review_timeout_seconds} s."
    return None


def ignored_reviews(
    spec: AudioJobSpec, pipeline: AudioPipelineSpec, reviews: Reviews, records: Records
) -> Iterator[tuple[int, str, str]]:
    """Reviews that change nothing, or of which the inputs do not: their place in the list, their phase, and why."""
    gated = [phase.name for phase in pipeline.phases if phase.gate]
    wrong = {each.index: f"{each.field}: {each.why}. Another review may follow." for each in reviews.passed_over}
    for index, review in enumerate(spec.reviews):
        name = review.phase
        if name not in gated:
            gates = ", ".join(gated) or "none"
            yield 0, name, f"The pipeline does not stop before {name}; phases with a gate: {gates}."
        elif index in wrong:
            yield index + 1, name, f"The review of {name} does not count: spec.reviews[{index}].{wrong[index]}"
        elif review.handed_in and (why := _unused(review, reviews, records.get(name))):
            yield index + 1, name, f"Phase {name} {why}; the inputs of spec.reviews[{index}] are not used."


def _unused(review: Review, reviews: Reviews, record: PhaseStatus | None) -> str | None:
    if review is not reviews.counted.get(review.phase):
        return "was reviewed before"
    begun = record is not None and has_begun(record)
    late = begun and {each.name for each in review.handed_in} != set(record.review_inputs or () if record else ())
    return "had begun" if late else None
