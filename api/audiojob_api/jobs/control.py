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
from audiojob_kube.errors import Conflict, Invalid
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


async def turn(job: Object, switch: Switch, writer: JobWriter, *, only_as_read: bool = False) -> Object:
    """The job with the switch set; with ``only_as_read``, only if it is still in the state in which it was read."""
    if _state(job) == switch.already:
        return job
    _refuse_ended(job, switch.verb)
    if bool(job.get("spec", {}).get(switch.field)) == switch.value:
        return job
    wanted = {"op": "add", "path": f"/spec/{switch.field}", "value": switch.value}
    if not only_as_read:
        return await _write(job, switch.verb, [wanted], writer)
    try:
        return await _write(job, switch.verb, [_test(job, "status", "state"), wanted], writer)
    except Conflict:
        await _refuse_moved(job, switch.verb, writer)
        raise


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


async def _refuse_moved(job: Object, verb: str, writer: JobWriter) -> None:
    """Raise a 409 Problem that names the state in which the job is by now; NotFound where it is gone."""
    now = await writer.read(job["metadata"]["name"])
    if now["metadata"]["uid"] != job["metadata"]["uid"]:
        raise Problem(409, "conflict", "The job was deleted meanwhile, and another one has its name.")
    _refuse_ended(now, verb)
    if _state(now) != _state(job):
        detail = f"The job is {_state(now)} by now, no more {_state(job)}; it was left as it is."
        raise Problem(409, "conflict", detail)


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
