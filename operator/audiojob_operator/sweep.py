"""Slow rounds: what no watch tells. Finished jobs whose TTL has passed, events that were missed, unused revisions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from pydantic import ValidationError

from audiojob_kube.errors import ApiError, Conflict, NotFound, TransportError
from audiojob_kube.objects import Object, key_of
from audiojob_kube.protocol import KubeClient
from audiojob_kube.resources import AUDIOJOBS, CONTROLLERREVISIONS
from audiojob_operator.caches import Caches
from audiojob_operator.diagnose import parse_time
from audiojob_operator.metrics import Metrics
from audiojob_operator.model import Key
from audiojob_operator.policies.ttl import expiry
from audiojob_operator.settings import Sweep
from audiojob_types import constants as c
from audiojob_types.job import FINISHED_STATES, AudioJob

_log = logging.getLogger(__name__)

ACTIVE_SELECTOR = ",".join(f"status.state!={state}" for state in sorted(FINISHED_STATES))


class Sweeper:
    """Three rounds, each at its own pace; a round that fails is repeated at the next turn."""

    def __init__(
        self, client: KubeClient, caches: Caches, wake: Callable[[Key], None], metrics: Metrics, pace: Sweep
    ) -> None:
        self._client = client
        self._caches = caches
        self._wake = wake
        self._metrics = metrics
        self._pace = pace
        self._unused_since: dict[Key, datetime] = {}

    async def run(self) -> None:
        """Sweep until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._every(self._pace.active_seconds, self.active))
            group.create_task(self._every(self._pace.finished_seconds, self.finished))
            group.create_task(self._every(self._pace.revisions_seconds, self.revisions))

    async def active(self) -> None:
        """Take over every unfinished AudioJob: what a watch has missed is found, and counted."""
        listed: set[Key] = set()
        known = set(self._caches.audiojobs.keys())
        async for page in self._client.pages(AUDIOJOBS, field_selector=ACTIVE_SELECTOR):
            for obj in page.items:
                key = key_of(obj)
                listed.add(key)
                if self._caches.audiojobs.get(key) is None:
                    self._metrics.missed.inc()
                self._caches.audiojobs.put(obj)
        for key in known - listed:
            # Finished or deleted, and no watch told: forgotten here, so that the round over it reads what is true.
            if (row := self._caches.audiojobs.get(key)) is not None:
                self._caches.audiojobs.left(row.raw)

    async def finished(self) -> None:
        """Wake finished AudioJobs whose TTL has passed. Page by page: 50,000 of them cost no memory."""
        now = datetime.now(UTC)
        for state in sorted(FINISHED_STATES):
            async for page in self._client.pages(AUDIOJOBS, field_selector=f"status.state={state}"):
                for obj in page.items:
                    if self._has_expired(obj, now):
                        self._wake(key_of(obj))

    def _has_expired(self, obj: Object, now: datetime) -> bool:
        try:
            job = AudioJob.model_validate(obj)
        except ValidationError:
            return False
        cache = self._caches.namespaces.get(job.metadata.namespace)
        key = (job.metadata.namespace, job.status.pipeline_revision or "")
        revision = cache.revisions.get(key) if cache else None
        end = expiry(job, revision.spec if revision else None)
        return end is not None and now >= end

    async def revisions(self) -> None:
        """Delete revisions that no AudioJob of their namespace has named for a while."""
        now = datetime.now(UTC)
        for namespace, cache in self._caches.namespaces.items():
            stored = {key for key, _ in cache.revisions.items()}
            if not stored:
                continue
            named = await self._named_revisions(namespace)
            for key in stored:
                if key[1] in named:
                    self._unused_since.pop(key, None)
                elif now - self._unused_since.setdefault(key, now) >= self._unused_for():
                    await self._delete_revision(key)

    def _unused_for(self) -> timedelta:
        return timedelta(seconds=self._pace.revision_unused_seconds)

    async def _named_revisions(self, namespace: str) -> set[str]:
        named: set[str] = set()
        async for page in self._client.pages(AUDIOJOBS, namespace):
            named.update((obj.get("status") or {}).get("pipelineRevision", "") for obj in page.items)
        cache = self._caches.namespaces[namespace]
        for job in cache.jobs.values():  # made, and not yet named by a status
            named.add((job["metadata"].get("annotations") or {}).get(c.ANNOTATION_REVISION, ""))
        return named

    async def _delete_revision(self, key: Key) -> None:
        try:
            found = await self._client.get(CONTROLLERREVISIONS, key[1], key[0])
            created = parse_time(found["metadata"]["creationTimestamp"])
            if created is not None and datetime.now(UTC) - created >= self._unused_for():
                await self._client.delete(CONTROLLERREVISIONS, key[1], key[0], uid=found["metadata"]["uid"])
                self._unused_since.pop(key, None)
        except (NotFound, Conflict):
            self._unused_since.pop(key, None)

    async def _every(self, seconds: float, sweep: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await sweep()
            except (ApiError, TransportError) as error:
                _log.warning("a sweep was cut short: %s", error)
