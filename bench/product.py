"""What the benchmarks share: the product installed on the embedded cluster, and one client for all measured calls."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from audiojob_dev import prepare
from audiojob_dev.cluster.embedded import CONTEXT
from audiojob_dev.demo import install
from audiojob_dev.demo.tools import Cluster
from audiojob_dev.paths import paths_from_environment
from audiojob_dev.progress import Progress
from audiojob_dev.tools import binaries
from audiojob_kube.client import AiohttpKubeClient, connect
from audiojob_kube.config import load_connection
from audiojob_kube.errors import NotFound
from audiojob_kube.resources import AUDIOJOBS, AUDIOPIPELINES, AUDIOWORKERPOOLS, JOBS, Resource
from audiojob_types.constants import API_VERSION, LABEL_POOL

NAMESPACE = "audiojob-bench"
PIPELINE = "bench-two"
USER_AGENT = "audiojob-bench"

Object = dict[str, Any]


def set_up(others: Mapping[str, Any] | None = None) -> Cluster:
    """Cluster, images, and the chart, with ``others`` among its values by dotted key."""
    cluster, images = cluster_with_images()
    install.ensure_namespace(cluster, NAMESPACE)
    install.install(cluster, [NAMESPACE], images, "127.0.0.1/32:*", others)
    return cluster


def cluster_with_images() -> tuple[Cluster, dict[str, str]]:
    """The embedded cluster, up, and the references of this tree's images in it."""
    paths = paths_from_environment()
    with Progress() as progress:
        images = prepare.cluster_with_images(paths, progress)
        programs = binaries.ensure(paths, ("kubectl", "helm"), progress)
    kubectl, helm = str(programs / "kubectl"), str(programs / "helm")
    return Cluster(kubectl, helm, paths.kubeconfig, CONTEXT, embedded=True), images


def open_client() -> AiohttpKubeClient:
    """A client of the embedded cluster with its administrator's rights."""
    connection = load_connection(paths_from_environment().kubeconfig, CONTEXT)
    return connect(connection, user_agent=USER_AGENT, field_manager=USER_AGENT)


async def apply_pipeline(client: AiohttpKubeClient, name: str = PIPELINE, **more: Any) -> None:
    """Create the pipeline unless it is there, with ``more`` said of its two phases."""
    phase = {"task": "Simulate", "resources": {"cpu": "50m", "memory": "128Mi", "scratch": "64Mi"}, **more}
    pipeline = {
        "apiVersion": API_VERSION,
        "kind": "AudioPipeline",
        "metadata": {"name": name},
        "spec": {"phases": [{"name": "one", **phase}, {"name": "two", **phase}]},
    }
    found = await client.list(AUDIOPIPELINES)
    if name not in {item["metadata"]["name"] for item in found.items}:
        await client.create(AUDIOPIPELINES, pipeline)


async def create_pool(client: AiohttpKubeClient, name: str, spec: Object) -> Object:
    """A pool of one worker that stays; what an earlier run has left of it goes first. Returns at once."""
    await remove_pool(client, name)
    stays = {"minWorkers": 1, "maxWorkers": 1, "maxPhases": 100_000, "idleSeconds": 3_600}
    pool = {"apiVersion": API_VERSION, "kind": "AudioWorkerPool", "metadata": {"name": name}, "spec": stays | spec}
    return await client.create(AUDIOWORKERPOOLS, pool, NAMESPACE)


async def until_idle(client: AiohttpKubeClient, pool: Object) -> None:
    """Until its worker can take a phase."""
    if not (pool.get("status") or {}).get("idle"):
        field = f"metadata.name={pool['metadata']['name']}"
        await watch_until(client, AUDIOWORKERPOOLS, pool, field, lambda seen: bool(seen.get("status", {}).get("idle")))


async def remove_pool(client: AiohttpKubeClient, name: str) -> None:
    """Delete the pool, if there is one, and return when its workers' Jobs are gone."""
    with suppress(NotFound):
        await client.delete(AUDIOWORKERPOOLS, name, NAMESPACE)
    await until_gone(client, f"{LABEL_POOL}={name}")


async def until_gone(client: AiohttpKubeClient, selector: str) -> None:
    """Until there is no Job with these labels. Raises TimeoutError after two minutes."""
    left = True
    async with asyncio.timeout(120):
        while left:
            left = bool((await client.list(JOBS, NAMESPACE, label_selector=selector)).items)
            await asyncio.sleep(0.5 if left else 0)


async def run_audiojob(client: AiohttpKubeClient, pipeline: str = PIPELINE) -> tuple[Object, float]:
    """One AudioJob to its end: the finished object, and wall seconds from create to Complete."""
    name = f"bench-{uuid.uuid4().hex[:8]}"
    body = {
        "apiVersion": API_VERSION,
        "kind": "AudioJob",
        "metadata": {"name": name},
        "spec": {"pipeline": pipeline},
    }
    start = time.monotonic()
    created = await client.create(AUDIOJOBS, body, NAMESPACE)
    done = await watch_until(client, AUDIOJOBS, created, f"metadata.name={name}", _has_ended)
    seconds = time.monotonic() - start
    assert done["status"]["state"] == "Succeeded", done["status"]
    return done, seconds


def _has_ended(job: Object) -> bool:
    return job.get("status", {}).get("state") in ("Succeeded", "Failed", "Cancelled")


async def watch_until(
    client: AiohttpKubeClient, resource: Resource, since: Object, field_selector: str, check: Callable[[Object], bool]
) -> Object:
    """The first version after ``since`` that ``check`` accepts. Raises TimeoutError after two minutes."""
    version = since["metadata"]["resourceVersion"]
    async with asyncio.timeout(120):
        async for event in client.watch(
            resource, NAMESPACE, resource_version=version, field_selector=field_selector, timeout_seconds=120
        ):
            if event.type != "BOOKMARK" and check(event.object):
                return event.object
    raise TimeoutError(field_selector)
