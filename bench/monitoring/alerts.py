"""Whether alerts fire and are quiet in a live cluster: ``python bench/monitoring/alerts.py``.

The chart's own rules, as helm renders them with low thresholds (`monitoring.rules.thresholds`), under Debian's
Prometheus at 2 s. Only how long a state must last (`for`) is shortened, which no value of the chart does. First a quiet
time with jobs that succeed, in which nothing may fire; then each situation is made; what can be mended is, and must
become quiet again. On the embedded cluster, whose release and AudioJobs it removes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.harness import machine
from bench.product import NAMESPACE
from bench.upgrades.releases import bring, cluster_and_release, remove
from bench.upgrades.work import SMALL, Work, evict, runs, simulate, told

from audiojob_dev.cluster.embedded import Cluster as EmbeddedCluster
from audiojob_dev.demo import install
from audiojob_dev.demo.tools import Cluster
from audiojob_dev.monitoring.run import Running, prometheus
from audiojob_dev.paths import paths_from_environment
from audiojob_dev.progress import Progress
from audiojob_dev.rest import Rest
from audiojob_dev.webserver import Quiet, serving
from audiojob_types.constants import API_VERSION

BARE = "audiojob-bench-bare"  # a job namespace whose claim is gone
OPERATOR = f"deployment/{install.RELEASE}-operator"
_QUIET_SECONDS = 45.0
_FIRES_SECONDS = 120.0
_LASTS = "6s"

ONE_TRY = {"limit": 1, "baseSeconds": 0, "capSeconds": 1}
THRESHOLDS = {
    "outOfMemory": 1,
    "diskFull": 1,
    "gpuErrors": 1,
    "gpuFallbacks": 1,
    "disruptions": 1,
    "siteBlocks": 1,
    "jobsFail": 1,
    "jobsFailRatio": 0.05,
    "waitLongSeconds": 8,
}
PIPELINES: dict[str, list[dict[str, Any]]] = {
    "quiet": [simulate("one", 500), simulate("two", 500)],
    "long": [simulate("one", 60_000)],
    "no-room": [simulate("one", 500, resources={**SMALL, "cpu": "64"})],
    "no-image": [
        {
            "name": "one",
            "task": "Container",
            "image": "registry.invalid/none:1",
            "command": ["true"],
            "resources": SMALL,
            "startTimeoutSeconds": 600,
        }
    ],
    "disk-full": [simulate("one", 0, simulate={"exitCode": 78}, retry=ONE_TRY)],
    "fails": [simulate("one", 0, simulate={"exitCode": 75}, retry=ONE_TRY)],
    "hungry": [simulate("one", 500, simulate={"memoryMebibytes": 300}, retry=ONE_TRY)],
    "gpu-error": [simulate("one", 0, simulate={"exitCode": 79}, device="GPU", retry=ONE_TRY)],
    "holds-gpu": [simulate("one", 60_000, device="GPU")],
    "wants-gpu": [simulate("one", 500, device="Auto", gpuWaitSeconds=3)],
}
# The alert, its pipeline, and how many jobs of it. In this order: those on the GPU fail before one holds it.
BY_JOBS = (
    ("Unschedulable", "no-room", 1),
    ("ImagePullFails", "no-image", 1),
    ("DiskFull", "disk-full", 4),
    ("JobsFail", "fails", 4),
    ("OutOfMemory", "hungry", 4),
    ("GpuErrors", "gpu-error", 4),
)


def rules(cluster: Cluster, chart: Path, namespace: str) -> str:
    """The chart's PrometheusRule as a rule file, with a short `for`."""
    values = {f"monitoring.rules.thresholds.{name}": value for name, value in THRESHOLDS.items()}
    values |= {"monitoring.rules.enabled": True, "jobNamespaces": [NAMESPACE]}
    command = [cluster.helm_path, "template", install.RELEASE, str(chart), "-n", namespace]
    for name, value in values.items():
        command += ["--set-json", f"{name}={json.dumps(value)}"]
    command += ["-s", "templates/monitoring/rules.yaml"]
    spec = yaml.safe_load(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["spec"]
    for rule in (rule for group in spec["groups"] for rule in group["rules"]):
        if rule.get("for", "0m") != "0m":
            rule["for"] = _LASTS
    for group in spec["groups"]:
        group["interval"] = "2s"
    return yaml.safe_dump(spec)


def firing(running: Running) -> set[str]:
    """Names of the alerts that fire, without their prefix."""
    found = running.ask('ALERTS{alertstate="firing"}')
    return {each["metric"]["alertname"].removeprefix("Audiojob") for each in found}


class Watch:
    """What fired, and what is wrong."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self.fired: dict[str, float] = {}
        self.wrong: list[str] = []

    def sees_a_leader(self) -> None:
        """Prometheus has found the operator. Until then nobody leads that it knows of, and `for` is short here."""
        began = time.monotonic()
        while not self._running.ask("audiojob_operator_leading == 1") or firing(self._running):
            self._running.refresh()
            if time.monotonic() - began > _FIRES_SECONDS:
                self.wrong.append(f"before the quiet time: no leader is seen, or {sorted(firing(self._running))} fire")
                return
            time.sleep(1)
        print(f"Prometheus sees a leader after {time.monotonic() - began:.0f} s", flush=True)

    def quiet(self, seconds: float) -> None:
        """Nothing fires for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._running.refresh()
            if found := firing(self._running):
                self.wrong.append(f"fires in quiet: {sorted(found)}")
                return
            time.sleep(2)
        print(f"quiet for {seconds:.0f} s", flush=True)

    def fires(self, name: str) -> None:
        """It fires soon."""
        began = time.monotonic()
        while name not in firing(self._running):
            self._running.refresh()
            if time.monotonic() - began > _FIRES_SECONDS:
                self.wrong.append(f"{name} does not fire")
                print(f"{name}: DOES NOT FIRE", flush=True)
                return
            time.sleep(1)
        self.fired[name] = time.monotonic() - began
        print(f"{name}: fires after {self.fired[name]:.0f} s", flush=True)

    def ends(self, *names: str) -> None:
        """They become quiet again."""
        began = time.monotonic()
        while still := set(names) & firing(self._running):
            self._running.refresh()
            if time.monotonic() - began > _FIRES_SECONDS:
                self.wrong.append(f"still fire: {sorted(still)}")
                return
            time.sleep(1)
        print(f"{', '.join(names)}: quiet {time.monotonic() - began:.0f} s after the cause was mended", flush=True)


@contextmanager
def refusing_server(address: str) -> Iterator[str]:
    """A site that answers everything with 429."""

    class Handler(Quiet, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(429)
            self.send_header("Retry-After", "1")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET  # noqa: N815 - http.server names it

    with serving(address, Handler) as url:
        yield url


def situations(cluster: Cluster, rest: Rest, watch: Watch, site: str) -> None:
    """One after the other; those that stand stay until the end."""
    work = Work(rest)
    for name, pipeline, count in BY_JOBS:
        for number in range(count):
            work.submit(f"{pipeline}-{number}", pipeline)
        watch.fires(name)
    bare = {"apiVersion": API_VERSION, "kind": "AudioJob", "metadata": {"name": "no-volume"}}
    cluster.kubectl("-n", BARE, "create", "-f", "-", stdin=json.dumps({**bare, "spec": {"pipeline": "quiet"}}))
    watch.fires("VolumeMissing")
    work.submit("holds-gpu", "holds-gpu")
    work.until("holds-gpu", runs(0), "at work", 60)
    for number in range(3):
        work.submit(f"wants-gpu-{number}", "wants-gpu")
    watch.fires("GpuFallbacks")
    for number in range(3):
        work.submit(f"site-{number}", "download", {"source": {"url": f"{site}/{number}.mp3"}})
    watch.fires("SiteBlocks")
    for number in range(3):
        work.submit(f"evicted-{number}", "long")
    for number in range(3):
        name = f"evicted-{number}"
        work.until(name, runs(0), "at work", 60)
        for pod in work.pods(name):
            evict(rest, pod["metadata"])
    watch.fires("Disruptions")
    work.hold(True)
    for number in range(30):
        work.submit(f"late-{number}", "quiet", {"queueName": "meets-held"})
    time.sleep(12)
    work.hold(False)
    watch.fires("WaitLong")
    system = ("-n", install.RELEASE_NAMESPACE)
    cluster.kubectl(*system, "scale", OPERATOR, "--replicas=0")
    watch.fires("NobodyLeads")
    cluster.kubectl(*system, "scale", OPERATOR, "--replicas=1")
    cluster.kubectl(*system, "rollout", "status", OPERATOR, "--timeout=120s")
    watch.ends("NobodyLeads")
    for name in ("no-room-0", "no-image-0"):
        work.patch(name, {"cancel": True})
    cluster.kubectl("-n", BARE, "delete", "audiojob", "no-volume", "--wait=false")
    watch.ends("Unschedulable", "ImagePullFails", "VolumeMissing")


def run() -> list[str]:
    """Quiet, then all situations."""
    paths = paths_from_environment()
    cluster, release = cluster_and_release()
    embedded = EmbeddedCluster(paths)
    work = Work(embedded.rest)
    install.ensure_namespace(cluster, BARE)
    with Progress() as progress:
        embedded.up(progress, 1)
    try:
        with refusing_server(install.node_address(cluster)) as site:
            others: dict[str, Any] = {
                "jobNamespaces": [NAMESPACE, BARE],
                "fetch.allowedCIDRs": [install.only(site)],
                "capacity.maxRunning": 60,
            }
            bring(cluster, release, others)
            cluster.kubectl("-n", BARE, "delete", "pvc", "audiojob-store", "--wait=false")
            work.prepare(PIPELINES)
            with prometheus(paths, os.environ, "2s", lambda name: rules(cluster, release.chart, name)) as running:
                watch = Watch(running)
                watch.sees_a_leader()
                for number in range(4):
                    work.submit(f"quiet-{number}", "quiet")
                watch.quiet(_QUIET_SECONDS)
                situations(cluster, embedded.rest, watch, site)
    finally:
        with Progress() as progress:
            embedded.up(progress, 0)
        remove(cluster)
        cluster.kubectl("delete", "namespace", BARE, "--ignore-not-found", "--timeout=120s")
    print(f"{len(watch.fired)} alerts fired")
    return watch.wrong


if __name__ == "__main__":
    print(machine(), flush=True)
    raise SystemExit(told(run()))
