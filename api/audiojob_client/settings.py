"""What a client is told once: where the API is, who calls, and how patient it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import httpx2

from audiojob_client.calls import Operation
from audiojob_client.repeating import Patience
from audiojob_client.tokens import Token, TokenSource
from audiojob_types.constants import RELEASE

_AGENT: Final = f"audiojob-client/{RELEASE}"
TIMEOUT: Final = httpx2.Timeout(30.0, connect=10.0)
"""Seconds without a byte. Streams have a comment every 15."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One for each client. Its text holds no token."""

    url: str
    token: Token
    namespace: str | None = None
    patience: Patience = field(default_factory=Patience)

    def headers(self) -> dict[str, str]:
        """Those of every request. The token is asked for each time: it may have been renewed."""
        return {"Authorization": self.token.header(), "User-Agent": _AGENT}

    def place(self, operation: Operation) -> dict[str, str]:
        """The namespace, where the call is about one and the caller names it."""
        return {"namespace": self.namespace} if self.namespace is not None and operation.placed else {}


def settings_of(url: str, token: TokenSource, namespace: str | None = None, patience: float | None = None) -> Settings:
    """Raises ValueError for an address that is none, or that carries a password."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("url: must be https://HOST, or http://HOST")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError("url: must have no user, password, query or fragment; the token is given by itself")
    patient = Patience() if patience is None else Patience(patience)
    return Settings(url.rstrip("/"), Token(token), namespace, patient)
