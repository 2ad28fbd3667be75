"""The words in which a task is described: every fact about a task that more than its own code depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, Final

from pydantic.alias_generators import to_camel, to_snake

from audiojob_types.base import WireModel

# Media types of inputs and outputs: whatever plays, and files of which the site or the user has not said what they are.
MEDIA: Final = ("audio/*", "video/*")
UNKNOWN: Final = "application/octet-stream"


class ImageFamily(StrEnum):
    """The images of ours that hold the code of tasks."""

    RUNNER = "runner"  # ffmpeg, yt-dlp
    RUNNER_TORCH = "runner-torch"  # and torch, demucs
    RUNNER_MUSIC = "runner-music"  # RUNNER and fonts, espeak-ng, music21, verovio, typst

    @property
    def key(self) -> str:
        """As values of the chart and stored pipeline revisions spell it."""
        return to_camel(self.value.replace("-", "_"))


class Reuse(StrEnum):
    """Whether the result of a phase may stand for that of an identical one. A pipeline overrules all but Never."""

    BY_DEFAULT = "ByDefault"  # the outputs depend on nothing but the inputs, the parameters and the image
    IF_ALLOWED = "IfAllowed"  # only where the pipeline says so
    NEVER = "Never"  # the point of the task is its effect elsewhere


class Egress(StrEnum):
    """What the pods of a task reach, where the cluster enforces NetworkPolicies."""

    STORE = "store"  # DNS, the API server, the store
    INTERNET = "internet"  # and public addresses, and private ones that fetch.allowedCIDRs names


class Served(StrEnum):
    """Whether a worker, which runs phases of several jobs one after the other, may run the task."""

    NEVER = "Never"  # it needs what no worker has: the network, an image or a library of its own
    OWN_INPUTS = "OwnInputs"  # it decodes media; any that Normalize did not write in the same AudioJob needs more trust
    ANY = "Any"  # it decodes no media, wherever its inputs come from


@dataclass(frozen=True, slots=True)
class Input:
    """An input by the name that the task asks for; ``*`` is every other name that a pipeline gives."""

    name: str
    media_types: tuple[str, ...]  # image/png, or audio/* for a whole kind
    optional: bool = False
    metadata_only: bool = False  # what the manifest says of it is read, the file is not


@dataclass(frozen=True, slots=True)
class Output:
    """An output by name; ``*`` in it stands for any characters."""

    name: str
    media_types: tuple[str, ...]
    optional: bool = False

    def covers(self, name: str, media_type: str) -> bool:
        """Whether a file of that name and media type is this output."""
        return fnmatchcase(name, self.name) and any(fnmatchcase(media_type, each) for each in self.media_types)


@dataclass(frozen=True, slots=True)
class AttemptSize:
    """What an attempt gets in the chart's pipelines, unless the values say otherwise. Quantities of Kubernetes."""

    cpu: str
    memory: str
    scratch: str


class TaskParameters(WireModel):
    """The base of each task's parameters: every field has a default. A task overrides what differs for it."""

    @classmethod
    def expand(cls, layer: Mapping[str, Any]) -> dict[str, Any]:
        """One layer of parameters, in JSON form, with whatever a field of it stands for filled in, such as a preset."""
        return dict(layer)

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models that the work needs."""
        return ()

    @property
    def repeatable(self) -> bool:
        """Whether the same inputs give the same outputs. Work that is not is never reused."""
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDescriptor:
    """A task, but for its code, which is the runner's module of the same name."""

    name: str  # CamelCase, as pipelines write it; the module's name is the same in snake_case
    summary: str
    page: str  # the file below docs/ that explains it
    parameters: type[TaskParameters]
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    reuse: Reuse
    served: Served
    image: ImageFamily = ImageFamily.RUNNER
    size: AttemptSize | None = None  # of tasks that the chart's pipelines size by their own name
    fetches: bool = False  # reaches out to the site of the source
    asks_for_lyrics: bool = False  # asks the administrator's service for words
    resumes: bool = False  # an attempt goes on where an earlier one broke off
    uses_gpu: bool = False
    uses_models: bool = False  # reads the models volume
    publishes: bool = False  # writes into the library of spec.destination; jobs that name none leave the phase out
    intermediate: bool = False  # its outputs only serve the phases that read them, and can be made again
    # Reads what a manifest says of its inputs (media type, tags), and not only their bytes.
    reads_metadata: bool = False
    runs_program: bool = False  # the phase runs an image of the administrator's; ours only moves its files

    @property
    def reaches_out(self) -> bool:
        """Whether it needs the internet; what decodes a stranger's file has none to send anything to."""
        return self.fetches or self.asks_for_lyrics

    @property
    def egress(self) -> Egress:
        """What NetworkPolicies let its pods reach."""
        return Egress.INTERNET if self.reaches_out else Egress.STORE

    @property
    def module(self) -> str:
        """The name of the task's module, in the types and in the runner."""
        return to_snake(self.name)

    @property
    def parameter_key(self) -> str:
        """The member of ``spec.parameters`` that holds the task's parameters."""
        return to_camel(self.module)

    def reads_metadata_only(self, name: str) -> bool:
        """Whether only the metadata of the input of that name is wanted."""
        return any(given.metadata_only for given in self.inputs if given.name == name)
