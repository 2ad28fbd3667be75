"""Rows of the fault table (docs/faults.md) about nodes and claims: kwok plays two nodes, the controllers are real.

Node `near` runs its pods for an hour and is frozen meanwhile; node `far` takes over, and its pods take some seconds.
Times that are a minute in production are seconds here, by settings of the operator and flags of the controllers.
"""

# ruff: noqa: N802 - row ids as the table writes them

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.integration.operator.conftest import Object, Space, make_space
from tests.integration.policy.space import Answer, Namespace
from tests.support.operator_process import OperatorProcess

from audiojob_dev.cluster import kwok
from audiojob_dev.cluster.kwok import SimulatedCluster
from audiojob_dev.paths import repository
from audiojob_dev.rest import RestError, wait_until
from audiojob_types.constants import ANNOTATION_INPUTS, GROUP, RUNNER_SERVICE_ACCOUNT
from audiojob_types.generate.runner_policy import NAME as POLICY

NEAR, FAR = "near", "far"
CLAIM = "audiojob-store"
NODE_LOST, GRACE, LOST_AFTER = 2, 2, 3
TIMES = {
    "AUDIOJOB_DISRUPTION__NODE_LOST_SECONDS": str(NODE_LOST),
    "AUDIOJOB_DISRUPTION__GRACE_SECONDS": str(GRACE),
    "AUDIOJOB_DISRUPTION__LOST_AFTER_SECONDS": str(LOST_AFTER),
}
HOUR_MILLISECONDS, FAR_MILLISECONDS = 3_600_000, 4_000


def report(percent: int) -> Object:
    """What the pod of the first attempt says of its progress."""
    return {"progress": {"one": {"attempt": 1, "percent": percent}}}


@dataclass(frozen=True)
class Nodes:
    """Two nodes, and two operators: one with an S3 store (no claims) over ``lost``, one with folders for the rest."""

    cluster: SimulatedCluster
    lost: Space
    elsewhere: Space
    vanishing: Space
    operators: tuple[OperatorProcess, OperatorProcess]

    def story(self) -> str:
        return "".join(operator.story() for operator in self.operators)

    def pods_on(self, space: Space, node: str) -> list[Object]:
        return [pod for pod in space.pods() if pod["spec"].get("nodeName") == node]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """The control plane with both nodes; `far` is cordoned, so that everything begins on `near`."""
    with kwok.fresh_cluster("nodes") as (cluster, folder):
        cluster.kubectl("apply", "-f", str(repository() / "charts/audiojob/templates/runner-policy.yaml"))
        cluster.start_controllers(of_nodes=True)
        cluster.start_scheduler()
        for node, milliseconds in ((NEAR, HOUR_MILLISECONDS), (FAR, FAR_MILLISECONDS)):
            stages = kwok.node_stages() + kwok.pod_stages(run_milliseconds=milliseconds)
            cluster.start_node(kwok.node(node), stages)
        cluster.cordon(FAR, cordoned=True)
        yield from operating(cluster, folder)


def operating(cluster: SimulatedCluster, folder: Path) -> Iterator[Nodes]:
    """The namespaces and the operators, while somebody looks at them."""
    lost, elsewhere, vanishing = (make_space(cluster, startTimeoutSeconds=3) for _ in range(3))
    make_claim(cluster, elsewhere.namespace, FAR)
    make_claim(cluster, vanishing.namespace, NEAR)
    s3 = {"AUDIOJOB_STORE": json.dumps({"kind": "S3", "bucket": "music"})}
    common = {**TIMES, "AUDIOJOB_LEASE__NAME": "nodes"}
    operators = (
        OperatorProcess(cluster.kubeconfig, [lost.namespace], folder / "log-s3", **common, **s3),
        OperatorProcess(
            cluster.kubeconfig,
            [elsewhere.namespace, vanishing.namespace],
            folder / "log-folder",
            **{**common, "AUDIOJOB_LEASE__NAME": "nodes-folder"},
        ),
    )
    with operators[0], operators[1]:
        yield Nodes(cluster, lost, elsewhere, vanishing, operators)


def make_claim(cluster: SimulatedCluster, namespace: str, node: str) -> None:
    """The namespace's store: a claim whose volume only one node can reach."""
    volume = f"disk-of-{namespace}"
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    room = {"accessModes": ["ReadWriteOnce"], "storageClassName": ""}
    spec = {
        **room,
        "capacity": {"storage": "1Gi"},
        "persistentVolumeReclaimPolicy": "Retain",
        "local": {"path": "/data"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
        "claimRef": {"namespace": namespace, "name": CLAIM},
    }
    cluster.rest.request("POST", "/api/v1/persistentvolumes", {"metadata": {"name": volume}, "spec": spec})
    claim = {**room, "volumeName": volume, "resources": {"requests": {"storage": "1Gi"}}}
    path = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims"
    cluster.rest.request("POST", path, {"metadata": {"name": CLAIM}, "spec": claim})
    wait_until(
        "the claim to be bound",
        lambda: cluster.rest.request("GET", f"{path}/{CLAIM}")["status"].get("phase") == "Bound",
        seconds=30,
    )


def runs(status: Object) -> bool:
    return bool(status.get("state") == "Running")


def pod_runs(nodes: Nodes, space: Space, node: str) -> Object:
    """The first pod of the space that runs on the node."""
    found: list[Object] = []

    def check() -> bool:
        found[:] = [pod for pod in nodes.pods_on(space, node) if pod["status"].get("phase") == "Running"]
        return bool(found)

    wait_until(f"a pod to run on {node}", check, seconds=60)
    return found[0]


def test_F39_a_job_whose_volume_is_on_another_node_says_so_and_starts_there(nodes: Nodes) -> None:
    space = nodes.elsewhere
    space.submit("song")

    def told(status: Object) -> bool:
        return "cannot reach the volume of the store" in status.get("message", "")

    status = space.until("song", told, "the reason", story=nodes.story)["status"]
    assert status["state"] == "Queued"
    assert (
        "No node can run the pod (0 of 2): 1 cannot reach the volume of the store, 1 is cordoned." in status["message"]
    )
    assert {each["reason"] for each in status["conditions"] if each["type"] == "Progressing"} == {"Unschedulable"}
    nodes.cluster.cordon(FAR, cordoned=False)
    try:
        status = space.finished("song", seconds=60, story=nodes.story)["status"]
    finally:
        nodes.cluster.cordon(FAR, cordoned=True)
    assert status["state"] == "Succeeded", nodes.story()
    assert [(each["attempt"], each["nodeName"]) for each in status["phases"]] == [(1, FAR), (1, FAR)]


def test_F37_a_claim_deleted_by_hand_ends_what_needs_it_anew_and_leaves_the_rest(nodes: Nodes) -> None:
    space = nodes.vanishing
    space.submit("before")
    pod_runs(nodes, space, NEAR)
    path = f"/api/v1/namespaces/{space.namespace}/persistentvolumeclaims/{CLAIM}"
    space.rest.request("DELETE", path)
    space.submit("after")
    status = space.finished("after", story=nodes.story)["status"]
    assert (status["state"], status["error"]["reason"]) == ("Failed", "VolumeMissing")
    assert f"The claim {CLAIM} is being deleted" in status["error"]["message"]
    assert "restore what it held" in status["error"]["suggestion"]
    assert runs(space.job("before")["status"]), "its pod has the volume until it ends"
    space.patch("before", {"cancel": True})
    space.finished("before", story=nodes.story)
    wait_until("the claim to go with its last pod", lambda: is_gone(space, path), seconds=60)
    space.submit("late")
    status = space.finished("late", story=nodes.story)["status"]
    assert (status["state"], status["error"]["reason"]) == ("Failed", "VolumeMissing")
    assert f"The claim {CLAIM} does not exist" in status["error"]["message"]


def is_gone(space: Space, path: str) -> bool:
    try:
        space.rest.request("GET", path)
    except RestError as error:
        return error.status == 404
    return False


@dataclass(frozen=True)
class Loss:
    """A job whose first pod is on a node that was frozen: that pod, its token, and status when the next attempt ran."""

    zombie: Object
    token: str
    status: Object
    reported: Answer  # what the zombie was told then


@pytest.fixture(scope="module")
def loss(nodes: Nodes) -> Loss:
    """`near` goes away under a running phase, which begins anew on `far`; then the first pod reports."""
    space = nodes.lost
    runner = Namespace(nodes.cluster, space.namespace)
    runner.grant("audiojob-runner", [{"apiGroups": [GROUP], "resources": ["audiojobs/status"], "verbs": ["patch"]}])
    space.submit("song")
    zombie = pod_runs(nodes, space, NEAR)
    token = nodes.cluster.service_account_token(space.namespace, RUNNER_SERVICE_ACCOUNT, pod=zombie["metadata"]["name"])
    assert runner.report(token, "song", report(10)).status == 200, "while it is the phase's own pod"
    nodes.cluster.cordon(FAR, cordoned=False)
    nodes.cluster.freeze_node(NEAR)
    space.until(
        "song", lambda status: status["phases"][0]["attempt"] == 2, "the next attempt", seconds=60, story=nodes.story
    )
    status = space.until("song", runs, "its start", story=nodes.story)["status"]
    return Loss(zombie, token, status, runner.report(token, "song", report(90)))


def test_F25_a_phase_on_a_lost_node_begins_anew_elsewhere_and_names_the_node(nodes: Nodes, loss: Loss) -> None:
    space = nodes.lost
    first = loss.status["phases"][0]
    assert (first["attempt"], first.get("failures", 0), first["disruptions"]) == (2, 0, 1)
    events = [event["message"] for event in space.events() if event["reason"] == "PhaseRetried"]
    assert len(events) == 1
    assert f"The pod on node {NEAR} did not end within {LOST_AFTER} s past its grace" in events[0]
    status = space.finished("song", seconds=60, story=nodes.story)["status"]
    assert status["state"] == "Succeeded", nodes.story()
    assert [each["nodeName"] for each in status["phases"]] == [FAR, FAR]
    first_job = loss.zombie["metadata"]["labels"]["batch.kubernetes.io/job-name"]
    assert first_job not in {job["metadata"]["name"] for job in space.batch_jobs()}


def test_F26_what_the_pod_of_the_lost_node_reports_is_refused_and_what_it_publishes_is_not_seen(
    nodes: Nodes, loss: Loss
) -> None:
    space = nodes.lost
    assert (loss.reported.status, POLICY in loss.reported.message) == (403, True), loss.reported
    remains = {
        pod["metadata"]["uid"]: (
            pod["metadata"]["annotations"].get(ANNOTATION_INPUTS),
            "deletionTimestamp" in pod["metadata"],
        )
        for pod in nodes.pods_on(space, NEAR)
    }
    assert remains.pop(loss.zombie["metadata"]["uid"]) == (None, True), "nobody can end it while its node is away"
    # So it is with the pod of the second phase that began early beside it; it is never told what to do.
    assert set(remains.values()) <= {("", True)}
    before = space.finished("song", seconds=60, story=nodes.story)
    nodes.cluster.thaw_node(NEAR)
    wait_until("the node to end its pod", lambda: not nodes.pods_on(space, NEAR), seconds=60)
    after = space.job("song")
    assert after["status"] == before["status"]
    key = after["status"]["phases"][0]["manifest"]["key"]
    assert key.startswith(f"{after['status']['outputPrefix']}/one/2-"), "the folder of the second attempt"
    assert loss.zombie["metadata"]["uid"][:8] not in key
    assert after["status"]["progress"]["one"]["percent"] == 10, "its last report while it was the phase's own pod"
