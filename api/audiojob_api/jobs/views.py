"""A job as it is shown."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from audiojob_api.jobs.queue_position import QueuePosition
from audiojob_types.resources.job import AudioJobSpec, AudioJobStatus

Object = dict[str, Any]
Show = Callable[[Object], Object]
"""From a stored AudioJob to the JSON form of `JobView`, with its queue position where it has one."""


class QueuePositionView(BaseModel):
    """A queued job's position at this moment, among the jobs of its queue that wait for a slot or a GPU, as it does.

    Computed from the jobs of this namespace alone; limits of users are not known.
    """

    position: int = Field(description="1 starts next.")
    ahead: int = Field(description="Jobs of the queue that start before it.")
    estimated_start_time: datetime | None = Field(
        default=None,
        alias="estimatedStartTime",
        description="When it may start, from recent run times and as many of the queue at once as run now; what other "
        "queues will do is not known. Absent where there is no basis for an estimate.",
    )


class JobView(BaseModel):
    """A job as it is shown."""

    name: str
    uid: str
    created_time: datetime = Field(alias="createdTime")
    resource_version: str = Field(alias="resourceVersion")
    spec: AudioJobSpec
    status: AudioJobStatus
    archived: bool = Field(
        default=False, description="True once the job is in the archive alone: its record in the cluster is gone."
    )
    estimated_duration: float | None = Field(
        default=None,
        alias="estimatedDuration",
        description="Seconds that the job may run, where it has just been made and others like it have run before.",
    )
    queue: QueuePositionView | None = Field(
        default=None, description="Only of a job in state Queued that waits for its turn and for nothing else."
    )


class CountView(BaseModel):
    """How many jobs a list has, counted to a bound."""

    count: int
    at_least: bool = Field(alias="atLeast", description="True where there are more: counting ended there.")


class JobPage(BaseModel):
    """One page of jobs. A page may be short, or empty, and still have a next one."""

    items: Annotated[list[JobView], Field(max_length=200)]
    cursor: str | None = Field(default=None, description="Gets the next page; absent on the last.")
    total: CountView | None = Field(default=None, description="Only where `count` asks for it.")
    history: Literal["unavailable"] | None = Field(
        default=None, description="The archive does not answer: jobs that are there alone are missing here."
    )


def view(job: Object, position: QueuePosition | None = None) -> Object:
    """The JSON form of :class:`JobView` of a stored AudioJob. No parsing: a newer schema's fields pass through."""
    metadata = job["metadata"]
    shown = {
        "name": metadata["name"],
        "uid": metadata["uid"],
        "createdTime": metadata["creationTimestamp"],
        "resourceVersion": metadata["resourceVersion"],
        "spec": job.get("spec", {}),
        "status": job.get("status", {}),
    }
    for name in ("archived", "estimatedDuration"):
        if job.get(name):
            shown[name] = job[name]
    return {**shown, "queue": position.to_wire()} if position else shown
