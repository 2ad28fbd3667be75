"""The children, revisions and models of one job namespace, with what decisions look up by owner, pod or reuse key."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from audiojob_kube.client import KubeClient
from audiojob_kube.objects import Object, key_of
from audiojob_kube.reflector import Reflector, Selection
from audiojob_kube.resources import CONFIGMAPS, CONTROLLERREVISIONS, JOBS, PODS
from audiojob_operator.building.names import label_value
from audiojob_operator.deciding.children.diagnose import condition_of, diagnose_pod, parse_time
from audiojob_operator.deciding.children.observe import is_told, waits_for_inputs
from audiojob_operator.deciding.pools.yielding import Lack, lack_of
from audiojob_operator.deciding.revisions import parse_revision
from audiojob_operator.records.objects import Key
from audiojob_operator.records.settings import Revision
from audiojob_operator.state.children.gpus import GpuBook, LiveGpus
from audiojob_operator.state.children.members import list_member, set_member
from audiojob_operator.state.listener import WorkKey
from audiojob_operator.state.news import News, news_of_job, news_of_pod
from audiojob_operator.state.projections import controller, job_is_finished, pool_of, read_models, trim_job, trim_pod
from audiojob_types import constants as c
from audiojob_types.contract import Device
from audiojob_types.models import ModelBook
from audiojob_types.reasons import Reason

CHILDREN_SELECTOR = f"{c.LABEL_MANAGED_BY}={c.MANAGER_OPERATOR}"
POD_JOB_LABEL = "batch.kubernetes.io/job-name"

_FINAL_POD_PHASES = ("Succeeded", "Failed")
# The Job controller makes the pod in the look at the Job that sets its start, unless a quota leaves no room for it.
_NO_POD_AFTER: Final = timedelta(seconds=5)
_FULL_FOR: Final = timedelta(minutes=5)  # before another pod of the same phase tries in vain whether there is room


@dataclass(frozen=True, slots=True)
class Fetch:
    """A Job that fetches from a host; those that have ended stay for as long as the Job is kept."""

    owner: str
    host: str
    created: datetime
    live: bool


class NamespaceListener(Protocol):
    """Whom the cache of a namespace notifies."""

    def worker_changed(self, pool: Key, job: Object, news: News) -> None:
        """The Job of a worker changed, or its pod."""

    def worker_outlived(self, pod_uid: str) -> None:
        """The pod of a worker whose Job is gone has ended, or is about to."""

    def gpus_outlive(self, job: Key, time: int) -> None:
        """A Job is gone, or not known, and a pod of it has GPUs: they are given back by that time's number."""

    def gpus_changed(self, owner: Key) -> None:
        """Such a pod has ended, or was not known before; the owner's name is "" for a worker's."""

    def no_room_found(self) -> None:
        """No node has room for a pod."""

    def child_changed(self, key: Key, job: Object, news: News) -> None:
        """A Job or one of its pods changed."""

    def straggler_changed(self, owner: Key) -> None:
        """A pod changed whose Job is gone."""

    def children_changed(self, owner: Key) -> None:
        """A Job was added to an AudioJob, changed, or was taken from it."""

    def work_ended(self, work: WorkKey) -> None:
        """A Job that did reusable work has ended or is gone."""

    def revision_changed(self, key: Key) -> None:
        """A revision was stored or deleted."""

    def models_changed(self, namespace: str, old: ModelBook | None, new: ModelBook | None) -> None:
        """Prefetching models has made progress."""


class NamespaceCache:
    """The children, revisions and models of one job namespace."""

    def __init__(self, client: KubeClient, namespace: str, listener: NamespaceListener) -> None:
        self._listener = listener
        self._jobs_by_owner: defaultdict[str, set[Key]] = defaultdict(set)  # by the owner's name
        self._pods_by_job: defaultdict[Key, set[Key]] = defaultdict(set)
        self._pods_by_owner: defaultdict[str, set[Key]] = defaultdict(set)  # by their label: Jobs go before their pods
        self._gpus = GpuBook()
        self.live_gpus = self._gpus.held
        self.fetches: dict[Key, Fetch] = {}  # by Job
        self._live_work: defaultdict[str, dict[Key, str]] = defaultdict(dict)  # owners by reuse key and Job
        self._ended_work: defaultdict[str, dict[Key, str]] = defaultdict(dict)  # the same, as long as the Job is kept
        self._early: set[Key] = set()  # live Jobs whose pods began before their inputs were there
        self.unplaced: set[Key] = set()  # pods that no node has room for, without those of _early
        self._no_room: dict[tuple[str, str], datetime] = {}  # when the pod of a pipeline's phase began early in vain
        self._podless: dict[Key, datetime] = {}  # live Jobs without a pod, but for those that began early: their start
        self.jobs: Reflector[Object] = Reflector(
            client,
            Selection(JOBS, namespace, label_selector=CHILDREN_SELECTOR),
            project=trim_job,
            on_change=self._job_changed,
        )
        self.pods: Reflector[Object] = Reflector(
            client,
            Selection(PODS, namespace, label_selector=CHILDREN_SELECTOR),
            project=trim_pod,
            on_change=self._pod_changed,
        )
        self.revisions: Reflector[Revision] = Reflector(
            client,
            Selection(CONTROLLERREVISIONS, namespace, label_selector=c.LABEL_PIPELINE),
            project=parse_revision,
            on_change=lambda key, _old, _new: listener.revision_changed(key),
        )
        self.models: Reflector[ModelBook] = Reflector(
            client,
            # The right to it is given by its name, too.
            Selection(CONFIGMAPS, namespace, field_selector=f"metadata.name={c.MODELS_CONFIGMAP}"),
            project=read_models,
            on_change=lambda _key, old, new: listener.models_changed(namespace, old, new),
        )

    def jobs_of(self, name: str) -> list[Object]:
        """The Jobs whose controller is an AudioJob of that name: the present one, or one that is gone."""
        return [job for key in self._jobs_by_owner.get(name, ()) if (job := self.jobs.get(key)) is not None]

    def owners(self) -> Set[str]:
        """Names of all AudioJobs that have Jobs or GPUs, or had them before they went."""
        return self._jobs_by_owner.keys() | self._gpus.outlived_owners()

    def gpus_of(self, name: str) -> Iterator[LiveGpus]:
        """GPUs of the live Jobs of an AudioJob of that name, and of pods whose Jobs are gone."""
        return self._gpus.of(name, self._jobs_by_owner.get(name, ()))

    def unplaced_gpus_of(self, name: str) -> Iterator[str]:
        """The GPU resource of each live Job of an AudioJob of that name which has no node yet, and waits for one."""
        for key in self._jobs_by_owner.get(name, ()):
            held, job = self.live_gpus.get(key), self.jobs.get(key)
            if held is not None and not held.managed and job is not None and not self.is_on_node(job):
                yield held.resource

    def fetches_of(self, name: str) -> Iterator[Fetch]:
        """Jobs of an AudioJob of that name that fetch, or have fetched."""
        return (self.fetches[key] for key in self._jobs_by_owner.get(name, ()) if key in self.fetches)

    def has_live_job(self, name: str) -> bool:
        """Whether a Job of an AudioJob of that name works, or will; one that is being deleted does not."""
        return any(
            not job_is_finished(job) and "deletionTimestamp" not in job["metadata"] for job in self.jobs_of(name)
        )

    def has_work(self, name: str) -> bool:
        """Whether a Job or pod of an AudioJob of that name has not ended; one that is being deleted has not."""
        if any(not job_is_finished(job) for job in self.jobs_of(name)):
            return True
        return self._any_at_work(self._pods_by_owner.get(label_value(name), ()))

    def is_on_node(self, job: Object) -> bool:
        """Whether a node has a pod of the Job which is not being taken from it."""
        return any(
            pod["spec"].get("nodeName") and "deletionTimestamp" not in pod["metadata"] for pod in self.pods_of(job)
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

    def pod_of(self, job_name: str, namespace: str, uid: str) -> Object | None:
        """The pod of that uid, if it is of a Job of that name."""
        found = (self.pods.get(key) for key in self._pods_by_job.get((namespace, job_name), ()))
        return next((pod for pod in found if pod is not None and pod["metadata"]["uid"] == uid), None)

    def has_final_pod(self, job: Object) -> bool:
        """Whether a pod of the Job is known that has ended."""
        return any(pod["status"].get("phase") in _FINAL_POD_PHASES for pod in self.pods_of(job))

    def unschedulable(self) -> Iterator[Device]:
        """Devices of the pods that no node has room for."""
        for pod in self.pods.values():
            if pod["status"].get("phase") != "Pending" or "deletionTimestamp" in pod["metadata"]:
                continue
            found = diagnose_pod(pod)
            if found is not None and found.reason is Reason.UNSCHEDULABLE:
                yield Device.GPU if _job_of(pod) in self.live_gpus else Device.CPU

    @property
    def untold(self) -> int:
        """How many live Jobs began early and have no pod yet that was told its inputs."""
        return len(self.untold_jobs())

    def untold_jobs(self) -> list[Object]:
        """The live Jobs that began early and have no pod yet that was told its inputs."""
        early = (self.jobs.get(key) for key in self._early)
        return [job for job in early if job is not None and not any(map(is_told, self.pods_of(job)))]

    def lacks_pod(self, now: datetime) -> bool:
        """Whether a Job has been begun and gets no pod: its namespace's quota is full."""
        return any(begun + _NO_POD_AFTER <= now for begun in self._podless.values())

    def pods_lack(self) -> Iterator[Lack]:
        """What the pods lack that no node has room for."""
        pods = (self.pods.get(key) for key in self.unplaced)
        return (lack for pod in pods if pod is not None and (lack := lack_of(pod)) is not None)

    def jobs_lack(self) -> Iterator[Lack]:
        """Since when Jobs that have begun get no pod: only what the namespace's own pods give back may help."""
        return map(Lack, self._podless.values())

    def phases_without_room(self, pipeline: str, now: datetime) -> frozenset[str]:
        """The pipeline's phases whose pods have begun early in vain lately: no node had room."""
        label = label_value(pipeline)
        tried = ((phase, at) for (name, phase), at in self._no_room.items() if name == label)
        return frozenset(phase for phase, at in tried if now < at + _FULL_FOR)

    def _note_room(self, pod: Object) -> None:
        if not waits_for_inputs(pod) or (created := parse_time(pod["metadata"].get("creationTimestamp"))) is None:
            return
        labels = pod["metadata"].get("labels") or {}
        place = (labels.get(c.LABEL_PIPELINE, ""), labels.get(c.LABEL_PHASE, ""))
        if _lacks_node(pod):
            self._no_room[place] = created
        elif _node_of(pod):
            self._no_room.pop(place, None)

    def _job_changed(self, key: Key, old: Object | None, new: Object | None) -> None:
        if old is not None and new is not None and controller(old).get("name") != controller(new).get("name"):
            self._job_changed(key, old, None)  # for the AudioJob that it was taken from, it is gone
        job = new or old
        assert job is not None
        owner = controller(job).get("name", "")
        if pool := pool_of(job):
            self._note_gpus(key, "", new)
            self._listener.worker_changed((key[0], pool), job, self._news_of_job(old, new))
        if not owner:
            return  # a worker, somebody else's Job with our label, or one that has lost its owner
        self._note_gpus(key, owner, new)
        live = _is_live(new)
        self._note_podless(key, new)
        if live and c.ANNOTATION_EARLY in (job["metadata"].get("annotations") or {}):
            self._early.add(key)
        else:
            self._early.discard(key)
        self._note_fetch(key, owner, new)
        self._note_work(key, owner, job, new)
        list_member(self._jobs_by_owner, owner, key, present=new is not None)
        self._listener.children_changed((key[0], owner))  # others may wait for what it used, though the owner be gone
        self._listener.child_changed(key, job, self._news_of_job(old, new))

    def _note_gpus(self, key: Key, owner: str, job: Object | None) -> None:
        # One that was taken from its owner is there.
        at_work = self.jobs.get(key) is None and self._any_at_work(self._pods_by_job.get(key, ()))
        if (time := self._gpus.job_seen(key, owner, job, at_work=at_work)) is not None:
            self._listener.gpus_outlive(key, time)

    def give_back_gpus(self, key: Key, time: int | None = None) -> None:
        """Of a Job that is gone: its pods have ended, or should have long ago, if they are those of that time."""
        if (held := self._gpus.given_back(key, time)) is not None:
            self._listener.gpus_changed((key[0], held.owner))

    def _any_at_work(self, pod_keys: Iterable[Key]) -> bool:
        """Whether one of the pods has not ended."""
        pods = (self.pods.get(key) for key in pod_keys)
        return any(pod["status"].get("phase") not in _FINAL_POD_PHASES for pod in pods if pod is not None)

    def _news_of_job(self, old: Object | None, new: Object | None) -> News:
        return news_of_job(old, new, pod_ended=new is not None and self.has_final_pod(new))

    def _note_podless(self, key: Key, job: Object | None) -> None:
        begun = None
        if job is not None and _is_live(job) and not self._pods_by_job.get(key):
            early = c.ANNOTATION_EARLY in (job["metadata"].get("annotations") or {})
            begun = None if early else parse_time(job["status"].get("startTime"))
        if begun is not None:
            self._podless[key] = begun
        else:
            self._podless.pop(key, None)

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
        set_member(self._ended_work, reuse_key, key, owner if ended else None)
        if set_member(self._live_work, reuse_key, key, owner if live else None) and not live:
            self._listener.work_ended((key[0], reuse_key))

    def _pod_changed(self, key: Key, old: Object | None, new: Object | None) -> None:
        pod = new or old
        assert pod is not None
        job_key, owner = _job_of(pod), (pod["metadata"].get("labels") or {}).get(c.LABEL_JOB, "")
        list_member(self._pods_by_job, job_key, key, present=new is not None)
        if not self._any_at_work(self._pods_by_job.get(job_key, ())):
            self.give_back_gpus(job_key)
        elif (
            old is None
            and self.jobs.get(job_key) is None
            and (time := self._gpus.pod_seen(job_key, owner, pod)) is not None
        ):
            self._listener.gpus_outlive(job_key, time)
            self._listener.gpus_changed((key[0], owner))
        if c.LABEL_POOL in (pod["metadata"].get("labels") or {}):
            self._worker_pod_changed(job_key, old, new)
            return
        list_member(self._pods_by_owner, owner, key, present=new is not None)
        if new is not None:
            self._note_room(new)
        if new is not None and _lacks_node(new) and not waits_for_inputs(new):
            if key not in self.unplaced:
                self.unplaced.add(key)
                self._listener.no_room_found()
        else:
            self.unplaced.discard(key)
        job = self.jobs.get(job_key)
        self._note_podless(job_key, job)
        if job is not None:
            if job_key in self.live_gpus and _node_of(old) != _node_of(new):
                self._listener.children_changed((key[0], controller(job).get("name", "")))
            self._listener.child_changed(job_key, job, news_of_pod(old, new))
        else:
            self._listener.straggler_changed((key[0], owner))

    def _worker_pod_changed(self, job_key: Key, old: Object | None, new: Object | None) -> None:
        """One that waits for a node is not in the way of others: workers begin only where nobody waits."""
        news, job, pod = news_of_pod(old, new), self.jobs.get(job_key), new or old
        if job is not None and (pool := pool_of(job)):
            self._listener.worker_changed((job_key[0], pool), job, news)
        elif job is None and pod is not None and news is News.END:  # with its pool a Job goes before its pod
            self._listener.worker_outlived(pod["metadata"]["uid"])


def _is_live(job: Object | None) -> bool:
    return job is not None and not job_is_finished(job) and "deletionTimestamp" not in job["metadata"]


def _lacks_node(pod: Object) -> bool:
    """Whether no node has room for the pod."""
    if pod["status"].get("phase") != "Pending" or "deletionTimestamp" in pod["metadata"]:
        return False
    placed = condition_of(pod, "PodScheduled")
    return placed is not None and placed.get("status") == "False"


def _node_of(pod: Object | None) -> str:
    """The node that a pod is on, and is not being taken from."""
    if pod is None or "deletionTimestamp" in pod["metadata"]:
        return ""
    return str(pod["spec"].get("nodeName") or "")


def _job_of(pod: Object) -> Key:
    return pod["metadata"]["namespace"], (pod["metadata"].get("labels") or {}).get(POD_JOB_LABEL, "")


def _is_owned_by(obj: Object, uid: str) -> bool:
    return any(owner["uid"] == uid for owner in obj["metadata"].get("ownerReferences") or ())
