"""Following a job: its snapshots until it has ended, for any transport.

A slow client gets the newest snapshot, never a backlog, but always the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from audiojob_api.jobs.ports import JobReader, LiveJobs
from audiojob_types.resources.job import FINISHED_STATES

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A job at one version; ``job`` is None where it was deleted before it ended."""

    name: str
    job: Object | None


class JobFeed:
    """One slot between the read model and a slow client: what was not fetched yet is replaced by what is newer.

    The end is never replaced: the client must learn of it, also when the job's TTL deletes it at once, and when
    another job takes the name of a deleted one.
    """

    def __init__(self) -> None:
        self._fresh = asyncio.Event()
        self._value: Object | None = None

    def put(self, value: Object | None) -> None:
        """Replace the value; None means that the job is deleted."""
        if self._fresh.is_set() and (self._value is None or has_ended(self._value)):
            return
        self._value = value
        self._fresh.set()

    async def next(self) -> Object | None:
        """Wait for a value that was not fetched yet."""
        await self._fresh.wait()
        self._fresh.clear()
        return self._value


@dataclass(frozen=True, slots=True)
class Following:
    """One client that follows one job. ``seen`` is the version that it knows: that one is not sent again."""

    name: str
    seen: str | None
    reader: JobReader
    live: LiveJobs
    stopping: asyncio.Event

    async def snapshots(self) -> AsyncGenerator[Snapshot, None]:
        """Snapshots until the job has ended or is deleted, or until ``stopping`` is set."""
        feed, seen = JobFeed(), self.seen
        unsubscribe = self.live.subscribe(self.name, feed.put)
        try:
            job = await self.reader.find(self.name)
            while job is not None:
                if version(job) != seen:
                    seen = version(job)
                    yield Snapshot(self.name, job)
                if has_ended(job):
                    return
                job = await _next_or_stop(feed, self.stopping)
            if not self.stopping.is_set():
                yield Snapshot(self.name, None)
        finally:
            unsubscribe()


def has_ended(job: Object) -> bool:
    """Whether the job can never change again."""
    return job.get("status", {}).get("state") in FINISHED_STATES


def version(job: Object) -> str:
    """Names this version of the job; a client that comes back says which one it has seen."""
    found: str = job["metadata"]["resourceVersion"]
    return found


async def _next_or_stop(feed: JobFeed, stopping: asyncio.Event) -> Object | None:
    """The next version; None when the job is deleted or the process shuts down."""
    change = asyncio.ensure_future(feed.next())
    stop = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait((change, stop), return_when=asyncio.FIRST_COMPLETED)
        return change.result() if change.done() else None
    finally:
        change.cancel()
        stop.cancel()
