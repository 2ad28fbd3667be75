"""What of the cluster is kept, and whom its changes wake."""

from __future__ import annotations

import logging
from collections.abc import Callable
from copy import deepcopy
from typing import Any, cast

import pytest
from tests.unit.operator.builders import NAMESPACE, UID, World, audio_job, pipeline, separate_pipeline
from tests.unit.operator.listening import Heard

from audiojob_kube.client import KubeClient
from audiojob_operator.deciding.children.observe import observe_job
from audiojob_operator.state.caches import Caches
from audiojob_operator.state.namespace_cache import NamespaceCache
from audiojob_operator.state.projections import trim_job, trim_pod
from audiojob_types import constants as c
from audiojob_types.models import ModelBook, ModelRecord, ModelState

Object = dict[str, Any]
NOBODY = cast("KubeClient", None)  # caches are filled by hand
USES = {c.ANNOTATION_HOST: "tube.example", c.ANNOTATION_GPUS: "1", c.ANNOTATION_REUSE_KEY: "work"}
ENDED = {"conditions": [{"type": "Complete", "status": "True"}]}
WITHOUT_IMAGE = {"reason": "ErrImagePull", "message": "not found"}
POD_OWNER = {"kind": "Job", "controller": True, "uid": "job-uid-1"}


class Followed:
    """Caches with a started AudioJob, its first Job and that one's pod; and whom a change of theirs wakes."""

    def __init__(self) -> None:
        self.heard = Heard()
        self.woken = self.heard.woken
        self.caches = Caches(NOBODY, [NAMESPACE], self.heard)
        world = World(pipeline=pipeline())
        world.turn()
        world.run("first")
        self.job, self.pod = world.newest("first"), world.pod("first")
        self.pod["metadata"]["labels"] = {"batch.kubernetes.io/job-name": self.job["metadata"]["name"]}
        self.pod["metadata"]["ownerReferences"] = [POD_OWNER]
        self._version = 1
        self.caches.audiojobs.put(world.audiojob)
        self.bring("job", {})
        self.bring("pod", {})
        self.woken.clear()
        self.heard.woken_soon.clear()

    @property
    def here(self) -> NamespaceCache:
        return self.caches.namespaces[NAMESPACE]

    def bring(self, kind: str, status: Object, **metadata: Any) -> None:
        """A newer version of the Job or the pod, with these in its status."""
        self._version += 1
        obj = deepcopy(self.job if kind == "job" else self.pod)
        obj["metadata"] |= {"resourceVersion": str(self._version), **metadata}
        obj["status"] = {**obj.get("status", {}), **status}
        (self.here.jobs if kind == "job" else self.here.pods).put(obj)


def test_children_are_found_by_their_owners() -> None:
    followed = Followed()
    (job,) = followed.here.jobs_of("song")
    (pod,) = followed.here.pods_of(job)
    assert (job["metadata"]["name"], pod["spec"]["nodeName"]) == (followed.job["metadata"]["name"], "node-1")
    assert followed.here.has_live_job("song")


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        pytest.param("job", {"active": 1, "ready": 1, "terminating": 0}, id="counts of a Job"),
        pytest.param("job", {"uncountedTerminatedPods": {"succeeded": ["u"]}}, id="what a Job has not counted yet"),
        pytest.param(
            "job", {"conditions": [{"type": "SuccessCriteriaMet", "status": "True"}]}, id="a Job that is about to end"
        ),
        pytest.param("pod", {"podIP": "10.0.0.7", "hostIP": "10.0.0.1", "qosClass": "Burstable"}, id="addresses"),
        pytest.param("pod", {"conditions": [{"type": "Ready", "status": "True"}]}, id="readiness of a pod"),
        pytest.param(
            "pod",
            {"containerStatuses": [{"name": "runner", "state": {"running": {}}, "ready": True, "started": True}]},
            id="readiness of a container",
        ),
    ],
)
def test_what_no_decision_reads_wakes_nobody(kind: str, status: Object) -> None:
    followed = Followed()
    followed.bring(kind, status)
    assert (followed.woken, followed.heard.woken_soon) == ([], [])


@pytest.mark.parametrize(
    ("kind", "status", "metadata"),
    [
        pytest.param("job", {"conditions": [{"type": "Complete", "status": "True"}]}, {}, id="the Job is complete"),
        pytest.param("job", {"conditions": [{"type": "Failed", "status": "True"}]}, {}, id="the Job has failed"),
        pytest.param("job", {}, {"deletionTimestamp": "2026-03-01T12:00:00Z"}, id="the Job is being deleted"),
        pytest.param("pod", {"phase": "Failed", "reason": "Evicted"}, {}, id="the pod was evicted"),
        pytest.param(
            "pod",
            {"containerStatuses": [{"name": "runner", "state": {"terminated": {"exitCode": 0}}}]},
            {},
            id="the container has ended",
        ),
        pytest.param(
            "pod",
            {"initContainerStatuses": [{"name": "program", "state": {"terminated": {"exitCode": 3}}}]},
            {},
            id="the administrator's program has ended",
        ),
        pytest.param(
            "pod",
            {"initContainerStatuses": [{"name": "report", "lastState": {"terminated": {"exitCode": 75}}}]},
            {},
            id="the reporter beside a program has ended and begun again",
        ),
        pytest.param("pod", {}, {"deletionTimestamp": "2026-03-01T12:00:00Z"}, id="the pod is being deleted"),
    ],
)
def test_an_end_wakes_the_audiojob_at_once(kind: str, status: Object, metadata: Object) -> None:
    followed = Followed()
    followed.bring(kind, status, **metadata)
    assert (followed.woken, followed.heard.woken_soon) == ([(NAMESPACE, "song")], [])


@pytest.mark.parametrize("kind", ["job", "pod"])
def test_what_is_gone_wakes_the_audiojob_at_once(kind: str) -> None:
    followed = Followed()
    obj, cache = (followed.job, followed.here.jobs) if kind == "job" else (followed.pod, followed.here.pods)
    cache.forget((NAMESPACE, obj["metadata"]["name"]), obj["metadata"]["uid"])
    assert (followed.woken, followed.heard.woken_soon) == ([(NAMESPACE, "song")], [])


@pytest.mark.parametrize(
    ("kind", "status", "within"),
    [
        pytest.param("job", {"startTime": "2026-03-01T12:00:00Z"}, 10, id="the controller has looked at the Job"),
        pytest.param("pod", {"conditions": [{"type": "PodScheduled", "status": "True"}]}, 10, id="a node has the pod"),
        pytest.param("pod", {"conditions": [{"type": "DisruptionTarget", "status": "True"}]}, 10, id="a drain begins"),
        pytest.param(
            "pod",
            {"phase": "Pending", "containerStatuses": [{"name": "runner", "state": {"waiting": WITHOUT_IMAGE}}]},
            2,
            id="the image is not there",
        ),
    ],
)
def test_what_else_decisions_read_wakes_the_audiojob_soon(kind: str, status: Object, within: float) -> None:
    followed = Followed()
    followed.bring(kind, status)
    assert (followed.woken, followed.heard.woken_soon) == ([], [((NAMESPACE, "song"), within)])


def test_a_job_that_kueue_lets_go_is_told_of_soon() -> None:
    followed = Followed()
    followed.job["spec"]["suspend"] = True
    followed.bring("job", {})
    followed.job["spec"]["suspend"] = False
    followed.bring("job", {})
    assert [within for _, within in followed.heard.woken_soon] == [2, 2]


def test_that_a_job_is_complete_tells_no_more_than_the_end_of_its_pod_did() -> None:
    followed = Followed()
    followed.bring("pod", {"phase": "Succeeded"})
    followed.woken.clear()
    followed.bring("job", {"conditions": [{"type": "Complete", "status": "True"}]})
    assert (followed.woken, followed.heard.woken_soon) == ([], [((NAMESPACE, "song"), 10)])


@pytest.mark.parametrize(
    ("change", "woken"),
    [
        pytest.param({"status": {"phases": "first, second"}}, [], id="its status was written"),
        pytest.param({"spec": pipeline(priority=3)["spec"]}, [(NAMESPACE, "song")], id="its spec was edited"),
    ],
)
def test_a_pipeline_wakes_its_waiting_jobs_for_another_spec_alone(change: Object, woken: list[tuple[str, str]]) -> None:
    heard = Heard()
    caches = Caches(NOBODY, [NAMESPACE], heard)
    world = World(pipeline=pipeline())
    caches.audiojobs.put(world.audiojob)
    caches.pipelines.put(_version("1", pipeline()))
    heard.woken.clear()
    caches.pipelines.put(_version("2", {**pipeline(), **change}))
    assert heard.woken == woken


def _version(version: str, obj: Object) -> Object:
    return {**obj, "metadata": {**obj["metadata"], "resourceVersion": version, "uid": "pipeline-uid"}}


def book(percent: int) -> ModelBook:
    """One model, on its way."""
    return ModelBook(frozenset({"htdemucs"}), {"htdemucs": ModelRecord(state=ModelState.FETCHING, percent=percent)})


@pytest.mark.parametrize(
    ("pipe", "phases", "woken"),
    [
        pytest.param(separate_pipeline(), [], True, id="one that uses a model is ahead, whatever its job waits for"),
        pytest.param(separate_pipeline(), [{"name": "separate", "state": "Waiting"}], True, id="it may begin again"),
        pytest.param(separate_pipeline(), [{"name": "separate", "state": "Running"}], False, id="it has its model"),
        pytest.param(pipeline(name="separate"), [], False, id="no phase uses a model"),
    ],
)
def test_progress_of_a_model_wakes_jobs_with_a_phase_that_may_wait_for_it(
    pipe: Object, phases: list[Object], woken: bool
) -> None:
    heard = Heard()
    caches = Caches(NOBODY, [NAMESPACE], heard)
    caches.pipelines.put(_version("1", pipe))
    song = audio_job(pipeline="separate")
    song["status"] |= {"phases": phases}
    caches.audiojobs.put(song)
    heard.woken.clear()
    caches.models_changed(NAMESPACE, book(40), book(80))
    assert heard.woken == ([(NAMESPACE, "song")] if woken else [])


def owned_by(name: str, uid: str = "uid-of-another") -> list[Object]:
    return [{"kind": "AudioJob", "name": name, "uid": uid, "controller": True}]


def owners(here: NamespaceCache) -> list[set[str]]:
    """Whom each of the indexes has a Job for."""
    return [
        {each.owner for each in here.live_gpus.values()},
        {each.owner for each in here.fetches.values()},
        here.workers_on("work"),
        {name for name in ("song", "other") if here.jobs_of(name)},
    ]


@pytest.mark.parametrize(
    ("left", "deleted", "expected"),
    [
        pytest.param([], False, set(), id="it works on without an owner"),
        pytest.param([], True, set(), id="it is deleted later"),
        pytest.param([{**POD_OWNER, "kind": "CronJob", "name": "x"}], False, set(), id="something else took it"),
        pytest.param(owned_by("other"), False, {"other"}, id="another AudioJob took it"),
    ],
)
def test_a_job_that_loses_its_owner_is_gone_for_the_audiojob_that_had_it(
    left: list[Object], deleted: bool, expected: set[str]
) -> None:
    followed = Followed()
    followed.bring("job", {}, annotations=USES)
    assert owners(followed.here) == [{"song"}] * 4
    followed.woken.clear()
    followed.bring("job", {}, annotations=USES, ownerReferences=left)
    assert (NAMESPACE, "song") in followed.woken
    assert followed.heard.work == [(NAMESPACE, "work")], "who waits for the same work may do it"
    if deleted:
        followed.here.jobs.forget((NAMESPACE, followed.job["metadata"]["name"]), followed.job["metadata"]["uid"])
    assert owners(followed.here) == [expected] * 4


def test_the_pod_of_a_job_that_has_lost_its_owner_wakes_nobody(caplog: pytest.LogCaptureFixture) -> None:
    followed = Followed()
    followed.bring("job", {}, ownerReferences=[])
    followed.woken.clear()
    with caplog.at_level(logging.ERROR):
        followed.bring("pod", {"phase": "Failed", "reason": "Evicted"})
    assert (followed.woken, caplog.messages) == ([], [])


def over(followed: Followed) -> None:
    followed.bring("job", ENDED, annotations=USES)


def removed(followed: Followed) -> None:
    followed.here.jobs.forget((NAMESPACE, followed.job["metadata"]["name"]), followed.job["metadata"]["uid"])


@pytest.mark.parametrize("change", [pytest.param(over, id="it ends"), pytest.param(removed, id="it is removed")])
@pytest.mark.parametrize("use", [c.ANNOTATION_HOST, c.ANNOTATION_GPUS])
@pytest.mark.parametrize("state", ["Running", "Cancelled", None])
def test_what_a_job_gives_back_is_reported_whatever_became_of_its_audiojob(
    change: Callable[[Followed], None], use: str, state: str | None
) -> None:
    followed = Followed()
    followed.bring("job", {}, annotations={use: USES[use]})
    audiojob = deepcopy(followed.caches.audiojobs.get((NAMESPACE, "song")))
    assert audiojob is not None
    if state is None:
        followed.caches.audiojobs.gone((NAMESPACE, "song"))
    else:
        audiojob.raw["metadata"]["resourceVersion"] = "1000"
        audiojob.raw["status"]["state"] = state
        followed.caches.audiojobs.put(audiojob.raw)
    followed.heard.changed.clear()
    change(followed)
    assert followed.heard.changed == [(NAMESPACE, "song")]


@pytest.mark.parametrize("end", ["runs", "succeeds", "fails", "waits", "is drained"])
def test_what_is_kept_is_observed_as_the_whole_is(end: str) -> None:
    world = World(pipeline=pipeline())
    world.turn()
    match end:
        case "runs":
            world.run("first")
        case "succeeds":
            world.succeed("first")
        case "fails":
            world.fail("first", 65, "NotMedia")
        case "waits":
            world.pod("first", conditions=[{"type": "PodReadyToStartContainers", "status": "False"}])
        case "is drained":
            world.pod("first", phase="Failed", conditions=[{"type": "DisruptionTarget", "status": "True"}])
    job, pod = world.newest("first"), world.pod("first")
    job["status"] = {
        "startTime": "2026-03-01T12:00:00Z",
        "active": 1,
        "conditions": [{"type": "Complete", "status": "x"}],
    }
    assert observe_job(trim_job(job), [trim_pod(pod)]) == observe_job(job, [pod])


def test_the_phases_input_is_not_kept() -> None:
    world = World()
    world.turn()
    pod = {"metadata": {"name": "p", "annotations": {c.ANNOTATION_PHASE: "x" * 1_000, "a": "b"}}, "spec": {}}
    assert trim_pod(pod)["metadata"]["annotations"] == {"a": "b"}
    assert "template" not in trim_job(world.newest("first"))["spec"]
    assert UID in str(trim_job(world.newest("first"))["metadata"]["ownerReferences"])


# ---------------------------------------------------------------- what gauges show

NO_ROOM = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"}


@pytest.mark.parametrize(
    ("annotations", "status", "expected"),
    [
        pytest.param({}, {"phase": "Pending", "conditions": [NO_ROOM]}, {"CPU": 1}, id="no node has room"),
        pytest.param(USES, {"phase": "Pending", "conditions": [NO_ROOM]}, {"GPU": 1}, id="no node has a free GPU"),
        pytest.param(
            {},
            {
                "phase": "Pending",
                "conditions": [{**NO_ROOM, "message": 'persistentvolumeclaim "store" not found'}],
            },
            {},
            id="a claim is missing, which no node would bring",
        ),
        pytest.param({}, {"phase": "Pending", "conditions": []}, {}, id="the scheduler has not looked yet"),
        pytest.param({}, {"phase": "Failed", "conditions": [NO_ROOM]}, {}, id="the pod is over"),
    ],
)
def test_pods_that_no_node_has_room_for(annotations: Object, status: Object, expected: Object) -> None:
    followed = Followed()
    followed.job["metadata"]["annotations"] = annotations
    followed.pod["status"] = {}
    followed.bring("job", {})
    followed.bring("pod", status)
    assert followed.caches.unschedulable_pods() == expected


def test_gpus_of_a_job_that_kueue_keeps_waiting_are_not_held() -> None:
    followed = Followed()
    followed.job["metadata"] |= {"annotations": USES, "labels": {c.KUEUE_QUEUE_LABEL: "gpu"}}
    followed.job["spec"]["suspend"] = True
    followed.bring("job", {})
    assert followed.caches.kueue_gpus == ({}, {c.GPU_RESOURCE: 1})
    followed.job["spec"]["suspend"] = False
    followed.bring("job", {})
    assert followed.caches.kueue_gpus == ({c.GPU_RESOURCE: 1}, {})


def test_each_job_namespace_has_its_default_queue_and_those_of_others_are_none_of_ours() -> None:
    caches = Followed().caches
    for namespace in (NAMESPACE, "elsewhere"):
        about = {"name": "night", "namespace": namespace, "uid": f"uid-{namespace}", "resourceVersion": "1"}
        caches.queues.put({"metadata": about, "spec": {}})
    assert caches.known_queues() == {(NAMESPACE, "default"), (NAMESPACE, "night")}


def test_a_pod_that_outlives_its_job_has_its_gpus_until_its_end() -> None:
    followed = Followed()
    followed.bring("job", {}, annotations=USES)
    held = list(followed.here.gpus_of("song"))
    removed(followed)
    assert list(followed.here.gpus_of("song")) == held != []
    followed.heard.changed.clear()
    followed.bring("pod", {"phase": "Failed"})
    assert (list(followed.here.gpus_of("song")), followed.heard.changed) == ([], [(NAMESPACE, "song")])
