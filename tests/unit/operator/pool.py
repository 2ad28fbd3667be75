"""An admitter over caches that are filled by hand."""

from __future__ import annotations

from contextlib import ExitStack
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from tests.unit.operator.builders import NAMESPACE, audio_job, phase, pipeline, separate_pipeline
from tests.unit.operator.listening import Heard

from audiojob_kube.client import KubeClient
from audiojob_kube.reflector import Reflector
from audiojob_operator.admission.admitter import Admitter, Pace, new_node_gpus
from audiojob_operator.records.admission import Admission
from audiojob_operator.records.objects import Key
from audiojob_operator.records.sites import SiteRules
from audiojob_operator.settings import Capacity
from audiojob_operator.state.caches import CacheRules, Caches
from audiojob_operator.state.jobstore import Known
from audiojob_operator.state.reuse_index import ReuseIndex
from audiojob_types import constants as c
from audiojob_types.base import format_time

Object = dict[str, Any]

ON_DEMAND = Pace(shortest=60, longest=60)

NOBODY = cast("KubeClient", None)  # caches are filled by hand


class Pool(Heard):
    """Caches, an admitter over them, and whom it woke. A test asks for scheduling cycles; ``pace`` makes them come."""

    def __init__(
        self,
        max_running: int | None,
        *,
        node_gpus: int = 0,
        known: bool = True,
        sites: SiteRules | None = None,
        pace: Pace = ON_DEMAND,
        reuse: bool = False,
        **capacity: Any,
    ) -> None:
        woken: list[Key] = []
        self.reuse = ReuseIndex(woken.append) if reuse else None
        super().__init__(self.reuse, woken)
        self.woken_first: list[Key] = []
        limits = Capacity(max_running=max_running, ageing_seconds=0, **capacity)
        self.caches = Caches(NOBODY, [NAMESPACE], self, CacheRules(new_node_gpus=new_node_gpus(limits)))
        self.store = self.caches.audiojobs
        self.admitter = Admitter(
            self.caches,
            limits,
            self._wake,
            sites or SiteRules(),
            self.reuse,
            pace,
        )
        if known:
            self.admitter.open()
        self._reconciles: dict[Key, ExitStack] = {}
        self._version = 0
        self.add(self.caches.pipelines, pipeline())
        self.add(self.caches.pipelines, pipeline(phase("only", device="Auto"), name="onegpu"))
        self.add(self.caches.pipelines, separate_pipeline())
        ready = {"type": "Ready", "status": "True"}
        status = {"conditions": [ready], "allocatable": {"nvidia.com/gpu": str(node_gpus)}}
        self.add(self.caches.nodes, {"metadata": {"name": "node"}, "status": status})

    def _wake(self, key: Key, *, first: bool) -> None:
        self.woken.append(key)
        if first:
            self.woken_first.append(key)

    def wake(self, key: Key) -> None:
        """Only whom the admitter wakes is noted."""

    def job_changed(self, key: Key, *, ours: bool) -> None:
        self.admitter.changed(key)

    def job_gone(self, key: Key) -> None:
        self.admitter.changed(key)

    def admission_changed(self, key: Key) -> None:
        self.admitter.changed(key)

    def capacity_changed(self) -> None:
        self.admitter.capacity_changed()

    def add(self, reflector: Reflector[Any], obj: Object) -> None:
        """What a watch would have brought."""
        self._version += 1
        obj = deepcopy(obj)
        obj["metadata"].setdefault("uid", f"uid-{self._version}")
        obj["metadata"]["resourceVersion"] = str(self._version)
        reflector.put(obj)

    def queue(self, name: str, **spec: Any) -> None:
        self.add(self.caches.queues, {"metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec})

    def gpu_job(self, owner: str, gpus: int = 1, **status: Any) -> None:
        """A live Job of an AudioJob that has GPUs."""
        metadata = {
            "name": f"{owner}-child",
            "namespace": NAMESPACE,
            "labels": {},
            "annotations": {c.ANNOTATION_GPUS: str(gpus)},
            "ownerReferences": [{"kind": "AudioJob", "name": owner, "uid": f"uid-{owner}", "controller": True}],
        }
        self.add(self.caches.namespaces[NAMESPACE].jobs, {"metadata": metadata, "spec": {}, "status": status})

    def fetch_job(self, owner: str, host: str = "tube.example", age: float = 0, **status: Any) -> None:
        """A Job of an AudioJob that fetches from a host."""
        metadata = {
            "name": f"{owner}-child",
            "namespace": NAMESPACE,
            "labels": {},
            "annotations": {c.ANNOTATION_HOST: host},
            "creationTimestamp": format_time(datetime.now(UTC) - timedelta(seconds=age)),
            "ownerReferences": [{"kind": "AudioJob", "name": owner, "uid": f"uid-{owner}", "controller": True}],
        }
        self.add(self.caches.namespaces[NAMESPACE].jobs, {"metadata": metadata, "spec": {}, "status": status})

    def song(self, name: str, host: str = "tube.example", **more: Any) -> Key:
        """A job that begins with a download."""
        return self.put(name, pipeline="separate", source={"url": f"https://{host}/{name}"}, **more)

    def put(
        self, name: str, *, started: bool = False, namespace: str = NAMESPACE, age: int = 0, uid: str = "", **spec: Any
    ) -> Key:
        """A job, or its newer version. ``age``: how many seconds older than the others it is."""
        self._version += 1
        job = audio_job(name, uid=uid or f"uid-{name}", **spec)
        created = datetime(2026, 3, 1, 12, tzinfo=UTC) - timedelta(seconds=age)
        job["metadata"].update(
            resourceVersion=str(self._version), namespace=namespace, creationTimestamp=format_time(created)
        )
        if started:
            job["status"] = {"state": "Running", "startTime": "2026-03-01T12:00:00Z", "conditions": [_admitted()]}
        self.store.put(job)
        return namespace, name

    def known(self, key: Key) -> Known:
        known = self.store.get(key)
        assert known is not None
        return known

    def ask(self, key: Key) -> Admission | None:
        """A reconcile of the job begins and reserves what it may use; it ends with :meth:`release`."""
        self.release(key)
        stack = self._reconciles[key] = ExitStack()
        return stack.enter_context(self.admitter.reservation(key, self.known(key))).admission

    def release(self, key: Key) -> None:
        """The reconcile of the job, if there is one, ends."""
        self._reconciles.pop(key, ExitStack()).close()

    def cycle(self) -> list[Key]:
        """A scheduling cycle that takes everything so far into account. Returns whom it woke."""
        self.woken.clear()
        self.admitter.cycle()
        return list(self.woken)

    def answer(self, key: Key) -> Admission:
        """What a reconcile is given that begins after a scheduling cycle; it goes on."""
        self.release(key)
        self.cycle()
        found = self.ask(key)
        assert found is not None
        return found


def _admitted() -> Object:
    return {
        "type": "Admitted",
        "status": "True",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-03-01T12:00:00Z",
        "reason": "Admitted",
        "message": "",
    }
