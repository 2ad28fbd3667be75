"""Bodies of requests. A job to create is the AudioJob's spec itself, so that a new field of it is a field here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from audiojob_api.numbers import whole_numbers
from audiojob_api.problems import invalid_field
from audiojob_store.ticket import UPLOAD_PATTERN
from audiojob_types.base import TIME_PATTERN, ObjectName, WireModel, WrittenTime
from audiojob_types.explain import unknown
from audiojob_types.parameters import InvalidParameters, resolve_parameters
from audiojob_types.resources.job import AudioJobSpec, Review
from audiojob_types.resources.source import ObjectSource, Source
from audiojob_types.tasks import Task

Object = dict[str, Any]

ONLY_DOCUMENTED_NAMES = ConfigDict(populate_by_name=False)
"""Of bodies: Python's own names of fields are none of the interface."""

PRIORITIES = {"high": 10, "default": 5, "low": 1}
_TASKS = {task.parameter_key: task for task in Task}


def _priority_of_word(value: object) -> object:
    if not isinstance(value, str):
        return whole_numbers(value)
    if value not in PRIORITIES:
        raise ValueError("must be 1 to 10, or high, default or low")
    return PRIORITIES[value]


Priority = Annotated[
    int,
    Field(strict=True, ge=1, le=10),
    BeforeValidator(_priority_of_word),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1, "maximum": 10}, {"enum": list(PRIORITIES)}]}),
]


# What the API server's rule says of a time, for readers of the OpenAPI document.
StartTime = Annotated[
    WrittenTime, WithJsonSchema({"type": "string", "format": "date-time", "maxLength": 40, "pattern": TIME_PATTERN})
]


class SourceRequest(Source):
    """Where the work's input comes from: exactly one of its fields. ``upload`` is short for the ``object`` it is."""

    model_config = ONLY_DOCUMENTED_NAMES

    upload: (
        Annotated[str, Field(pattern=UPLOAD_PATTERN, description="upload is the id of a complete upload.")] | None
    ) = None


class JobRequest(AudioJobSpec):
    """A job to create: an AudioJob's spec, and perhaps its name. Null means that a field is left out."""

    # The rules about changes of a stored spec say nothing about a body that creates one.
    model_config = ConfigDict(**ONLY_DOCUMENTED_NAMES, json_schema_extra=None)

    name: Annotated[ObjectName, Field(description="name of the job; one is generated where it is left out.")] | None = (
        None
    )
    source: SourceRequest | None = Field(default=None, description="source is where the input comes from.")
    priority: Priority | None = Field(
        default=None, description="priority from 1 to 10, 10 is the most urgent; high, default and low mean 10, 5, 1."
    )

    start_time: StartTime | None = Field(
        default=None, description="startTime before which the job does not start; without it the job starts at once."
    )

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, body: object) -> object:
        if isinstance(body, Mapping):
            return {name: whole_numbers(value) for name, value in body.items() if value is not None}
        return body

    @property
    def upload(self) -> str | None:
        """The upload that is the source. Raises a 422 Problem where there is another source beside it."""
        given = self.source.model_fields_set if self.source else set()
        if self.source is None or self.source.upload is None:
            return None
        if len({name for name in given if getattr(self.source, name) is not None}) > 1:
            raise invalid_field("source", "must have exactly one of upload, url, object, library, jobRef")
        return self.source.upload

    def with_object(self, key: str) -> Self:
        """The same request, whose source is this object of the store."""
        return self.model_copy(update={"source": SourceRequest(object=ObjectSource(key=key))})

    def given(self) -> Object:
        """What the caller has set, as JSON."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)


def spec_of(given: Object) -> Object:
    """The AudioJob's spec: what the caller has set. Defaults are the API server's to add."""
    return {name: value for name, value in given.items() if name != "name"}


def fingerprint_of(given: Object) -> str:
    """Equal for equal requests, whatever the order of their fields."""
    return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()


ReviewRequest = Review


class JobChange(WireModel):
    """What may be changed of a job that waits."""

    model_config = ONLY_DOCUMENTED_NAMES

    priority: Annotated[Priority, Field(description="priority as in the body that creates a job.")]


def check(request: JobRequest) -> None:
    """What the model of the body cannot say. Raises a 422 Problem that names the field."""
    _check_parameters(request)
    _check_references(request)


def _check_parameters(request: JobRequest) -> None:
    for key, given in (request.parameters or {}).items():
        if key not in _TASKS:
            raise invalid_field(f"parameters.{key}", unknown("task", key, sorted(_TASKS)))
        try:
            resolve_parameters(_TASKS[key], given)
        except InvalidParameters as error:
            raise invalid_field(error.field, error.message) from None


def _check_references(request: JobRequest) -> None:
    """A job must not wait for itself; the operator explains the rest."""
    waits_for = request.source.job_ref.name if request.source and request.source.job_ref else None
    for name, other in (("source.jobRef.name", waits_for), ("retryOf", request.retry_of)):
        if other is not None and other == request.name:
            raise invalid_field(name, "must name another job than this one")
