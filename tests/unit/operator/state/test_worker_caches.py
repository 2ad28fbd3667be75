"""Jobs and pods of workers are kept apart from those of AudioJobs, and wake those that depend on them."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, cast

from tests.unit.operator.builders import NAMESPACE
from tests.unit.operator.deciding.pools.played import TOLD, facts, pool_object, worker_job, worker_pod
from tests.unit.operator.listening import Heard

from audiojob_kube.client import KubeClient
from audiojob_operator.deciding.children.scheduler_message import Shortage
from audiojob_operator.state.caches import CacheRules, Caches
from audiojob_operator.state.children.gpus import LiveGpus
from audiojob_operator.watching.orphans import orphans

Object = dict[str, Any]
POOL = (NAMESPACE, "warm")
SONG = (NAMESPACE, "song")
NOBODY = cast("KubeClient", None)  # caches are filled by hand
BOUND: Object = {
    "metadata": {"name": "song", "namespace": NAMESPACE, "uid": "uid-song"},
    "status": {"state": "Running", "phases": [{"name": "cut", "state": "Running", "attempt": 2, "podUID": "pod-0"}]},
}


def phase_pod() -> Object:
    """A pod of a phase that no node has CPU for."""
    refused = {"status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available: 1 Insufficient cpu."}
    return {
        "metadata": {
            "name": "song-x1",
            "namespace": NAMESPACE,
            "uid": "song-x1",
            "resourceVersion": "1",
            "creationTimestamp": "2026-03-01T12:00:00Z",
        },
        "spec": {},
        "status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", **refused}]},
    }


class Followed:
    """Caches with a pool and a worker of it."""

    def __init__(self, *told: Object, **spec: Any) -> None:
        self.heard = Heard()
        built = facts(**spec)
        self.caches = Caches(NOBODY, [NAMESPACE], self.heard, CacheRules(facts=lambda pool: built))
        self.here = self.caches.namespaces[NAMESPACE]
        self.job = worker_job(built)
        self.pod = worker_pod(self.job, *told)
        self._version = 1
        self.caches.pools.put(pool_object(**spec))
        self.here.jobs.put(self.job)
        self.here.pods.put(self.pod)

    def bring(self, kind: str, **changes: Any) -> None:
        self._version += 1
        obj = deepcopy(self.job if kind == "job" else self.pod)
        obj["metadata"]["resourceVersion"] = str(self._version)
        obj["status"] |= changes
        (self.here.jobs if kind == "job" else self.here.pods).put(obj)


def test_a_worker_is_its_pools_and_nobodys_child() -> None:
    followed = Followed()
    view = followed.caches.workers.view(*POOL, SONG)
    assert view is not None
    assert [seat.pod_uid for seat in view.seats] == ["pod-0"]
    assert list(followed.here.owners()) == []
    assert not followed.here.has_work("warm")
    assert orphans(followed.here.jobs.values()) == {}
    assert POOL in followed.heard.pools
    assert followed.heard.woken == []
    assert followed.heard.woken_soon == []


def test_a_pod_that_is_seen_before_its_job_is_found_with_it() -> None:
    followed = Followed()
    caches = Caches(NOBODY, [NAMESPACE], followed.heard)
    caches.namespaces[NAMESPACE].pods.put(followed.pod)
    assert caches.workers.workers(POOL) == ()
    caches.namespaces[NAMESPACE].jobs.put(followed.job)
    (worker,) = caches.workers.workers(POOL)
    assert worker.pod is not None


def test_its_gpus_are_in_use_until_its_end_and_no_audiojobs() -> None:
    followed = Followed(device="GPU", gpus=2)
    assert list(followed.here.live_gpus.values()) == [LiveGpus("", 2, "nvidia.com/gpu", managed=False)]
    assert list(followed.here.gpus_of("warm")) == []
    followed.bring("job", conditions=[{"type": "Complete", "status": "True"}])
    assert followed.here.live_gpus == {}


def test_the_end_of_a_worker_wakes_those_whose_phases_it_has() -> None:
    followed = Followed(TOLD)
    followed.caches.workers.seen(SONG, BOUND)
    followed.bring("pod", conditions=[{"type": "PodScheduled", "status": "True"}])
    assert followed.heard.woken == [], "nothing that concerns the phase"
    followed.bring("pod", phase="Failed")
    assert followed.heard.woken == [SONG]


def test_the_end_of_a_pod_whose_job_went_before_wakes_them_too() -> None:
    followed = Followed(TOLD)
    followed.caches.workers.seen(SONG, BOUND)
    followed.here.jobs.forget((NAMESPACE, followed.job["metadata"]["name"]), "job-0")
    followed.heard.woken.clear()
    followed.bring("pod", conditions=[{"type": "PodScheduled", "status": "True"}])
    assert followed.heard.woken == []
    followed.bring("pod", phase="Failed")
    followed.here.pods.forget((NAMESPACE, followed.pod["metadata"]["name"]), "pod-0")
    assert followed.heard.woken == [SONG, SONG], "its end, and that it is gone"


def test_a_worker_that_is_told_something_else_wakes_them_too() -> None:
    followed = Followed(TOLD)
    followed.caches.workers.seen(SONG, BOUND)
    followed.pod = worker_pod(followed.job)
    followed.bring("pod")
    assert followed.heard.woken == [SONG]


def test_a_pod_that_finds_no_node_has_the_pools_looked_at_and_says_what_it_lacks() -> None:
    followed, refused = Followed(), phase_pod()
    assert list(followed.caches.lacks(NAMESPACE)) == []
    followed.heard.pools.clear()
    followed.here.pods.put(refused)
    assert followed.heard.pools == [POOL]
    (lack,) = followed.caches.lacks(NAMESPACE)
    assert lack.short == Shortage(1, (("cpu", 1),))
    followed.heard.pools.clear()
    refused = deepcopy(refused)
    refused["metadata"]["resourceVersion"] = "2"
    followed.here.pods.put(refused)
    assert followed.heard.pools == [], "it is known to wait"


def test_a_pool_elsewhere_is_no_pool_of_ours() -> None:
    followed = Followed()
    other = pool_object()
    other["metadata"]["namespace"] = "elsewhere"
    followed.caches.pools.put(other)
    assert list(followed.caches.workers.pools()) == [POOL]


def test_a_pod_that_outlives_its_job_has_its_gpus_until_its_end() -> None:
    followed = Followed(device="GPU", gpus=2)
    followed.here.jobs.forget((NAMESPACE, followed.job["metadata"]["name"]), "job-0")
    assert [each.gpus for each in followed.here.live_gpus.values()] == [2]
    followed.heard.pools.clear()
    capacity = followed.heard.capacity
    followed.bring("pod", phase="Failed")
    assert followed.here.live_gpus == {}
    assert followed.heard.capacity > capacity, "somebody may wait for them"
    assert POOL in followed.heard.pools


def test_one_that_never_ends_as_its_node_is_lost_does_not_keep_them() -> None:
    followed = Followed(device="GPU", gpus=2)
    followed.here.jobs.forget((NAMESPACE, followed.job["metadata"]["name"]), "job-0")
    ((seconds, call),) = followed.heard.due
    call()
    call()
    assert (followed.here.live_gpus, seconds) == ({}, 60)
