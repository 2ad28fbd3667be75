"""Local copies of everything that decisions depend on, and who is to be looked at when one of them changes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from audiojob_kube.client import KubeClient
from audiojob_kube.objects import Object, key_of
from audiojob_kube.reflector import Reflector
from audiojob_kube.resources import (
    AUDIOJOBS,
    AUDIOPIPELINES,
    AUDIOQUEUES,
    CONFIGMAPS,
    CONTROLLERREVISIONS,
    JOBS,
    NODES,
    PODS,
)
from audiojob_operator.deciding.children.diagnose import parse_time
from audiojob_operator.deciding.children.observe import gpus_of
from audiojob_operator.deciding.policies.models import telling
from audiojob_operator.deciding.revisions import parse_revision
from audiojob_operator.deciding.transitions import waiting_reason
from audiojob_operator.records.objects import Key
from audiojob_operator.records.settings import Revision
from audiojob_operator.state.jobstore import JobStore, Known
from audiojob_operator.state.ownership import Intake
from audiojob_types import constants as c
from audiojob_types.models import ModelBook
from audiojob_types.reasons import Reason
from audiojob_types.resources.pipeline import AudioPipeline, AudioPipelineSpec
from audiojob_types.resources.queue import AudioQueue

CHILDREN_SELECTOR = f"{c.LABEL_MANAGED_BY}={c.MANAGER_OPERATOR}"
POD_JOB_LABEL = "batch.kubernetes.io/job-name"

_METADATA = (
    "name",
    "namespace",
    "uid",
    "labels",
    "ownerReferences",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)
_JOB_SPEC = ("suspend",)
_POD_SPEC = ("nodeName", "terminationGracePeriodSeconds", "activeDeadlineSeconds")
# What decisions read of a status. All else (counts, addresses, readiness) moves with nearly every write of others.
_JOB_CONDITIONS = ("Complete", "Failed")
_POD_CONDITIONS = ("PodScheduled", "PodReadyToStartContainers", "DisruptionTarget")
_JOB_STATUS = ("startTime",)
_POD_STATUS = ("phase", "reason", "message", "startTime")
_CONTAINERS = ("initContainerStatuses", "containerStatuses")
_CONTAINER_STATUS = ("name", "image", "state", "lastState")
_FINAL_POD_PHASES = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class NodeRow:
    """What matters of a node."""

    ready: bool
    gpus: int


def trim_job(obj: Object) -> Object:
    """A Job without its template, which holds the phase input of up to 200 KiB, and without its version."""
    status = obj.get("status") or {}
    return {
        "metadata": _metadata(obj),
        "spec": _only(obj.get("spec") or {}, _JOB_SPEC),
        "status": {**_only(status, _JOB_STATUS), "conditions": _conditions(status, _JOB_CONDITIONS)},
    }


def trim_pod(obj: Object) -> Object:
    """A pod reduced to who it is, where it runs and what became of it."""
    status = obj.get("status") or {}
    return {
        "metadata": _metadata(obj),
        "spec": _only(obj.get("spec") or {}, _POD_SPEC),
        "status": {
            **_only(status, _POD_STATUS),
            "conditions": _conditions(status, _POD_CONDITIONS),
            **{
                kind: [_only(each, _CONTAINER_STATUS) for each in status[kind]]
                for kind in _CONTAINERS
                if status.get(kind)
            },
        },
    }


def project_node(obj: Object) -> NodeRow:
    """Readiness and allocatable GPUs; heartbeats change neither."""
    status = obj.get("status") or {}
    conditions = {entry["type"]: entry["status"] for entry in status.get("conditions") or ()}
    schedulable = not (obj.get("spec") or {}).get("unschedulable", False)
    gpus = str((status.get("allocatable") or {}).get(c.GPU_RESOURCE, "0"))
    return NodeRow(schedulable and conditions.get("Ready") == "True", int(gpus) if gpus.isdecimal() else 0)


def read_models(obj: Object) -> ModelBook:
    """The ConfigMap in which the prefetch Job says how far it is."""
    return ModelBook.read(obj.get("data") or {})


def _metadata(obj: Object) -> Object:
    annotations = obj["metadata"].get("annotations") or {}
    kept = {name: text for name, text in annotations.items() if name != c.ANNOTATION_PHASE}
    return {**_only(obj["metadata"], _METADATA), "annotations": kept}


def _conditions(status: Object, kinds: Iterable[str]) -> list[Object]:
    return [each for each in status.get("conditions") or () if each["type"] in kinds]


def _only(obj: Object, names: Iterable[str]) -> Object:
    return {name: obj[name] for name in names if name in obj}


def controller(obj: Object) -> Object:
    """The ownerReference of the AudioJob that controls this object; {} if none does."""
    for owner in obj["metadata"].get("ownerReferences") or ():
        if owner.get("controller") and owner.get("kind") == AUDIOJOBS.kind:
            found: Object = owner
            return found
    return {}


def job_is_finished(job: Object) -> bool:
    """Whether the Job has its condition Complete or Failed."""
    conditions = (job.get("status") or {}).get("conditions") or ()
    return any(entry["type"] in ("Complete", "Failed") and entry["status"] == "True" for entry in conditions)


@dataclass(frozen=True, slots=True)
class LiveGpus:
    """GPUs of a live Job. ``owner`` is the AudioJob's name, ``managed``: Kueue has let it in."""

    owner: str
    gpus: int
    managed: bool


@dataclass(frozen=True, slots=True)
class Fetch:
    """A Job that fetches from a host; those that have ended stay for as long as the Job is kept."""

    owner: str
    host: str
    created: datetime
    live: bool


class NamespaceCache:
    """The children, revisions and models of one job namespace."""

    def __init__(
        self,
        client: KubeClient,
        namespace: str,
        on_job: Callable[[Key, Object], None],
        on_work_ended: Callable[[tuple[str, str]], None],
        on_models: Callable[[Key, ModelBook | None, ModelBook | None], None],
        on_use: Callable[[], None],
    ) -> None:
        self._on_job = on_job
        self._on_work_ended = on_work_ended
        self._on_use = on_use
        self._jobs_by_owner: defaultdict[str, set[Key]] = defaultdict(set)  # by the owner's name
        self._pods_by_job: defaultdict[Key, set[Key]] = defaultdict(set)
        self.live_gpus: dict[Key, LiveGpus] = {}  # by Job
        self.fetches: dict[Key, Fetch] = {}  # by Job
        self._live_work: defaultdict[str, dict[Key, str]] = defaultdict(dict)  # owners by reuse key and Job
        self._ended_work: defaultdict[str, dict[Key, str]] = defaultdict(dict)  # the same, as long as the Job is kept
        self.jobs: Reflector[Object] = Reflector(
            client,
            JOBS,
            namespace=namespace,
            label_selector=CHILDREN_SELECTOR,
            project=trim_job,
            on_change=self._job_changed,
        )
        self.pods: Reflector[Object] = Reflector(
            client,
            PODS,
            namespace=namespace,
            label_selector=CHILDREN_SELECTOR,
            project=trim_pod,
            on_change=self._pod_changed,
        )
        self.revisions: Reflector[Revision] = Reflector(
            client,
            CONTROLLERREVISIONS,
            namespace=namespace,
            label_selector=c.LABEL_PIPELINE,
            project=parse_revision,
            on_change=lambda _key, _old, _new: None,
        )
        self.models: Reflector[ModelBook] = Reflector(
            client,
            CONFIGMAPS,
            namespace=namespace,
            field_selector=f"metadata.name={c.MODELS_CONFIGMAP}",  # by which the right to it is given, too
            project=read_models,
            on_change=on_models,
        )

    def jobs_of(self, name: str) -> list[Object]:
        """The Jobs whose controller is an AudioJob of that name: the present one, or one that is gone."""
        found = (self.jobs.get(key) for key in self._jobs_by_owner.get(name, ()))
        return [job for job in found if job is not None]

    def has_live_job(self, name: str) -> bool:
        """Whether a Job of an AudioJob of that name works, or will; one that is being deleted does not."""
        return any(
            not job_is_finished(job) and "deletionTimestamp" not in job["metadata"] for job in self.jobs_of(name)
        )

    def workers_on(self, reuse_key: str) -> set[str]:
        """Names of the AudioJobs whose live Jobs do the work of that key."""
        return set(self._live_work.get(reuse_key, {}).values())

    def ended_on(self, reuse_key: str) -> list[tuple[str, Object]]:
        """Jobs that did the work of that key and have ended, each behind the name of its AudioJob."""
        kept = ((owner, self.jobs.get(key)) for key, owner in self._ended_work.get(reuse_key, {}).items())
        return [(owner, job) for owner, job in kept if job is not None]

    def pods_of(self, job: Object) -> list[Object]:
        """The pods of a Job, by name and controller uid."""
        found = (self.pods.get(key) for key in self._pods_by_job.get(key_of(job), ()))
        uid = job["metadata"]["uid"]
        return [pod for pod in found if pod is not None and _is_owned_by(pod, uid)]

    def has_final_pod(self, job: Object) -> bool:
        """Whether a pod of the Job is known that has ended."""
        return any(pod["status"].get("phase") in _FINAL_POD_PHASES for pod in self.pods_of(job))

    def _job_changed(self, key: Key, old: Object | None, new: Object | None) -> None:
        if old is not None and new is not None and controller(old).get("name") != controller(new).get("name"):
            self._job_changed(key, old, None)  # for the AudioJob that it was taken from, it is gone
        job = new or old
        assert job is not None
        owner = controller(job).get("name", "")
        if not owner:
            return  # somebody else's Job with our label, or one that has lost its owner
        in_use = self.live_gpus.get(key), self.fetches.get(key)
        if new is not None and not job_is_finished(new) and (gpus := gpus_of(new)):
            managed = c.KUEUE_QUEUE_LABEL in (new["metadata"].get("labels") or {})
            self.live_gpus[key] = LiveGpus(owner, gpus, managed)
        else:
            self.live_gpus.pop(key, None)
        self._note_fetch(key, owner, new)
        self._note_work(key, owner, job, new)
        if new is not None:
            self._jobs_by_owner[owner].add(key)
        else:
            self._jobs_by_owner[owner].discard(key)
            if not self._jobs_by_owner[owner]:
                del self._jobs_by_owner[owner]
        if (self.live_gpus.get(key), self.fetches.get(key)) != in_use:
            self._on_use()  # others may wait for it, and the owner need not be one that is woken
        self._on_job(key, job)

    def _note_fetch(self, key: Key, owner: str, job: Object | None) -> None:
        host = (job["metadata"].get("annotations") or {}).get(c.ANNOTATION_HOST) if job is not None else None
        if job is None or host is None:
            self.fetches.pop(key, None)
            return
        created = parse_time(job["metadata"].get("creationTimestamp"))
        if created is not None:
            self.fetches[key] = Fetch(owner, host, created, live=not job_is_finished(job))

    def _note_work(self, key: Key, owner: str, job: Object, new: Object | None) -> None:
        reuse_key = (job["metadata"].get("annotations") or {}).get(c.ANNOTATION_REUSE_KEY)
        if reuse_key is None:
            return
        present = new is not None and "deletionTimestamp" not in new["metadata"]
        live, ended = present and not job_is_finished(job), present and job_is_finished(job)
        _set_member(self._ended_work, reuse_key, key, owner if ended else None)
        if _set_member(self._live_work, reuse_key, key, owner if live else None) and not live:
            self._on_work_ended((key[0], reuse_key))

    def _pod_changed(self, key: Key, old: Object | None, new: Object | None) -> None:
        pod = new or old
        assert pod is not None
        job_key = (key[0], pod["metadata"].get("labels", {}).get(POD_JOB_LABEL, ""))
        if new is not None:
            self._pods_by_job[job_key].add(key)
        else:
            self._pods_by_job[job_key].discard(key)
            if not self._pods_by_job[job_key]:
                del self._pods_by_job[job_key]
        if (job := self.jobs.get(job_key)) is not None:
            self._on_job(job_key, job)


def _set_member(members: defaultdict[str, dict[Key, str]], group: str, key: Key, value: str | None) -> bool:
    """Put a member into its group, or take it out (None); a group without members is none. Whether it was there."""
    was_there = key in members.get(group, {})
    if value is not None:
        members[group][key] = value
    elif was_there:
        del members[group][key]
        if not members[group]:
            del members[group]
    return was_there


def _is_owned_by(obj: Object, uid: str) -> bool:
    return any(owner["uid"] == uid for owner in obj["metadata"].get("ownerReferences") or ())


def _nobody(*_: object) -> None:
    """Nobody has asked to be told."""


class Caches:
    """All local copies. `wake(key)` is called for an AudioJob that must be looked at again.

    `audiojobs` is fed from outside (kopf, sweeps) through `intake`; `run` follows everything else.
    """

    def __init__(self, client: KubeClient, namespaces: Iterable[str], wake: Callable[[Key], None]) -> None:
        self._wake = wake
        self.audiojobs = JobStore(wake)
        self.work_ended: Callable[[tuple[str, str]], None] = _nobody
        self.namespaces = {
            name: NamespaceCache(client, name, self._child_changed, self._work_ended, self._models_changed, self._moved)
            for name in namespaces
        }
        self.intake = Intake(self.audiojobs, self.namespaces)
        self.pipelines: Reflector[AudioPipeline] = Reflector(
            client, AUDIOPIPELINES, project=AudioPipeline.read, on_change=self._pipeline_changed
        )
        self.nodes: Reflector[NodeRow] = Reflector(client, NODES, project=project_node, on_change=self._moved)
        self.queues: Reflector[AudioQueue] = Reflector(
            client, AUDIOQUEUES, project=AudioQueue.read, on_change=self._moved
        )
        self.capacity_changed: Callable[[], None] = _nobody

    @property
    def gpus_per_node(self) -> int:
        """The most GPUs that one Ready node offers."""
        return max((node.gpus for node in self.nodes.values() if node.ready), default=0)

    @property
    def gpus_offered(self) -> int:
        """GPUs of all Ready nodes, in use or not."""
        return sum(node.gpus for node in self.nodes.values() if node.ready)

    def spec_of(self, known: Known) -> AudioPipelineSpec | None:
        """The pipeline that the job runs, or would run if it started now."""
        namespace, _ = key_of(known.raw)
        name = known.status.get("pipelineRevision")
        cache = self.namespaces.get(namespace)
        if name and cache is not None and (revision := cache.revisions.get((namespace, name))) is not None:
            return revision.spec
        pipeline = self.pipelines.get(("", known.raw["spec"]["pipeline"]))
        return pipeline.spec if pipeline is not None else None

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
            "nodes": self.nodes,  # type: ignore[dict-item]
        }
        for name, cache in self.namespaces.items():
            for reflector in (cache.jobs, cache.pods, cache.revisions, cache.models):
                found[f"{reflector.resource.plural}/{name}"] = reflector  # type: ignore[assignment]
        return found

    def _moved(self, *_: object) -> None:
        self.capacity_changed()

    def _work_ended(self, work: tuple[str, str]) -> None:
        self.work_ended(work)

    def _child_changed(self, key: Key, job: Object) -> None:
        if not (owner := controller(job)):
            return  # a pod of a Job that has lost its owner
        parent = (key[0], owner["name"])
        known = self.audiojobs.get(parent)
        # A Job that has ended, of an AudioJob that is not followed any more, can change nothing.
        if (known is not None and not known.finished) or not job_is_finished(job):
            self._wake(parent)

    def _models_changed(self, key: Key, old: ModelBook | None, new: ModelBook | None) -> None:
        arrived = (old.unready if old else frozenset()) != (new.unready if new else frozenset())
        if arrived:
            self.capacity_changed()
        elif telling(old) == telling(new):
            return
        for parent, known in list(self.audiojobs.active()):
            # One that waits tells of it; one that does something else may have a phase that waits, too.
            if parent[0] == key[0] and (arrived or waiting_reason(known.status) == Reason.MODEL_MISSING):
                self._wake(parent)

    def _pipeline_changed(self, key: Key, _old: AudioPipeline | None, _new: AudioPipeline | None) -> None:
        for parent, known in list(self.audiojobs.active()):
            # Those that have started follow their revision.
            if known.raw["spec"]["pipeline"] == key[1] and not known.status.get("pipelineRevision"):
                self._wake(parent)
