"""What the benchmarks at scale share: a control plane with simulated nodes, a client, the operator's process, figures.

Nothing of the embedded cluster is used: everything lies in a temporary folder and ends with the benchmark.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
import subprocess
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.support.operator_process import PROGRAM, OperatorProcess

from audiojob_dev.cluster import apiserver, kwok
from audiojob_dev.cluster.kwok import SimulatedCluster
from audiojob_dev.paths import repository
from audiojob_dev.rest import RestError, wait_until
from audiojob_kube.client import AiohttpKubeClient, connect
from audiojob_kube.config import load_connection
from audiojob_kube.objects import WatchEvent
from audiojob_kube.resources import Resource
from audiojob_types.constants import API_VERSION, RUNNER_SERVICE_ACCOUNT

USER_AGENT = "audiojob-bench"
PIPELINE = "bench-two"
PHASES = ("one", "two")
_NODES = 10
_CLEAR_SECONDS = 900.0
_TICKS = os.sysconf("SC_CLK_TCK")

Object = dict[str, Any]


@contextmanager
def simulated_cluster(
    namespaces: Sequence[str], run_milliseconds: int = 0, start_milliseconds: int = 0
) -> Iterator[SimulatedCluster]:
    """A fresh control plane with ten nodes, our types, these namespaces, and the two-phase pipeline."""
    with kwok.fresh_cluster("bench") as (cluster, _):
        cluster.start_controllers()
        nodes = [kwok.node(f"node-{number}") for number in range(_NODES)]
        pods = kwok.pod_stages(start_milliseconds=start_milliseconds, run_milliseconds=run_milliseconds)
        cluster.start_nodes(nodes, kwok.node_stages() + pods)
        for namespace in namespaces:
            cluster.create_namespace(namespace)
            cluster.ensure_service_account(namespace, RUNNER_SERVICE_ACCOUNT)
        cluster.rest.request("POST", f"/apis/{API_VERSION}/audiopipelines", _pipeline())
        yield cluster


def _pipeline() -> Object:
    phase = {"task": "Simulate", "resources": {"cpu": "50m", "memory": "128Mi", "scratch": "64Mi"}}
    return {
        "apiVersion": API_VERSION,
        "kind": "AudioPipeline",
        "metadata": {"name": PIPELINE},
        "spec": {"phases": [{"name": name, **phase} for name in PHASES]},
    }


def audiojob(name: str, pipeline: str = PIPELINE) -> Object:
    """A job of that pipeline. Its name stays below 30 characters, so that its Jobs' names begin with it."""
    return {"apiVersion": API_VERSION, "kind": "AudioJob", "metadata": {"name": name}, "spec": {"pipeline": pipeline}}


def open_client(cluster: SimulatedCluster) -> AiohttpKubeClient:
    """A client with all rights; at most 32 calls are in flight."""
    connection = load_connection(cluster.kubeconfig, apiserver.CONTEXT)
    return connect(connection, user_agent=USER_AGENT, field_manager=USER_AGENT)


def operator_process(cluster: SimulatedCluster, namespace: str, log: Path, **settings: str) -> OperatorProcess:
    """The real operator, not started yet. Phases use an S3 store, which is never asked: no pod has a process."""
    store = {"AUDIOJOB_STORE": json.dumps({"kind": "S3", "bucket": "bench"})}
    return OperatorProcess(cluster.kubeconfig, [namespace], log, PROGRAM, **{**store, **settings})


def reconciles(log: Path) -> float:
    """How many reconciles the operator has made that writes this log, by its own metrics."""
    port = re.findall(r"probes and metrics on port (\d+)", log.read_text())[-1]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("audiojob_operator_reconciles_total{"))


async def follow(
    client: AiohttpKubeClient, resource: Resource, namespace: str, version: str, field_selector: str = ""
) -> AsyncIterator[WatchEvent]:
    """Events from ``version`` on, without end: a watch that the server ends is continued where it was."""
    while True:
        async for event in client.watch(
            resource, namespace, resource_version=version, field_selector=field_selector or None, timeout_seconds=300
        ):
            version = event.object["metadata"]["resourceVersion"]
            if event.type != "BOOKMARK":
                yield event


async def version_of(client: AiohttpKubeClient, resource: Resource, namespace: str) -> str:
    """The resourceVersion to follow from."""
    return (await client.list(resource, namespace)).resource_version


def clear(cluster: SimulatedCluster, namespace: str) -> None:
    """Delete all AudioJobs, Jobs, pods and events of a namespace, and wait until they are gone."""
    options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
    paths = [
        f"/apis/{API_VERSION}/namespaces/{namespace}/audiojobs",
        f"/apis/batch/v1/namespaces/{namespace}/jobs",
        f"/api/v1/namespaces/{namespace}/pods",
        f"/api/v1/namespaces/{namespace}/events",
    ]

    def is_empty() -> bool:
        for path in paths:
            if not cluster.rest.request("GET", f"{path}?limit=1")["items"]:
                continue
            try:
                cluster.rest.request("DELETE", path, options, timeout=60)
            except TimeoutError:
                pass  # it goes on, and the next look repeats it
            except RestError as error:
                if error.status < 500:
                    raise
            return False
        return True

    wait_until(f"{namespace} to be empty", is_empty, seconds=_CLEAR_SECONDS, interval=1)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used: CPU seconds, and the peak of its resident memory in MiB."""

    cpu_seconds: float
    peak_mebibytes: float


def usage(pid: int) -> Usage:
    """Usage of a live process, from /proc; the kernel keeps the peak."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = Path(f"/proc/{pid}/status").read_text()
    peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return Usage((int(fields[11]) + int(fields[12])) / _TICKS, int(peak) / 1024)


def plane_cpu(cluster: SimulatedCluster) -> dict[str, float]:
    """CPU seconds by program of the control plane, and of this script."""
    used = {name: usage(pid).cpu_seconds for name, pid in cluster.pids().items()}
    return used | {"this script": sum(os.times()[:2])}


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def machine() -> str:
    """One line for the record: when, what code, how large and how busy the machine is."""
    commit = subprocess.run(
        ["git", "-C", str(repository()), "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    memory = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    gibibytes = int(memory.split()[1]) / 1024**2
    moment = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"{moment}; commit {commit}; {os.cpu_count()} cores, {gibibytes:.0f} GiB; load before (1, 5, 15 min): {load}"


async def in_parallel(calls: Iterator[Any] | Sequence[Any]) -> None:
    """Await all; the client bounds how many are in flight. The first failure ends the rest."""
    async with asyncio.TaskGroup() as group:
        for call in calls:
            group.create_task(call)


def settle(seconds: float) -> None:
    """Let what trails behind the last answer (events, conditions, the audit log) arrive before it is counted."""
    time.sleep(seconds)
