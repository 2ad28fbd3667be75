"""What an administrator can set. :mod:`.settings_loading` says where it is written."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator
from pydantic.alias_generators import to_camel, to_snake
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from audiojob_operator.records.libraries import Library as LibraryReference
from audiojob_operator.records.settings import (
    FAILED_JOB_SECONDS,
    MAX_COOL_DOWN_SECONDS,
    DecideSettings,
    Disruption,
    Images,
    SiteGpu,
)
from audiojob_operator.records.sites import CoolDownRules, SiteLimit, SiteRules
from audiojob_operator.settings_groups import (
    FILE_NAMES,
    DisruptionSettings,
    Group,
    LeaseSettings,
    OverlapSettings,
    Preflight,
    Progress,
    Sweep,
    Watch,
)
from audiojob_types.base import Time
from audiojob_types.constants import GPU_RESOURCE, MODELS_CLAIM, STORE_CLAIM
from audiojob_types.contract import FolderStore, S3Store
from audiojob_types.descriptor import ImageFamily
from audiojob_types.destination import LibraryName
from audiojob_types.ordering import DEFAULT_AGEING_SECONDS
from audiojob_types.outside.networks import AllowedNetwork
from audiojob_types.resources.podtemplate import GpuResource

ENV_PREFIX = "AUDIOJOB_"
# Parts that begin with a letter or a digit: no way up, nothing hidden.
_PREFIX: Final = r"^[A-Za-z0-9][-_.A-Za-z0-9]*(/[A-Za-z0-9][-_.A-Za-z0-9]*)*$"


class ImageSettings(Group):
    """Full references of the runner images, with tag or digest.

    ``…_architectures``: those of nodes that can run them; empty: any.
    """

    runner: Annotated[str, Field(min_length=1)]
    runner_torch: Annotated[str, Field(min_length=1)]
    runner_music: Annotated[str, Field(min_length=1)]
    runner_architectures: tuple[str, ...] = ()
    runner_torch_architectures: tuple[str, ...] = ()
    runner_music_architectures: tuple[str, ...] = ()
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"

    def references(self) -> Images:
        """The images by family."""
        return Images({family: getattr(self, to_snake(family.key)) for family in ImageFamily})

    def architectures(self) -> dict[ImageFamily, tuple[str, ...]]:
        """Where their pods may run, by family; those that may run anywhere are left out."""
        found = {family: getattr(self, f"{to_snake(family.key)}_architectures") for family in ImageFamily}
        return {family: each for family, each in found.items() if each}


class CoolDown(Group):
    """A host that limits requests (429, or a check for robots). Seconds.

    ``max_seconds``: the longest pause, whatever the host asks for. Other jobs do not ask it either once ``jobs`` of
    their namespace were refused, or jobs of ``namespaces`` namespaces. Refusals before ``since`` hold nobody: set it to
    the current time to let all jobs ask again.
    """

    max_seconds: Annotated[int, Field(ge=60, le=86_400)] = MAX_COOL_DOWN_SECONDS
    jobs: Annotated[int, Field(ge=1, le=1_000)] = 2
    namespaces: Annotated[int, Field(ge=2, le=1_000)] = 2
    since: Time | None = None

    @field_validator("since")
    @classmethod
    def _with_zone(cls, value: datetime | None) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value.isoformat()} has no time zone; write {value.isoformat()}Z for UTC")
        return value


class Fetch(Group):
    """Rules for downloads. Private and loopback addresses are refused unless a network here holds them, on its ports.

    ``max_per_host``: downloads at the same time from a host that ``sites`` do not name. ``secret``: job namespaces have
    a Secret ``audiojob-fetch`` for phases that fetch. ``lyrics_address``: a service with the words of songs, if any.
    """

    allowed_cidrs: Annotated[tuple[str, ...], Field(serialization_alias="allowedCIDRs")] = ()
    max_per_host: Annotated[int, Field(ge=1)] | None = None
    secret: bool = False
    lyrics_address: Annotated[str, Field(pattern=r"^https?://[^\s@?#]{1,500}$")] | None = None
    cool_down: CoolDown = CoolDown()

    @field_validator("allowed_cidrs")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(AllowedNetwork.parse(text, strict=True)) for text in value)


class Library(Group):
    """A place for media that users name: a claim that every job namespace has, or a prefix of the store.

    A prefix lies outside the folders of jobs, so that no library is ever swept. ``namespaces`` empty: all.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)

    name: LibraryName
    claim_name: Annotated[str, Field(pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$", max_length=253)] | None = None
    prefix: Annotated[str, Field(pattern=_PREFIX, max_length=200)] | None = None
    read_only: bool = False
    namespaces: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_place(self) -> Library:
        if (self.claim_name is None) == (self.prefix is None):
            raise ValueError(f"library {self.name} needs exactly one of claimName and prefix")
        if self.claim_name in (STORE_CLAIM, MODELS_CLAIM) and not self.read_only:
            # Whoever publishes could leave a link in the way of the mounts of other pods.
            raise ValueError(
                f"library {self.name} would be written into at the top of claim {self.claim_name}, which is not a "
                "library's; use a prefix of the store or another claim, or make it readOnly"
            )
        return self


def _refuse_nested(libraries: list[Library]) -> None:
    """Whoever may publish into a library could leave a link in it that leads the mount of a library below elsewhere."""
    for outer in libraries:
        for inner in libraries:
            if not outer.read_only and str(inner.prefix).startswith(f"{outer.prefix}/"):
                raise ValueError(
                    f"libraries: prefix {inner.prefix} of library {inner.name} lies in that of library {outer.name}, "
                    f"{outer.prefix}; choose prefixes that lie side by side, or make {outer.name} readOnly"
                )


class Site(Group):
    """A limit on downloads from a host and its subdomains, over all namespaces. Names as the chart's values have them.

    ``pause_seconds`` lie at least between the starts of two downloads.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)

    host: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")]
    max_running: Annotated[int, Field(ge=1)] | None = None
    pause_seconds: Annotated[int, Field(ge=0, le=86_400)] = 0


class Reuse(Group):
    """Taking over what another job has made of the same input in the same way.

    ``download_seconds``: how old a download may be. ``remembered``: finished phases that are kept in mind.
    """

    enabled: bool = True
    download_seconds: Annotated[int, Field(ge=0, le=31_536_000)] = 86_400
    remembered: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000


class ScaleUp(Group):
    """An autoscaler adds nodes with GPUs: up to ``max_gpus`` in all, ``gpus_per_node`` on each.

    ``max_unschedulable``: pods that wait for a node at the same time; the autoscaler sees by them what to add.
    """

    enabled: bool = False
    gpus_per_node: Annotated[int, Field(ge=1, le=64)] = 1
    max_gpus: Annotated[int, Field(ge=1, le=100_000)] = 8
    max_unschedulable: Annotated[int, Field(ge=1, le=1_000)] = 10

    @model_validator(mode="after")
    def _fits(self) -> ScaleUp:
        if self.gpus_per_node > self.max_gpus:
            raise ValueError(f"one node has gpus_per_node {self.gpus_per_node}; raise max_gpus to that at least")
        return self


class Capacity(Group):
    """How much may run at once, in all queues together; None is no limit, but for GPUs: what Ready nodes offer.

    ``max_running`` counts AudioJobs started and not finished. A job that waits gains a priority every
    ``ageing_seconds``; 0: never.
    """

    max_running: Annotated[int, Field(ge=1)] | None = None
    gpus: Annotated[int, Field(ge=0)] | None = None
    ageing_seconds: Annotated[int, Field(ge=0)] = DEFAULT_AGEING_SECONDS
    scale_up: ScaleUp = ScaleUp()

    @model_validator(mode="after")
    def _one_number_of_gpus(self) -> Capacity:
        if self.scale_up.enabled and self.gpus is not None:
            raise ValueError("gpus fixes their number, so none can be added; leave it out and set scale_up.max_gpus")
        return self


class Gpu(Group):
    """The GPUs of phases whose pipeline names no others: the nodes' resource, and whether several pods share one."""

    resource_name: GpuResource = GPU_RESOURCE
    shared: bool = False


class Environment(EnvSettingsSource):
    """The environment; what should be JSON and is not reaches validation as text, which names the variable."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value


class OperatorSettings(BaseSettings):
    """All settings of the operator process."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        alias_generator=FILE_NAMES,
        populate_by_name=True,
    )

    images: ImageSettings
    job_namespaces: tuple[str, ...] = ()
    store: Annotated[FolderStore | S3Store, Field(discriminator="kind")] = FolderStore()
    libraries: tuple[Library, ...] = ()
    models_claim: bool = False
    fetch: Fetch = Fetch()
    sites: tuple[Site, ...] = ()
    reuse: Reuse = Reuse()
    capacity: Capacity = Capacity()
    gpu: Gpu = Gpu()
    lease: LeaseSettings = LeaseSettings()
    progress: Progress = Progress()
    disruption: DisruptionSettings = DisruptionSettings()
    overlap: OverlapSettings = OverlapSettings()
    sweep: Sweep = Sweep()
    watch: Watch = Watch()
    preflight: Preflight = Preflight()
    workers: Annotated[int, Field(ge=1, le=256)] = 32
    listen_address: str = "0.0.0.0"  # noqa: S104 - probes and Prometheus come from outside the pod
    listen_port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "text"] = "json"
    kubeconfig: Path | None = None
    context: str | None = None

    @model_validator(mode="after")
    def _libraries_apart(self) -> OperatorSettings:
        if len(names := [library.name for library in self.libraries]) != len(set(names)):
            raise ValueError(f"libraries: duplicate library name: {', '.join(names)}")
        for library in self.libraries:
            first = (library.prefix or "").partition("/")[0]
            if first in self.job_namespaces:
                raise ValueError(
                    f"libraries: prefix {library.prefix} of library {library.name} lies in the folder of the jobs of "
                    f"namespace {first}; choose another first part"
                )
        _refuse_nested([library for library in self.libraries if library.prefix is not None])
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, which are what the settings file says, then the environment."""
        return init_settings, Environment(settings_cls)

    @field_validator("job_namespaces")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(value))

    @field_validator("sites")
    @classmethod
    def _each_once(cls, value: tuple[Site, ...]) -> tuple[Site, ...]:
        hosts = [site.host for site in value]
        if twice := {host for host in hosts if hosts.count(host) > 1}:
            raise ValueError(f"{', '.join(sorted(twice))}: named more than once")
        return value

    def site_rules(self) -> SiteRules:
        """The limits on downloads."""
        limits = tuple(SiteLimit(site.host, site.max_running, site.pause_seconds) for site in self.sites)
        cool = self.fetch.cool_down
        return SiteRules(limits, self.fetch.max_per_host, CoolDownRules(cool.jobs, cool.namespaces, cool.since))

    def for_decisions(self) -> DecideSettings:
        """The part that decisions depend on."""
        return DecideSettings(
            images=self.images.references(),
            store=self.store,
            pull_policy=self.images.pull_policy,
            architectures=self.images.architectures(),
            models_claim=self.models_claim,
            allowed_cidrs=self.fetch.allowed_cidrs,
            lyrics_address=self.fetch.lyrics_address,
            fetch_secret=self.fetch.secret,
            min_progress_interval_milliseconds=self.progress.min_interval_milliseconds,
            max_cool_down_seconds=self.fetch.cool_down.max_seconds,
            download_reuse_seconds=self.reuse.download_seconds,
            gpu=SiteGpu(self.gpu.resource_name, self.gpu.shared),
            disruption=Disruption(**self.disruption.model_dump()),
            overlap=self.overlap.for_decisions(),
            archive_wait_seconds=self.sweep.archive_wait_seconds,
            libraries=tuple(LibraryReference(**library.model_dump()) for library in self.libraries),
            # Its Job is what a site's pause is counted from.
            failed_job_seconds=max([FAILED_JOB_SECONDS, *(site.pause_seconds for site in self.sites)]),
        )
