"""From caches to one frozen `Observed`. Reads from the API server only what a cache cannot know."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pydantic import ValidationError

from audiojob_kube.client import KubeClient
from audiojob_kube.errors import NotFound
from audiojob_kube.objects import Object, key_of
from audiojob_kube.resources import AUDIOJOBS, CONTROLLERREVISIONS, JOBS, PODS
from audiojob_operator.admission.admitter import Gate
from audiojob_operator.building.precedence import effective_priority
from audiojob_operator.deciding.children.observe import observe_job
from audiojob_operator.deciding.reuse.keys import donor_in, fits, must_wait
from audiojob_operator.deciding.revisions import (
    InvalidRevisionError,
    parse_revision,
    revision_name,
    unconfirmed_children,
)
from audiojob_operator.records.admission import Admission
from audiojob_operator.records.changes import clip
from audiojob_operator.records.objects import Key
from audiojob_operator.records.observation import PhaseObservation
from audiojob_operator.records.observed import Observed, Retried, Unreadable
from audiojob_operator.records.reuse import Fresh, ReuseAnswer, ReuseAsk, SameWork
from audiojob_operator.records.settings import DecideSettings, Revision
from audiojob_operator.state.caches import POD_JOB_LABEL, Caches, NamespaceCache, controller, job_is_finished, trim_job
from audiojob_operator.state.jobstore import Known
from audiojob_operator.state.ownership import Concern, concern
from audiojob_operator.state.reuse_index import ReuseIndex
from audiojob_types import constants as c
from audiojob_types.ordering import DEFAULT_PRIORITY
from audiojob_types.resources.job import AudioJob
from audiojob_types.resources.pipeline import AudioPipelineSpec

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
        gate: Gate,
        settings: DecideSettings,
        reuse: ReuseIndex | None = None,
    ) -> None:
        self._client = client
        self._caches = caches
        self._gate = gate
        self._settings = settings
        self._reuse = reuse  # None: nothing is taken over from other jobs
        self._dependents: dict[Key, set[Key]] = {}  # by the job that they wait for
        self._without_pod: OrderedDict[str, None] = OrderedDict()  # uids of Jobs whose pod was looked for in vain

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
            if self._reuse is not None:
                self._reuse.gone(key)
            return None
        self._caches.audiojobs.put(obj, ours=True)
        return self._caches.audiojobs.get(key)

    async def observe(self, key: Key, known: Known) -> Observed | None:
        """Everything that a decision on the job depends on; None while admission has not looked at it yet, and for
        one that another operator speaks about."""
        if concern(known.raw, self._caches.namespaces) is Concern.FOREIGN:
            return None
        admission = self._gate.admission(key, known)
        if admission is None:
            return None
        if self._reuse is not None:
            self._reuse.forget_waits(key)
        job = known.job
        cache = self._caches.namespaces.get(key[0])
        children = await self._children(cache, job) if cache else ()
        revision = await self._revision(cache, job, children)
        return self._observed(known, admission, children, revision, await self._references(key, job))

    def orphans(self, key: Key, uid: str | None) -> list[Object]:
        """Live Jobs of AudioJobs that had this name and are gone; `uid` is that of the present one, if any."""
        cache = self._caches.namespaces.get(key[0])
        jobs = cache.jobs_of(key[1]) if cache else []
        # One without an owner is left alone: a person may have wanted that (see orphans.py).
        return [job for job in jobs if controller(job).get("uid", uid) != uid and not _ends_by_itself(job)]

    def _observed(
        self,
        known: Known,
        admission: Admission,
        children: tuple[PhaseObservation, ...],
        revision: Revision | Unreadable | None,
        references: _References,
    ) -> Observed:
        job = known.job
        cache = self._caches.namespaces.get(job.metadata.namespace)
        return Observed(
            job=job,
            raw_status=known.status,
            pipeline=self._caches.pipelines.get(("", job.spec.pipeline)),
            revision=revision,
            children=children,
            namespace_prepared=cache is not None,
            admitted=admission,
            gpus_per_node=self._caches.gpus_per_node,
            settings=self._settings,
            known_revisions=_revision_names(cache),
            kueue_local_queue=self._kueue_queue(job),
            cooling_until=self._gate.cooling(job, datetime.now(UTC)),
            running=self._gate.running,
            source_job=references.source,
            retried=references.retried,
            models=self._caches.models_of(job.metadata.namespace),
            reuse={} if self._reuse is not None else None,
        )

    async def answer(self, key: Key, observed: Observed, asks: Iterable[ReuseAsk]) -> Observed:
        """The same observation with answers to what the decision on the job has asked.

        Who is told that nobody does the work may do it: until :meth:`settle` others are told to wait, unless it has no
        place to do it in.
        """
        answers = dict(observed.reuse or {})
        for wanted in asks:
            answers[wanted.key] = await self._answer(key, wanted, may_begin=observed.admitted.admitted)
        return replace(observed, reuse=answers)

    def settle(self, key: Key) -> None:
        """A round over the job has ended."""
        if self._reuse is not None:
            self._reuse.settle(key, lambda work: key[1] in self._caches.namespaces[work[0]].workers_on(work[1]))

    async def _answer(self, key: Key, wanted: ReuseAsk, *, may_begin: bool) -> ReuseAnswer:
        index, work = self._reuse, (key[0], wanted.key)
        assert index is not None, "a decision asks only where there is somebody to answer"
        while (name := index.donor(work)) is not None and name != key[1]:
            job = _readable(await self._donor((key[0], name)))
            donor = donor_in(job, wanted.key) if job is not None else None
            if donor is None:
                index.drop(work, name)
            elif fits(wanted, donor):
                return donor
            else:
                break
        # No await from here on: of two jobs that ask at the same time, one is told to wait for the other.
        for other, held in self._at_work(work, key):
            same = SameWork(other[1], self._priority(other), held)
            if must_wait(wanted, same):
                index.wait(work, key)
                return same
        if may_begin:
            index.claim(work, key)
        return Fresh()

    async def _donor(self, key: Key) -> Known | None:
        """A job that may serve as donor. That a finished one was deleted is told to nobody, so it is read."""
        known = self._caches.audiojobs.get(key)
        return known if known is not None and not known.finished else await self.read(key)

    def _at_work(self, work: Key, me: Key) -> Iterator[tuple[Key, str]]:
        """Other jobs that do the work by their status, or by a Job that their status does not tell of.

        Such a Job lives, and the status write was lost; or it has ended while nobody looked, and what came of it is
        recorded in the next round over its AudioJob.
        """
        assert self._reuse is not None, "only asked where reuse is on"
        told = list(self._reuse.at_work(work, me))
        yield from told
        seen = {key[1] for key, _ in told} | {me[1]}
        cache = self._caches.namespaces.get(work[0])
        if cache is None:
            return
        names = cache.workers_on(work[1])
        names |= {name for name, ended in cache.ended_on(work[1]) if not self._tells_of((work[0], name), ended)}
        yield from (((work[0], name), "") for name in sorted(names - seen))

    def _tells_of(self, key: Key, ended: Object) -> bool:
        """Whether what became of an ended Job is in its AudioJob's status, or nobody will put it there any more."""
        known = self._caches.audiojobs.get(key)
        if known is None or known.finished or known.uid != controller(ended).get("uid"):
            return True
        labels = ended["metadata"].get("labels") or {}
        attempt, phase = labels.get(c.LABEL_ATTEMPT, "0"), labels.get(c.LABEL_PHASE)
        told = (record.get("attempt", 0) for record in known.status.get("phases") or () if record.get("name") == phase)
        return attempt.isdecimal() and int(attempt) <= max(told, default=0)

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

    def _kueue_queue(self, job: AudioJob) -> str | None:
        queue = self._caches.queues.get((job.metadata.namespace, job.spec.queue_name))
        return queue.spec.kueue_local_queue if queue is not None else None

    async def _children(self, cache: NamespaceCache, job: AudioJob) -> tuple[PhaseObservation, ...]:
        uid = job.metadata.uid
        mine = [found for found in cache.jobs_of(job.metadata.name) if controller(found).get("uid") == uid]
        observed = [await self._observe_job(cache, found) for found in mine]
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
            self._without_pod[job["metadata"]["uid"]] = None
            if len(self._without_pod) > _REMEMBERED:
                self._without_pod.popitem(last=False)

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


def _revision_names(cache: NamespaceCache | None) -> frozenset[str]:
    return frozenset(name for (_, name), _ in cache.revisions.items()) if cache else frozenset()


def _readable(known: Known | None) -> AudioJob | None:
    """Another job; None as well for one that this version cannot read, which is told when its own turn comes."""
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
