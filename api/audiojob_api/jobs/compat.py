"""A job as clients of older services expect it: ``?format=v1-compat``. docs/api.md has the table of fields."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field

from audiojob_api.jobs.views import CountView, JobView
from audiojob_types.resources.job import PhaseState, State

Object = dict[str, Any]

FORMAT: Final = "v1-compat"
_STATES: Final = {
    State.PENDING: "pending",
    State.QUEUED: "queued",
    State.RUNNING: "processing",
    State.SUSPENDED: "suspended",
    State.SUCCEEDED: "completed",
    State.FAILED: "failed",
    State.CANCELLED: "cancelled",
}
_HIGH, _LOW, _DEFAULT = 8, 3, 5


class CompatError(BaseModel):
    """Why a job failed, for clients of older services."""

    code: str | None
    message: str
    phase: str | None
    retryable: bool
    suggestion: str | None


class CompatFilm(BaseModel):
    """Where a film and its thumbnail are, and its length in seconds."""

    video_path: str
    thumbnail_path: str | None
    duration: float | None


class CompatView(BaseModel):
    """A job as clients of older services expect it."""

    job_id: str
    type: str | None
    status: Literal["pending", "queued", "processing", "suspended", "completed", "failed", "cancelled"]
    progress: Annotated[float, Field(ge=0, le=1)]
    message: str
    current_stage: str | None
    priority: Literal["high", "default", "low"]
    queue_position: int | None
    estimated_duration: float | None
    cancellation_requested: bool
    created_at: datetime
    started_at: datetime | None
    updated_at: datetime
    completed_at: datetime | None
    failed_at: datetime | None
    outputs: Annotated[list[str], Field(max_length=1_000)]
    result_url: str | None
    result: CompatFilm | None
    error: CompatError | None


JobAnswer = JobView | CompatView
"""What shows a job answers with: the second where ``?format=v1-compat`` asks for it."""


class CompatPage(BaseModel):
    """One page of jobs, for clients of older services."""

    items: Annotated[list[CompatView], Field(max_length=200)]
    cursor: str | None = None
    total: CountView | None = None
    history: Literal["unavailable"] | None = None


def compat(shown: Object) -> Object:
    """From the JSON form of `JobView` to that of :class:`CompatView`. Fields that have no value yet are null."""
    spec, status = shown["spec"], shown["status"]
    state, ended = status.get("state", State.PENDING), status.get("completionTime")
    succeeded = state == State.SUCCEEDED
    return {
        "job_id": shown["name"],
        "type": spec.get("pipeline"),
        "status": _STATES.get(state, str(state).lower()),
        "progress": status.get("percent", 0) / 100,
        "message": status.get("message", ""),
        "current_stage": _stage(status.get("phases", ())),
        "priority": _word(spec.get("priority", _DEFAULT)),
        "queue_position": (shown.get("queue") or {}).get("position"),
        "estimated_duration": shown.get("estimatedDuration"),
        "cancellation_requested": bool(spec.get("cancel")),
        "created_at": shown["createdTime"],
        "started_at": status.get("startTime"),
        "updated_at": _latest(shown),
        "completed_at": ended if succeeded else None,
        "failed_at": ended if ended and not succeeded else None,
        "outputs": [each.get("name") for each in status.get("outputs", ())],
        "result_url": _result_url(shown) if succeeded else None,
        "result": _film(shown) if succeeded else None,
        "error": _error(status.get("error")),
    }


def _stage(phases: Iterable[Object]) -> str | None:
    """The phase at work; between two, the one that has ended last."""
    stage = None
    for phase in phases:
        if phase.get("state") == PhaseState.RUNNING:
            return str(phase["name"])
        if phase.get("startTime"):
            stage = str(phase["name"])
    return stage


def _word(priority: int) -> str:
    return "high" if priority >= _HIGH else "low" if priority <= _LOW else "default"


def _latest(shown: Object) -> str:
    """The last time that the job tells of. All are written alike, so that they sort as text."""
    status = shown["status"]
    phases = [phase.get(name) for phase in status.get("phases", ()) for name in ("startTime", "completionTime")]
    reports = [each.get("reportTime") for each in (status.get("progress") or {}).values()]
    known = (shown["createdTime"], status.get("startTime"), status.get("completionTime"), *phases, *reports)
    return max(str(each) for each in known if each)


def _result_url(shown: Object) -> str:
    """Where the result is: a score has an address of its own."""
    names = {each.get("name") for each in shown["status"].get("outputs", ())}
    return f"/api/v1/scores/{shown['name']}" if "score" in names else f"/api/v1/jobs/{shown['name']}/outputs"


def _film(shown: Object) -> Object | None:
    """Of a film: where it and its thumbnail are, and its length in seconds. None for other jobs."""
    outputs = {each.get("name"): each for each in shown["status"].get("outputs", ())}
    film = outputs.get("video")
    if film is None:
        return None
    paths = {name: f"/api/v1/jobs/{shown['name']}/outputs/{name}" for name in ("video", "thumbnail") if name in outputs}
    length = film.get("durationMilliseconds")
    return {
        "video_path": paths["video"],
        "thumbnail_path": paths.get("thumbnail"),
        "duration": None if length is None else length / 1_000,
    }


def _error(error: Object | None) -> Object | None:
    if not error:
        return None
    return {
        "code": error.get("reason"), "message": error.get("message", ""), "phase": error.get("phase"),
        "retryable": bool(error.get("retryable")), "suggestion": error.get("suggestion"),
    }  # fmt: skip
