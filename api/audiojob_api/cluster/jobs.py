"""AudioJobs of a namespace: writes go to the API server, reads come from one list and watch of each namespace."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final

from audiojob_api.jobs.listing.paging import Count, LiveIndex, Page, paging
from audiojob_api.jobs.listing.query import Filter, Order, Query, Where
from audiojob_api.jobs.listing.rows import JobRow, kept, row_of
from audiojob_api.jobs.listing.steps import in_turns
from audiojob_api.jobs.ports import Listener, Object
from audiojob_api.problems import unavailable
from audiojob_kube.errors import ApiError, Conflict, Invalid, NotFound, TransportError, is_failed_json_patch_test
from audiojob_kube.protocol import KubeClient
from audiojob_kube.reflector import Pace, Reflector, Selection
from audiojob_kube.resources import AUDIOJOBS
from audiojob_types.base import format_time
from audiojob_types.constants import ANNOTATION_ARCHIVED

_log = logging.getLogger(__name__)

# A page costs the API server as much as some tens of jobs, and reading one stops the loop: 8 ms with ordinary jobs.
# Where a user makes jobs as large as etcd takes, the client asks for fewer at a time.
_PACE: Final = Pace(page_size=100)


RowListener = Callable[[JobRow | None, JobRow | None], None]


class ReadModels:
    """The `Lifecycle` of the read models of all namespaces."""

    def __init__(self, models: Sequence[KubeJobs]) -> None:
        self._models = models

    async def run(self) -> None:
        """Keep them current until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for each in self._models:
                tasks.create_task(each.run())

    def synced(self) -> bool:
        """Whether the first full list of each is complete."""
        return all(each.synced() for each in self._models)

    def age(self) -> float:
        """Seconds since the API server was last heard from, of the one that has waited longest."""
        return max(each.age() for each in self._models)


class KubeJobs:
    """The `JobReader`, `LiveJobs`, `JobWriter` and `Lifecycle` of one namespace."""

    def __init__(self, client: KubeClient, namespace: str, label_keys: tuple[str, ...] = ()) -> None:
        self.index = LiveIndex()
        self._client = client
        self._namespace = namespace
        self._labels = label_keys
        self._listeners: dict[str, set[Listener]] = {}
        self._watchers: list[RowListener] = []
        self._reflector: Reflector[JobRow] = Reflector(
            client,
            Selection(AUDIOJOBS, namespace),
            project=partial(row_of, label_keys=label_keys),
            on_change=self._changed,
            pace=_PACE,
        )

    # ---------------------------------------------------------------- JobReader

    async def find(self, name: str) -> Object | None:
        """From the read model. Before the first list nothing is known to be missing: that is a 503 Problem."""
        row = self._reflector.get((self._namespace, name))
        if row is None:
            self.require_synced()
            return None
        return row.unpack()

    async def page(self, query: Query) -> Page:
        """From the read model."""
        self.require_synced()
        return await in_turns(paging(query, await in_turns(self.index.finding(query))))

    async def count(self, wanted: Filter, where: Where) -> Count:
        """From the read model, whatever is asked for: there is no other place."""
        self.require_synced()
        return await in_turns(self.index.counting(wanted))

    def require_synced(self) -> None:
        """Raises a 503 Problem before the first list is complete."""
        if not self.synced():
            raise unavailable("The list of jobs is not complete yet.")

    # ---------------------------------------------------------------- LiveJobs

    def jobs(self) -> Collection[JobRow]:
        """All jobs of the read model."""
        return self._reflector.values()

    def may_have_key(self, digest: str) -> bool:
        """Whether any may have been made with this idempotency key."""
        return self.index.may_have_key(digest)

    def watch(self, listener: RowListener) -> None:
        """Call ``listener`` with the former and the new row of every job that changes, None where there is none."""
        self._watchers.append(listener)

    def subscribe(self, name: str, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` with every new version of a job, None once it is deleted. Returns how to unsubscribe."""
        self._listeners.setdefault(name, set()).add(listener)

        def unsubscribe() -> None:
            listeners = self._listeners.get(name, set())
            listeners.discard(listener)
            if not listeners:
                self._listeners.pop(name, None)

        return unsubscribe

    def _changed(self, key: tuple[str, str], old: JobRow | None, new: JobRow | None) -> None:
        self.index.change(old, new)
        for watcher in self._watchers:
            watcher(old, new)
        if listeners := tuple(self._listeners.get(key[1], ())):
            job = new.unpack() if new is not None else None
            for listener in listeners:
                listener(job)

    # ---------------------------------------------------------------- JobWriter

    async def create(self, job: Object) -> Object:
        """Create an AudioJob; the read model has it at once."""
        created = await self._client.create(AUDIOJOBS, job, self._namespace)
        self._reflector.put(created)
        return kept(created, self._labels)

    async def change(self, name: str, uid: str, operations: Sequence[Object]) -> Object:
        """Apply these JSON Patch operations to the job with this uid. Raises Conflict where a test of them fails."""
        same = {"op": "test", "path": "/metadata/uid", "value": uid}
        try:
            changed = await self._client.patch_json(AUDIOJOBS, name, [same, *operations], self._namespace)
        except Invalid as error:
            if is_failed_json_patch_test(error):
                raise Conflict(409, "Conflict", "The job has changed meanwhile; read it and try again.") from None
            raise
        self._reflector.put(changed)
        return kept(changed, self._labels)

    async def mark_archived(self, row: JobRow) -> bool:
        """Say on the job that it is in the archive, if it is still there. False where that must be tried again."""
        marked = {ANNOTATION_ARCHIVED: format_time(datetime.now(UTC))}
        body = {"metadata": {"uid": row.uid, "annotations": marked}}
        try:
            self._reflector.put(await self._client.patch_merge(AUDIOJOBS, row.name, body, self._namespace))
        except (NotFound, Conflict):
            return True  # deleted, or another job has its name
        except (ApiError, TransportError) as error:
            _log.warning("job %s cannot be marked as archived, its record stays for now: %s", row.name, error)
            return False
        return True

    async def read(self, name: str) -> Object:
        """The AudioJob straight from the API server."""
        return await self._client.get(AUDIOJOBS, name, self._namespace)

    # ---------------------------------------------------------------- Lifecycle

    async def run(self) -> None:
        """Keep the read model current until cancelled."""
        settling = asyncio.create_task(self._settle())
        try:
            await self._reflector.run()
        finally:
            settling.cancel()

    async def _settle(self) -> None:
        """What the first list has brought stays: no garbage collection looks at it again, which would stop us.

        Nor does the first client of an order wait until all jobs are sorted, with all others.
        """
        await self._reflector.synced.wait()
        for order in Order:
            self.index.make_order(order)
            await asyncio.sleep(0)
        gc.collect()
        gc.freeze()

    def synced(self) -> bool:
        """Whether the first full list is complete."""
        return self._reflector.synced.is_set()

    def age(self) -> float:
        """Seconds since the API server was last heard from."""
        return self._reflector.age()
