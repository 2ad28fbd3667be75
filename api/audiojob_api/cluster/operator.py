"""Whether an operator is at work, by the Lease that the active one renews every few seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from audiojob_kube.errors import ApiError, NotFound, TransportError
from audiojob_kube.protocol import KubeClient
from audiojob_kube.resources import LEASES

_KEPT_SECONDS: Final = 2.0
_CALL_SECONDS: Final = 2.0
_CLOCKS_DIFFER: Final = 30.0
"""The holder wrote the time by its own clock; as much is forgiven to a token's."""
_USUAL_SECONDS: Final = 15


class KubeOperator:
    """Looks at one Lease, at most every other second whoever asks."""

    def __init__(self, client: KubeClient, lease: str, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._namespace, _, self._name = lease.partition("/")
        self._clock = clock
        self._known: tuple[float, str] | None = None

    async def trouble(self) -> str:
        """What is wrong with the operator, for people; "" for nothing."""
        now = self._clock()
        if self._known is None or not 0 <= now - self._known[0] < _KEPT_SECONDS:
            self._known = (now, await self._look(now))
        return self._known[1]

    async def _look(self, now: float) -> str:
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                lease = await self._client.get(LEASES, self._name, self._namespace)
        except NotFound:
            return "None has ever been at work: there is no Lease of one; look at its pod."
        except (ApiError, TransportError, TimeoutError):
            return "Its Lease cannot be read at the moment, so that nobody knows."
        return trouble_of(lease, now)


def trouble_of(lease: dict[str, Any], now: float) -> str:
    """What a Lease tells of its holder at that moment; "" where nothing is wrong."""
    spec = lease.get("spec") or {}
    if not spec.get("holderIdentity"):
        return "None is at work: the last one has given up its Lease; look at its pod."
    try:
        renewed = datetime.strptime(spec.get("renewTime") or "", "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    except ValueError:
        return "Its Lease does not say when it was renewed; look at its pod."
    silent = now - renewed.timestamp()
    if silent > (spec.get("leaseDurationSeconds") or _USUAL_SECONDS) + _CLOCKS_DIFFER:
        return f"None is at work: its Lease was last renewed {silent:.0f} s ago; look at its pod."
    return ""
