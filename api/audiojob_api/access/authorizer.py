"""The one thing that access control asks of its surroundings: who a token belongs to, and what that user may do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from audiojob_api.access.rights import Right


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a token speaks for."""

    username: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: dict[str, list[str]] = field(default_factory=dict)


class Authorizer(Protocol):
    """Calls raise ApiError or TransportError."""

    async def review_token(self, token: str, audience: str) -> Identity | None:
        """The token's owner; None if the token is not valid for ``audience``."""

    async def may(self, identity: Identity, right: Right) -> bool:
        """Whether ``identity`` has this right in the namespace."""
