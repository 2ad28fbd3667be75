"""The contract between operator and runner: what a phase pod is given, and what it leaves behind.

The operator writes one :class:`PhaseInput` into a pod annotation; the runner reads it from ``PHASE_FILE``,
works, publishes a :class:`Manifest` last, leaves a :class:`PhaseResult` as the container's termination message
and ends with one of :class:`ExitCode`. Progress reports are for display only and may be lost.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import (
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from audiojob_types.base import JsonObject, Key, Sha256, Since, StatusModel, Time, WireModel, is_reading
from audiojob_types.constants import API_VERSION, MAX_PHASE_NAME
from audiojob_types.constants import STORE_CREDENTIALS as STORE_CREDENTIALS  # noqa: PLC0414 - part of the contract
from audiojob_types.destination import Layout, LibraryName
from audiojob_types.outside.question import Question
from audiojob_types.outside.stores import FolderStore as FolderStore  # noqa: PLC0414 - part of the contract
from audiojob_types.outside.stores import S3Store as S3Store  # noqa: PLC0414 - part of the contract
from audiojob_types.progress import PhaseUsage
from audiojob_types.reasons import Reason
from audiojob_types.tasks import Task

# Paths in a phase container. No part of any of them is chosen by a user.
PHASE_FILE: Final = "/etc/audiojob/phase.json"
TERMINATION_FILE: Final = "/dev/termination-log"
FETCH_CREDENTIALS: Final = "/etc/audiojob/fetch"  # folder: cookies.txt, upstreamProxy; each may be absent
MODELS_ROOT: Final = "/models"
SCRATCH_ROOT: Final = "/scratch"
# What the program of a Container phase shares with the runner, and the runner's own containers with each other.
WORK_ROOT: Final = "/work"
CONTROL_ROOT: Final = "/run/audiojob"

# The only environment of ours in a phase container; everything else is in the phase file.
ENV_POD_NAME: Final = "AUDIOJOB_POD_NAME"
ENV_POD_UID: Final = "AUDIOJOB_POD_UID"
ENV_NODE_NAME: Final = "AUDIOJOB_NODE_NAME"  # absent in pods of earlier operators
ENV_PHASE_FILE: Final = "AUDIOJOB_PHASE_FILE"
ENV_WORK: Final = "AUDIOJOB_WORK"  # of a program: where its files are, so that it can be tried elsewhere too

# The version of this contract. Raise it with a change that a runner of the number before would misread; mark a field
# that is only added with ``Since``. Phase files and pipeline revisions carry it. 0: written before there was a number.
CONTRACT: Final = 3

MAX_PHASE_INPUT_BYTES: Final = 200 * 1024  # an annotation's limit is 256 KiB for all of them
MAX_TEXT_BYTES: Final = 32 * 1024  # of one text input, in UTF-8
MAX_TEXTS_BYTES: Final = 64 * 1024  # of all text inputs of a job
MAX_RESULT_BYTES: Final = 3_750  # kubelet cuts a termination message at 4,096 bytes
ALL_OUTPUTS: Final = "*"  # in place of an output's name: all of the manifest, each as an input of its own name
MAX_PHASE_INPUTS: Final = 250  # the runner hands its worker so many open files at once
MAX_RESULT_OUTPUTS: Final = 12
MAX_RESULT_INPUTS: Final = 12
MAX_RESULT_WARNINGS: Final = 8
MAX_WARNING_CHARACTERS: Final = 256
MAX_MESSAGE_CHARACTERS: Final = 1_024


# A task as records of what was done name it: a plain word where this version does not know the task.
RecordedTask = Annotated[
    Task | str,
    Field(union_mode="left_to_right"),
    WithJsonSchema({"type": "string", "enum": [task.value for task in Task]}),
]


class Device(StrEnum):
    """Where an attempt runs."""

    CPU = "CPU"
    GPU = "GPU"


class ExitCode(IntEnum):
    """How a phase process ends. Numbers follow sysexits.h where one fits."""

    OK = 0
    USAGE = 64
    NOT_MEDIA = 65
    SOURCE_UNAVAILABLE = 66
    BLOCKED_ADDRESS = 69
    TEMPORARY = 75
    CREDENTIALS = 77
    DISK_FULL = 78
    GPU = 79
    STOPPED = 143


class FailureClass(StrEnum):
    """What the operator does about a failed attempt."""

    PERMANENT = "Permanent"  # trying again cannot help
    RETRY = "Retry"  # counted; tried again after a backoff
    DEVICE = "Device"  # not counted when the phase may move to the CPU, else as Retry
    MEMORY = "Memory"  # not counted when the next attempt may have more memory, else as Retry
    COOL_DOWN = "CoolDown"  # not counted; the host is not asked for a while
    STOPPED = "Stopped"  # somebody asked for it


# The one table: exit code -> (class, reason used when the process left no better one).
EXIT_CODES: Final[dict[int, tuple[FailureClass, Reason]]] = {
    ExitCode.USAGE: (FailureClass.PERMANENT, Reason.INVALID_SPEC),
    ExitCode.NOT_MEDIA: (FailureClass.PERMANENT, Reason.NOT_MEDIA),
    ExitCode.SOURCE_UNAVAILABLE: (FailureClass.PERMANENT, Reason.SOURCE_UNAVAILABLE),
    ExitCode.BLOCKED_ADDRESS: (FailureClass.PERMANENT, Reason.BLOCKED_ADDRESS),
    ExitCode.TEMPORARY: (FailureClass.RETRY, Reason.TEMPORARY_FAILURE),
    ExitCode.CREDENTIALS: (FailureClass.PERMANENT, Reason.CREDENTIALS_REFUSED),
    ExitCode.DISK_FULL: (FailureClass.RETRY, Reason.DISK_FULL),
    ExitCode.GPU: (FailureClass.DEVICE, Reason.GPU_ERROR),
    ExitCode.STOPPED: (FailureClass.RETRY, Reason.STOPPED),
}


# A host as URLs write it, in lower case: a name, or an address.
HOST_PATTERN: Final = r"^[a-z0-9_]([-._a-z0-9]*[a-z0-9_])?$|^[0-9a-f:.]+$"
# Reasons of temporary failures after which a host is not asked for a while.
COOL_DOWN_REASONS: Final = frozenset({Reason.RATE_LIMITED, Reason.BOT_CHECK})


def classify_exit_code(code: int) -> tuple[FailureClass, Reason]:
    """Class and default reason of a non-zero exit code; any code not in the table counts as temporary."""
    return EXIT_CODES.get(code, EXIT_CODES[ExitCode.TEMPORARY])


Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
WarningText = Annotated[str, Field(min_length=1, max_length=MAX_WARNING_CHARACTERS)]


class ManifestRef(StatusModel):
    """Points at a published manifest. ``count`` is the number of its outputs."""

    key: Annotated[Key, Field(description="key of the manifest in the store.")]
    sha256: Annotated[Sha256, Field(description="sha256 of the manifest.")]
    count: Annotated[int, Field(ge=0, le=100_000, description="count of its outputs.")] = 0


class OutputRef(StatusModel):
    """One published file, as results and status show it."""

    name: Annotated[str, Field(min_length=1, max_length=63, description="name by which pipelines refer to it.")]
    media_type: Annotated[str, Field(max_length=100, description="mediaType such as audio/flac.")]
    bytes: Annotated[int, Field(ge=0, le=2**53, description="bytes is the size.")]
    sha256: Annotated[Sha256, Field(description="sha256 of the content.")]
    duration_milliseconds: (
        Annotated[int, Field(ge=0, le=2**53, description="durationMilliseconds is how long it plays.")] | None
    ) = None


class PhaseInputFile(WireModel):
    """One input of a phase: exactly one of ``url``, ``text`` (the content itself), ``key`` (a file in the store) or
    ``manifest`` with ``output``.

    ``library`` says in which one ``key`` lies. ``about``: only what the manifest says of the output is wanted, not the
    file. ``recorded_sha256``: what the operator's record says of it; the reader compares it before it reads on.
    """

    name: Annotated[str, Field(min_length=1, max_length=63)]
    url: Annotated[str, Field(max_length=2_048)] | None = None
    text: Annotated[str, Field(max_length=MAX_TEXT_BYTES)] | None = None
    key: Key | None = None
    manifest: ManifestRef | None = None
    output: Annotated[str, Field(max_length=63)] | None = None
    sha256: Sha256 | None = None
    library: LibraryName | None = None
    about: Literal[True] | None = None
    recorded_sha256: Annotated[Sha256 | None, Since(2)] = None

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        given = [name for name in ("url", "text", "key", "manifest") if getattr(self, name) is not None]
        if len(given) != 1:
            has = given or "none"
            raise ValueError(f"input '{self.name}' needs exactly one of url, text, key, manifest; it has {has}")
        if (self.manifest is None) != (self.output is None):
            raise ValueError(f"input '{self.name}': manifest and output go together")
        if self.library is not None and self.key is None:
            raise ValueError(f"input '{self.name}': library needs a key")
        if self.about is not None and self.manifest is None:
            raise ValueError(f"input '{self.name}': about needs a manifest")
        if self.recorded_sha256 is not None and self.manifest is None:
            raise ValueError(f"input '{self.name}': recordedSha256 needs a manifest")
        return self


class PhaseLibrary(WireModel):
    """A library as a phase reaches it: a mounted folder, or a prefix of the bucket. Keys are relative to it."""

    name: LibraryName
    store: Annotated[FolderStore | S3Store, Field(discriminator="kind")]


class PhaseDestination(WireModel):
    """Where Publish puts its inputs; ``library`` is one of the phase's libraries."""

    library: LibraryName
    layout: Layout


class PhaseLimits(WireModel):
    """What a phase may use. Seconds and bytes; absent means no limit."""

    soft_seconds: Annotated[int, Field(ge=1)] | None = None
    stall_seconds: Annotated[int, Field(ge=1)] | None = None
    max_input_bytes: Annotated[int, Field(ge=1)] | None = None
    max_duration_seconds: Annotated[int, Field(ge=1)] | None = None


class PhaseNetwork(WireModel):
    """The administrator's rules for fetching. Private and loopback addresses are refused unless ``allowed``: networks,
    each with its port (:class:`AllowedNetwork`). ``allowed_cidrs`` is without ports, for runners that do not know the
    other. ``lyrics_address`` is that of a service that has the words of songs."""

    allowed_cidrs: tuple[str, ...] = ()
    allowed: Annotated[tuple[str, ...] | None, Since(1)] = None
    lyrics_address: Annotated[str | None, Since(2)] = None


class PhaseProgress(WireModel):
    """How a phase's own percent becomes the job's: weights by phase, and the phases already done at the start."""

    weights: dict[str, int] = Field(default_factory=dict)
    done: tuple[str, ...] = ()
    min_interval_milliseconds: Annotated[int, Field(ge=0)] = 1_000


class PhaseProgram(WireModel):
    """What a Container phase runs, for the record: whether two attempts ran the same. The pod has the rest."""

    image: Annotated[str, Field(min_length=1, max_length=512)]
    sha256: Sha256  # of image, command, args and environment


class PhaseInput(WireModel):
    """All that a phase process gets. Secrets are never in it."""

    api_version: str = API_VERSION
    contract: Annotated[int, Field(ge=0), Since(1)] = 0
    job: Name
    namespace: Name
    uid: Annotated[str, Field(min_length=1, max_length=63)]
    phase: Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", max_length=MAX_PHASE_NAME)]
    attempt: Annotated[int, Field(ge=1)]
    task: Task
    device: Device = Device.CPU
    parameters: JsonObject = Field(default_factory=dict)
    program: PhaseProgram | None = None  # of a Container phase
    inputs: tuple[PhaseInputFile, ...] = ()
    output_prefix: Key  # <namespace>/<uid>/<phase>; the runner adds /<attempt>-<first 8 of the pod uid>
    store: Annotated[FolderStore | S3Store, Field(discriminator="kind")] = FolderStore()
    libraries: tuple[PhaseLibrary, ...] = ()
    destination: PhaseDestination | None = None
    limits: PhaseLimits = PhaseLimits()
    network: PhaseNetwork = PhaseNetwork()
    progress: PhaseProgress = PhaseProgress()
    expires_time: Time | None = None
    pipeline: Annotated[Name | None, Since(1)] = None
    intermediate: Annotated[bool, Since(1)] = False  # what it publishes only serves later phases
    donor: Annotated[ManifestRef | None, Since(2)] = None  # stands for the work, once the inputs are what was recorded
    wait_until: Annotated[Time | None, Since(3)] = None  # c.INPUTS_FILE beside it has the inputs by then

    @model_validator(mode="after")
    def _libraries_are_told(self) -> Self:
        told = {library.name for library in self.libraries}
        named = {item.library for item in self.inputs if item.library is not None}
        named |= {self.destination.library} if self.destination is not None else set()
        if named - told:
            raise ValueError(f"libraries lacks {', '.join(sorted(named - told))}")
        return self

    @property
    def attempt_prefix(self) -> str:
        """The prefix of this attempt, to which the pod's identity is added."""
        return f"{self.output_prefix}/{self.attempt}-"


class ManifestOutput(StatusModel):
    """One file of a manifest. ``file`` lies beside the manifest; ``name`` is what pipelines refer to."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([-_.a-z0-9]*[a-z0-9])?$", max_length=63)]
    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9][-_.A-Za-z0-9]*$", max_length=128)]
    media_type: str
    bytes: int
    sha256: Sha256
    crc32: Annotated[str, Field(pattern=r"^[0-9a-f]{8}$")] | None = None  # which a zip names first; newer than sha256
    metadata: JsonObject = Field(default_factory=dict)  # durationSeconds, sampleRate, channels, …


class Manifest(StatusModel):
    """The last object that a phase publishes: an attempt without it is invisible. ``fingerprint`` is the sha256 of
    task, parameters and inputs, by which a repeated attempt knows work that is done. A newer runner may write it."""

    api_version: str = API_VERSION
    job: str
    namespace: str
    uid: str
    phase: str
    attempt: int
    task: RecordedTask
    fingerprint: Sha256
    outputs: tuple[ManifestOutput, ...]
    created_time: Time
    expires_time: Time | None = None
    pipeline: str | None = None
    intermediate: bool = False  # its outputs only serve later phases: it goes alone, the job's results may stay
    metadata: JsonObject = Field(default_factory=dict)  # tool versions, source title, untrained, …
    review_asked: Question | None = None


class Outcome(StrEnum):
    """Whether a phase did its work."""

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


class ReadInput(StatusModel):
    """An output of an earlier phase, as its reader found it: the sha256 of the bytes."""

    name: Annotated[str, Field(min_length=1, max_length=63)]
    sha256: Sha256


class PhaseResult(StatusModel):
    """The termination message: JSON of at most ``MAX_RESULT_BYTES``. Read by the operator from the pod.

    A newer runner may have written it. ``outcome`` is read as None where the word is not known here: the exit code
    tells. Another field that is not valid here is read as absent; the rest of the result stands.
    """

    outcome: Outcome | None
    reason: Annotated[str, Field(max_length=63)] = ""
    message: Annotated[str, Field(max_length=MAX_MESSAGE_CHARACTERS)] = ""
    suggestion: Annotated[str, Field(max_length=MAX_MESSAGE_CHARACTERS)] = ""
    manifest: ManifestRef | None = None
    outputs: Annotated[tuple[OutputRef, ...], Field(max_length=MAX_RESULT_OUTPUTS)] = ()
    inputs: Annotated[tuple[ReadInput, ...], Field(max_length=MAX_RESULT_INPUTS)] = ()
    warnings: Annotated[tuple[WarningText, ...], Field(max_length=MAX_RESULT_WARNINGS)] = ()  # what is missing, and why
    log_key: Annotated[str, Field(max_length=1024)] | None = None
    peak_memory_bytes: Annotated[int, Field(ge=0, le=2**53)] | None = None
    usage: PhaseUsage | None = None
    told: Literal[True] | None = None  # of a pod that began early: it has read its inputs, so the attempt counts
    retry_after_seconds: Annotated[int, Field(ge=0, le=86_400)] | None = None  # what a site asked for
    refused_by: Annotated[str, Field(pattern=HOST_PATTERN, max_length=253)] | None = None  # the host that limits us
    review_asked: Question | None = None  # why people should look at the outputs before they are used

    @field_validator("outcome", mode="before")
    @classmethod
    def _known_outcome(cls, value: object, info: ValidationInfo) -> object:
        if value is None:
            raise ValueError("outcome must be a word")
        return None if isinstance(value, str) and value not in set(Outcome) and is_reading(info) else value

    @field_validator(
        "reason", "message", "suggestion", "outputs", "inputs", "log_key", "peak_memory_bytes", "retry_after_seconds",
        "refused_by", "usage", "review_asked", "told", mode="wrap",
    )  # fmt: skip
    @classmethod
    def _valid_or_left_out(cls, value: object, validate: ValidatorFunctionWrapHandler, info: ValidationInfo) -> object:
        try:
            return validate(value)
        except ValidationError:
            if not is_reading(info):
                raise
            assert info.field_name is not None, "it is a validator of fields"
            return cls.model_fields[info.field_name].default

    @model_validator(mode="after")
    def _success_has_manifest(self) -> Self:
        if self.outcome is Outcome.SUCCEEDED and self.manifest is None:
            raise ValueError("a result that says Succeeded must name its manifest")
        return self
