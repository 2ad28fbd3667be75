"""A review of a phase at which a job stops, with the inputs that it hands in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from audiojob_api.problems import FieldProblem, Problem, invalid_field, pointer
from audiojob_types.constants import MAX_PHASES
from audiojob_types.resources.job import PhaseState, Review
from audiojob_types.resources.jobspec import review_problem, reviews_that_count
from audiojob_types.resources.source import text_bytes

Object = dict[str, Any]


def check_review(job: Object, review: Review) -> None:
    """Raises a 409 :class:`Problem` where the phase takes no review, 422 for a phase or an input that it lacks."""
    phases = job.get("status", {}).get("phases", [])
    if not phases:
        raise Problem(409, "phases-unknown", "The operator has not resolved the pipeline yet; try again in a moment.")
    if job.get("spec", {}).get("cancel"):
        raise Problem(409, "already-finished", "The job is being cancelled; there is nothing to review.")
    name = review.phase
    phase = next((each for each in phases if each.get("name") == name), None)
    if phase is None:
        known = ", ".join(str(each.get("name")) for each in phases)
        raise invalid_field("phase", f"the job has no such phase; its phases are {known}")
    takes = {str(each.get("name")): each.get("reviewTakes", ()) for each in phases}
    given: Sequence[Object] = job.get("spec", {}).get("reviews", [])
    counted, _ = reviews_that_count(_readable(given), takes)
    if name in counted:
        raise Problem(409, "already-reviewed", f"Phase {name} has been reviewed; the first review counts.")
    if phase.get("attempt", 0) > 0 or phase.get("state", PhaseState.WAITING) != PhaseState.WAITING:
        raise Problem(409, "already-started", f"Phase {name} has started; a review has no effect any more.")
    if len(given) >= MAX_PHASES:
        raise Problem(409, "too-many-reviews", f"The job has {len(given)} reviews, which is the most it can have.")
    _check_inputs(review, takes, counted)


def _check_inputs(review: Review, takes: Mapping[str, Sequence[str]], counted: Mapping[str, Review]) -> None:
    if review.inputs is not None and not review.approved:
        raise invalid_field("inputs", "cannot go with approved: false, which ends the job")
    used = sum(text_bytes(given) for each in counted.values() for given in each.handed_in)
    problem = review_problem(review, takes[review.phase], used)
    if problem is not None:
        field, why = problem
        found = FieldProblem(pointer=_pointer(review, field), detail=why)
        raise Problem(422, "invalid-request", f"{field}: {why}", (found,))


def _pointer(review: Review, field: str) -> str:
    """``inputs[lyrics].text`` in the body: the list's members have places there."""
    name, _, rest = field.removeprefix("inputs[").partition("]")
    place = [given.name for given in review.handed_in].index(name)
    return pointer(["inputs", place, *rest.split(".")])


def _readable(reviews: Sequence[Object]) -> list[Review]:
    """What is stored, but for what another version alone can read."""
    found = []
    for each in reviews:
        try:
            found.append(Review.read(each))
        except ValidationError:
            continue
    return found
