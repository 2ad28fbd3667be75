"""GPU nodes that come and go: a small autoscaler, the real scheduler, and nodes that kwok plays.

The autoscaler does what Cluster Autoscaler and Karpenter do: it looks at pods that the scheduler calls unschedulable,
adds as many nodes as they need, and takes away nodes on which nothing runs.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from tests.integration.operator.conftest import Object, Space, make_pipeline, make_space
from tests.support.operator_process import OperatorProcess

from audiojob_dev.cluster import kwok
from audiojob_dev.cluster.kwok import SimulatedCluster
from audiojob_dev.errors import DevError
from audiojob_dev.rest import RestError, wait_until
from audiojob_types.constants import GPU_RESOURCE

pytestmark = pytest.mark.integration

GPUS_PER_NODE, MAX_GPUS, MAX_UNSCHEDULABLE = 2, 6, 3
JOBS = 10
RUN_MILLISECONDS = 2_000
LOOK_SECONDS = 0.3
CLOSE_AFTER, TAKE_AFTER = 3, 10  # looks at a node on which nothing runs
ENDED = ("Succeeded", "Failed")


def gpus_of(pod: Object) -> int:
    return sum(
        int(each.get("resources", {}).get("limits", {}).get(GPU_RESOURCE, 0)) for each in pod["spec"]["containers"]
    )


def is_unschedulable(pod: Object) -> bool:
    conditions = pod["status"].get("conditions") or ()
    return pod["status"].get("phase") == "Pending" and any(
        each["type"] == "PodScheduled" and each.get("reason") == "Unschedulable" for each in conditions
    )


def is_on_a_node(pod: Object) -> bool:
    return bool(pod["spec"].get("nodeName")) and pod["status"].get("phase") not in ENDED


@dataclass
class Autoscaler:
    """Looks, adds and takes away, until it is stopped. It remembers the most that it has seen."""

    cluster: SimulatedCluster
    most_waiting: int = 0
    added: int = 0
    most_nodes: int = 0
    _stopped: threading.Event = field(default_factory=threading.Event)
    _idle: dict[str, int] = field(default_factory=dict)

    def run(self) -> None:
        while not self._stopped.wait(LOOK_SECONDS):
            with suppress(RestError, OSError):  # an object went meanwhile
                self.look()

    def stop(self) -> None:
        self._stopped.set()

    def nodes(self) -> list[str]:
        items = self.cluster.rest.request("GET", "/api/v1/nodes?labelSelector=pool=gpu")["items"]
        return [item["metadata"]["name"] for item in items]

    def look(self) -> None:
        pods = self.cluster.rest.request("GET", "/api/v1/pods")["items"]
        waiting = [pod for pod in pods if is_unschedulable(pod)]
        self.most_waiting = max(self.most_waiting, len(waiting))
        nodes = self.nodes()
        busy = {pod["spec"]["nodeName"] for pod in pods if is_on_a_node(pod)}
        free = [name for name in nodes if name not in busy]
        used = sum(gpus_of(pod) for pod in pods if is_on_a_node(pod))
        # As autoscalers do, ask whether what waits has room: a GPU may have come free that the scheduler has not seen.
        lacking = sum(map(gpus_of, waiting)) - (len(nodes) * GPUS_PER_NODE - used)
        for _ in range(max(0, math.ceil(lacking / GPUS_PER_NODE))):
            self.added += 1
            one = kwok.node(f"gpu-{self.added}", gpus=GPUS_PER_NODE)
            one["metadata"]["labels"]["pool"] = "gpu"
            self.cluster.add_node(one)
        self.most_nodes = max(self.most_nodes, len(self.nodes()))
        self._take_idle(free, waits=bool(waiting))

    def _take_idle(self, free: list[str], *, waits: bool) -> None:
        """As autoscalers do: a node is closed first, and goes once no pod has come to it that was on its way."""
        idle = {} if waits else {name: self._idle.get(name, 0) + 1 for name in free}
        for name in self._idle.keys() - idle.keys():
            self.cluster.cordon(name, cordoned=False)
        self._idle = idle
        for name, looks in list(idle.items()):
            if looks == CLOSE_AFTER:
                self.cluster.cordon(name, cordoned=True)
            elif looks > TAKE_AFTER:
                self.cluster.rest.request("DELETE", f"/api/v1/nodes/{name}")
                del idle[name]


@dataclass(frozen=True)
class Cloud:
    """A cluster whose only other node has no GPU."""

    space: Space
    autoscaler: Autoscaler
    operator: OperatorProcess

    def story(self) -> str:
        """What there is, for a failed assertion."""
        jobs = [(job["metadata"]["name"], job.get("status", {}).get("message")) for job in self.space.jobs()]
        pods = [(pod["metadata"]["name"], pod["status"]) for pod in self.space.pods()]
        return f"{jobs}\n{pods}\n{self.autoscaler.nodes()}{self.operator.story()}"


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with kwok.fresh_cluster("cloud") as (cluster, folder):
        cluster.start_controllers()
        stages = kwok.node_stages() + kwok.pod_stages(run_milliseconds=RUN_MILLISECONDS)
        cluster.start_nodes([kwok.node("control")], stages)
        space = make_space(cluster)
        for wish in ("auto", "gpu"):
            device = {"auto": "Auto", "gpu": "GPU"}[wish]
            make_pipeline(cluster, f"{space.namespace}-{wish}", device=device, gpuWaitSeconds=600)
        scale_up = {
            "AUDIOJOB_CAPACITY__SCALE_UP__ENABLED": "true",
            "AUDIOJOB_CAPACITY__SCALE_UP__GPUS_PER_NODE": str(GPUS_PER_NODE),
            "AUDIOJOB_CAPACITY__SCALE_UP__MAX_GPUS": str(MAX_GPUS),
            "AUDIOJOB_CAPACITY__SCALE_UP__MAX_UNSCHEDULABLE": str(MAX_UNSCHEDULABLE),
            "AUDIOJOB_STORE": json.dumps({"kind": "S3", "bucket": "music"}),  # no claim to bind
        }
        autoscaler = Autoscaler(cluster)
        thread = threading.Thread(target=autoscaler.run, daemon=True)
        with OperatorProcess(cluster.kubeconfig, [space.namespace], folder / "log", **scale_up) as operator:
            thread.start()
            yield Cloud(space, autoscaler, operator)
            autoscaler.stop()
            thread.join(30)


def test_rows_19_and_20_nodes_come_for_jobs_and_go_after_them(cloud: Cloud) -> None:
    space, autoscaler = cloud.space, cloud.autoscaler
    for number in range(JOBS):
        wish = "auto" if number % 2 else "gpu"
        space.submit(f"song-{number}", pipeline=f"{space.namespace}-{wish}")

    def ended() -> bool:
        return all(job.get("status", {}).get("state") in ("Succeeded", "Failed") for job in space.jobs())

    try:
        wait_until("all jobs to end", ended, seconds=90)
    except DevError:
        pytest.fail(cloud.story())

    phases = [phase for job in space.jobs() for phase in job["status"]["phases"]]
    assert {(phase["state"], phase["attempt"], phase.get("failures", 0)) for phase in phases} == {("Succeeded", 1, 0)}
    assert {phase["device"] for phase in phases} == {"GPU"}, "with device Auto too: the node was waited for"
    assert 1 <= autoscaler.most_waiting <= MAX_UNSCHEDULABLE
    assert autoscaler.most_nodes <= MAX_GPUS // GPUS_PER_NODE
    wait_until("the nodes to go", lambda: not autoscaler.nodes(), seconds=60)
