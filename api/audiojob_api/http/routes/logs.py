"""The log of a phase, which outlives its pod; and the log of one that runs, as it grows."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from audiojob_api.access.rights import Call
from audiojob_api.files.logs import Attempt, LogFollowing, attempt_of, log_call
from audiojob_api.files.ports import Files
from audiojob_api.http.deps import (
    ExistingJob,
    InSpace,
    LastEventId,
    Stopping,
    StoredFiles,
    caller_who_may,
    recheck,
    services_of,
)
from audiojob_api.http.errors import responses
from audiojob_api.http.metrics import ApiMetrics
from audiojob_api.http.relay import Relay
from audiojob_api.numbers import DIGITS
from audiojob_api.problems import Problem

router = APIRouter(
    prefix="/api/v1/jobs",
    tags=["files"],
    dependencies=[Depends(caller_who_may(Call.READ_LOG))],
    responses=responses(400, 401, 403, 404, 422, 429, 500, 501, 503),
)

_ID_DIGITS: Final = 6  # a log has a thousand pieces at most
_NO_BUFFER: Final = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


@dataclass(frozen=True, slots=True)
class _Source:
    """The job whose log is asked for, and what reading it takes."""

    job: dict[str, Any]
    files: Files
    namespace: str
    metrics: ApiMetrics
    following: Callable[[Attempt], LogFollowing]


async def _source(
    request: Request, job: ExistingJob, space: InSpace, files: StoredFiles, stopping: Stopping
) -> _Source:
    async def find() -> dict[str, Any] | None:
        return await space.jobs.reader.find(job["metadata"]["name"])

    def following(wanted: Attempt) -> LogFollowing:
        check = recheck(request, Call.READ_LOG).check
        return LogFollowing(files, space.namespace, wanted, find, check, stopping)

    return _Source(job, files, space.namespace, services_of(request).metrics, following)


PhaseName = Annotated[
    str | None,
    Query(alias="phase", max_length=63, description="The phase; without it the one that failed, else the last."),
]
AttemptNumber = Annotated[
    int | None, Query(alias="attempt", ge=1, le=100_000, description="The attempt; without it the newest."), DIGITS
]


Tail = Annotated[int | None, Query(ge=0, le=100_000, description="Only so many of the last lines."), DIGITS]
Follow = Annotated[bool, Query(description="Send lines as they come, as server-sent events, until the attempt ends.")]


@router.get(
    "/{name}/logs",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}, "text/event-stream": {}}}},
    summary="Get the log of a phase, or follow it",
)
async def get_log(
    source: Annotated[_Source, Depends(_source)],
    phase: PhaseName = None,
    attempt: AttemptNumber = None,
    tail: Tail = None,
    follow: Follow = False,
    last_event_id: LastEventId = None,
) -> Response:
    """Lines of JSON, as the phase wrote them; while it runs, they come every 30 seconds."""
    wanted = attempt_of(source.job, phase, attempt)
    if not follow:
        query = "" if tail is None else f"?tail={tail}"
        return Relay(source.files, log_call(source.namespace, wanted, query))
    events = _events(source.following(wanted), _start(last_event_id), source.metrics)
    return StreamingResponse(events, media_type="text/event-stream", headers=_NO_BUFFER)


def _start(last_event_id: str | None) -> int:
    """The piece to go on with; what is no id of ours means the first."""
    given = last_event_id or ""
    return int(given) if given.isascii() and given.isdecimal() and len(given) <= _ID_DIGITS else 0


async def _events(following: LogFollowing, start: int, metrics: ApiMetrics) -> AsyncIterator[str]:
    """Events `log` with new lines and `end`; a comment where nothing came, since proxies end what is silent."""
    with metrics.streams.track_inprogress():
        async with aclosing(following.pieces(start)) as pieces:
            try:
                async for piece in pieces:
                    yield _event("log", {"text": piece.text}, piece.next) if piece else ": nothing new\n\n"
                yield _event("end", {"phase": following.attempt.phase, "attempt": following.attempt.number})
            except Problem as problem:
                yield _event("refused", {"status": problem.status, "detail": problem.detail})


def _event(name: str, data: object, number: int | None = None) -> str:
    """JSON has no line ends of its own, so that no log line can make an event."""
    head = f"event: {name}\n" + (f"id: {number}\n" if number is not None else "")
    return f"{head}data: {json.dumps(data)}\n\n"
