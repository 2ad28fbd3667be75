"""The administrator's settings that decisions and pods depend on, and pipelines as jobs use them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from audiojob_operator.records.libraries import Library
from audiojob_types.constants import GPU_RESOURCE
from audiojob_types.contract import CONTRACT, FolderStore, S3Store
from audiojob_types.descriptor import ImageFamily
from audiojob_types.resources.pipeline import AudioPipelineSpec, Phase
from audiojob_types.tasks import Task

MAX_COOL_DOWN_SECONDS: Final = 3_600
FAILED_JOB_SECONDS: Final = 600  # time enough to look at its pod


@dataclass(frozen=True, slots=True)
class Images:
    """Full image references, with tag or digest, by family."""

    by_family: Mapping[ImageFamily, str]

    def for_task(self, task: Task) -> str:
        """The image that holds the task's code."""
        return self.by_family[task.descriptor.image]


@dataclass(frozen=True, slots=True)
class Disruption:
    """Times of pods whose node stops answering, or that are deleted. Seconds."""

    node_lost_seconds: int = 60  # Kubernetes' own default of 300 s would hold a job up for five minutes
    grace_seconds: int = 30
    lost_after_seconds: int = 60  # past its grace, a pod's node can no longer be answering
    protect_running: bool = False  # autoscalers leave nodes alone that run an attempt


@dataclass(frozen=True, slots=True)
class Overlap:
    """Pods that begin, and load, while the phase before works. Seconds.

    One begins when the phase before says that it needs no more than ``lead_seconds``, and ends by itself after
    ``max_hold_seconds``. ``gpu``: whether phases on a GPU that lies free begin so too.
    """

    enabled: bool = False
    lead_seconds: int = 20
    max_hold_seconds: int = 120
    max_pods: int = 4  # of this operator, at the same time
    gpu: Literal["WhenFree", "Never"] = "WhenFree"


@dataclass(frozen=True, slots=True)
class SiteGpu:
    """The GPUs of phases whose pipeline names no others. ``shared``: several pods may be on one GPU."""

    resource_name: str = GPU_RESOURCE
    shared: bool = False

    def resource_of(self, phase: Phase) -> str:
        """The resource that the phase asks for."""
        return (phase.gpu.resource_name if phase.gpu is not None else None) or self.resource_name

    def is_shared(self, phase: Phase) -> bool:
        """Whether other pods may be on the phase's GPU."""
        if phase.gpu is not None and phase.gpu.shared is not None:
            return phase.gpu.shared
        return self.shared and self.resource_of(phase) == self.resource_name


@dataclass(frozen=True, slots=True)
class DecideSettings:
    """The administrator's settings that decisions and pods depend on."""

    images: Images
    store: FolderStore | S3Store
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    architectures: Mapping[ImageFamily, tuple[str, ...]] = field(default_factory=dict)  # of nodes; absent: any
    models_claim: bool = False  # claim audiojob-models exists in job namespaces, mounted for tasks that use models
    allowed_cidrs: tuple[str, ...] = ()
    lyrics_address: str | None = None  # below it is a service that knows the words of songs
    fetch_secret: bool = False  # Secret audiojob-fetch exists in job namespaces, mounted for tasks that fetch
    min_progress_interval_milliseconds: int = 1_000
    download_reuse_seconds: int = 86_400  # what an address leads to changes with time
    disruption: Disruption = Disruption()
    libraries: tuple[Library, ...] = ()
    max_cool_down_seconds: int = MAX_COOL_DOWN_SECONDS  # whatever a site asks for
    gpu: SiteGpu = SiteGpu()
    failed_job_seconds: int = FAILED_JOB_SECONDS  # a failed Job is kept for so long after its end
    overlap: Overlap = Overlap()
    archive_wait_seconds: int = 0  # a finished AudioJob waits so long after its TTL for the archive; 0: there is none


@dataclass(frozen=True, slots=True)
class Revision:
    """A pipeline as a job uses it: resolved and immutable. ``name`` is ``<pipeline>-<hash of the content>``.

    ``contract`` is that of its runner images.
    """

    name: str
    pipeline: str
    spec: AudioPipelineSpec
    images: Images
    contract: int = CONTRACT
