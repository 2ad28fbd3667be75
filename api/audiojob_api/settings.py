"""The API's settings, from ``AUDIOJOB_…`` variables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from audiojob_types.constants import API_AUDIENCE
from audiojob_types.ordering import DEFAULT_AGEING_SECONDS

_LABEL_KEY = r"^([a-z0-9]([-.a-z0-9]*[a-z0-9])?/)?[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?$"


class DatabaseSettings(BaseModel):
    """The SQL database of history, accounts, limits and uploads."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Annotated[
        SecretStr | None,
        Field(
            description="sqlite:////data/audiojob.db (one replica) or postgresql://USER:PASSWORD@HOST/DATABASE. "
            "Absent: nothing is kept beside the cluster."
        ),
    ] = None


class ArchiveSettings(BaseModel):
    """The history of finished jobs, in the database."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: Annotated[
        bool, Field(description="Keep finished jobs. The operator must have the same, so that it waits for us.")
    ] = False
    retention_days: Annotated[int, Field(ge=1, le=36_500, description="How long they are kept.")] = 90
    labels: Annotated[
        tuple[Annotated[str, Field(max_length=317, pattern=_LABEL_KEY)], ...],
        Field(max_length=8, description="Keys of labels that are kept with a job, and that lists can ask for."),
    ] = ()


class PriceSettings(BaseModel):
    """What work costs, for estimates alone: nothing is billed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    unit: Annotated[str, Field(min_length=1, max_length=32, description="In what: EUR, credits.")] = "units"
    cpu_second: Annotated[float, Field(ge=0, allow_inf_nan=False, description="A second of one requested CPU.")] = 0
    gpu_second: Annotated[float, Field(ge=0, allow_inf_nan=False, description="A second of one GPU.")] = 0


class ApiSettings(BaseSettings):
    """One typed class for the whole process."""

    model_config = SettingsConfigDict(env_prefix="AUDIOJOB_", env_nested_delimiter="__", frozen=True)

    namespace: Annotated[
        str,
        Field(min_length=1, max_length=63, description="The namespace that callers with Kubernetes tokens mean."),
    ]
    namespaces: Annotated[str, Field(description="Further namespaces that are served, with commas.")] = ""
    host: Annotated[str, Field(description="Address to listen on.")] = "0.0.0.0"  # noqa: S104 - a pod's own address
    port: Annotated[int, Field(ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")] = 8081
    audience: Annotated[str, Field(description="Audience that a caller's token must be for.")] = API_AUDIENCE
    access_file: Annotated[
        Path | None, Field(description="Providers of tokens, and rules for tenants, as JSON; none if absent.")
    ] = None
    auth_cache_seconds: Annotated[
        float, Field(ge=0, le=60, description="How long the review of a token is cached.")
    ] = 10
    attempts_per_minute: Annotated[
        int, Field(ge=1, description="Unknown tokens of one client address that are looked up in a minute.")
    ] = 30
    attempts_per_minute_in_all: Annotated[
        int, Field(ge=1, description="Unknown tokens that are looked up in a minute, whoever sends them.")
    ] = 300
    stream_recheck_seconds: Annotated[
        float, Field(gt=0, le=30, description="How often token and rights are looked at while events are streamed.")
    ] = 15
    trusted_proxies: Annotated[
        str,
        Field(description="Addresses or networks, with commas, whose X-Forwarded-For names the client; none if empty."),
    ] = ""
    max_connections: Annotated[
        int, Field(ge=1, description="Most connections; the one that has sent no whole request for longest goes first.")
    ] = 800
    max_requests_per_user: Annotated[
        int, Field(ge=1, description="Most requests of one user that are in progress, so that others find connections.")
    ] = 200
    head_seconds: Annotated[float, Field(gt=0, description="Time to send a request's head.")] = 10
    body_seconds: Annotated[float, Field(gt=0, description="Time to send a request's body.")] = 30
    send_seconds: Annotated[float, Field(gt=0, description="How long a client may take in nothing of its answer.")] = 30
    max_head_bytes: Annotated[int, Field(ge=1_024, description="Largest head of a request.")] = 32 * 1024
    max_body_bytes: Annotated[int, Field(ge=1_024, description="Largest request body.")] = 256 * 1024
    stale_after_seconds: Annotated[
        float, Field(ge=10, description="Not ready once the API server was last heard from this long ago.")
    ] = 150
    ageing_seconds: Annotated[
        int,
        Field(ge=0, description="Waiting that raises a job's priority by one; must equal the operator's. 0 for none."),
    ] = DEFAULT_AGEING_SECONDS
    operator_lease: Annotated[
        str,
        Field(
            pattern=r"^([a-z0-9][-a-z0-9]{0,62}/[a-z0-9][-.a-z0-9]{0,252})?$",
            description="The operator's Lease, as NAMESPACE/NAME; none is looked at if empty.",
        ),
    ] = ""
    files_url: Annotated[
        str | None,
        Field(
            pattern=r"^http://[^/?#]+$",
            description="Where the files services are, with {namespace} in it; none where files are off.",
        ),
    ] = None
    files_home: Annotated[str, Field(description="Namespace of the Secret with the key of their tickets.")] = ""
    files_secret: Annotated[str, Field(description="Name of that Secret.")] = "audiojob-tickets"  # noqa: S105 - its name
    database: DatabaseSettings = DatabaseSettings()
    archive: ArchiveSettings = ArchiveSettings()
    prices: PriceSettings = PriceSettings()
    access_log: Annotated[bool, Field(description="A line of JSON in the log for each request but probes.")] = True
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    kubeconfig: Annotated[
        Path | None, Field(description="Absent: the pod's own account, else the usual kubeconfig.")
    ] = None

    @property
    def served(self) -> tuple[str, ...]:
        """All namespaces whose jobs are served."""
        others = (each.strip() for each in self.namespaces.split(","))
        return tuple(dict.fromkeys((self.namespace, *filter(None, others))))
