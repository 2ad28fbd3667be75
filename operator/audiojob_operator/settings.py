"""What an administrator can set: environment variables ``AUDIOJOB_…``, nested by ``__``, lists and records as JSON."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from audiojob_operator.model import DecideSettings
from audiojob_operator.model import Images as ImageReferences
from audiojob_types.contract import FolderStore, S3Store
from audiojob_types.ordering import DEFAULT_AGEING_SECONDS

ENV_PREFIX = "AUDIOJOB_"

# What is written as JSON, with an example for whoever has not.
_JSON_EXAMPLES: Final = {
    "AUDIOJOB_JOB_NAMESPACES": '["music"]',
    "AUDIOJOB_FETCH__ALLOWED_CIDRS": '["10.20.0.0/16"]',
    "AUDIOJOB_STORE": '{"kind": "Folder"}',
}


class _Group(BaseModel):
    """A nested group of settings: an unknown name is an error, so that a typing mistake cannot stay unseen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Images(_Group):
    """Full references of the runner images, with tag or digest."""

    runner: Annotated[str, Field(min_length=1)]
    runner_torch: Annotated[str, Field(min_length=1)]
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"


class Fetch(_Group):
    """Rules for downloads. Private and loopback addresses are refused unless a network here holds them.

    ``secret``: every job namespace has a Secret ``audiojob-fetch``, whose files phases that fetch are given.
    """

    allowed_cidrs: tuple[str, ...] = ()
    secret: bool = False

    @field_validator("allowed_cidrs")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(ipaddress.ip_network(text)) for text in value)


class Capacity(_Group):
    """How much may run at once, in all queues together; None is no limit, but for GPUs: what Ready nodes offer.

    ``max_running`` counts AudioJobs started and not finished. A job that waits gains a priority every
    ``ageing_seconds``; 0: never.
    """

    max_running: Annotated[int, Field(ge=1)] | None = None
    gpus: Annotated[int, Field(ge=0)] | None = None
    ageing_seconds: Annotated[int, Field(ge=0)] = DEFAULT_AGEING_SECONDS


class LeaseSettings(_Group):
    """The Lease that keeps one operator active. Seconds.

    ``identity`` names this process. Inside a pod it should be the pod's uid: a restarted container then goes on at
    once, because its predecessor is known to be dead. Left out, a random one is made.
    """

    namespace: Annotated[str, Field(min_length=1)] = "audiojob-system"
    name: Annotated[str, Field(min_length=1)] = "audiojob-operator"
    identity: str = ""
    duration_seconds: Annotated[float, Field(gt=0)] = 15.0
    renew_deadline_seconds: Annotated[float, Field(gt=0)] = 10.0
    retry_seconds: Annotated[float, Field(gt=0)] = 2.0

    @model_validator(mode="after")
    def _ordered(self) -> LeaseSettings:
        if not self.retry_seconds < self.renew_deadline_seconds < self.duration_seconds:
            raise ValueError("needs retry_seconds < renew_deadline_seconds < duration_seconds")
        return self


class Progress(_Group):
    """How often runners may report."""

    min_interval_milliseconds: Annotated[int, Field(ge=0, le=3_600_000)] = 1_000


class Sweep(_Group):
    """Slow rounds. Seconds between two of a kind, and how long a revision that no job names is kept."""

    finished_seconds: Annotated[float, Field(gt=0)] = 120.0
    active_seconds: Annotated[float, Field(gt=0)] = 300.0
    revisions_seconds: Annotated[float, Field(gt=0)] = 3_600.0
    revision_unused_seconds: Annotated[float, Field(ge=0)] = 86_400.0


class Watch(_Group):
    """How long a watch may bring nothing, not even a bookmark, before it is replaced. Seconds.

    The API server sends a bookmark about once a minute: with less than that every quiet watch is begun again and again.
    """

    silence_seconds: Annotated[float, Field(ge=1, le=120)] = 70.0


class Preflight(_Group):
    """The check of the operator's own permissions.

    ``wait_seconds``: how long the start waits for an API server that does not answer, or for the CRDs.
    ``interval_seconds``: pause between two checks while all is well.
    """

    wait_seconds: Annotated[float, Field(gt=0)] = 60.0
    interval_seconds: Annotated[float, Field(gt=0)] = 60.0


class _Environment(EnvSettingsSource):
    """The environment; what should be JSON and is not reaches validation as text, which names the variable."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value


class OperatorSettings(BaseSettings):
    """All settings of the operator process."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True)

    images: Images
    job_namespaces: tuple[str, ...] = ()
    store: Annotated[FolderStore | S3Store, Field(discriminator="kind")] = FolderStore()
    models_claim: bool = False
    fetch: Fetch = Fetch()
    capacity: Capacity = Capacity()
    lease: LeaseSettings = LeaseSettings()
    progress: Progress = Progress()
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

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment; no files."""
        return init_settings, _Environment(settings_cls)

    @field_validator("job_namespaces")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(value))

    def for_decisions(self) -> DecideSettings:
        """The part that decisions depend on."""
        return DecideSettings(
            images=ImageReferences(runner=self.images.runner, runner_torch=self.images.runner_torch),
            store=self.store,
            pull_policy=self.images.pull_policy,
            models_claim=self.models_claim,
            allowed_cidrs=self.fetch.allowed_cidrs,
            fetch_secret=self.fetch.secret,
            min_progress_interval_milliseconds=self.progress.min_interval_milliseconds,
        )


class SettingsError(Exception):
    """The environment does not make valid settings; the message names each variable and what is wrong with it."""


def load_settings() -> OperatorSettings:
    """Settings from the environment. Raises SettingsError."""
    try:
        return OperatorSettings()
    except ValidationError as error:
        lines = [_mistake(_variable(problem["loc"]), problem["msg"]) for problem in error.errors()]
        raise SettingsError("\n".join(["the settings are not valid:", *lines])) from error


def _mistake(variable: str, problem: str) -> str:
    example = _JSON_EXAMPLES.get(variable)
    return f"{variable}: {problem}" + (f"; it is written as JSON, for example {variable}={example}" if example else "")


def _variable(location: tuple[int | str, ...]) -> str:
    return ENV_PREFIX + "__".join(str(part).upper() for part in location)
