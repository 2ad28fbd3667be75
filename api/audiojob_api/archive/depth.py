"""Looks at the queues each minute, for the archive's writer: how deep they were is known of no job afterwards."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from typing import Final, Protocol

from audiojob_api.archive.store import ArchiveStore
from audiojob_api.jobs.listing.rows import JobRow
from audiojob_api.jobs.statistics.depth import Named, Sample
from audiojob_api.jobs.statistics.sums import HOUR

_EVERY_SECONDS: Final = 60.0
_STALE_SECONDS: Final = 150.0
_AT_ONCE: Final = 5_000  # a look at more jobs would stop all clients for longer than a few milliseconds


class Queues(Protocol):
    """The jobs of one namespace, as far as this replica knows."""

    def jobs(self) -> Collection[JobRow]: ...
    def synced(self) -> bool: ...
    def age(self) -> float: ...


class DepthSampler:
    """Adds to the sums of the hour, once each minute."""

    def __init__(self, store: ArchiveStore, namespaces: Mapping[str, Queues]) -> None:
        self._store = store
        self._namespaces = namespaces
        self._named = {name: Named() for name in namespaces}
        self._next = 0.0

    async def sample(self, epoch: int) -> bool:
        """Look, where it is time. Raises Superseded or DatabaseUnavailable: then this minute has no sample."""
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + _EVERY_SECONDS
        now = round(time.time() * 1_000)
        hour = now - now % HOUR
        found = {}
        for name, queues in self._namespaces.items():
            if queues.synced() and queues.age() < _STALE_SECONDS:
                found[name] = self._named[name].of(hour, await _sampled(queues, now))
        if found:
            await self._store.add_depths(epoch, hour, found)
        return bool(found)


async def _sampled(queues: Queues, now: int) -> Sample:
    sample, rows = Sample(now), list(queues.jobs())
    for first in range(0, len(rows), _AT_ONCE):
        sample.add(rows[first : first + _AT_ONCE])
        await asyncio.sleep(0)
    return sample
