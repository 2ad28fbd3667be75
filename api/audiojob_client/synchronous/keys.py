"""API keys of the caller."""

from __future__ import annotations

from collections.abc import Iterable

from audiojob_client import calls
from audiojob_client.calls import request
from audiojob_client.models import Key, KeyList, Scope, read
from audiojob_client.synchronous.transport import Transport


class Keys:
    """``client.keys``."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def make(self, name: str, scopes: Iterable[Scope | str], *, expires_days: int = 90) -> Key:
        """A key; its ``key`` is shown this once."""
        body = {"name": name, "scopes": [Scope(each).value for each in scopes], "expiresDays": expires_days}
        return read(Key, self._transport.send(request(calls.MAKE_KEY, body=body)))

    def list(self, *, everybody: bool = False) -> tuple[Key, ...]:
        """Those that are valid, without their secrets: your own, or, for admins, all that reach their namespaces."""
        query = {"everybody": True} if everybody else None
        return read(KeyList, self._transport.send(request(calls.LIST_KEYS, query=query))).items

    def revoke(self, key_id: str) -> None:
        """End a key; it is refused everywhere within ten seconds."""
        self._transport.send(request(calls.REVOKE_KEY, {"id": key_id}))
