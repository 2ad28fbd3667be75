"""What goes in and out over HTTP."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, StrictBool, WithJsonSchema

from audiojob_api.jobs.idempotency import ANNOTATION_REQUEST, key_digest, mark
from audiojob_api.jobs.queue_position import Place
from audiojob_api.problems import FieldProblem, Problem, pointer
from audiojob_types.base import ObjectName, Time, WireModel
from audiojob_types.constants import API_VERSION, LABEL_USER
from audiojob_types.parameters import InvalidParameters, resolve_parameters
from audiojob_types.resources.job import AudioJobSpec, AudioJobStatus, Message, PhaseName, Retry
from audiojob_types.resources.source import SideInput, Source
from audiojob_types.tasks import Task

Object = dict[str, Any]

PRIORITIES = {"high": 10, "default": 5, "low": 1}
_FIRST_YEAR = 1970
_TASKS = {task.parameter_key: task for task in Task}
# What a retry does not take over: what was said about the job while it lived, and when it was to start.
_NOT_REPEATED = frozenset({"suspend", "cancel", "reviews", "startTime", "retryOf"})
_RETRY_SUFFIX = re.compile(r"-retry-[0-9a-f]{8}$")


def _priority_of_word(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value not in PRIORITIES:
        raise ValueError("must be 1 to 10, or high, default or low")
    return PRIORITIES[value]


def _text(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("must be a time such as 2026-01-31T08:00:00Z")
    return value


def _moment(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("needs a time zone, as in 2026-01-31T08:00:00Z")
    try:
        moment = value.astimezone(UTC)
    except OverflowError:
        raise ValueError("is out of range") from None
    if moment.year < _FIRST_YEAR:
        raise ValueError("is out of range")
    return moment


Priority = Annotated[
    int,
    Field(strict=True, ge=1, le=10),
    BeforeValidator(_priority_of_word),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1, "maximum": 10}, {"enum": list(PRIORITIES)}]}),
]
StartTime = Annotated[Time, AfterValidator(_moment), BeforeValidator(_text)]


class JobRequest(WireModel):
    """A job to create: an AudioJob's spec, and perhaps its name."""

    name: Annotated[ObjectName, Field(description="Name of the job; one is made up where it is absent.")] | None = None
    pipeline: Annotated[ObjectName, Field(description="Name of the pipeline to run.")]
    source: Source | None = None
    inputs: Annotated[tuple[SideInput, ...], Field(max_length=64, description="Inputs beside the source.")] | None = (
        None
    )
    parameters: Annotated[dict[str, dict[str, Any]], Field(description="Parameters by task.")] | None = None
    queue_name: ObjectName | None = None
    priority: Priority | None = Field(
        default=None, description="1 to 10, 10 is the most urgent; high, default and low mean 10, 5 and 1."
    )
    device: Literal["Auto", "GPU", "CPU"] | None = None
    start_time: StartTime | None = None
    active_deadline_seconds: Annotated[int, Field(strict=True, ge=1, le=2_592_000)] | None = None
    queue_timeout_seconds: Annotated[int, Field(strict=True, ge=1, le=2_592_000)] | None = None
    ttl_seconds_after_finished: Annotated[int, Field(strict=True, ge=0, le=31_536_000)] | None = None
    retry: Retry | None = None
    retry_of: (
        Annotated[
            ObjectName, Field(description="A job that failed or was cancelled: what it finished is not repeated.")
        ]
        | None
    ) = None
    reuse: (
        Annotated[
            Literal["Allowed", "Never"],
            Field(description="Never does all of the work again, though another job has done the same."),
        ]
        | None
    ) = None

    def check_references(self) -> None:
        """Refuse a job that waits for itself. Raises a 422 :class:`Problem`; the operator explains the rest."""
        waits_for = self.source.job_ref.name if self.source and self.source.job_ref else None
        for field, other in (("source.jobRef.name", waits_for), ("retryOf", self.retry_of)):
            if other is not None and other == self.name:
                raise invalid_field(field, "must name another job than this one")

    def check_parameters(self) -> None:
        """Compare the parameters with their tasks. Raises a 422 :class:`Problem` that points at the field."""
        for key, given in (self.parameters or {}).items():
            if key not in _TASKS:
                raise invalid_field(f"parameters.{key}", f"no such task; known are {', '.join(sorted(_TASKS))}")
            try:
                resolve_parameters(_TASKS[key], given)
            except InvalidParameters as error:
                raise invalid_field(error.field, error.message) from None

    def spec(self) -> Object:
        """The AudioJob's spec."""
        spec = self.to_wire()
        spec.pop("name", None)
        return spec

    def fingerprint(self) -> str:
        """The same for the same request, however it was spelled."""
        return hashlib.sha256(json.dumps(self.to_wire(), sort_keys=True).encode()).hexdigest()


class ReviewRequest(WireModel):
    """Somebody's word on a phase at which the pipeline stops."""

    phase: Annotated[PhaseName, Field(description="Phase that the review is about.")]
    approved: Annotated[StrictBool, Field(description="Lets the phase start; false ends the job.")]
    message: Annotated[Message, Field(description="For people.")] = ""


class JobChange(WireModel):
    """What may be changed of a job that waits."""

    priority: Annotated[Priority, Field(description="As in the body that creates a job.")]


def invalid_field(field: str, message: str) -> Problem:
    """422 for one field of the body, named with dots."""
    found = FieldProblem(pointer=pointer(field.split(".")), detail=message)
    return Problem(422, "invalid-request", f"{field}: {message}", (found,))


def audiojob(request: JobRequest, *, namespace: str, user: str, idempotency_key: str | None) -> Object:
    """The AudioJob to create. An idempotency key fixes the name, so that the API server keeps it unique."""
    digest = key_digest(user, idempotency_key) if idempotency_key else None
    name = request.name or f"job-{digest or secrets.token_hex(8)}"
    return _job(name, request.spec(), namespace, user, mark(digest, request.fingerprint()))


def retry_job(job: Object, *, namespace: str, user: str, idempotency_key: str | None) -> Object:
    """The AudioJob that tries ``job`` again: the same spec, but for what belongs to the life of the old one."""
    digest = key_digest(user, idempotency_key) if idempotency_key else None
    old = job["metadata"]["name"]
    # Room for the suffix in 63 characters; a retry of a retry keeps one suffix.
    stem = _RETRY_SUFFIX.sub("", old)[:48].rstrip("-")
    name = f"job-{digest}" if digest else f"{stem}-retry-{secrets.token_hex(4)}"
    spec = {key: value for key, value in job.get("spec", {}).items() if key not in _NOT_REPEATED} | {"retryOf": old}
    fingerprint = hashlib.sha256(f"retry {job['metadata']['uid']}".encode()).hexdigest()
    return _job(name, spec, namespace, user, mark(digest, fingerprint))


def _job(name: str, spec: Object, namespace: str, user: str, request: str) -> Object:
    return {
        "apiVersion": API_VERSION,
        "kind": "AudioJob",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {LABEL_USER: user_label(user)},
            "annotations": {ANNOTATION_REQUEST: request},
        },
        "spec": spec,
    }


def user_label(user: str) -> str:
    """A user name as a label value: readable where it is one, else its hash."""
    # A name with dots of its own is hashed: it could read as somebody else's colons.
    readable = "" if "." in user else user.replace(":", ".")
    allowed = all(character.isascii() and (character.isalnum() or character in "-_.") for character in readable)
    if readable and len(readable) <= 63 and allowed and readable[0].isalnum() and readable[-1].isalnum():
        return readable
    return hashlib.sha256(user.encode()).hexdigest()[:40]


class QueuePlace(BaseModel):
    """A waiting job's place at this moment: among the jobs of its queue that wait for a place, or for a GPU as it does.

    Told from the jobs of this namespace alone. Limits of users are not known.
    """

    position: int = Field(description="1 starts next.")
    ahead: int = Field(description="Jobs of the queue that start before it.")
    estimated_start_time: datetime | None = Field(
        default=None,
        alias="estimatedStartTime",
        description="When it may start, from how long jobs took lately and as many of the queue as run now; what other "
        "queues will do is not known. Absent where nothing can be said.",
    )


class JobView(BaseModel):
    """A job as it is shown."""

    name: str
    uid: str
    created_time: datetime = Field(alias="createdTime")
    resource_version: str = Field(alias="resourceVersion")
    spec: AudioJobSpec
    status: AudioJobStatus
    queue: QueuePlace | None = Field(default=None, description="Only of a job in state Queued that has not started.")


class JobPage(BaseModel):
    """One page of jobs, newest first. ``cursor`` gets the next page; absent on the last."""

    items: list[JobView]
    cursor: str | None = None


def view(obj: Object, place: Place | None = None) -> Object:
    """The JSON form of :class:`JobView` of a stored AudioJob. No parsing: a newer schema's fields pass through."""
    metadata = obj["metadata"]
    shown = {
        "name": metadata["name"],
        "uid": metadata["uid"],
        "createdTime": metadata["creationTimestamp"],
        "resourceVersion": metadata["resourceVersion"],
        "spec": obj.get("spec", {}),
        "status": obj.get("status", {}),
    }
    return {**shown, "queue": place.to_wire()} if place else shown
