"""What a decision sees of worker pools, and the seats that it takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from audiojob_kube.client import KubeClient
from audiojob_kube.resources import PODS
from audiojob_operator.deciding.workers.observe import observe_bound
from audiojob_operator.records.objects import Key, Object
from audiojob_operator.records.observation import PhaseObservation, Running
from audiojob_operator.records.plan import Plan
from audiojob_operator.records.workers import PoolView
from audiojob_operator.state.namespace_cache import POD_JOB_LABEL, NamespaceCache
from audiojob_operator.state.workers import WorkerBook
from audiojob_types.resources.job import AudioJob, PhaseStatus
from audiojob_types.resources.pipeline import AudioPipelineSpec


class Workers:
    """The workers of pools, for reconciles of AudioJobs. ``book`` None: there are no pools."""

    def __init__(self, client: KubeClient, book: WorkerBook | None) -> None:
        self._client = client
        self._book = book

    def views(self, key: Key, pipeline: AudioPipelineSpec | None) -> dict[str, PoolView]:
        """The pools that the pipeline's phases name, as they are now; those that do not exist are left out."""
        if self._book is None or pipeline is None:
            return {}
        names = {phase.worker_pool.name for phase in pipeline.phases if phase.worker_pool is not None}
        found = {name: self._book.view(key[0], name, key) for name in names}
        return {name: view for name, view in found.items() if view is not None}

    def take(self, key: Key, plan: Plan) -> bool:
        """Take the seats of a plan, and note what waits. False: somebody was faster, and nothing is taken."""
        if self._book is None:
            return not plan.bind
        self._book.suspect(key, plan.hung)
        if not all(self._book.hold(key, binding) for binding in plan.bind):
            self._book.release(key)
            return False
        self._book.waits(key, plan.waits)
        return True

    def holds(self, key: Key) -> bool:
        """Whether an earlier reconcile of the AudioJob has left a seat that it took: its last write has no answer."""
        return self._book is not None and self._book.holds(key)

    def release(self, key: Key) -> None:
        """The reconcile is over: what it has taken is in the status, or nobody's."""
        if self._book is not None:
            self._book.release(key)

    async def observe(self, cache: NamespaceCache, job: AudioJob) -> tuple[PhaseObservation, ...]:
        """The phases that workers have by the job's status."""
        return tuple([await self._observe(cache, job, record) for record in _bound(job)])

    async def _observe(self, cache: NamespaceCache, job: AudioJob, record: PhaseStatus) -> PhaseObservation:
        pod = self._pod(cache, job, record)
        found = observe_bound(job, record, pod)
        if pod is None or (found.taken_up and not found.told and not isinstance(found.outcome, Running)):
            await self._read_pods(cache, job, record)  # a cache may lag behind what the AudioJob's status says
            found = observe_bound(job, record, self._pod(cache, job, record))
        return found

    def _pod(self, cache: NamespaceCache, job: AudioJob, record: PhaseStatus) -> Object | None:
        return cache.pod_of(record.job_name or "", job.metadata.namespace, record.pod_uid or "")

    async def _read_pods(self, cache: NamespaceCache, job: AudioJob, record: PhaseStatus) -> None:
        found = await self._client.list(
            PODS, job.metadata.namespace, label_selector=f"{POD_JOB_LABEL}={record.job_name}"
        )
        for pod in found.items:
            cache.pods.put(pod)


def without_seats(pools: Mapping[str, PoolView]) -> dict[str, PoolView]:
    """The pools as if every worker were busy, and told its next phase too."""
    return {name: replace(view, seats=(), next_seats=()) for name, view in pools.items()}


def _bound(job: AudioJob) -> Iterator[PhaseStatus]:
    for record in job.status.phases:
        if record.with_worker and record.job_name is not None:
            yield record
