"""Slow rounds that find what no event tells: missed changes, finished jobs whose time is up, unused revisions."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from audiojob_kube.client import KubeClient
from audiojob_kube.errors import Conflict, NotFound
from audiojob_kube.objects import Object, key_of
from audiojob_kube.resources import AUDIOJOBS, CONTROLLERREVISIONS
from audiojob_operator.caches import Caches
from audiojob_operator.jobstore import ACTIVE_SELECTOR, FINISHED_SELECTOR
from audiojob_operator.metrics import Metrics
from audiojob_operator.model import Key
from audiojob_operator.resolve import DEFAULT_TTL_SECONDS
from audiojob_operator.workqueue import WorkQueue
from audiojob_types import constants as c
from audiojob_types.base import format_time

_log = logging.getLogger(__name__)

# Written by this sweep alone: since when no AudioJob has named the revision.
ANNOTATION_UNUSED = f"{c.GROUP}/unused-since"
_LATE = timedelta(seconds=30)


class Sweeper:
    """The rounds. Each may be cut off at any line and simply runs again."""

    def __init__(self, client: KubeClient, caches: Caches, queue: WorkQueue[Key], metrics: Metrics) -> None:
        self._client = client
        self._caches = caches
        self._queue = queue
        self._metrics = metrics

    async def active(self) -> int:
        """List the unfinished AudioJobs and correct what is known of them.

        Returns how many had escaped the watch: unknown though older than half a minute.
        """
        store = self._caches.audiojobs
        listed: set[Key] = set()
        version = 0
        missed = 0
        late = format_time(datetime.now(UTC) - _LATE)
        async for page in self._client.pages(AUDIOJOBS, field_selector=ACTIVE_SELECTOR):
            version = int(page.resource_version)
            for obj in page.items:
                key = key_of(obj)
                listed.add(key)
                unknown = store.get(key) is None
                if store.put(obj) and unknown and obj["metadata"]["creationTimestamp"] < late:
                    missed += 1
        for key, known in list(store.active()):
            if key not in listed and known.version <= version:
                store.drop(key)
        if missed:
            self._metrics.missed.inc(missed)
        return missed

    async def finished(self) -> int:
        """Queue the finished AudioJobs whose time to live is over. Returns how many."""
        now = datetime.now(UTC)
        due = 0
        async for page in self._client.pages(AUDIOJOBS, field_selector=FINISHED_SELECTOR):
            for obj in page.items:
                if self._expired(obj, now):
                    self._caches.audiojobs.put(obj, ours=True)
                    self._queue.add(key_of(obj))
                    due += 1
        return due

    async def revisions(self, unused_seconds: float) -> int:
        """Mark the pipeline revisions that no AudioJob names, and delete those marked long ago. Returns how many."""
        used = await self._used_revisions()
        now = datetime.now(UTC)
        deleted = 0
        for namespace in self._caches.namespaces:
            found = await self._client.list(CONTROLLERREVISIONS, namespace, label_selector=c.LABEL_PIPELINE)
            for obj in found.items:
                key = key_of(obj)
                if await self._sweep_revision(obj, key in used, now, timedelta(seconds=unused_seconds)):
                    deleted += 1
        return deleted

    def _expired(self, obj: Object, now: datetime) -> bool:
        """Whether the job's own or its pipeline's time is over; the decision itself is made by `decide`."""
        status = obj.get("status") or {}
        ended = status.get("completionTime")
        ttl = obj["spec"].get("ttlSecondsAfterFinished")
        if ended is None:
            return False
        if ttl is None:
            ttl = self._pipeline_ttl(obj)
        return now >= datetime.fromisoformat(ended) + timedelta(seconds=ttl)

    def _pipeline_ttl(self, obj: Object) -> int:
        namespace, _ = key_of(obj)
        cache = self._caches.namespaces.get(namespace)
        name = (obj.get("status") or {}).get("pipelineRevision", "")
        revision = cache.revisions.get((namespace, name)) if cache is not None else None
        found = revision.spec.ttl_seconds_after_finished if revision is not None else None
        return DEFAULT_TTL_SECONDS if found is None else found

    async def _used_revisions(self) -> set[Key]:
        used: set[Key] = set()
        async for page in self._client.pages(AUDIOJOBS):
            for obj in page.items:
                name = (obj.get("status") or {}).get("pipelineRevision")
                if name:
                    used.add((obj["metadata"]["namespace"], name))
        # Jobs of a crash between Job and status write name theirs too.
        for namespace, cache in self._caches.namespaces.items():
            for job in cache.jobs.values():
                used.add((namespace, job["metadata"]["annotations"].get(c.ANNOTATION_REVISION, "")))
        return used

    async def _sweep_revision(self, obj: Object, used: bool, now: datetime, keep: timedelta) -> bool:
        namespace, name = key_of(obj)
        metadata = obj["metadata"]
        since = (metadata.get("annotations") or {}).get(ANNOTATION_UNUSED)
        try:
            if used and since is not None:
                await self._mark(obj, None)
            elif not used and since is None:
                await self._mark(obj, format_time(now))
            elif not used and since is not None and now - datetime.fromisoformat(since) >= keep:
                await self._client.delete(CONTROLLERREVISIONS, name, namespace, uid=metadata["uid"])
                _log.info("pipeline revision %s/%s is deleted: no job has named it since %s", namespace, name, since)
                return True
        except (NotFound, Conflict):
            pass  # somebody else was faster
        return False

    async def _mark(self, obj: Object, since: str | None) -> None:
        namespace, name = key_of(obj)
        metadata = {"resourceVersion": obj["metadata"]["resourceVersion"], "annotations": {ANNOTATION_UNUSED: since}}
        await self._client.patch_merge(CONTROLLERREVISIONS, name, {"metadata": metadata}, namespace)
