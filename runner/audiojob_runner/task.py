"""What a task is: a function of local files and parameters. It knows no Kubernetes, no store, no cluster."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

from audiojob_types.base import WireModel
from audiojob_types.contract import Device, FolderStore, PhaseLimits, PhaseNetwork, S3Store
from audiojob_types.destination import Layout
from audiojob_types.outside.question import question
from audiojob_types.outside.redaction import redact_all


@dataclass(frozen=True, slots=True)
class TaskInput:
    """One input: a local file that must not be changed, or an address to fetch.

    Neither is set where only ``metadata`` was asked for. ``sha256`` is that of the file, where it is known.
    """

    name: str
    path: Path | None = None
    url: str | None = None
    media_type: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    sha256: str | None = None


def told_seconds(metadata: Mapping[str, Any]) -> float | None:
    """How long an output plays, by its metadata, which may say anything; None where that is no length of a song."""
    seconds = metadata.get("durationSeconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    return float(seconds) if 0 < seconds < 10**6 else None


@dataclass(frozen=True, slots=True)
class Publishing:
    """Where Publish puts files: a library by name, and how it is reached. ``job`` is the AudioJob's name."""

    library: str
    layout: Layout
    store: FolderStore | S3Store
    credentials: Path
    job: str


@dataclass(frozen=True, slots=True)
class PartialFolders:
    """Folders that outlive an attempt: ``own``, which need not be there yet, and those that other attempts left."""

    own: Path
    earlier: tuple[Path, ...] = ()

    def to_record(self) -> dict[str, Any]:
        """JSON form."""
        return {"own": str(self.own), "earlier": [str(path) for path in self.earlier]}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """The folders of that record."""
        return cls(Path(record["own"]), tuple(Path(path) for path in record["earlier"]))


@dataclass(slots=True)
class Used:
    """What a task knows of its own use and nobody else sees, for statistics. It counts even where the task fails.

    ``written_bytes`` are those that it wrote past its outputs, ``media_seconds`` the sound that it worked on where its
    outputs are none.
    """

    gpu_peak_bytes: int = 0
    media_seconds: float = 0.0
    written_bytes: int = 0


@dataclass(frozen=True, slots=True)
class TaskContext:
    """What a task is given besides its inputs.

    ``work_dir`` is an empty folder of this run alone; outputs are written into it. ``progress(percent, message)``
    takes 0-100 and a short sentence; it is cheap, may be called from any thread and counts as a sign of life.
    ``cancelled`` is set when the task must stop; soon after, its whole process group is killed. Processes that a
    task starts stay in its process group.
    """

    work_dir: Path
    models_root: Path
    device: Device
    limits: PhaseLimits
    network: PhaseNetwork
    progress: Callable[[float, str], None]
    log: logging.Logger
    attempt: int
    job_uid: str
    cancelled: threading.Event
    fetch_credentials: Path | None = None  # folder of the administrator's cookies and proxy; it need not be there
    publishing: Publishing | None = None
    keeping: PartialFolders | None = None  # where the next attempt finds what this one could not end
    used: Used = field(default_factory=Used)
    prepared: object | None = None  # what the task's ``prepare`` made, perhaps for other parameters


@dataclass(frozen=True, slots=True)
class TaskOutput:
    """One file that the task made. ``path.name`` becomes its name in the store: ``[A-Za-z0-9][-_.A-Za-z0-9]*``.

    ``name`` is what pipelines refer to. ``metadata`` is JSON: durationSeconds, samples, sampleRate, channels, …
    It is redacted here, as it goes into manifests and status.
    """

    name: str
    path: Path
    media_type: str
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "metadata", redact_all(self.metadata, titles=True))


@dataclass(frozen=True, slots=True)
class TaskResult:
    """All outputs, in order, and what the manifest says about the run: tool versions, source title, untrained, ….

    ``crash_after_publishing`` ends the process at the worst moment; Simulate alone sets it. ``review_asked``: one
    sentence, of at most 200 characters, on what people should look at before a later phase with the gate
    ReviewIfAsked uses the outputs; None asks nobody.
    """

    outputs: list[TaskOutput]
    metadata: dict[str, Any] = field(default_factory=dict)
    crash_after_publishing: bool = False
    review_asked: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "metadata", redact_all(self.metadata, titles=True))
        if self.review_asked is not None:
            object.__setattr__(self, "review_asked", question(self.review_asked))


class RunTask(Protocol):
    """A task. Raises :class:`audiojob_runner.errors.PhaseError` for every failure that it understands."""

    def __call__(self, inputs: Mapping[str, TaskInput], parameters: WireModel, context: TaskContext) -> TaskResult:
        """Run to the end; return what was made. Nothing is published before this returns."""


class PrepareTask(Protocol):
    """A task module's function ``prepare``, if it has one: loads what needs no input, on the CPU and in one thread."""

    def __call__(self, parameters: WireModel, models_root: Path) -> object | None:
        """What ``run`` finds as ``context.prepared``. Whatever it raises is passed over."""


class FitsTask(Protocol):
    """Its function ``fits``, where what it makes depends on parameters."""

    def __call__(self, prepared: object, parameters: WireModel, models_root: Path) -> bool:
        """Whether preparing for these parameters now would make the same. Raises nothing."""
