"""Whether the dashboards show something: ``python bench/monitoring/boards.py [MINUTES]`` (eight minutes by default).

Runs AudioJobs in every situation that a panel is about (success, retry, fallback from GPU to CPU, out of memory, reuse,
cancel, waiting, a pod without room, a permanent failure, a disruption) on the embedded cluster, under Debian's
Prometheus at 2 s. Then every query of every panel must return a series. What was measured goes to build/boards.json,
from which ``bench/monitoring/draw.py`` draws the boards.

GPUs are offered by the node and idle; what an attempt tells of its GPU memory is what Simulate was told to say.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import sys
import time
import urllib.request
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import contextlib

from bench.product import NAMESPACE, Object, open_client, set_up

from audiojob_dev.cluster.embedded import Cluster
from audiojob_dev.monitoring.dashboards import DASHBOARDS, panel_queries
from audiojob_dev.monitoring.run import Running, prometheus
from audiojob_dev.paths import paths_from_environment, repository
from audiojob_dev.progress import Progress
from audiojob_kube.client import AiohttpKubeClient
from audiojob_kube.errors import AlreadyExists
from audiojob_kube.resources import AUDIOJOBS, AUDIOPIPELINES, AUDIOQUEUES, AUDIOWORKERPOOLS, PODS, Resource
from audiojob_types.constants import API_VERSION, LABEL_JOB

SMALL = {"cpu": "50m", "memory": "128Mi", "scratch": "64Mi"}
QUICK = {"limit": 4, "baseSeconds": 1, "capSeconds": 2}
ROUND_SECONDS = 60.0
STEP_SECONDS = 5
RATE_INTERVAL = "60s"  # a board of ten minutes; Grafana takes four scrapes at the least
SYSTEM_NAMESPACE = "audiojob-system"


def simulate(name: str, **others: Any) -> Object:
    """A phase that simulates."""
    return {"name": name, "task": "Simulate", "resources": SMALL, "retry": QUICK, **others}


PIPELINES: dict[str, list[Object]] = {
    "boards-two": [simulate("first"), simulate("second")],
    "boards-gpu": [simulate("render", device="Auto", gpuWaitSeconds=5)],
    "boards-gpu-first": [simulate("train", device="GPU")],
    "boards-memory": [simulate("hungry", resources={**SMALL, "memory": "128Mi", "memoryCap": "512Mi"})],
    "boards-large": [simulate("large", resources={**SMALL, "cpu": "64"})],
    "boards-reuse": [simulate("same", reuse="Allowed")],
    "boards-worker": [simulate("warm", workerPool={"name": "boards", "fallbackSeconds": 10})],
}


@dataclass(frozen=True, slots=True)
class Situation:
    """One AudioJob, and what happens to it. ``then``: a patch of its spec after some seconds, or an eviction."""

    name: str
    pipeline: str
    parameters: Object = field(default_factory=dict)
    spec: Object = field(default_factory=dict)
    cancelled: bool = False
    evicted: bool = False


ON_GPU = {"gpuMemoryMebibytes": 5_000}
SITUATIONS = (
    Situation("success", "boards-two", {"durationMilliseconds": 3_000, "mediaMilliseconds": 20_000}),
    Situation("retry", "boards-two", {"durationMilliseconds": 500, "exitCode": 75, "failAttempts": 1}),
    Situation("permanent", "boards-two", {"exitCode": 65}),
    Situation("on-gpu", "boards-gpu", {"durationMilliseconds": 8_000, **ON_GPU}),
    Situation("fallback", "boards-gpu", {"durationMilliseconds": 8_000, **ON_GPU}),
    Situation("gpu-error", "boards-gpu", {"durationMilliseconds": 500, "exitCode": 79, "failAttempts": 1}),
    Situation("waits-for-gpu", "boards-gpu-first", {"durationMilliseconds": 5_000, **ON_GPU}),
    Situation("memory", "boards-memory", {"durationMilliseconds": 1_000, "memoryMebibytes": 200}),
    Situation("same-1", "boards-reuse", {"durationMilliseconds": 1_000}),
    Situation("same-2", "boards-reuse", {"durationMilliseconds": 1_000}),
    Situation("cancelled", "boards-two", {"durationMilliseconds": 60_000}, cancelled=True),
    Situation("evicted", "boards-two", {"durationMilliseconds": 6_000}, evicted=True),
    Situation("no-room", "boards-large", cancelled=True),
    *(Situation(f"worker-{number}", "boards-worker", {"durationMilliseconds": 8_000}) for number in range(3)),
    Situation("held-1", "boards-two", {"durationMilliseconds": 20_000}, {"queueName": "boards-narrow"}),
    Situation("held-2", "boards-two", {"durationMilliseconds": 1_000}, {"queueName": "boards-narrow"}),
)


async def prepare(client: AiohttpKubeClient) -> None:
    """Pipelines, and a queue with one slot."""
    for name, phases in PIPELINES.items():
        await ensure(client, AUDIOPIPELINES, {"metadata": {"name": name}, "spec": {"phases": phases}})
    narrow = {"metadata": {"name": "boards-narrow", "namespace": NAMESPACE}, "spec": {"maxRunning": 1}}
    await ensure(client, AUDIOQUEUES, narrow)
    pool = {"tasks": ["Simulate"], "maxWorkers": 1, "resources": SMALL}
    await ensure(client, AUDIOWORKERPOOLS, {"metadata": {"name": "boards", "namespace": NAMESPACE}, "spec": pool})


async def ensure(client: AiohttpKubeClient, resource: Resource, body: Object) -> None:
    """Create it unless it is there."""
    with contextlib.suppress(AlreadyExists):
        await client.create(resource, {"apiVersion": API_VERSION, "kind": resource.kind, **body})


async def one_round(client: AiohttpKubeClient, mark: str) -> None:
    """Every situation once, in a minute."""
    began = time.monotonic()
    for each in SITUATIONS:
        spec = {"pipeline": each.pipeline, "parameters": {"simulate": each.parameters}, **each.spec}
        body = {
            "apiVersion": API_VERSION,
            "kind": "AudioJob",
            "metadata": {"name": f"boards-{mark}-{each.name}", "namespace": NAMESPACE},
            "spec": spec,
        }
        await client.create(AUDIOJOBS, body)
    await asyncio.sleep(12)
    for each in SITUATIONS:
        name = f"boards-{mark}-{each.name}"
        if each.cancelled:
            await client.patch_merge(AUDIOJOBS, name, {"spec": {"cancel": True}}, NAMESPACE)
        if each.evicted:
            for pod in (await client.list(PODS, NAMESPACE, label_selector=f"{LABEL_JOB}={name}")).items:
                await client.delete(PODS, pod["metadata"]["name"], NAMESPACE, grace_seconds=1)
    await asyncio.sleep(max(0.0, ROUND_SECONDS - (time.monotonic() - began)))


def over_time(running: Running, query: str, start: float, end: float) -> list[Any]:
    """The series of a query over the run, without points that are no number."""
    asked = urlencode({"query": query, "start": start, "end": end, "step": STEP_SECONDS})
    with urllib.request.urlopen(f"{running.url}/api/v1/query_range?{asked}", timeout=30) as answer:  # noqa: S310 - of this machine
        found: list[Any] = json.load(answer)["data"]["result"]
    for series in found:
        series["values"] = [[at, value] for at, value in series["values"] if math.isfinite(float(value))]
    return [series for series in found if series["values"]]


def measure(running: Running, start: float, end: float) -> list[Object]:
    """Every query of every panel with its series."""
    legends = [query.legend for board in DASHBOARDS for panel in board.panels for query in panel.queries]
    asked = panel_queries(SYSTEM_NAMESPACE, RATE_INTERVAL)
    return [
        {
            "board": each.dashboard,
            "panel": each.panel,
            "legend": legend,
            "query": each.query,
            "series": over_time(running, each.query, start, end),
        }
        for legend, each in zip(legends, asked, strict=True)
    ]


async def run(minutes: int) -> None:
    """Make the situations again and again for so long."""
    client = open_client()
    try:
        await prepare(client)
        rounds = max(1, round(minutes * 60 / ROUND_SECONDS))
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", flush=True)
            await one_round(client, uuid.uuid4().hex[:6])
    finally:
        await client.aclose()


def main() -> int:
    minutes = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    set_up()
    paths = paths_from_environment()
    with Progress() as progress:
        Cluster(paths).up(progress, 1)
    try:
        with prometheus(paths, os.environ, "2s") as running:
            start = time.time()
            asyncio.run(run(minutes))
            end = time.time()
            running.refresh()
            found = measure(running, start, end)
    finally:
        with Progress() as progress:
            Cluster(paths).up(progress, 0)
    file = repository() / "build" / "boards.json"
    about = f"{datetime.now(UTC):%Y-%m-%d}, {minutes} minutes on the embedded cluster"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"start": start, "end": end, "about": about, "panels": found}))
    empty = [each for each in found if not each["series"]]
    for each in empty:
        print(f"empty: {each['board']} / {each['panel']}: {each['query']}")
    print(f"{len(found)} queries, {len(found) - len(empty)} with series; {file}")
    return 1 if empty else 0


if __name__ == "__main__":
    raise SystemExit(main())
