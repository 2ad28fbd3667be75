"""AudioJobs of a namespace: writes go to the API server, reads come from one list and watch of each namespace."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Final

from audiojob_api.jobs.idempotency import ANNOTATION_REQUEST
from audiojob_api.jobs.paging import Filter, Page, page
from audiojob_api.jobs.ports import Listener, Object
from audiojob_api.problems import unavailable
from audiojob_kube.errors import Conflict, Invalid, is_failed_json_patch_test
from audiojob_kube.protocol import KubeClient
from audiojob_kube.reflector import Pace, Reflector, Selection
from audiojob_kube.resources import AUDIOJOBS
from audiojob_types.constants import LABEL_USER

# Whole objects of one page are in memory at a time, and a user can make one as large as etcd takes.
_PACE: Final = Pace(page_size=20)
_METADATA: Final = ("name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp")
_LONGEST_MARK: Final = 256


def kept(job: Object) -> Object:
    """A job as far as an answer reads it. Labels and annotations of others, of any size, are not kept."""
    metadata = job["metadata"]
    small = {key: metadata[key] for key in _METADATA if key in metadata}
    for part, name in (("labels", LABEL_USER), ("annotations", ANNOTATION_REQUEST)):
        value = (metadata.get(part) or {}).get(name)
        if value is not None and len(value) <= _LONGEST_MARK:
            small[part] = {name: value}
    return {"metadata": small, "spec": job.get("spec") or {}, "status": job.get("status") or {}}


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

    def __init__(self, client: KubeClient, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._listeners: dict[str, set[Listener]] = {}
        self._reflector: Reflector[Object] = Reflector(
            client, Selection(AUDIOJOBS, namespace), project=kept, on_change=self._changed, pace=_PACE
        )

    # ---------------------------------------------------------------- JobReader

    async def find(self, name: str) -> Object | None:
        """From the read model. Before the first list nothing is known to be missing: that is a 503 Problem."""
        job = self._reflector.get((self._namespace, name))
        if job is None:
            self._require_synced()
        return job

    async def page(self, wanted: Filter, *, limit: int, cursor: str | None) -> Page:
        """From the read model."""
        self._require_synced()
        return page(self._reflector.values(), wanted, limit=limit, cursor=cursor)

    def _require_synced(self) -> None:
        if not self.synced():
            raise unavailable("The list of jobs is not complete yet.")

    # ---------------------------------------------------------------- LiveJobs

    def jobs(self) -> Collection[Object]:
        """All jobs of the read model."""
        return self._reflector.values()

    def subscribe(self, name: str, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` with every new version of a job, None once it is deleted. Returns how to unsubscribe."""
        self._listeners.setdefault(name, set()).add(listener)

        def unsubscribe() -> None:
            listeners = self._listeners.get(name, set())
            listeners.discard(listener)
            if not listeners:
                self._listeners.pop(name, None)

        return unsubscribe

    def _changed(self, key: tuple[str, str], _old: Object | None, new: Object | None) -> None:
        for listener in tuple(self._listeners.get(key[1], ())):
            listener(new)

    # ---------------------------------------------------------------- JobWriter

    async def create(self, job: Object) -> Object:
        """Create an AudioJob; the read model has it at once."""
        created = await self._client.create(AUDIOJOBS, job, self._namespace)
        self._reflector.put(created)
        return kept(created)

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
        return kept(changed)

    async def read(self, name: str) -> Object:
        """The AudioJob straight from the API server."""
        return await self._client.get(AUDIOJOBS, name, self._namespace)

    # ---------------------------------------------------------------- Lifecycle

    async def run(self) -> None:
        """Keep the read model current until cancelled."""
        await self._reflector.run()

    def synced(self) -> bool:
        """Whether the first full list is complete."""
        return self._reflector.synced.is_set()

    def age(self) -> float:
        """Seconds since the API server was last heard from."""
        return self._reflector.age()
