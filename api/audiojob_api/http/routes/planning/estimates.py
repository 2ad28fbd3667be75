"""What a job would take. Nothing is made."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from audiojob_api.access.rights import Call, rights_to_create
from audiojob_api.files.uploads import key_so_far
from audiojob_api.http.bodies import require_json
from audiojob_api.http.deps import AllServices, Caller, InSpace, Required, caller_who_may, files_of
from audiojob_api.http.errors import responses
from audiojob_api.jobs.estimates.estimator import Basis, Estimate
from audiojob_api.jobs.queue_position import QueuePosition
from audiojob_api.jobs.request import JobRequest, check, spec_of
from audiojob_api.jobs.views import QueuePositionView
from audiojob_api.problems import Problem
from audiojob_api.settings import PriceSettings
from audiojob_types.constants import DEFAULT_QUEUE, MAX_PHASES
from audiojob_types.contract import Device
from audiojob_types.ordering import DEFAULT_PRIORITY

router = APIRouter(
    prefix="/api/v1", tags=["jobs"], responses=responses(400, 401, 403, 404, 413, 415, 422, 429, 500, 503)
)

_LONGEST = 604_800


class EstimateRequest(JobRequest):
    """A job that might be made, and how long its media is where nobody has measured that."""

    duration_seconds: (
        Annotated[
            float,
            Field(
                strict=True,
                gt=0,
                le=_LONGEST,
                description="durationSeconds is how long the media plays, if you know it.",
            ),
        ]
        | None
    ) = None


class StepView(BaseModel):
    """A phase as it would run."""

    name: str
    device: Device
    runs: int = Field(description="From how many its time is known.")
    seconds: float | None = Field(default=None, description="Absent where it never ran.")
    reused_from: str | None = Field(
        default=None, alias="reusedFrom", description="A job that has done the work already, as far as that shows yet."
    )


class MediaView(BaseModel):
    """How long the media is."""

    basis: Basis = Field(
        description="`Measured` by a job that worked on the same; `Told` by the request; `Typical`: neither, so times "
        "are those of a usual job."
    )
    seconds: float | None = None


class PriceView(BaseModel):
    """By the administrator's rates; nothing is billed."""

    amount: float
    unit: str


class EstimateView(BaseModel):
    """What the job would take. Without `seconds` there is a phase that never ran."""

    pipeline: str
    seconds: float | None = Field(default=None, description="From its start to its end.")
    cpu_seconds: float | None = Field(default=None, alias="cpuSeconds", description="Of requested CPUs.")
    gpu_seconds: float | None = Field(default=None, alias="gpuSeconds")
    price: PriceView | None = Field(default=None, description="Where the administrator has set rates.")
    media: MediaView
    queue: QueuePositionView = Field(description="Its place if it came now.")
    phases: list[StepView] = Field(max_length=MAX_PHASES)


@router.post(
    "/estimate",
    response_model=EstimateView,
    dependencies=[Depends(caller_who_may(Call.ESTIMATE)), Depends(require_json)],
    summary="Estimate a job without making it",
)
async def estimate(
    request: Request, body: EstimateRequest, space: InSpace, services: AllServices, caller: Caller, require: Required
) -> JSONResponse:
    """200; 404 for a pipeline or an upload that does not exist. Limits are not looked at, and nothing counts."""
    check(body)
    if body.upload is not None:
        key = await key_so_far(files_of(request), space.namespace, body.upload, caller.username)
        body = body if key is None else body.with_object(key)
    spec = spec_of(body.given())
    told = spec.pop("durationSeconds", None)
    await require(rights_to_create({"spec": spec}, may_exist=False))
    if space.estimator is None:
        raise Problem(503, "unavailable", "Pipelines cannot be read here, so that nothing can be estimated.")
    pipeline = await space.estimator.pipeline(spec["pipeline"])
    priority = services.quota.priority(caller, spec.get("priority")) or pipeline.priority or DEFAULT_PRIORITY
    found = await space.estimator.estimate(spec, None if told is None else told / 60)
    await space.positions.refresh()
    position = space.positions.joining(spec.get("queueName", DEFAULT_QUEUE), priority)
    return JSONResponse(_shown(spec["pipeline"], found, position, services.settings.prices))


def _shown(pipeline: str, found: Estimate, position: QueuePosition, prices: PriceSettings) -> dict[str, Any]:
    media: dict[str, Any] = {"basis": found.basis}
    if found.minutes is not None:
        media["seconds"] = round(found.minutes * 60, 3)
    shown: dict[str, Any] = {"pipeline": pipeline, "media": media, "queue": position.to_wire()}
    if (total := found.total) is not None:
        shown |= {
            "seconds": round(total.seconds, 1),
            "cpuSeconds": round(total.cpu_seconds, 1),
            "gpuSeconds": round(total.gpu_seconds, 1),
        }
        if prices.cpu_second or prices.gpu_second:
            amount = total.cpu_seconds * prices.cpu_second + total.gpu_seconds * prices.gpu_second
            shown["price"] = {"amount": round(amount, 6), "unit": prices.unit}
    shown["phases"] = [
        {
            "name": step.name, "device": step.device, "runs": step.runs,
            **({} if step.seconds is None else {"seconds": round(step.seconds, 1)}),
            **({} if step.reused_from is None else {"reusedFrom": step.reused_from}),
        }
        for step in found.steps
    ]  # fmt: skip
    return shown
