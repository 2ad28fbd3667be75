"""The one thing that access control asks of its surroundings: who a token belongs to, and what that user may do."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from audiojob_api.access.rights import Right


class Role(StrEnum):
    """What the member of a tenant may do in a namespace, from the least on."""

    VIEWER = "viewer"
    SUBMITTER = "submitter"
    OPERATOR = "operator"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Grant:
    """A role in a namespace, and the tenant on whose behalf it is had."""

    tenant: str
    namespace: str
    role: Role


class Scope(StrEnum):
    """What an API key may be used for, within what its owner may do."""

    READ = "jobs:read"
    CREATE = "jobs:create"
    CHANGE = "jobs:change"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a token speaks for. ``grants`` is None for those whose rights the API server knows."""

    username: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: dict[str, list[str]] = field(default_factory=dict)
    grants: tuple[Grant, ...] | None = None
    tier: str | None = None
    scopes: frozenset[Scope] | None = None
    """What an API key is for; None for those who came with a token of their own, who may do all that they may."""
    account: Mapping[str, Any] | None = field(default=None, repr=False, compare=False)
    """What the grants were found from, so that they can be found again."""
    digest: str = field(init=False, repr=False, compare=False)
    """Equal for equal identities: what is known of one is found by it."""

    def __post_init__(self) -> None:
        text = repr(self).encode("utf-8", "surrogatepass")
        object.__setattr__(self, "digest", hashlib.sha256(text).hexdigest())


@dataclass(frozen=True, slots=True)
class Reviewed:
    """Who a token speaks for, and for how many seconds that may be taken for true."""

    identity: Identity
    seconds: float


class TokenReviewer(Protocol):
    """Judges the tokens of one kind. Calls raise a 503 Problem where it cannot."""

    @property
    def names(self) -> Collection[str]:
        """How names of its users begin, which nobody else may have."""

    def owns(self, token: str) -> bool:
        """Whether a token looks like one of this kind; then it is nobody else's to judge."""

    async def review(self, token: str) -> Reviewed | None:
        """The token's owner; None if the token is not valid."""


class Authorizer(Protocol):
    """Calls raise ApiError or TransportError."""

    async def review_token(self, token: str, audience: str) -> Identity | None:
        """The token's owner; None if the token is not valid for ``audience``."""

    async def may(self, identity: Identity, namespace: str, right: Right) -> bool:
        """Whether ``identity`` has this right in the namespace."""
