"""Changes of a job that exists: cancel, suspend, resume, another priority, a review.

Each sets one field of ``spec`` on the very job that was read; the operator does the rest. What is set already is not
written again. All raise a 409 :class:`Problem` for a job that does not take the change any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from audiojob_api.jobs.ports import JobWriter
from audiojob_api.jobs.reviews import check_review
from audiojob_api.problems import Problem
from audiojob_kube.errors import Invalid
from audiojob_types.resources.job import FINISHED_STATES, Review, State

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Switch:
    """A field of ``spec`` that a call turns on or off; ``already`` is the end that it asks for, if it asks for one."""

    verb: str
    field: str
    value: bool
    already: State | None = None


CANCEL: Final = Switch("cancel", "cancel", True, already=State.CANCELLED)
SUSPEND: Final = Switch("suspend", "suspend", True)
RESUME: Final = Switch("resume", "suspend", False)


async def turn(job: Object, switch: Switch, writer: JobWriter) -> Object:
    """The job with the switch set."""
    if _state(job) == switch.already:
        return job
    _refuse_ended(job, switch.verb)
    if bool(job.get("spec", {}).get(switch.field)) == switch.value:
        return job
    wanted = {"op": "add", "path": f"/spec/{switch.field}", "value": switch.value}
    return await _write(job, switch.verb, [wanted], writer)


async def change_priority(job: Object, priority: int, writer: JobWriter) -> Object:
    """The job with this priority. A job that runs does not take it."""
    _refuse_ended(job, "change")
    if _state(job) == State.RUNNING:
        raise Problem(409, "already-started", "The job is Running; its priority only counts while it waits.")
    if job.get("spec", {}).get("priority") == priority:
        return job
    wanted = {"op": "add", "path": "/spec/priority", "value": priority}
    return await _write(job, "change", [_test(job, "status", "state"), wanted], writer)


async def add_review(job: Object, review: Review, writer: JobWriter) -> Object:
    """The job with this review. Raises a 422 Problem for a phase or an input that the job does not have."""
    _refuse_ended(job, "review")
    check_review(job, review)
    reviews = job.get("spec", {}).get("reviews", [])
    wanted = {"op": "add", "path": "/spec/reviews", "value": [*reviews, review.to_wire()]}
    return await _write(job, "review", [_test(job, "spec", "reviews"), wanted], writer)


async def _write(job: Object, verb: str, operations: Sequence[Object], writer: JobWriter) -> Object:
    """The job, changed. Raises a 409 :class:`Problem` for one that has ended since it was read."""
    name = job["metadata"]["name"]
    try:
        return await writer.change(name, job["metadata"]["uid"], operations)
    except Invalid:
        _refuse_ended(await writer.read(name), verb)
        raise


def _refuse_ended(job: Object, verb: str) -> None:
    state = _state(job)
    if state in FINISHED_STATES:
        raise Problem(409, "already-finished", f"The job has ended as {state}; there is nothing to {verb}.")


def _state(job: Object) -> str:
    state: str = job.get("status", {}).get("state", State.PENDING)
    return state


def _test(job: Object, part: str, field: str) -> Object:
    """The operation that fails where the field has changed; null stands for a field that is absent."""
    return {"op": "test", "path": f"/{part}/{field}", "value": job.get(part, {}).get(field)}
