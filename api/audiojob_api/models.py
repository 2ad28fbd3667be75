"""What goes in and out over HTTP."""

from __future__ import annotations

import hashlib
import json
import secrets
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, model_validator

from audiojob_types.base import Time, WireModel
from audiojob_types.constants import API_VERSION, GROUP, LABEL_USER
from audiojob_types.contract import Task
from audiojob_types.job import AudioJobSpec, AudioJobStatus, ObjectName, Retry, Source
from audiojob_types.parameters import InvalidParameters, resolve_parameters

Object = dict[str, Any]

ANNOTATION_REQUEST = f"{GROUP}/request"  # fingerprint of the request that made the job
PRIORITIES = {"high": 10, "default": 5, "low": 1}
_TASKS = {task.parameter_key: task for task in Task}


class JobRequest(WireModel):
    """A job to create: an AudioJob's spec, and perhaps its name."""

    name: Annotated[ObjectName, Field(description="Name of the job; one is made up where it is absent.")] | None = None
    pipeline: Annotated[ObjectName, Field(description="Name of the pipeline to run.")]
    source: Source | None = None
    parameters: Annotated[dict[str, dict[str, Any]], Field(description="Parameters by task.")] | None = None
    queue_name: ObjectName | None = None
    priority: Annotated[int, Field(ge=1, le=10)] | Literal["high", "default", "low"] | None = Field(
        default=None, description="1 to 10, 10 is the most urgent; high, default and low mean 10, 5 and 1."
    )
    device: Literal["Auto", "GPU", "CPU"] | None = None
    start_time: Time | None = None
    active_deadline_seconds: Annotated[int, Field(ge=1, le=2_592_000)] | None = None
    queue_timeout_seconds: Annotated[int, Field(ge=1, le=2_592_000)] | None = None
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=31_536_000)] | None = None
    retry: Retry | None = None

    @model_validator(mode="after")
    def _parameters_fit_their_tasks(self) -> Self:
        for key, given in (self.parameters or {}).items():
            if key not in _TASKS:
                raise ValueError(f"parameters.{key}: no such task; known are {', '.join(sorted(_TASKS))}")
            try:
                resolve_parameters(_TASKS[key], given)
            except InvalidParameters as error:
                raise ValueError(str(error)) from None
        return self

    def spec(self) -> Object:
        """The AudioJob's spec."""
        spec = self.to_wire()
        spec.pop("name", None)
        if isinstance(self.priority, str):
            spec["priority"] = PRIORITIES[self.priority]
        return spec

    def fingerprint(self) -> str:
        """The same for the same request, however it was spelled."""
        return hashlib.sha256(json.dumps(self.to_wire(), sort_keys=True).encode()).hexdigest()


def audiojob(request: JobRequest, *, namespace: str, user: str, idempotency_key: str | None) -> Object:
    """The AudioJob to create. An idempotency key fixes the name, so that the API server keeps it unique."""
    name = request.name
    if name is None and idempotency_key is not None:
        name = "job-" + hashlib.sha256(f"{user}\n{idempotency_key}".encode()).hexdigest()[:20]
    return {
        "apiVersion": API_VERSION,
        "kind": "AudioJob",
        "metadata": {
            "name": name or f"job-{secrets.token_hex(8)}",
            "namespace": namespace,
            "labels": {LABEL_USER: user_label(user)},
            "annotations": {ANNOTATION_REQUEST: request.fingerprint()},
        },
        "spec": request.spec(),
    }


def user_label(user: str) -> str:
    """A user name as a label value: readable where it is one, else its hash."""
    readable = user.replace(":", ".")
    allowed = all(character.isascii() and (character.isalnum() or character in "-_.") for character in readable)
    if readable and len(readable) <= 63 and allowed and readable[0].isalnum() and readable[-1].isalnum():
        return readable
    return hashlib.sha256(user.encode()).hexdigest()[:40]


class JobView(BaseModel):
    """A job as it is shown."""

    name: str
    uid: str
    created_time: datetime = Field(alias="createdTime")
    resource_version: str = Field(alias="resourceVersion")
    spec: AudioJobSpec
    status: AudioJobStatus


class JobPage(BaseModel):
    """One page of jobs, newest first. ``cursor`` gets the next page; absent on the last."""

    items: list[JobView]
    cursor: str | None = None


def view(obj: Object) -> Object:
    """The JSON form of :class:`JobView` of a stored AudioJob. No parsing: a newer schema's fields pass through."""
    metadata = obj["metadata"]
    return {
        "name": metadata["name"],
        "uid": metadata["uid"],
        "createdTime": metadata["creationTimestamp"],
        "resourceVersion": metadata["resourceVersion"],
        "spec": obj.get("spec", {}),
        "status": obj.get("status", {}),
    }
