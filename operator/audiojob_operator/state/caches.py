"""Local copies of everything that decisions depend on, and which AudioJobs a change of them concerns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final, NamedTuple

from audiojob_kube.client import KubeClient
from audiojob_kube.objects import Object, key_of
from audiojob_kube.reflector import Reflector, Selection
from audiojob_kube.resources import AUDIOPIPELINES, AUDIOQUEUES, AUDIOWORKERPOOLS, NODES
from audiojob_operator.deciding.children.observe import gpus_of
from audiojob_operator.deciding.policies.models import progress_shown
from audiojob_operator.deciding.pools.observe import observe_worker
from audiojob_operator.deciding.pools.yielding import Lack
from audiojob_operator.records.admission import SITE_GPUS, QueueKey, is_of_workers
from audiojob_operator.records.objects import Key
from audiojob_operator.records.workers import PoolFacts
from audiojob_operator.state.faults import Faults
from audiojob_operator.state.jobstore import JobStore, Known
from audiojob_operator.state.listener import Listener, WorkKey
from audiojob_operator.state.namespace_cache import NamespaceCache
from audiojob_operator.state.news import News
from audiojob_operator.state.ownership import Intake
from audiojob_operator.state.projections import NodeRow, controller, job_is_finished, project_node
from audiojob_operator.state.refusals import Refusals, Refused
from audiojob_operator.state.workers import WorkerBook
from audiojob_types import constants as c
from audiojob_types.contract import Device
from audiojob_types.models import ModelBook
from audiojob_types.resources.job import PhaseState
from audiojob_types.resources.pipeline import AudioPipeline, AudioPipelineSpec
from audiojob_types.resources.queue import AudioQueue
from audiojob_types.workers.pool import AudioWorkerPool

# How long what is no end may wait for more: people want to know why nothing starts; a start changes only when the
# operator looks again.
_TROUBLE_SECONDS: Final = 2.0
_START_SECONDS: Final = 10.0
# A pod whose Job was deleted has twice its grace to end.
_LONGEST_END_SECONDS: Final = 60.0


class KueueGpus(NamedTuple):
    """GPUs of live Jobs that Kueue let in, and of those that wait for it, by resource."""

    held: Counter[str]
    wanted: Counter[str]


class NodeGpus(NamedTuple):
    """GPUs by resource: of all Ready nodes, in use or not, and the most that one node offers, or would (see Caches)."""

    offered: Mapping[str, int]
    per_node: Mapping[str, int]


class CacheRules(NamedTuple):
    """What caches know of the administrator's settings.

    ``gpu_resource`` is that of the GPUs of phases whose pipeline names no others; an autoscaler adds nodes with
    ``new_node_gpus`` of it. ``overlap``: pods may begin before their inputs are there. ``facts``: what workers of a
    pool are built from.
    """

    gpu_resource: str = c.GPU_RESOURCE
    new_node_gpus: int = 0
    overlap: bool = False
    facts: Callable[[AudioWorkerPool], PoolFacts] = lambda pool: PoolFacts(pool, "")


class Caches:
    """All local copies. ``listener`` is notified of what changed.

    `audiojobs` is fed from outside (kopf, sweeps) through `intake`; `run` follows everything else.
    """

    def __init__(
        self,
        client: KubeClient,
        namespaces: Iterable[str],
        listener: Listener,
        rules: CacheRules = CacheRules(),  # noqa: B008 - frozen
    ) -> None:
        self._listener = listener
        self._rules = rules
        self.gpu_resource = rules.gpu_resource
        self._gpus: NodeGpus | None = None  # None: to be counted again
        self.audiojobs = JobStore(listener)
        self.refusals = Refusals()
        self.faults = Faults()
        self.workers = WorkerBook(listener.wake, listener.pool_changed)
        self.namespaces = {name: NamespaceCache(client, name, self) for name in namespaces}
        self.intake = Intake(self.audiojobs, self.namespaces)
        self.pipelines: Reflector[AudioPipeline] = Reflector(
            client, Selection(AUDIOPIPELINES), project=AudioPipeline.read, on_change=self._pipeline_changed
        )
        self.nodes: Reflector[NodeRow] = Reflector(
            client, Selection(NODES), project=project_node, on_change=self._moved
        )
        self.queues: Reflector[AudioQueue] = Reflector(
            client, Selection(AUDIOQUEUES), project=AudioQueue.read, on_change=self._moved
        )

        self.pools: Reflector[AudioWorkerPool] = Reflector(
            client, Selection(AUDIOWORKERPOOLS), project=AudioWorkerPool.read, on_change=self._pool_changed
        )

    @property
    def gpus(self) -> NodeGpus:
        """What nodes offer: asked for by every reconcile, counted when a node has changed."""
        if self._gpus is None:
            offered, most = Counter[str](), Counter({self.gpu_resource: self._rules.new_node_gpus})
            for node in self.nodes.values():
                if node.ready:
                    offered.update(node.gpus)
                    most |= Counter(node.gpus)
            self._gpus = NodeGpus(dict(offered), dict(+most))
        return self._gpus

    @property
    def worker_gpus(self) -> Counter[str]:
        """GPUs of live workers by resource, without those that Kueue counts."""
        return Counter(
            each.resource
            for cache in self.namespaces.values()
            for each in cache.live_gpus.values()
            if not each.owner and not each.managed
            for _ in range(each.gpus)
        )

    def gpu_pool(self, resource: str) -> str:
        """Under what name admission counts the resource."""
        return SITE_GPUS if resource == self.gpu_resource else resource

    def by_resource(self, pools: Mapping[str, int]) -> Counter[str]:
        """Numbers of GPUs that admission counts by pool, by resource; without those of workers."""
        kinds = ((pool, count) for pool, count in pools.items() if not is_of_workers(pool))
        return Counter({self.gpu_resource if pool == SITE_GPUS else pool: count for pool, count in kinds})

    @property
    def kueue_gpus(self) -> KueueGpus:
        """GPUs that Kueue counts."""
        held, wanted = Counter[str](), Counter[str]()
        for cache in self.namespaces.values():
            for each in cache.live_gpus.values():
                if each.managed:
                    (wanted if each.waits else held)[each.resource] += each.gpus
        return KueueGpus(held, wanted)

    def unschedulable_pods(self) -> Counter[Device]:
        """How many pods no node has room for, by the device that they want."""
        return Counter(device for cache in self.namespaces.values() for device in cache.unschedulable())

    def pod_waits(self, now: datetime) -> bool:
        """Whether a pod of a phase waits for a node, or a Job for a quota to leave room for its pod."""
        return any(cache.unplaced or cache.lacks_pod(now) for cache in self.namespaces.values())

    def lacks(self, namespace: str) -> Iterator[Lack]:
        """What phases lack that workers of a namespace may hold: room on a node, or in the namespace's quota."""
        for cache in self.namespaces.values():
            yield from cache.pods_lack()
        yield from self.namespaces[namespace].jobs_lack()

    def known_queues(self) -> set[QueueKey]:
        """Every AudioQueue of a job namespace, and the default one of each, which needs no object."""
        listed = {key for key, _ in self.queues.items() if key[0] in self.namespaces}
        return listed | {(namespace, c.DEFAULT_QUEUE) for namespace in self.namespaces}

    def spec_of(self, known: Known) -> AudioPipelineSpec | None:
        """The pipeline that the job runs, or would run if it started now."""
        namespace, _ = key_of(known.raw)
        name = known.status.get("pipelineRevision")
        cache = self.namespaces.get(namespace)
        if name and cache is not None and (revision := cache.revisions.get((namespace, name))) is not None:
            return revision.spec
        pipeline = self.pipelines.get(("", known.raw["spec"]["pipeline"]))
        return pipeline.spec if pipeline is not None else None

    def given_up(self, key: Key, known: Known) -> Refused | None:
        """Why an AudioJob is worked on no more whose status cannot be written; None for nearly all."""
        return None if known.finished else self.refusals.of(key, known.raw)

    def begins_nothing(self, key: Key) -> bool:
        """Whether nothing new is begun for the AudioJob: it is given up, or parked (see :mod:`.faults`)."""
        known = self.audiojobs.get(key)
        if known is None:
            return False
        return self.given_up(key, known) is not None or self.faults.of(key, known.uid) is not None

    def forget(self, key: Key) -> None:
        """The AudioJob does not exist any more."""
        self.refusals.forget(key)
        self.faults.forget(key)
        self.workers.seen(key, None)

    def has_work(self, key: Key) -> bool:
        """Whether a Job or pod of the AudioJob is still at work, or may come to it."""
        cache = self.namespaces.get(key[0])
        return cache is not None and cache.has_work(key[1])

    def models_of(self, namespace: str) -> ModelBook | None:
        """Where the models stand that are fetched ahead for a namespace; None if none are."""
        cache = self.namespaces.get(namespace)
        return cache.models.get((namespace, c.MODELS_CONFIGMAP)) if cache is not None else None

    def unready_models(self, namespace: str) -> frozenset[str]:
        """Models that are on their way into a namespace."""
        book = self.models_of(namespace)
        return book.unready if book is not None else frozenset()

    def reflectors(self) -> dict[str, Reflector[object]]:
        """Every reflector by a label for metrics: the resource's plural, with the namespace where it has one."""
        found: dict[str, Reflector[object]] = {
            "audiopipelines": self.pipelines,  # type: ignore[dict-item]
            "audioqueues": self.queues,  # type: ignore[dict-item]
            "audioworkerpools": self.pools,  # type: ignore[dict-item]
            "nodes": self.nodes,  # type: ignore[dict-item]
        }
        for name, cache in self.namespaces.items():
            for reflector in (cache.jobs, cache.pods, cache.revisions, cache.models):
                found[f"{reflector.resource.plural}/{name}"] = reflector  # type: ignore[assignment]
        return found

    # ---------------------------------------------------------------- what a namespace reports

    def child_changed(self, key: Key, job: Object, news: News) -> None:
        """A Job or one of its pods changed. Of each that starts come several events; an end is waited for."""
        if not (owner := controller(job)):
            return  # a pod of a Job that has lost its owner
        parent = (key[0], owner["name"])
        known = self.audiojobs.get(parent)
        # A Job that has ended, of an AudioJob that is not followed any more, can change nothing.
        if (known is not None and not known.finished) or not job_is_finished(job):
            if news is News.END or (news is News.PLACED and self._goes_on(known)):
                self._listener.wake(parent)
            else:
                self._listener.wake_soon(parent, _TROUBLE_SECONDS if news is News.TROUBLE else _START_SECONDS)

    def _goes_on(self, known: Known | None) -> bool:
        """Whether a phase of the job may begin early, or waits in a pod that did."""
        phases = known.status.get("phases") or () if known is not None and self._rules.overlap else ()
        return any(each.get("state") == PhaseState.WAITING or each.get("earlyAttempt") for each in phases)

    def straggler_changed(self, owner: Key) -> None:
        """A pod whose Job is gone changed: an AudioJob for which nothing is begun keeps its slot until its end."""
        if self.begins_nothing(owner):
            self._listener.admission_changed(owner)
            self._listener.wake(owner)

    def worker_changed(self, pool: Key, job: Object, news: News) -> None:
        """The Job of a worker changed, or its pod. Of those that it works for, only an end, or what it is told."""
        key, book = key_of(job), self.workers
        if gpus_of(job):
            self._listener.capacity_changed()
        cache = self.namespaces[key[0]]
        stored = cache.jobs.get(key)
        worker = observe_worker(stored, cache.pods_of(stored)) if stored is not None else None
        if gpus_of(job) and (worker is None or worker.finished):
            self.wake_pools()  # another one may wait for them
        before = book.worker_seen(pool, key[1], worker)
        pods = {each.pod.uid: each.pod for each in (before, worker) if each is not None and each.pod is not None}
        for uid, pod in pods.items():
            for bound in book.bound(uid):
                if news is News.END or not pod.tells(bound.uid, bound.phase, bound.attempt):
                    self._listener.wake(bound.key)

    def worker_outlived(self, pod_uid: str) -> None:
        """Of the phases of a worker whose Job is gone nobody else tells."""
        for bound in self.workers.bound(pod_uid):
            self._listener.wake(bound.key)

    def gpus_outlive(self, job: Key, time: int) -> None:
        """They are the pod's until its end; one that has not ended by then is on a node that is lost."""
        give_back = self.namespaces[job[0]].give_back_gpus
        self._listener.later(_LONGEST_END_SECONDS, lambda: give_back(job, time))

    def gpus_changed(self, owner: Key) -> None:
        """A pod whose Job went before it has ended, and somebody may wait for its GPUs; or it was not known before."""
        if owner[1]:
            self._listener.admission_changed(owner)
        self._listener.capacity_changed()
        self.wake_pools()

    def no_room_found(self) -> None:
        """No node has room for a pod: idle workers may have to give way."""
        self.wake_pools()

    def wake_pools(self) -> None:
        """What pools can have, or should leave to others, has changed."""
        for pool in self.workers.pools():
            self._listener.pool_changed(pool)

    def children_changed(self, owner: Key) -> None:
        """A Job was added to an AudioJob, changed, or was taken from it."""
        self._listener.admission_changed(owner)

    def work_ended(self, work: WorkKey) -> None:
        """A Job that did reusable work has ended or is gone."""
        self._listener.work_ended(work)

    def revision_changed(self, key: Key) -> None:
        """Jobs of the revision could not be judged without it."""
        for parent, known in list(self.audiojobs.active()):
            if parent[0] == key[0] and known.status.get("pipelineRevision") == key[1]:
                self._listener.admission_changed(parent)

    def models_changed(self, namespace: str, old: ModelBook | None, new: ModelBook | None) -> None:
        """Models have arrived, or there is news of those that are awaited."""
        arrived = (old.unready if old else frozenset()) != (new.unready if new else frozenset())
        if not arrived and progress_shown(old) == progress_shown(new):
            return
        for parent, known in list(self.audiojobs.active()):
            if parent[0] != namespace:
                continue
            if arrived:
                self._listener.admission_changed(parent)
            if arrived or self._has_model_ahead(known):
                self._listener.wake(parent)

    def _has_model_ahead(self, known: Known) -> bool:
        """Whether a phase that uses a model has yet to begin: it may wait for one, and tells how far it is."""
        spec = self.spec_of(known)
        records = known.status.get("phases") or ()
        begun = {record["name"] for record in records if record.get("state") != PhaseState.WAITING}
        return spec is not None and any(
            phase.task.descriptor.uses_models and phase.name not in begun for phase in spec.phases
        )

    # ---------------------------------------------------------------- what the cluster's own objects report

    def _moved(self, *_: object) -> None:
        self._gpus = None
        self._listener.capacity_changed()

    def _pool_changed(self, key: Key, _old: AudioWorkerPool | None, new: AudioWorkerPool | None) -> None:
        if key[0] not in self.namespaces:
            return
        before = self.workers.gpu_pools(key[0])
        self.workers.pool_seen(key, self._rules.facts(new) if new is not None else None)
        if self.workers.gpu_pools(key[0]) != before:
            for parent, _ in list(self.audiojobs.active()):  # what they ask of GPUs is the workers', or theirs again
                if parent[0] == key[0]:
                    self._listener.admission_changed(parent)

    def _pipeline_changed(self, key: Key, old: AudioPipeline | None, new: AudioPipeline | None) -> None:
        if old is not None and new is not None and old.spec == new.spec:
            return  # only its status was written
        for parent, known in list(self.audiojobs.active()):
            # Those that have started follow their revision; it is looked for under this name until it is known.
            if known.raw["spec"]["pipeline"] != key[1]:
                continue
            self._listener.admission_changed(parent)
            if not known.status.get("pipelineRevision"):
                self._listener.wake(parent)
