"""From caches to one frozen `Observed`. Reads from the API server only what a cache cannot know."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from pydantic import ValidationError

from audiojob_kube.client import KubeClient
from audiojob_kube.errors import NotFound
from audiojob_kube.objects import Object, key_of
from audiojob_kube.resources import AUDIOJOBS, CONTROLLERREVISIONS, JOBS, PODS
from audiojob_operator.admission.admitter import Admitter
from audiojob_operator.building.precedence import effective_priority
from audiojob_operator.deciding.children.observe import observe_job
from audiojob_operator.deciding.reuse.keys import donor_in, fits, must_wait
from audiojob_operator.deciding.revisions import (
    InvalidRevisionError,
    parse_revision,
    revision_name,
    unconfirmed_children,
)
from audiojob_operator.reconciling.bound import Workers
from audiojob_operator.reconciling.errors import UnreadableError
from audiojob_operator.records.admission import Admission
from audiojob_operator.records.changes import clip
from audiojob_operator.records.objects import Key
from audiojob_operator.records.observation import PhaseObservation
from audiojob_operator.records.observed import Observed, Retried, Unreadable
from audiojob_operator.records.reuse import Donor, Fresh, ReuseAnswer, ReuseAsk, SameWork
from audiojob_operator.records.settings import DecideSettings, Revision
from audiojob_operator.records.workers import PoolView
from audiojob_operator.state.caches import Caches
from audiojob_operator.state.jobstore import Known
from audiojob_operator.state.namespace_cache import POD_JOB_LABEL, NamespaceCache
from audiojob_operator.state.ownership import Concern, concern
from audiojob_operator.state.projections import controller, job_is_finished, trim_job
from audiojob_operator.state.reuse_index import ReuseIndex
from audiojob_operator.state.workers import WorkerBook
from audiojob_types import constants as c
from audiojob_types.ordering import DEFAULT_PRIORITY
from audiojob_types.resources.job import AudioJob
from audiojob_types.resources.pipeline import AudioPipeline, AudioPipelineSpec
from audiojob_types.resources.queue import AudioQueueSpec

V = TypeVar("V")

_REMEMBERED = 10_000
_MAX_PROBLEM = 300  # characters, so that a message has room for what to do


@dataclass(frozen=True, slots=True)
class _References:
    source: AudioJob | Unreadable | None
    retried: Retried | Unreadable | None


class Gatherer:
    """Makes what `decide` looks at."""

    def __init__(
        self,
        client: KubeClient,
        caches: Caches,
        admitter: Admitter,
        settings: DecideSettings,
        reuse: ReuseIndex | None = None,
        workers: WorkerBook | None = None,
    ) -> None:
        self.workers = Workers(client, workers)
        self._client = client
        self._caches = caches
        self._admitter = admitter
        self._settings = settings
        self._reuse = reuse  # None: nothing is taken over from other jobs
        self._dependents: dict[Key, set[Key]] = {}  # by the job that they wait for
        self._without_pod: OrderedDict[str, None] = OrderedDict()  # uids of Jobs whose pod was looked for in vain
        self._not_early: OrderedDict[str, bool] = OrderedDict()  # uids of AudioJobs that were refused it; for good?

    async def known(self, key: Key) -> Known | None:
        """The AudioJob, read if it is not followed; None if it does not exist."""
        known = self._caches.audiojobs.get(key)
        return known if known is not None else await self.read(key)

    async def read(self, key: Key) -> Known | None:
        """The AudioJob as the API server has it now."""
        before = self._caches.audiojobs.get(key)
        try:
            obj = await self._client.get(AUDIOJOBS, key[1], key[0])
        except NotFound:
            if before is not None:
                self._caches.audiojobs.gone(key, before.uid)
            self._caches.forget(key)
            if self._reuse is not None:
                self._reuse.gone(key)
            return None
        self._caches.audiojobs.put(obj, ours=True)
        return self._caches.audiojobs.get(key)

    def is_foreign(self, known: Known) -> bool:
        """Whether another operator manages the job."""
        return concern(known.raw, self._caches.namespaces) is Concern.FOREIGN

    async def observe(self, key: Key, known: Known, admission: Admission) -> Observed:
        """Everything that a decision on the job depends on. Raises UnreadableError for one of another version."""
        cache = self._caches.namespaces.get(key[0])
        try:
            job = known.job if cache else known.read()  # anybody may fill namespaces that are not prepared
        except ValidationError as error:
            raise UnreadableError(f"cannot be read: {_problem(error)}") from error
        children = await self._children(cache, job) if cache else ()
        revision = await self._revision(cache, job, children)
        return self._observed(job, known.status, admission, children, revision, await self._references(key, job))

    def orphans(self, key: Key, uid: str | None) -> list[Object]:
        """Live Jobs of AudioJobs that had this name and are gone; `uid` is that of the present one, if any."""
        cache = self._caches.namespaces.get(key[0])
        jobs = cache.jobs_of(key[1]) if cache else []
        # One without an owner is left alone: a person may have wanted that (see orphans.py).
        return [job for job in jobs if controller(job).get("uid", uid) != uid and not _ends_by_itself(job)]

    def _observed(
        self,
        job: AudioJob,
        status: Object,
        admission: Admission,
        children: tuple[PhaseObservation, ...],
        revision: Revision | Unreadable | None,
        references: _References,
    ) -> Observed:
        cache = self._caches.namespaces.get(job.metadata.namespace)
        pipeline = self._caches.pipelines.get(("", job.spec.pipeline))
        queue = self._queue(job)
        return Observed(
            job=job,
            raw_status=status,
            pipeline=pipeline,
            revision=revision,
            children=children,
            namespace_prepared=cache is not None,
            admitted=admission,
            gpus_per_node=self._caches.gpus.per_node,
            settings=self._settings,
            known_revisions=_revision_names(cache),
            kueue_local_queue=queue.kueue_local_queue,
            queue_max_gpus=queue.max_gpus if queue.kueue_local_queue is None else None,
            cooling_until=self._admitter.cooling(job),
            running=self._admitter.running,
            source_job=references.source,
            retried=references.retried,
            models=self._caches.models_of(job.metadata.namespace),
            reuse={} if self._reuse is not None else None,
            may_begin_early=self._may_begin_early(job),
            without_room=cache.phases_without_room(job.spec.pipeline, datetime.now(UTC)) if cache else frozenset(),
            pools=self.pools(job, revision, pipeline),
        )

    def pools(
        self, job: AudioJob, revision: Revision | Unreadable | None, pipeline: AudioPipeline | None
    ) -> dict[str, PoolView]:
        """The pools that phases of the job name, as they are now."""
        spec = revision.spec if isinstance(revision, Revision) else pipeline.spec if pipeline is not None else None
        return self.workers.views((job.metadata.namespace, job.metadata.name), spec)

    def refuse_early(self, uid: str, *, for_good: bool) -> None:
        """The API server refused that a pod of the AudioJob begins early; ``for_good``: or that it is told."""
        _remember(self._not_early, uid, self._not_early.get(uid, False) or for_good)

    def _may_begin_early(self, job: AudioJob) -> bool | None:
        if not self._settings.overlap.enabled:
            return None
        refused = self._not_early.get(job.metadata.uid)
        if refused is not None:
            return None if refused else False
        return not self._admitter.somebody_waits()

    async def answer(self, key: Key, wanted: ReuseAsk) -> ReuseAnswer:
        """Who has done or does the work that a decision on the job asks for.

        Whoever calls this must act on it before anything else runs (:meth:`Reservation.take`): of two jobs that ask at
        the same time, one must wait for the other.
        """
        donor = await self._donor_of(key, wanted)
        # No await from here on.
        return donor or self._same_work(key, wanted) or Fresh()

    async def _donor_of(self, key: Key, wanted: ReuseAsk) -> Donor | None:
        index, work = self._reuse, (key[0], wanted.key)
        assert index is not None, "a decision asks only where there is somebody to answer"
        while (name := index.donor(work)) is not None and name != key[1]:
            job = _readable(await self._donor((key[0], name)))
            donor = donor_in(job, wanted.key) if job is not None else None
            if donor is None:
                index.drop(work, name)
            else:
                return donor if fits(wanted, donor) else None
        return None

    def _same_work(self, key: Key, wanted: ReuseAsk) -> SameWork | None:
        for other, held in self._at_work((key[0], wanted.key), key):
            same = SameWork(other[1], self._priority(other), held)
            if must_wait(wanted, same):
                return same
        return None

    async def _donor(self, key: Key) -> Known | None:
        """A job that may serve as donor. That a finished one was deleted reaches no watch of ours, so it is read."""
        known = self._caches.audiojobs.get(key)
        return known if known is not None and not known.finished else await self.read(key)

    def _at_work(self, work: Key, me: Key) -> Iterator[tuple[Key, str]]:
        """Other jobs that do the work by their status, that are about to begin it, or that do it by a Job which their
        status does not show.

        Such a Job lives, and the status write was lost; or it has ended while nobody looked, and what came of it is
        recorded by the next reconcile of its AudioJob.
        """
        assert self._reuse is not None, "only asked where reuse is on"
        shown = list(self._reuse.at_work(work, me))
        claimed = self._admitter.claimed_by(work)
        if claimed is not None and claimed != me:
            shown.append((claimed, ""))
        yield from (each for each in shown if self._tells_ends(each[0]))
        seen = {key[1] for key, _ in shown} | {me[1]}
        cache = self._caches.namespaces.get(work[0])
        if cache is None:
            return
        names = cache.workers_on(work[1])
        names |= {name for name, ended in cache.ended_on(work[1]) if not self._tells_of((work[0], name), ended)}
        yield from (((work[0], name), "") for name in sorted(names - seen) if self._tells_ends((work[0], name)))

    def _tells_ends(self, key: Key) -> bool:
        """Whether it shows when the job's work ends; else nobody waits for it."""
        return not self._caches.begins_nothing(key)

    def _tells_of(self, key: Key, ended: Object) -> bool:
        """Whether what became of an ended Job is in its AudioJob's status, or nobody will put it there any more."""
        known = self._caches.audiojobs.get(key)
        if known is None or known.finished or known.uid != controller(ended).get("uid"):
            return True
        labels = ended["metadata"].get("labels") or {}
        attempt, phase = labels.get(c.LABEL_ATTEMPT, "0"), labels.get(c.LABEL_PHASE)
        recorded = (
            record.get("attempt", 0) for record in known.status.get("phases") or () if record.get("name") == phase
        )
        return attempt.isdecimal() and int(attempt) <= max(recorded, default=0)

    def _priority(self, key: Key) -> int:
        known = self._caches.audiojobs.get(key)
        job = _readable(known)
        if known is None or job is None:
            return DEFAULT_PRIORITY
        return effective_priority(job.spec, self._caches.spec_of(known))

    def ended(self, key: Key) -> set[Key]:
        """The jobs that wait for this one; they are forgotten here, and ask again."""
        return self._dependents.pop(key, set())

    async def _references(self, key: Key, job: AudioJob) -> _References:
        """The jobs that this one names, as far as a decision still depends on them."""
        spec, namespace = job.spec, key[0]
        source = retried = None
        if spec.source is not None and spec.source.job_ref is not None and job.status.source is None:
            source = await self._read_reference((namespace, spec.source.job_ref.name), key)
        if spec.retry_of is not None and job.status.pipeline_revision is None:
            before = await self._read_reference((namespace, spec.retry_of), key)
            retried = Retried(before, await self._spec_of(before)) if isinstance(before, AudioJob) else before
        return _References(source, retried)

    async def _read_reference(self, other: Key, dependent: Key) -> AudioJob | Unreadable | None:
        self._dependents.setdefault(other, set()).add(dependent)  # before it is read: its end must not slip through
        known = await self.known(other)
        try:
            job = known.job if known is not None else None
        except ValidationError as error:
            return Unreadable(_problem(error))
        if job is not None and job.status.state.finished:
            self._forget_dependent(other, dependent)  # nobody waits for it, and nobody may ever tell that it goes
        return job

    def _forget_dependent(self, other: Key, dependent: Key) -> None:
        waiting = self._dependents.get(other, set())
        waiting.discard(dependent)
        if not waiting:
            self._dependents.pop(other, None)

    async def _spec_of(self, job: AudioJob) -> AudioPipelineSpec | None:
        revision = await self._revision(self._caches.namespaces.get(job.metadata.namespace), job, ())
        return revision.spec if isinstance(revision, Revision) else None

    def _queue(self, job: AudioJob) -> AudioQueueSpec:
        queue = self._caches.queues.get((job.metadata.namespace, job.spec.queue_name))
        return queue.spec if queue is not None else AudioQueueSpec()

    async def _children(self, cache: NamespaceCache, job: AudioJob) -> tuple[PhaseObservation, ...]:
        uid = job.metadata.uid
        mine = [found for found in cache.jobs_of(job.metadata.name) if controller(found).get("uid") == uid]
        observed = [*await self.workers.observe(cache, job)]
        observed += [await self._observe_job(cache, found) for found in mine]
        for name in unconfirmed_children(job, observed):
            found = await self._read_job(cache, name, job.metadata.namespace)
            if found is not None and controller(found).get("uid") == uid:
                observed.append(await self._observe_job(cache, found))
        return tuple(observed)

    async def _observe_job(self, cache: NamespaceCache, job: Object) -> PhaseObservation:
        uid = job["metadata"]["uid"]
        if job_is_finished(job) and not cache.has_final_pod(job) and uid not in self._without_pod:
            # The watches of Jobs and pods run side by side: the Job's end may arrive before its pod's.
            await self._read_pods(cache, job)
        return observe_job(job, cache.pods_of(job))

    async def _read_pods(self, cache: NamespaceCache, job: Object) -> None:
        namespace, name = key_of(job)
        found = await self._client.list(PODS, namespace, label_selector=f"{POD_JOB_LABEL}={name}")
        for pod in found.items:
            cache.pods.put(pod)
        if not cache.has_final_pod(job):
            _remember(self._without_pod, job["metadata"]["uid"], None)

    async def _read_job(self, cache: NamespaceCache, name: str, namespace: str) -> Object | None:
        try:
            found = await self._client.get(JOBS, name, namespace)
        except NotFound:
            return None
        cache.jobs.put(found)
        return trim_job(found)

    async def _revision(
        self, cache: NamespaceCache | None, job: AudioJob, children: tuple[PhaseObservation, ...]
    ) -> Revision | Unreadable | None:
        name = revision_name(job, children)
        if name is None or cache is None:
            return None
        key = (job.metadata.namespace, name)
        if (known := cache.revisions.get(key)) is not None:
            return known
        try:
            found = await self._client.get(CONTROLLERREVISIONS, name, job.metadata.namespace)
            revision = parse_revision(found)
        except NotFound:
            return None
        except InvalidRevisionError as error:
            return Unreadable(clip(str(error), _MAX_PROBLEM))
        cache.revisions.put(found)
        return revision


def _remember(memory: OrderedDict[str, V], uid: str, what: V) -> None:
    memory[uid] = what
    if len(memory) > _REMEMBERED:
        memory.popitem(last=False)


def _revision_names(cache: NamespaceCache | None) -> frozenset[str]:
    return frozenset(name for (_, name), _ in cache.revisions.items()) if cache else frozenset()


def _readable(known: Known | None) -> AudioJob | None:
    """Another job; None as well for one that this version cannot read: its own reconcile reports that."""
    try:
        return known.job if known is not None else None
    except ValidationError:
        return None


def _problem(error: ValidationError) -> str:
    """The first field that cannot be read, and why."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return clip(f"{'.'.join(map(str, first['loc']))}: {first['msg']}", _MAX_PROBLEM)


def _ends_by_itself(job: Object) -> bool:
    return job_is_finished(job) or "deletionTimestamp" in job["metadata"]
