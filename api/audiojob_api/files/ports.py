"""The files service as this package sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from audiojob_store.ticket import Verb


@dataclass(frozen=True, slots=True)
class Call:
    """One request to the service of ``namespace``; ``claims`` are those of its ticket beside verb and key."""

    namespace: str
    method: str
    path: str
    verb: Verb
    key: str
    claims: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | AsyncIterator[bytes] | None = None


class Answer(Protocol):
    """Its answer, of a status below 400. Reading may raise a 503 Problem."""

    @property
    def status(self) -> int:
        """200, 206, …"""

    @property
    def headers(self) -> Mapping[str, str]:
        """As the service sent them."""

    def chunks(self) -> AsyncIterator[bytes]:
        """The body, as it comes."""

    async def read(self, limit: int) -> bytes:
        """A whole small body. Raises a 503 Problem for more than ``limit`` bytes."""


class Files(Protocol):
    """The services of all namespaces."""

    def open(self, call: Call) -> AbstractAsyncContextManager[Answer]:
        """Send a request. Raises the Problem that the service answers, or a 503 where it does not answer."""

    async def run(self) -> None:
        """Keep the key that both sides need where it belongs, until cancelled."""

    async def close(self) -> None:
        """End all connections."""
