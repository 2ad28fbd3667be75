"""Periodic sweeps of what no watch reports: finished jobs past their TTL, missed events, unused revisions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from pydantic import ValidationError

from audiojob_kube.backoff import Backoff
from audiojob_kube.errors import ApiError, Conflict, NotFound, TransportError
from audiojob_kube.objects import Object, key_of
from audiojob_kube.protocol import KubeClient
from audiojob_kube.resources import AUDIOJOBS, CONTROLLERREVISIONS
from audiojob_operator.deciding.children.diagnose import parse_time
from audiojob_operator.deciding.children.observe import failed_at
from audiojob_operator.deciding.policies.ttl import expiry
from audiojob_operator.metrics.registry import Metrics
from audiojob_operator.records.objects import Key
from audiojob_operator.records.settings import FAILED_JOB_SECONDS
from audiojob_operator.settings_groups import Sweep
from audiojob_operator.state.caches import Caches
from audiojob_operator.state.ownership import Concern, concern
from audiojob_operator.watching.orphans import orphans
from audiojob_operator.watching.selectors import ACTIVE_SELECTOR, in_state
from audiojob_types import constants as c
from audiojob_types.resources.job import FINISHED_STATES, AudioJob

_log = logging.getLogger(__name__)

# A job so young may still be on its way through the watch, and a list that was faster proves nothing.
_LATE_AFTER = timedelta(seconds=30)
_RETRIES = Backoff(first_seconds=0.5, cap_seconds=10.0)


class Sweeper:
    """Three sweeps, each at its own interval; one that fails is repeated at the next.

    Beside them a list of all unfinished AudioJobs after each `gap()`. `on_finished` gets every finished one.
    """

    def __init__(
        self,
        client: KubeClient,
        caches: Caches,
        wake: Callable[[Key], None],
        metrics: Metrics,
        pace: Sweep,
        on_finished: Callable[[Key, Object], None] | None = None,
    ) -> None:
        self._client = client
        self._caches = caches
        self._wake = wake
        self._metrics = metrics
        self._pace = pace
        self._on_finished = on_finished
        self._unused_since: dict[Key, datetime] = {}
        self._orphans: frozenset[Key] = frozenset()
        self._foreign = 0
        self._gap = asyncio.Event()

    def gap(self) -> None:
        """The watch was interrupted: what appeared or was deleted meanwhile must be found now."""
        self._gap.set()

    async def follow_gaps(self) -> None:
        """List again after each gap, until cancelled. Gaps that come while a list is made are one more list."""
        while True:
            await self._gap.wait()
            await self.catch_up()

    async def catch_up(self) -> None:
        """Take over every unfinished AudioJob, however often that must be tried."""
        failures = 0
        while True:
            self._gap.clear()
            try:
                await self.active()
            except Exception as error:  # noqa: BLE001 - the process can do nothing better than try again
                failures += 1
                asked = (error.retry_after or 0.0) if isinstance(error, ApiError) else 0.0
                delay = _RETRIES.delay(failures, at_least=min(asked, 60.0))
                _log.warning("the list of AudioJobs failed, again in %.1f s: %s", delay, error, exc_info=_trace(error))
                await asyncio.sleep(delay)
            else:
                return

    async def run(self) -> None:
        """Sweep until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._every(self._pace.active_seconds, self.audit))
            # At once too: what finished jobs have done is known to nobody after a restart.
            group.create_task(self._every(self._pace.finished_seconds, self.finished, first=0.0))
            group.create_task(self._every(self._pace.revisions_seconds, self.revisions))

    async def audit(self) -> None:
        """Take over every unfinished AudioJob while the watch works: what it has missed is found, and counted.

        Jobs that no AudioJob owns are logged.
        """
        self._tell_orphans()
        late_before = datetime.now(UTC) - _LATE_AFTER
        missed = sum(created < late_before for created in await self.active())
        if missed:
            self._metrics.missed.inc(missed)
            _log.warning("the watch has not brought %d AudioJobs; the sweep found them", missed)

    def _tell_orphans(self) -> None:
        """Each is logged once, and counted as long as it works."""
        caches = self._caches.namespaces
        found = {name: orphans(cache.jobs.values()) for name, cache in caches.items()}
        for name, present in found.items():
            self._metrics.orphans.labels(name).set(len(present))
            for key in present.keys() - self._orphans:
                _log.warning("Job %s/%s was made for AudioJob %s, and no AudioJob owns it", *key, present[key])
        self._orphans = frozenset(key for present in found.values() for key in present)

    async def active(self) -> list[datetime]:
        """Take over every unfinished AudioJob, and forget those that the list lacks.

        Returns when those were made that are new. (The objects themselves may be large, and a restart finds all new.)
        """
        listed: set[Key] = set()
        new: list[datetime] = []
        foreign = 0
        known = set(self._caches.audiojobs.keys())
        async for page in self._client.pages(AUDIOJOBS, field_selector=ACTIVE_SELECTOR):
            for obj in page.items:
                listed.add(key_of(obj))
                foreign += concern(obj, self._caches.namespaces) is Concern.FOREIGN
                if self._take_over(obj):
                    new.append(_created(obj))
        for key in known - listed:
            # Finished or deleted, and no watch reported it: forgotten here, so that its reconcile reads the object.
            if (row := self._caches.audiojobs.get(key)) is not None:
                self._caches.audiojobs.left(row.raw)
        self._tell_foreign(foreign)
        return new

    def _take_over(self, obj: Object) -> bool:
        """Take over an unfinished AudioJob. Returns whether it is followed from now on, and was not before."""
        key = key_of(obj)
        was_known = self._caches.audiojobs.get(key) is not None
        try:
            return self._caches.intake.put(obj) and not was_known
        except Exception:  # noqa: BLE001 - one odd object must not hide all others
            _log.exception("AudioJob %s/%s cannot be taken over", *key)
            return False

    def _tell_foreign(self, count: int) -> None:
        """Where operators share a cluster such jobs are none of our business; else nobody looks after them."""
        self._metrics.foreign.set(count)
        if count and not self._foreign:
            _log.warning(
                "%d unfinished AudioJobs were begun or queued in namespaces that are not in jobNamespaces; "
                "unless another operator has these, nobody goes on with them",
                count,
            )
        self._foreign = count

    async def finished(self) -> None:
        """Wake finished AudioJobs that must go, or whose failed Jobs must. Page by page: 50,000 cost no memory."""
        now = datetime.now(UTC)
        for state in sorted(FINISHED_STATES):
            async for page in self._client.pages(AUDIOJOBS, field_selector=in_state(state)):
                for obj in page.items:
                    if key_of(obj)[0] in self._caches.namespaces:  # elsewhere nothing of it is deleted
                        self._look_at_finished(obj, now)

    def _look_at_finished(self, obj: Object, now: datetime) -> None:
        key = key_of(obj)
        try:
            if self._on_finished is not None:
                self._on_finished(key, obj)
            if self._has_expired(obj, now) or self._has_old_failed_job(obj, now):
                self._wake(key)
        except Exception:  # noqa: BLE001 - one odd object must not keep all after it
            _log.exception("AudioJob %s/%s: whether its time is over cannot be told", *key)

    def _has_expired(self, obj: Object, now: datetime) -> bool:
        try:
            job = AudioJob.model_validate(obj)
        except ValidationError:
            return False
        cache = self._caches.namespaces.get(job.metadata.namespace)
        key = (job.metadata.namespace, job.status.pipeline_revision or "")
        revision = cache.revisions.get(key) if cache else None
        end = expiry(job, revision.spec if revision else None, self._pace.archive_wait_seconds)
        return end is not None and now >= end

    def _has_old_failed_job(self, obj: Object, now: datetime) -> bool:
        """Whether a Job is left that should be gone; the operator may have restarted since its AudioJob ended."""
        namespace, name = key_of(obj)
        cache = self._caches.namespaces.get(namespace)
        ends = [failed_at(job) for job in cache.jobs_of(name)] if cache is not None else []
        return any(end is not None and now >= end + timedelta(seconds=FAILED_JOB_SECONDS) for end in ends)

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

    async def _every(self, seconds: float, sweep: Callable[[], Awaitable[None]], *, first: float | None = None) -> None:
        pause = seconds if first is None else first
        while True:
            await asyncio.sleep(pause)
            pause = seconds
            try:
                await sweep()
            except Exception as error:  # noqa: BLE001 - it is repeated; a fault in it must not end the process
                _log.warning("a sweep was cut short: %s", error, exc_info=_trace(error))


def _trace(error: Exception) -> Exception | None:
    """Where the error came from, if nobody expects it."""
    return None if isinstance(error, ApiError | TransportError) else error


def _created(obj: Object) -> datetime:
    """When the object was made, by the API server's clock."""
    return parse_time(obj["metadata"].get("creationTimestamp")) or datetime.now(UTC)
