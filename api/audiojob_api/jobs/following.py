"""Following a job: its snapshots until it has ended, for any transport.

A slow client gets the newest snapshot, never a backlog, but always the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
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

    def fresh(self) -> bool:
        """Whether there is a value that was not fetched yet."""
        return self._fresh.is_set()

    async def wait(self) -> None:
        """Wait for such a value, without fetching it."""
        await self._fresh.wait()

    async def next(self) -> Object | None:
        """Wait for a value that was not fetched yet."""
        await self._fresh.wait()
        self._fresh.clear()
        return self._value


@dataclass(frozen=True, slots=True)
class Recheck:
    """How often it is asked whether the client may still follow; ``check`` raises a Problem where it may not."""

    seconds: float
    check: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Following:
    """One client that follows one job. ``seen`` is the version that it knows: that one is not sent again."""

    name: str
    seen: str | None
    reader: JobReader
    live: LiveJobs
    stopping: asyncio.Event
    recheck: Recheck

    async def snapshots(self) -> AsyncGenerator[Snapshot, None]:
        """Snapshots until the job has ended or is deleted, or until ``stopping`` is set.

        Raises a :class:`Problem` once the client may not follow any more: a stream must not outlive its token.
        """
        feed, seen, due = JobFeed(), self.seen, _now() + self.recheck.seconds
        unsubscribe = self.live.subscribe(self.name, feed.put)
        try:
            job = await self.reader.find(self.name)
            while job is not None:
                if version(job) != seen:
                    seen = version(job)
                    yield Snapshot(self.name, job)
                if has_ended(job):
                    return
                # The time of a check comes also where changes never stop, and where the client was slow to take one.
                while _now() >= due or not await _ready(feed, self.stopping, due - _now()):
                    await self.recheck.check()
                    due = _now() + self.recheck.seconds
                job = None if self.stopping.is_set() and not feed.fresh() else await feed.next()
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


async def _ready(feed: JobFeed, stopping: asyncio.Event, seconds: float) -> bool:
    """Wait for a new version or for shutdown; False if neither comes in time."""
    waits = [asyncio.ensure_future(feed.wait()), asyncio.ensure_future(stopping.wait())]
    try:
        done, _ = await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)
    finally:
        for each in waits:
            each.cancel()


def _now() -> float:
    return asyncio.get_running_loop().time()
