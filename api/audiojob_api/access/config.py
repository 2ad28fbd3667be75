"""The file that says who may come in beside holders of Kubernetes tokens: providers of tokens, and rules for tenants.

It holds no secret: keys of providers are public, and API keys lie in SQL.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationError, model_validator

from audiojob_api.access.authorizer import Role
from audiojob_kube.errors import ConfigError
from audiojob_types.base import ObjectName, WireModel
from audiojob_types.explain import explain

Algorithm = Literal["RS256", "ES256", "EdDSA"]
_SPOKEN_OVER = frozenset({"https", "http"})


def _issuer(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in _SPOKEN_OVER or not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("must be an address such as https://id.example.org/realms/music, with no user, query or #")
    return value


Claim = Annotated[str, Field(min_length=1, max_length=253)]
Issuer = Annotated[str, Field(max_length=512), AfterValidator(_issuer)]


class Provider(WireModel):
    """One OpenID Connect provider whose tokens are taken."""

    name: Annotated[ObjectName, Field(max_length=32, description="stands before its users' names: oidc:NAME:SUBJECT.")]
    issuer: Annotated[Issuer, Field(description="the very text of the claim iss; keys are found below it.")]
    audiences: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=253)], ...],
        Field(min_length=1, max_length=8, description="a token must be for one of them."),
    ]
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1, description="signatures that are taken.")] = (
        "RS256",
        "ES256",
        "EdDSA",
    )
    user_claim: Annotated[Claim, Field(description="the claim that names the user; it must never change owners.")] = (
        "sub"
    )
    allow_http: Annotated[bool, Field(description="allows an issuer that starts with http://.")] = False

    @model_validator(mode="after")
    def _encrypted(self) -> Self:
        if self.issuer.startswith("http:") and not self.allow_http:
            raise ValueError("issuer: must start with https://, since keys come from there; allowHttp is for tests")
        return self


class Rule(WireModel):
    """Whom a token lets in where: the first rule for a namespace that fits decides it."""

    provider: Annotated[ObjectName, Field(description="only tokens of this provider.")] | None = None
    claim: Annotated[Claim, Field(description="a claim, or a path with dots. Absent: every token of the provider.")] | (
        None
    ) = None
    values: Annotated[
        tuple[Annotated[str, Field(max_length=253)], ...],
        Field(max_length=64, description="the claim is one of these, or a list that has one."),
    ] = ()
    tenant: Annotated[ObjectName, Field(description="for whom the jobs are.")]
    namespace: Annotated[ObjectName, Field(description="where they run; the boundary between tenants.")]
    role: Role

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.claim is None) != (not self.values):
            raise ValueError("claim and values go together; leave both out for every token")
        return self


Count = Annotated[int, Field(strict=True, ge=0, le=1_000_000_000)]
_Priority = Annotated[int, Field(strict=True, ge=1, le=10)]
Bytes = Annotated[int, Field(strict=True, ge=0, le=2**53)]


class Tier(WireModel):
    """What users of a tier have. Absent: no limit."""

    jobs_per_day: Annotated[Count, Field(description="jobs made from one midnight UTC to the next.")] | None = None
    jobs_per_hour: Annotated[Count, Field(description="jobs made within any 60 minutes.")] | None = None
    concurrent_jobs: Annotated[Count, Field(description="jobs that have not ended.")] | None = None
    audio_minutes_per_day: (
        Annotated[Count, Field(description="minutes of audio that jobs of one day, midnight to midnight UTC, work on.")]
        | None
    ) = None
    priority: Annotated[_Priority, Field(description="of jobs that name none.")] | None = None
    most_urgent: Annotated[_Priority, Field(description="the highest priority that a job may have.")] | None = None
    max_upload_bytes: Annotated[Bytes, Field(description="bytes of one upload.")] | None = None
    stored_bytes: Annotated[Bytes, Field(description="bytes of all uploads that are not removed.")] | None = None

    @property
    def counts(self) -> bool:
        """Whether jobs must be counted."""
        counted = (self.jobs_per_day, self.jobs_per_hour, self.concurrent_jobs, self.audio_minutes_per_day)
        return any(each is not None for each in counted)


class Burst(WireModel):
    """Requests of one user to one replica."""

    requests: Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
    seconds: Annotated[int, Field(strict=True, ge=1, le=3_600)]


class Limits(WireModel):
    """How much users may ask for."""

    burst: Burst | None = None
    jobs_per_hour_per_address: (
        Annotated[
            Count, Field(description="jobs made from one client address within any 60 minutes, whoever makes them.")
        ]
        | None
    ) = None
    stored_bytes_per_namespace: (
        Annotated[Bytes, Field(description="bytes of all uploads in a namespace, whoever made them.")] | None
    ) = None
    minutes_until_known: Annotated[
        int,
        Field(strict=True, ge=0, le=1_440, description="minutes that a job counts as, until its length is measured."),
    ] = 5
    tier_claim: Annotated[Claim, Field(description="the claim that names a user's tier.")] | None = None
    tiers: Annotated[dict[ObjectName, Tier], Field(max_length=32)] = Field(default_factory=dict)
    default_tier: Annotated[ObjectName, Field(description="of users whose tokens name none of them.")] | None = None
    kubernetes_tier: Annotated[ObjectName, Field(description="of users with Kubernetes tokens.")] | None = None

    @property
    def counts(self) -> bool:
        """Whether jobs must be counted, which takes a database."""
        return self.jobs_per_hour_per_address is not None or any(each.counts for each in self.tiers.values())

    @property
    def counts_bytes(self) -> bool:
        """Whether bytes of uploads must be counted, which takes a database too."""
        tiers = (each.stored_bytes for each in self.tiers.values())
        return any(most is not None for most in (self.stored_bytes_per_namespace, *tiers))


class AccessConfig(WireModel):
    """The whole file."""

    providers: Annotated[tuple[Provider, ...], Field(max_length=16)] = ()
    rules: Annotated[tuple[Rule, ...], Field(max_length=1_000)] = ()
    limits: Limits = Limits()
    most_key_days: Annotated[int, Field(strict=True, ge=1, le=3_650, description="how long an API key may last.")] = 365
    ca_file: Annotated[str, Field(description="certificates that providers may have beside the system's.")] | None = (
        None
    )

    @property
    def claims(self) -> frozenset[str]:
        """Names at the top of a token that rules and tiers read."""
        named = [*(rule.claim for rule in self.rules), self.limits.tier_claim]
        return frozenset(part for name in named if name for part in (name, name.partition(".")[0]))

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for field in ("name", "issuer"):
            found = [getattr(each, field) for each in self.providers]
            if len(set(found)) < len(found):
                raise ValueError(f"providers: two have the same {field}")
        names = {each.name for each in self.providers}
        for number, rule in enumerate(self.rules):
            if rule.provider is not None and rule.provider not in names:
                raise ValueError(f"rules[{number}].provider: there is no provider {rule.provider}")
        for field, tier in (("defaultTier", self.limits.default_tier), ("kubernetesTier", self.limits.kubernetes_tier)):
            if tier is not None and tier not in self.limits.tiers:
                raise ValueError(f"limits.{field}: there is no tier {tier}")
        return self


def load_access(path: Path | None, served: Collection[str]) -> AccessConfig:
    """What the file says; nothing where there is none. Raises ConfigError that names the field."""
    if path is None:
        return AccessConfig()
    try:
        config = AccessConfig.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from None
    except ValidationError as error:
        first = explain(error.errors(), AccessConfig.model_json_schema())[0]
        where = ".".join(str(part) for part in first.path)
        raise ConfigError(f"{path}: {where + ': ' if where else ''}{first.message}") from None
    for number, rule in enumerate(config.rules):
        if rule.namespace not in served:
            raise ConfigError(
                f"{path}: rules.{number}.namespace: the API does not serve {rule.namespace}; add it to api.namespaces"
            )
    return config
