"""Whether the kubelet loses changes of annotations: ``python bench/workers/lost.py [PAIRS] [SHORTEST LONGEST]``.

A pod on the embedded cluster shows an annotation in a file of a downward-API volume, as those show it that are told
their work. The annotation is changed twice, SHORTEST to LONGEST seconds apart (0 to 0.3), and the file is read until it
shows the second change. One that takes more than three seconds was lost until the kubelet looked at all pods again.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import time
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.product import NAMESPACE, Object, cluster_with_images, open_client

from audiojob_dev.demo import install
from audiojob_dev.demo.store import restricted_pod
from audiojob_kube.client import AiohttpKubeClient
from audiojob_kube.errors import NotFound
from audiojob_kube.resources import PODS

POD, TOLD = "bench-lost", "bench-told"
_LOST_SECONDS, _LONGEST_SECONDS, _LOOK_SECONDS = 3.0, 180.0, 0.005


def reader(image: str) -> Object:
    """The pod."""
    pod = restricted_pod(POD, image, ["sleep", "3600"], {})
    pod["metadata"]["annotations"] = {TOLD: "0"}
    item = {"path": "told", "fieldRef": {"fieldPath": f"metadata.annotations['{TOLD}']"}}
    pod["spec"]["volumes"].append({"name": "told", "downwardAPI": {"items": [item]}})
    pod["spec"]["containers"][0]["volumeMounts"].append({"name": "told", "mountPath": "/told"})
    pod["spec"]["terminationGracePeriodSeconds"] = 0
    return pod


def file_of(pod_uid: str) -> Path:
    """The pod's file, through the one process that it has, once that runs."""
    while True:
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has ended meanwhile
                groups = (process / "cgroup").read_text().replace("_", "-")
                if pod_uid in groups and (process / "cmdline").read_bytes().startswith(b"sleep\0"):
                    return process / "root/told/told"
        time.sleep(0.5)


def wait_for(text: str, file: Path) -> float:
    """Seconds until the file shows it, or three minutes."""
    began = time.monotonic()
    while time.monotonic() - began < _LONGEST_SECONDS:
        with suppress(FileNotFoundError):  # the volume's folder was replaced on the way to it
            if file.read_text() == text:
                break
        time.sleep(_LOOK_SECONDS)
    return time.monotonic() - began


async def measure(client: AiohttpKubeClient, pairs: int, shortest: float, longest: float) -> None:
    file = file_of((await client.get(PODS, POD, NAMESPACE))["metadata"]["uid"])
    chance = random.Random(1)  # noqa: S311 - no secret
    times: list[float] = []

    async def change(text: str) -> None:
        await client.patch_merge(PODS, POD, {"metadata": {"annotations": {TOLD: text}}}, NAMESPACE)

    for number in range(1, pairs + 1):
        apart = chance.uniform(shortest, longest)
        await change(f"first {number}")
        await asyncio.sleep(apart)
        await change(f"second {number}")
        times.append(wait_for(f"second {number}", file))
        if times[-1] > _LOST_SECONDS:
            print(f"pair {number}, {apart:.3f} s apart: seen after {times[-1]:.1f} s", flush=True)
        await asyncio.sleep(chance.uniform(0.0, 0.4))
    lost = [each for each in times if each > _LOST_SECONDS]
    others = [each for each in times if each <= _LOST_SECONDS]
    print(
        f"{len(lost)} of {pairs} lost; the others: median {statistics.median(others):.2f} s, most {max(others):.2f} s"
    )


async def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    shortest, longest = map(float, sys.argv[2:4]) if len(sys.argv) > 3 else (0.0, 0.3)
    cluster, images = cluster_with_images()
    install.ensure_namespace(cluster, NAMESPACE)
    client = open_client()
    try:
        with suppress(NotFound):
            await client.delete(PODS, POD, NAMESPACE, grace_seconds=0)
        await client.create(PODS, reader(images["runner"]), NAMESPACE)
        await measure(client, pairs, shortest, longest)
    finally:
        with suppress(NotFound):
            await client.delete(PODS, POD, NAMESPACE, grace_seconds=0)
        await client.aclose()


if __name__ == "__main__":
    asyncio.run(main())
