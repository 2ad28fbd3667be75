"""What an administrator can set: environment variables ``AUDIOJOB_…``, nested by ``__``, lists and records as JSON."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from audiojob_operator.model import DecideSettings
from audiojob_operator.model import Images as ImageReferences
from audiojob_types.contract import FolderStore, S3Store

ENV_PREFIX = "AUDIOJOB_"


class _Group(BaseModel):
    """A nested group of settings: an unknown name is an error, so that a typing mistake cannot stay unseen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Images(_Group):
    """Full references of the runner images, with tag or digest."""

    runner: Annotated[str, Field(min_length=1)]
    runner_torch: Annotated[str, Field(min_length=1)]
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"


class Fetch(_Group):
    """Rules for downloads. Private and loopback addresses are refused unless a network here holds them."""

    allowed_cidrs: tuple[str, ...] = ()

    @field_validator("allowed_cidrs")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(ipaddress.ip_network(text)) for text in value)


class Capacity(_Group):
    """How much may run at once. ``max_running`` counts AudioJobs started and not finished; None is no limit."""

    max_running: Annotated[int, Field(ge=1)] | None = None


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
    workers: Annotated[int, Field(ge=1, le=256)] = 32
    listen_address: str = "0.0.0.0"  # noqa: S104 - probes and Prometheus come from outside the pod
    listen_port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "text"] = "json"
    kubeconfig: Path | None = None
    context: str | None = None

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
            min_progress_interval_milliseconds=self.progress.min_interval_milliseconds,
        )


class SettingsError(Exception):
    """The environment does not make valid settings; the message names each variable and what is wrong with it."""


def load_settings() -> OperatorSettings:
    """Settings from the environment. Raises SettingsError."""
    try:
        return OperatorSettings()
    except ValidationError as error:
        lines = [f"{_variable(problem['loc'])}: {problem['msg']}" for problem in error.errors()]
        raise SettingsError("\n".join(["the settings are not valid:", *lines])) from error
    except ValueError as error:  # a list or record that is not JSON
        raise SettingsError(f"the settings are not valid: {error} ({error.__cause__})") from error


def _variable(location: tuple[int | str, ...]) -> str:
    return ENV_PREFIX + "__".join(str(part).upper() for part in location)
