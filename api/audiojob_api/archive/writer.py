"""Writes every finished job of the read model into the archive, once, in the order in which they were seen.

All replicas collect, one writes. A job is marked after its commit only, so that its TTL waits for the archive; whatever
fails between is done again, and changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Final, Protocol

from audiojob_api.archive.depth import DepthSampler, Queues
from audiojob_api.archive.progress import Failure, Progress
from audiojob_api.archive.store import ArchiveStore, Superseded
from audiojob_api.jobs.listing.rows import JobRow
from audiojob_api.sql.database import Database, State
from audiojob_api.sql.errors import DatabaseUnavailable

_log = logging.getLogger(__name__)

_BATCH: Final = 100
_GATHER_SECONDS: Final = 0.05
_MARKS_AT_ONCE: Final = 8
_MOST_GONE: Final = 50_000
_DAY: Final = 86_400_000
_EXPIRE_AT_ONCE: Final = 1_000


class Cluster(Queues, Protocol):
    """What the writer asks of a namespace."""

    async def mark_archived(self, row: JobRow) -> bool:
        """Say on the AudioJob that it is in the archive. False where that must be tried again."""


class ArchiveWriter:
    """`saw` gets every change of the read model; `run` writes while this process is the writer."""

    def __init__(
        self, store: ArchiveStore, clusters: Mapping[str, Cluster], retention_days: int, *, pause_seconds: float = 2.0
    ) -> None:
        """``clusters`` by namespace."""
        self._store = store
        self._clusters = clusters
        self._retention = retention_days * _DAY
        self._pause = pause_seconds
        self._pending: dict[str, JobRow] = {}
        self._gone: set[str] = set()
        self._unmarked: dict[str, JobRow] = {}
        self._depths = DepthSampler(store, clusters)
        self._wake = asyncio.Event()
        self._next_sweep = 0.0
        self.epoch: int | None = None
        """Of this process while it is the writer."""
        self.progress = Progress()

    @property
    def database(self) -> Database:
        """Where the archive is."""
        return self._store.database

    @property
    def pending(self) -> int:
        """Finished jobs that are not in the archive yet, as far as this process knows."""
        return len(self._pending)

    @property
    def oldest(self) -> int | None:
        """When the one of them that waits longest has ended, in milliseconds; None for none."""
        first = next(iter(self._pending.values()), None)
        return None if first is None else first.finished or first.created

    def saw(self, old: JobRow | None, new: JobRow | None) -> None:
        """A job of the read model has changed; None where there is none."""
        if new is not None and new.archived:
            self._forget(new.uid)
        elif new is not None and new.has_ended:
            self._pending[new.uid] = new
            self._wake.set()
        if old is not None and (new is None or new.uid != old.uid):
            self._saw_gone(old)

    def _saw_gone(self, row: JobRow) -> None:
        """Somebody deleted it. One that has ended, and is not in the archive yet, still gets there."""
        self._unmarked.pop(row.uid, None)
        if row.uid not in self._pending:
            return
        self._gone.add(row.uid)
        if len(self._gone) > _MOST_GONE:
            oldest = next(uid for uid in self._pending if uid in self._gone)
            _log.error("job %s was deleted and cannot be archived: too many wait", self._pending[oldest].name)
            self.progress.failures[Failure.LOST] += 1
            self._forget(oldest)

    def _forget(self, uid: str) -> None:
        self._pending.pop(uid, None)
        self._gone.discard(uid)
        self._unmarked.pop(uid, None)

    # ---------------------------------------------------------------- the loop

    async def run(self) -> None:
        """Write until cancelled. What the database or the API server refuses is tried again."""
        try:
            while True:
                try:
                    await self._turn()
                except Superseded:
                    _log.warning("another replica writes the archive from now on")
                    self.epoch = None
                    self.progress.failures[Failure.SUPERSEDED] += 1
                except DatabaseUnavailable:
                    self.progress.failures[Failure.UNAVAILABLE] += 1
                    await asyncio.sleep(min(1.0, self._pause))
                except Exception:  # noqa: BLE001 - a writer that ended would keep every job's record for a week
                    _log.exception("the archive's writer failed; it goes on")
                    self.progress.failures[Failure.FAULT] += 1
                    await asyncio.sleep(min(1.0, self._pause))
        finally:
            await self._release()

    async def _turn(self) -> None:
        if self._store.database.state in (State.OPENING, State.READ_ONLY):
            await asyncio.sleep(min(0.2, self._pause))
            return
        if self.epoch is None:
            self.epoch = await self._store.take()
            if self.epoch is None:
                await asyncio.sleep(self._pause)
                return
            _log.info("writing the archive, epoch %d", self.epoch)
        if await self._depths.sample(self.epoch):
            self.progress.succeeded()
        if not self._pending and not self._unmarked:
            await self._idle(self.epoch)
            return
        if self._pending:
            await self._write(self.epoch)
        await self._mark()

    async def _idle(self, epoch: int) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(self._pause):
                await self._wake.wait()
        except TimeoutError:
            await self._store.renew(epoch)
            self.progress.succeeded()
            await self._sweep(epoch)
        else:
            await asyncio.sleep(_GATHER_SECONDS)  # others end at the same moment

    async def _write(self, epoch: int) -> None:
        batch = list(self._pending.values())[:_BATCH]
        self.progress.succeeded(await self._store.put(epoch, batch))
        for row in batch:
            if self._pending.get(row.uid) is row:
                del self._pending[row.uid]
            if row.uid in self._gone:
                self._gone.discard(row.uid)
            else:
                self._unmarked[row.uid] = row

    async def _mark(self) -> None:
        batch = list(self._unmarked.values())[:_BATCH]
        allowed = asyncio.Semaphore(_MARKS_AT_ONCE)

        async def mark(row: JobRow) -> bool:
            async with allowed:
                return await self._clusters[row.namespace].mark_archived(row)

        done = await asyncio.gather(*(mark(row) for row in batch))
        self.progress.failures[Failure.MARK] += done.count(False)
        for row, marked in zip(batch, done, strict=True):
            self._unmarked.pop(row.uid, None)
            if not marked:
                self._unmarked[row.uid] = row  # behind the others
        if batch and not any(done):
            await asyncio.sleep(min(1.0, self._pause))

    async def _sweep(self, epoch: int) -> None:
        """Once an hour: what has been kept for long enough goes, a thousand at a time."""
        if time.monotonic() < self._next_sweep:
            return
        before = round(time.time() * 1_000) - self._retention
        if await self._store.expire(epoch, before, _EXPIRE_AT_ONCE) < _EXPIRE_AT_ONCE:
            self._next_sweep = time.monotonic() + 3_600

    async def _release(self) -> None:
        if self.epoch is not None:
            try:
                async with asyncio.timeout(2):
                    await self._store.release(self.epoch)
            except (DatabaseUnavailable, TimeoutError) as error:
                _log.warning("the archive was not handed over: %s", error)
            self.epoch = None
