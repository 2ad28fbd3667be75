"""Status of AudioQueues and AudioPipelines: written where it differs, a few times at once, then now and then."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

from audiojob_kube.errors import ApiError, NotFound, TransportError
from audiojob_kube.protocol import KubeClient
from audiojob_kube.reflector import Reflector
from audiojob_operator.records.objects import Key
from audiojob_operator.state.pace import Pace
from audiojob_types.base import StatusModel

_log = logging.getLogger(__name__)

_PAUSE_SECONDS: Final = 1.0
_MAX_PAUSE_SECONDS: Final = 30.0


class WithStatus(Protocol):
    """An object that has a status."""

    @property
    def status(self) -> StatusModel:
        """What the API server has stored."""


T = TypeVar("T", bound=WithStatus)


class StatusReporter(Generic[T]):
    """Keeps the status of all objects in a cache as `wanted` computes it."""

    def __init__(
        self,
        client: KubeClient,
        cache: Reflector[T],
        wanted: Callable[[Key, T], StatusModel],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._cache = cache
        self._wanted = wanted
        self._clock = clock
        self._paces: dict[Key, Pace] = {}

    async def run(self) -> None:
        """Report until cancelled. What cannot be written is tried at longer and longer intervals."""
        pause = _PAUSE_SECONDS
        while True:
            await asyncio.sleep(pause)
            pause = _PAUSE_SECONDS if await self.report() else min(2 * pause, _MAX_PAUSE_SECONDS)

    async def report(self) -> bool:
        """Write each status that differs and whose turn it is; whether none of those writes failed."""
        objects = dict(self._cache.items())
        self._paces = {key: self._paces.get(key) or Pace() for key in objects}
        return all([await self._report(key, obj) for key, obj in objects.items()])

    async def _report(self, key: Key, obj: T) -> bool:
        try:
            wanted = self._wanted(key, obj)
            return wanted == obj.status or self._paces[key].take(self._clock()) > 0 or await self._write(key, wanted)
        except Exception:  # noqa: BLE001 - a fault of ours in one object must keep no other from its status
            _log.exception("%s %s/%s: the status was not written", self._cache.resource.kind, *key)
            return False

    async def _write(self, key: Key, status: StatusModel) -> bool:
        namespace, name = key
        resource = self._cache.resource
        body = {"status": status.to_wire()}
        try:
            written = await self._client.patch_merge(resource, name, body, namespace or None, subresource="status")
        except NotFound:
            return False  # deleted a moment ago, or its CRD is of an earlier version and has no status
        except (ApiError, TransportError) as error:
            _log.warning("%s %s/%s: status was not written: %s", resource.kind, namespace, name, error)
            return False
        self._cache.put(written)
        return True
