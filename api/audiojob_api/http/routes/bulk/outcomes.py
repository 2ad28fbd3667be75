"""What came of each of many jobs: as the call for it alone would have been answered. One that fails stops no other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Request
from pydantic import BaseModel, Field

from audiojob_api.access.authorizer import Identity
from audiojob_api.http.audit import write_one
from audiojob_api.http.deps import services_of
from audiojob_api.http.errors import ProblemDocument, document, problem_of
from audiojob_api.http.limits import note_room, too_many_requests
from audiojob_api.http.routes.bulk.asked import MOST
from audiojob_api.jobs.compat import CompatView
from audiojob_api.jobs.views import JobView
from audiojob_api.problems import Problem

_log = logging.getLogger(__name__)

_AT_ONCE: Final = 8


class OutcomeView(BaseModel):
    """What came of one job: ``job``, or the ``problem`` that it met."""

    name: str | None = Field(description="The job's name; null for one that was not made and has none of its own.")
    status: int = Field(description="The status with which the call for this job alone is answered.")
    job: JobView | None = None
    problem: ProblemDocument | None = None
    retry_after_seconds: int | None = Field(
        default=None,
        alias="retryAfterSeconds",
        description="When to try again, where the call for this job alone is answered with Retry-After.",
    )


class OutcomeList(BaseModel):
    """What came of each job, in the order in which they were asked for."""

    items: Annotated[list[OutcomeView], Field(max_length=MOST)]
    done: int = Field(description="Jobs without a problem.")
    refused: int = Field(description="Jobs with one.")
    cursor: str | None = Field(default=None, description="There are more that match: send it with the same matching.")


class CompatOutcomeView(OutcomeView):
    """What came of one job, for clients of older services."""

    job: CompatView | None = None  # type: ignore[assignment] # another form of the same


class CompatOutcomeList(OutcomeList):
    """What came of each job, for clients of older services."""

    items: Annotated[list[CompatOutcomeView], Field(max_length=MOST)]  # type: ignore[assignment] # as above


@dataclass(frozen=True, slots=True)
class Act:
    """What is to be done about one job: its answer's status and the job as it is shown."""

    name: str | None
    do: Callable[[], Awaitable[tuple[int, dict[str, Any]]]]


async def outcomes(request: Request, caller: Identity, acts: Sequence[Act]) -> dict[str, Any]:
    """The JSON form of an `OutcomeList`. Each job counts as a request of its own against the limit of requests."""
    turns = asyncio.Semaphore(_AT_ONCE)
    full = _over_the_limit(request, caller, len(acts))

    async def one(act: Act, problem: Problem | None) -> dict[str, Any]:
        if problem is not None:
            item = _refused(act.name, problem)
        else:
            async with turns:
                item = await _outcome(act)
        made = item["name"] if item["name"] != act.name else None
        write_one(request, act.name, made, item["status"])
        return item

    items = await asyncio.gather(*(one(act, problem) for act, problem in zip(acts, full, strict=True)))
    refused = sum("problem" in item for item in items)
    return {"items": items, "done": len(items) - refused, "refused": refused}


def _over_the_limit(request: Request, caller: Identity, count: int) -> list[Problem | None]:
    """For each job the refusal of one who has asked too much; the call itself has counted for the first."""
    bursts = services_of(request).bursts
    found: list[Problem | None] = [None] * count
    if bursts is None:
        return found
    for index in range(1, count):
        if note_room(request, bursts.policy, room := bursts.take(caller.username)):
            found[index:] = [too_many_requests(room.wait)] * (count - index)
            break
    return found


async def _outcome(act: Act) -> dict[str, Any]:
    try:
        status, job = await act.do()
    except Exception as error:  # noqa: BLE001 - one that fails stops no other
        problem = problem_of(error)
        if problem.status >= 500:
            _log.warning("one of many jobs: %s", error, exc_info=error if problem.kind == "internal" else None)
        return _refused(act.name, problem)
    return {"name": job.get("name") or job.get("job_id"), "status": status, "job": job}


def _refused(name: str | None, problem: Problem) -> dict[str, Any]:
    item = {"name": name, "status": problem.status, "problem": document(problem).model_dump()}
    wait = problem.headers.get("Retry-After")
    return item if wait is None else {**item, "retryAfterSeconds": int(wait)}
