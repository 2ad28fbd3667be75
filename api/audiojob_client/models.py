"""What the API takes and answers. Specs and statuses are those of ``audiojob_types``; a test compares all else with
the API's OpenAPI document. What a newer API adds is passed over."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from audiojob_client.errors import BadAnswer
from audiojob_types.contract import Device
from audiojob_types.resources.job import FINISHED_STATES, AudioJobSpec, AudioJobStatus, State
from audiojob_types.resources.source import Source

PriorityWord = Literal["high", "default", "low"]


class Answer(BaseModel):
    """The base of what the API answers."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")


# ---------------------------------------------------------------- jobs


class NewSource(Source):
    """Where the work's input comes from: exactly one of its fields."""

    upload: str | None = None


class NewJob(AudioJobSpec):
    """A job to create: an AudioJob's spec, and perhaps its name."""

    model_config = ConfigDict(json_schema_extra=None)

    name: str | None = None
    source: NewSource | None = None
    priority: Annotated[int, Field(strict=True, ge=1, le=10)] | PriorityWord | None = None  # type: ignore[assignment] # wider than the spec's


class QueuePosition(Answer):
    """Where a queued job stands; 1 starts next."""

    position: int
    ahead: int
    estimated_start_time: datetime | None = None


class Job(Answer):
    """A job as the API shows it."""

    name: str
    uid: str
    created_time: datetime
    resource_version: str
    spec: AudioJobSpec
    status: AudioJobStatus
    archived: bool = False
    estimated_duration: float | None = None
    queue: QueuePosition | None = None

    @property
    def ended(self) -> bool:
        """Whether it has succeeded, failed or was cancelled."""
        return self.status.state in FINISHED_STATES

    @property
    def succeeded(self) -> bool:
        """Whether its results are there."""
        return self.status.state is State.SUCCEEDED


class Count(Answer):
    """How many there are; ``at_least`` where counting ended there."""

    count: int
    at_least: bool


class JobPage(Answer):
    """One page of a list. It may be short, or empty, and still have a ``cursor``."""

    items: tuple[Job, ...]
    cursor: str | None = None
    total: Count | None = None
    history: Literal["unavailable"] | None = None


class FieldRefusal(Answer):
    """One field of a request and what is wrong with it; ``pointer`` is a JSON Pointer into the body."""

    pointer: str
    detail: str


class Refusal(Answer):
    """Why one of many jobs was refused, as :class:`ProblemError` says it of one alone."""

    type: str
    title: str
    status: int
    detail: str
    errors: tuple[FieldRefusal, ...] = ()


class Outcome(Answer):
    """What came of one of many jobs: ``job``, or the ``problem`` that it met."""

    name: str | None
    status: int
    job: Job | None = None
    problem: Refusal | None = None
    retry_after_seconds: int | None = None


class OutcomeList(Answer):
    """What came of each job, in the order in which they were asked for. ``cursor``: more match."""

    items: tuple[Outcome, ...]
    done: int
    refused: int
    cursor: str | None = None


class Basis(StrEnum):
    """From what the length of a job's media is known."""

    MEASURED = "Measured"
    TOLD = "Told"
    TYPICAL = "Typical"


class Media(Answer):
    """How long the media is."""

    basis: Basis
    seconds: float | None = None


class Price(Answer):
    """By the administrator's rates; nothing is billed."""

    amount: float
    unit: str


class Step(Answer):
    """A phase as it would run; without ``seconds`` it never ran."""

    name: str
    device: Device
    runs: int
    seconds: float | None = None
    reused_from: str | None = None


class Estimate(Answer):
    """What a job would take. Without ``seconds`` one of its phases never ran."""

    pipeline: str
    seconds: float | None = None
    cpu_seconds: float | None = None
    gpu_seconds: float | None = None
    price: Price | None = None
    media: Media
    queue: QueuePosition
    phases: tuple[Step, ...]


# ---------------------------------------------------------------- files


class Upload(Answer):
    """A file that comes in by parts, or has come."""

    id: str
    name: str
    bytes: int
    media_type: str
    part_bytes: int
    part_count: int
    part_url: str
    parts: tuple[int, ...] = ()
    complete: bool = False
    sha256: str | None = None
    key: str | None = None
    put_url: str | None = None
    put_headers: dict[str, str] | None = None


class Output(Answer):
    """A published file. ``file`` is what it is called when it is saved."""

    name: str
    phase: str
    file: str
    media_type: str
    bytes: int
    sha256: str
    intermediate: bool
    url: str


class OutputList(Answer):
    """The outputs of a job, at most a thousand; ``count`` is of all."""

    state: str
    count: int
    outputs: tuple[Output, ...]


class Score(Answer):
    """What is known of a job's score. What its task did not tell is None."""

    title: str | None = None
    artist: str | None = None
    key: str | None = None
    time_signature: str | None = None
    quarters_per_minute: float | None = None
    steady: bool | None = None
    bars: int | None = None
    pages: int | None = None
    parts: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()


# ---------------------------------------------------------------- keys


class Scope(StrEnum):
    """What a key is for."""

    READ = "jobs:read"
    CREATE = "jobs:create"
    CHANGE = "jobs:change"


class Key(Answer):
    """An API key. ``key``, its secret, is there once, in the answer that made it, and is never shown by itself."""

    id: str
    name: str
    owner: str
    scopes: tuple[Scope, ...]
    created_time: datetime
    expires_time: datetime
    last_used_time: datetime | None = None
    key: Annotated[str | None, Field(repr=False)] = None


class KeyList(Answer):
    """Keys that are valid, newest first."""

    items: tuple[Key, ...]
    truncated: bool = False


# ---------------------------------------------------------------- statistics and health


class Group(Answer):
    """What happened in one group. Times are of jobs, or phases, that succeeded."""

    name: str
    created: int
    ended: int
    states: dict[str, int]
    reused: int
    errors: dict[str, int]
    gpu_hours: float
    success_rate: float | None = None
    mean_wait_seconds: float | None = None
    mean_seconds: float | None = None
    p95_seconds: float | None = None


class Depth(Answer):
    """How many jobs waited and ran in one group of hours: in one queue, or in all together where ``queue`` is None."""

    name: str
    queue: str | None = None
    samples: int
    mean_waiting: float
    most_waiting: int
    mean_running: float
    most_running: int
    longest_wait_seconds: float


class By(StrEnum):
    """What statistics have one item for."""

    ALL = "all"
    PIPELINE = "pipeline"
    PHASE = "phase"
    HOUR = "hour"
    DAY = "day"


class Statistics(Answer):
    """Statistics of whole hours: of archived jobs, of queues, and how many live jobs are in each state now."""

    begin: Annotated[datetime, Field(alias="from")]
    end: Annotated[datetime, Field(alias="to")]
    by: By
    items: tuple[Group, ...]
    depths: tuple[Depth, ...] = ()
    truncated: bool = False
    live: dict[str, int]


class Condition(StrEnum):
    """How something is."""

    GOOD = "Good"
    DEGRADED = "Degraded"
    BAD = "Bad"
    OFF = "Off"


class Part(Answer):
    """One part of the installation, and how it is."""

    name: str
    state: Condition
    message: str


class Health(Answer):
    """As its worst part."""

    state: Condition
    parts: tuple[Part, ...]


Read = TypeVar("Read", bound=Answer)


def read(model: type[Read], content: bytes | str) -> Read:
    """An answer as its model. Raises :class:`BadAnswer` for what does not fit."""
    try:
        return model.model_validate_json(content, extra="ignore")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadAnswer(f"the answer is no {model.__name__}: {where}: {first['msg']}") from None
