"""Statistics of a span of time, and whether all is well."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from audiojob_api.access.rights import Call
from audiojob_api.files.alive import trouble
from audiojob_api.http.deps import AllServices, InSpace, caller_who_may
from audiojob_api.http.errors import responses
from audiojob_api.http.routes.queries import QueryTime
from audiojob_api.jobs.listing.steps import in_turns
from audiojob_api.jobs.statistics.depth import MOST_DEPTHS
from audiojob_api.jobs.statistics.groups import MOST_GROUPS, By
from audiojob_api.jobs.statistics.health import Condition, Parts, health, worst
from audiojob_api.problems import FieldProblem, Problem
from audiojob_types.base import ObjectName, format_time

router = APIRouter(prefix="/api/v1", tags=["statistics"], responses=responses(400, 401, 403, 404, 422, 429, 500, 503))

_MAY_LIST: Final = [Depends(caller_who_may(Call.LIST))]
_LONGEST: Final = {By.HOUR: timedelta(days=31)}
_LONGEST_ELSE: Final = timedelta(days=366)


class GroupView(BaseModel):
    """What happened in one group. Times are of jobs, or phases, that succeeded."""

    name: str = Field(description="Of the pipeline or phase; the beginning of the hour or day; or `all`.")
    created: int
    ended: int
    states: dict[str, int]
    reused: int = Field(description="Phases whose work another job had done.")
    errors: dict[str, int] = Field(description="Failures by reason.")
    gpu_hours: float = Field(alias="gpuHours")
    success_rate: float | None = Field(default=None, alias="successRate")
    mean_wait_seconds: float | None = Field(default=None, alias="meanWaitSeconds")
    mean_seconds: float | None = Field(default=None, alias="meanSeconds")
    p95_seconds: float | None = Field(default=None, alias="p95Seconds", description="Within a tenth or so.")


class DepthView(BaseModel):
    """How many jobs waited for their turn and ran: of a look each minute."""

    name: str = Field(description="The beginning of the hour or day; else `all`.")
    queue: str | None = Field(default=None, description="Absent: all queues of the namespace together.")
    samples: int = Field(description="How often was looked.")
    mean_waiting: float = Field(alias="meanWaiting")
    most_waiting: int = Field(alias="mostWaiting")
    mean_running: float = Field(alias="meanRunning")
    most_running: int = Field(alias="mostRunning")
    longest_wait_seconds: float = Field(
        alias="longestWaitSeconds", description="The longest that one of those had waited."
    )


class StatisticsView(BaseModel):
    """Statistics of whole hours: of archived jobs, of queues, and how many live jobs are in each state now."""

    begin: datetime = Field(alias="from")
    end: datetime = Field(alias="to")
    by: By
    items: Annotated[list[GroupView], Field(max_length=MOST_GROUPS)]
    depths: Annotated[list[DepthView], Field(max_length=MOST_DEPTHS)]
    truncated: bool = Field(
        description="Whether the oldest of `depths` are left out; ask for a shorter span, or one queue."
    )
    live: dict[str, int]


class PartView(BaseModel):
    """One part, and how it is."""

    name: str
    state: Condition
    message: str


class HealthView(BaseModel):
    """As its worst part."""

    state: Condition
    parts: Annotated[list[PartView], Field(max_length=20)]


@router.get("/stats", response_model=StatisticsView, dependencies=_MAY_LIST, summary="Statistics of a span of time")
async def stats(
    space: InSpace,
    begin: Annotated[QueryTime | None, Query(alias="from", description="Absent: a day before `to`.")] = None,
    end: Annotated[QueryTime | None, Query(alias="to", description="Absent: now.")] = None,
    by: Annotated[By, Query(description="One item for each; by `hour` for 31 days at most, else 366.")] = By.ALL,
    queue: Annotated[
        ObjectName | None, Query(description="`depths` of this queue alone; else of all and each.")
    ] = None,
) -> JSONResponse:
    """From sums by the hour, which are made when a job is archived; 404 where there is no archive."""
    history = space.jobs.history
    if history is None:
        raise Problem(404, "no-archive", "There are no statistics without an archive: an administrator turns it on.")
    until = end or datetime.now(UTC)
    since = begin or until - timedelta(days=1)
    if not timedelta(0) < until - since <= _LONGEST.get(by, _LONGEST_ELSE):
        days = _LONGEST.get(by, _LONGEST_ELSE).days
        detail = f"from: must be earlier than to, by {days} days at most"
        raise Problem(422, "invalid-request", detail, (FieldProblem(pointer="/from", detail=detail),))
    span = [round(each.timestamp() * 1_000) for each in (since, until)]
    groups = await history.groups(span[0], span[1], by)
    items = [{"name": _shown(name, by), **group.to_wire()} for name, group in groups]
    found = await history.depths(span[0], span[1], by, queue)
    depths = [{"name": _shown(each.name, by), **each.to_wire()} for each in found.items]
    live = Counter(row.state for row in space.jobs.live.jobs())
    body: dict[str, Any] = {"from": format_time(since), "to": format_time(until), "by": by, "items": items}
    return JSONResponse({**body, "depths": depths, "truncated": found.truncated, "live": dict(live)})


@router.get("/health", response_model=HealthView, dependencies=_MAY_LIST, summary="Whether all is well, in words")
async def all_health(space: InSpace, services: AllServices) -> JSONResponse:
    """200 also where something is wrong: `state` and the parts say what."""
    read_model, database = services.lifecycle, services.database
    parts = Parts(
        synced=read_model.synced(),
        silent_seconds=read_model.age(),
        stale_after_seconds=services.settings.stale_after_seconds,
        database=(database.state, database.detail) if database is not None else None,
        unarchived=space.jobs.history.unarchived if space.jobs.history is not None else None,
        files=await trouble(services.files, space.namespace) if services.files is not None else None,
        operator=await services.operator() if services.operator is not None else None,
    )
    found = await in_turns(health(space.jobs.live.jobs(), parts, round(time.time() * 1_000)))
    shown = [{"name": each.name, "state": each.state, "message": each.message} for each in found]
    return JSONResponse({"state": worst(found), "parts": shown})


def _shown(name: str, by: By) -> str:
    if by in (By.HOUR, By.DAY):
        return format_time(datetime.fromtimestamp(int(name) / 1_000, UTC))
    return name
