"""How much an AudioJob costs over the same Jobs applied by hand: ``python bench/phases.py [PAIRS]``.

A: an AudioJob of two Simulate phases that do nothing, from create to Complete; and the same with overlap: Never, where
   the second pod begins in its turn. And the same by a worker of a pool that has its libraries loaded and waits.
B: the operator's own two Job manifests, taken from a finished AudioJob, same images and volumes, with fresh names and
   folders, created one after the other; the second as soon as a watch of pods shows that the first one's container has
   ended with 0. Nothing shows it earlier: the pod's phase follows about 1 s later, the Job's condition later still,
   which is what `kubectl wait --for=condition=Complete job/x` in a script would see.

A and B run in turn on one cluster in one run; the ratio is taken pair by pair.
"""

from __future__ import annotations

import asyncio
import copy
import json
import statistics
import sys
import time
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.product import (
    NAMESPACE,
    PIPELINE,
    Object,
    apply_pipeline,
    create_pool,
    open_client,
    remove_pool,
    run_audiojob,
    set_up,
    until_idle,
    watch_until,
)

from audiojob_kube.client import AiohttpKubeClient
from audiojob_kube.resources import JOBS, PODS
from audiojob_types.constants import LABEL_JOB

IN_TURN = f"{PIPELINE}-in-turn"
WARM = f"{PIPELINE}-warm"
POOL = "bench-warm"


async def raw_manifests(client: AiohttpKubeClient, audiojob: Object) -> list[Object]:
    """The two Jobs of a finished AudioJob as they were created, without owner and server-set fields."""
    found = await client.list(JOBS, NAMESPACE, label_selector=f"{LABEL_JOB}={audiojob['metadata']['name']}")
    manifests = []
    for job in sorted(found.items, key=lambda item: str(item["metadata"]["creationTimestamp"])):
        spec = copy.deepcopy(job["spec"])
        spec.pop("selector", None)
        for label in (
            "batch.kubernetes.io/controller-uid",
            "batch.kubernetes.io/job-name",
            "controller-uid",
            "job-name",
        ):
            spec["template"]["metadata"]["labels"].pop(label, None)
        metadata = {"name": job["metadata"]["name"], "labels": job["metadata"]["labels"]}
        manifests.append({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec})
    assert len(manifests) == 2, manifests
    return manifests


def fresh(manifest: Object, audiojob: Object, replacement: str, number: int) -> Object:
    """The manifest with a folder of its own (the runner would else find the work done) and a new name.

    It names an AudioJob that does not exist, so that the runner's progress reports are refused for good at once (404);
    a report on a job that is not its own would be repeated, which would slow the raw side down.
    """
    text = json.dumps(manifest).replace(audiojob["metadata"]["uid"], replacement)
    renewed: Object = json.loads(text.replace(audiojob["metadata"]["name"], f"raw-{replacement[:8]}"))
    renewed["metadata"]["name"] = f"raw-{replacement[:8]}-{number}"
    return renewed


async def run_raw(client: AiohttpKubeClient, manifests: list[Object], audiojob: Object) -> float:
    """Both Jobs in a row; wall seconds from the first create until the second container has ended."""
    replacement = str(uuid.uuid4())
    start = time.monotonic()
    for number, manifest in enumerate(manifests, start=1):
        created = await client.create(JOBS, fresh(manifest, audiojob, replacement, number), NAMESPACE)
        name = created["metadata"]["name"]

        def succeeded(pod: Object, owner: str = name) -> bool:
            if pod["metadata"]["labels"].get("batch.kubernetes.io/job-name") != owner:
                return False
            ended = [status["state"].get("terminated") for status in pod["status"].get("containerStatuses", ())]
            assert not any(state and state["exitCode"] for state in ended), pod["status"]
            return bool(ended) and all(ended)

        await watch_until(client, PODS, created, "", succeeded)
    return time.monotonic() - start


async def measure(pairs: int) -> None:
    """Warm up, then A B A B …, and print."""
    client = open_client()
    try:
        await apply_pipeline(client)
        await apply_pipeline(client, IN_TURN, overlap="Never")  # a Job that waits for its inputs would wait in vain
        reference, _ = await run_audiojob(client, IN_TURN)
        manifests = await raw_manifests(client, reference)
        await run_raw(client, manifests, reference)
        await start_worker(client)
        ours, raw, in_turn, warm = [], [], [], []
        for _ in range(pairs):
            ours.append((await run_audiojob(client))[1])
            raw.append(await run_raw(client, manifests, reference))
            in_turn.append((await run_audiojob(client, IN_TURN))[1])
            warm.append(await run_warm(client))
        await remove_pool(client, POOL)
    finally:
        await client.aclose()
    report({"AudioJob": ours, "in turn": in_turn, "warm worker": warm}, raw)


async def start_worker(client: AiohttpKubeClient) -> None:
    """A worker that has done a job, and the pipeline whose phases it does."""
    await apply_pipeline(client, WARM, workerPool={"name": POOL})
    resources = {"cpu": "50m", "memory": "256Mi", "scratch": "128Mi"}
    await until_idle(client, await create_pool(client, POOL, {"tasks": ["Simulate"], "resources": resources}))
    await run_warm(client)


async def run_warm(client: AiohttpKubeClient) -> float:
    """One AudioJob by the worker; wall seconds."""
    done, seconds = await run_audiojob(client, WARM)
    pods = {phase.get("podUID") for phase in done["status"]["phases"]}
    assert len(pods - {None}) == 1, f"not by one worker: {done['status']['phases']}"
    return seconds


def report(sides: dict[str, list[float]], raw: list[float]) -> None:
    """Print seconds of each side, and its ratios, pair by pair."""
    for name, values in {**sides, "raw Jobs": raw}.items():
        print(f"{name + ' (s)':<22} {spread(values)}")
    for name, values in sides.items():
        print(f"{name + ' / raw':<22} {spread([a / b for a, b in zip(values, raw, strict=True)])}")
    print(f"{len(raw)} pairs (aims: AudioJob / raw at most 0.80, warm worker / raw at most 0.35)")


def spread(values: list[float]) -> str:
    return f"min {min(values):6.3f}  median {statistics.median(values):6.3f}  max {max(values):6.3f}"


if __name__ == "__main__":
    set_up({"overlap.enabled": True})
    asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 10))
