"""API keys of the caller."""

from __future__ import annotations

from collections.abc import Iterable

from audiojob_client import calls
from audiojob_client.asynchronous.transport import AsyncTransport
from audiojob_client.calls import request
from audiojob_client.models import Key, KeyList, Scope, read


class AsyncKeys:
    """``client.keys``."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def make(self, name: str, scopes: Iterable[Scope | str], *, expires_days: int = 90) -> Key:
        """A key; its ``key`` is shown this once."""
        body = {"name": name, "scopes": [Scope(each).value for each in scopes], "expiresDays": expires_days}
        return read(Key, await self._transport.send(request(calls.MAKE_KEY, body=body)))

    async def list(self, *, everybody: bool = False) -> tuple[Key, ...]:
        """Those that are valid, without their secrets: your own, or, for admins, all that reach their namespaces."""
        query = {"everybody": True} if everybody else None
        return read(KeyList, await self._transport.send(request(calls.LIST_KEYS, query=query))).items

    async def revoke(self, key_id: str) -> None:
        """End a key; it is refused everywhere within ten seconds."""
        await self._transport.send(request(calls.REVOKE_KEY, {"id": key_id}))
