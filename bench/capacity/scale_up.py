"""A flood where no node has a GPU yet: ``python bench/capacity/scale_up.py [--jobs 10000]``.

`capacity.scaleUp` with at most ten unschedulable pods, on a control plane of its own with the real scheduler and nodes
of kwok, none with a GPU. First some jobs that want one come one by one: how long from their creation, and from their
admission, to a pod that the scheduler calls unschedulable, which is what an autoscaler looks for. Then all come at
once: how many such pods there ever are. Then a node with four GPUs comes, as an autoscaler would bring it.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.harness import (
    Object,
    clear,
    follow,
    in_parallel,
    machine,
    open_client,
    operator_process,
    percentile,
    simulated_cluster,
    version_of,
)
from bench.product import NAMESPACE
from bench.upgrades.work import told

from audiojob_dev.cluster import kwok
from audiojob_dev.cluster.kwok import SimulatedCluster
from audiojob_kube.client import AiohttpKubeClient
from audiojob_kube.resources import AUDIOJOBS, PODS
from audiojob_types.constants import API_VERSION, LABEL_JOB

PIPELINE = "bench-gpu"
_MOST, _GPUS_OF_NODE = 10, 4
_ALONE = 10
_LOOK_SECONDS, _AFTER_SECONDS = 40.0, 20.0
_WAIT_SECONDS = 300.0
_SETTINGS = {
    "AUDIOJOB_CAPACITY__SCALE_UP__ENABLED": "true",
    "AUDIOJOB_CAPACITY__SCALE_UP__GPUS_PER_NODE": str(_GPUS_OF_NODE),
    "AUDIOJOB_CAPACITY__SCALE_UP__MAX_GPUS": "10000",
    "AUDIOJOB_CAPACITY__SCALE_UP__MAX_UNSCHEDULABLE": str(_MOST),
}


def pipeline() -> Object:
    """One phase that wants a GPU."""
    phase = {"name": "one", "task": "Simulate", "device": "GPU", "resources": {"cpu": "50m", "memory": "128Mi"}}
    return {
        "apiVersion": API_VERSION,
        "kind": "AudioPipeline",
        "metadata": {"name": PIPELINE},
        "spec": {"phases": [phase]},
    }


def audiojob(name: str) -> Object:
    """A job of it."""
    return {"apiVersion": API_VERSION, "kind": "AudioJob", "metadata": {"name": name}, "spec": {"pipeline": PIPELINE}}


def holds(item: Object, kind: str, status: str, reason: str = "") -> bool:
    """Whether it has that condition."""
    found = ((item.get("status") or {}).get("conditions")) or ()
    return any((each["type"], each["status"]) == (kind, status) and reason in each["reason"] for each in found)


@dataclass
class Seen:
    """What two watches saw: the first moment of each job, and the pods that wait for a node now."""

    admitted: dict[str, float] = field(default_factory=dict)
    pending: dict[str, float] = field(default_factory=dict)
    bound: dict[str, float] = field(default_factory=dict)
    waiting: set[str] = field(default_factory=set)
    most: int = 0

    def job(self, kind: str, item: Object) -> None:
        """An AudioJob has changed."""
        if kind != "DELETED" and holds(item, "Admitted", "True"):
            self.admitted.setdefault(item["metadata"]["name"], time.monotonic())

    def pod(self, kind: str, item: Object) -> None:
        """A pod has changed."""
        name, job = item["metadata"]["name"], item["metadata"]["labels"].get(LABEL_JOB, "")
        if item["spec"].get("nodeName"):
            self.bound.setdefault(job, time.monotonic())
        if kind == "DELETED" or not holds(item, "PodScheduled", "False", "Unschedulable"):
            self.waiting.discard(name)
            return
        self.pending.setdefault(job, time.monotonic())
        self.waiting.add(name)
        self.most = max(self.most, len(self.waiting))


async def until(what: str, check: Callable[[], bool]) -> None:
    """Wait until it holds. Raises TimeoutError."""
    end = time.monotonic() + _WAIT_SECONDS
    while not check():
        if time.monotonic() > end:
            raise TimeoutError(what)
        await asyncio.sleep(0.01)


async def alone(client: AiohttpKubeClient, seen: Seen) -> tuple[list[float], list[float]]:
    """Jobs one after the other; seconds to their waiting pod, from creation and from admission."""
    from_creation, from_admission = [], []
    for number in range(_ALONE + 1):
        name = f"alone-{number}"
        began = time.monotonic()
        await client.create(AUDIOJOBS, audiojob(name), NAMESPACE)
        await until(f"a pod of {name}", lambda name=name: name in seen.pending and name in seen.admitted)  # type: ignore[misc]
        from_creation.append(seen.pending[name] - began)
        from_admission.append(max(0.0, seen.pending[name] - seen.admitted[name]))
        await client.delete(AUDIOJOBS, name, NAMESPACE)
    return from_creation[1:], from_admission[1:]  # before the first one the operator is still starting


async def measure(cluster: SimulatedCluster, count: int) -> list[str]:
    """All of it, printed; what is wrong."""
    client, seen = open_client(cluster), Seen()

    async def watch_jobs(version: str) -> None:
        async for event in follow(client, AUDIOJOBS, NAMESPACE, version):
            seen.job(event.type, event.object)

    async def watch_pods(version: str) -> None:
        async for event in follow(client, PODS, NAMESPACE, version):
            seen.pod(event.type, event.object)

    watches = [
        asyncio.create_task(watch_jobs(await version_of(client, AUDIOJOBS, NAMESPACE))),
        asyncio.create_task(watch_pods(await version_of(client, PODS, NAMESPACE))),
    ]
    try:
        from_creation, from_admission = await alone(client, seen)
        print(
            f"one by one: to a pod that waits for a node {percentile(from_creation, 0.5):.2f} s (median), "
            f"{max(from_creation):.2f} s (longest) from creation, {max(from_admission):.2f} s from admission",
            flush=True,
        )
        await asyncio.to_thread(clear, cluster, NAMESPACE)
        seen.most, began = 0, time.monotonic()
        await in_parallel([client.create(AUDIOJOBS, audiojob(f"flood-{number}"), NAMESPACE) for number in range(count)])
        created = time.monotonic() - began
        await asyncio.sleep(_LOOK_SECONDS)
        print(f"{count} jobs created in {created:.0f} s: at most {seen.most} pods wait for a node", flush=True)
        began = time.monotonic()
        before = len(seen.bound)
        await asyncio.to_thread(cluster.add_node, kwok.node("gpu-1", gpus=_GPUS_OF_NODE))
        await until("a pod on the node", lambda: len(seen.bound) > before)
        bound = time.monotonic() - began
        await asyncio.sleep(_AFTER_SECONDS)
        print(
            f"a node with {_GPUS_OF_NODE} GPUs: its first pod after {bound:.2f} s, {len(seen.bound)} in "
            f"{_AFTER_SECONDS:.0f} s; still at most {seen.most} wait"
        )
    finally:
        for watching in watches:
            watching.cancel()
        await client.aclose()
    wrong = [f"{seen.most} pods waited"] if seen.most > _MOST else []
    wrong += [f"{max(from_admission):.2f} s from admission"] if max(from_admission) >= 2 else []
    return wrong + ([f"{bound:.2f} s to the first pod on the node"] if bound >= 5 else [])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--jobs", type=int, default=10_000)
    arguments = parser.parse_args()
    print(machine(), flush=True)
    with simulated_cluster([NAMESPACE], 1_000, 1_000) as cluster, tempfile.TemporaryDirectory() as folder:
        cluster.rest.request("POST", f"/apis/{API_VERSION}/audiopipelines", pipeline())
        with operator_process(cluster, NAMESPACE, Path(folder) / "log", **_SETTINGS):
            return told(asyncio.run(measure(cluster, arguments.jobs)))


if __name__ == "__main__":
    raise SystemExit(main())
