"""What one installation carries: ``python bench/capacity/run.py [--minutes 8] [--downloads 50] [--clients 500]``.

At once, on the embedded cluster: so many downloads from a server on this machine that sends slowly, so that all of them
run together; one-phase Simulate jobs, always ten; and so many clients of the REST API, a fifth of which follow events.
Nothing may fail, neither a job nor an answer. Under Debian's Prometheus; the boards go to build/capacity.json, which
``bench/monitoring/draw.py`` draws.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.capacity.clients import Answered, clients
from bench.harness import machine, percentile
from bench.monitoring.boards import measure
from bench.product import NAMESPACE
from bench.upgrades.releases import bring, cluster_and_release, remove
from bench.upgrades.work import Work, simulate, told

from audiojob_dev.cluster.embedded import Cluster as EmbeddedCluster
from audiojob_dev.demo import install, music, request
from audiojob_dev.demo.tools import Cluster
from audiojob_dev.monitoring.run import prometheus
from audiojob_dev.paths import paths_from_environment, repository
from audiojob_dev.webserver import Quiet, serving
from audiojob_types.constants import API_AUDIENCE

_SLOTS = 10  # of Simulate jobs
_SECONDS_TO_SEND = 120
_PIECES = 240
_SMALL = {"cpu": "5m", "memory": "192Mi", "scratch": "64Mi"}


@dataclass
class Slow:
    """A file that is sent slowly, and how many of its readers there were at once."""

    body: bytes
    now: int = 0
    most: int = 0


@contextmanager
def slow_server(address: str, file: Path) -> Iterator[tuple[str, Slow]]:
    """Any path is the file, in two minutes."""
    slow, lock = Slow(file.read_bytes()), threading.Lock()

    class Handler(Quiet, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with lock:
                slow.now += 1
                slow.most = max(slow.most, slow.now)
            try:
                self.send_response(200)
                self.send_header("Content-Length", str(len(slow.body)))
                self.send_header("Content-Type", "audio/mpeg")
                self.end_headers()
                step = len(slow.body) // _PIECES + 1
                for start in range(0, len(slow.body), step):
                    self.wfile.write(slow.body[start : start + step])
                    time.sleep(_SECONDS_TO_SEND / _PIECES)
            finally:
                with lock:
                    slow.now -= 1

    with serving(address, Handler) as url:
        yield url, slow


def keep_simulating(work: Work, end: float) -> list[str]:
    """Ten jobs at once until then, each followed by another; their names."""
    names: list[str] = []
    alive: set[str] = set()
    while time.monotonic() < end:
        finished = {job.metadata.name for job in work.jobs() if job.status.state.finished}
        alive -= finished
        while len(alive) < _SLOTS:
            name = f"simulate-{len(names)}"
            work.submit(name, "capacity")
            names.append(name)
            alive.add(name)
        time.sleep(0.5)
    return names


def api_token(cluster: Cluster) -> str:
    """Of an account that may use AudioJobs."""
    for document in request.caller(NAMESPACE):
        cluster.kubectl("-n", NAMESPACE, "apply", "-f", "-", stdin=json.dumps(document))
    command = ["create", "token", request.CALLER, "--audience", API_AUDIENCE, "--duration", "2h"]
    return cluster.kubectl("-n", NAMESPACE, *command).strip()


def api_address(cluster: Cluster) -> str:
    """The Service's own address, which kube-proxy leads to the pods on this machine too."""
    spec = cluster.get("-n", install.RELEASE_NAMESPACE, "service", f"{install.RELEASE}-api")["spec"]
    return f"http://{spec['clusterIP']}:{spec['ports'][0]['port']}"


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of it. ``simulated``: how many ended within ``seconds``."""

    seconds: float
    simulated: int
    downloads: list[float]
    most_at_once: int
    answered: Answered
    wrong: list[str]


def load(cluster: Cluster, work: Work, base: str, slow: Slow, options: argparse.Namespace) -> Measured:
    """All of it at once."""
    seconds = options.minutes * 60.0
    digest = hashlib.sha256(slow.body).hexdigest()
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as apart:
        apart.submit(os.getpid).result()
        began = time.monotonic()
        for number in range(options.downloads):
            work.submit(f"download-{number}", "download", {"source": {"url": f"{base}/{number}.mp3"}})
        future: Future[Answered] = apart.submit(
            clients, api_address(cluster), api_token(cluster), options.clients, seconds
        )
        names = keep_simulating(work, began + seconds)
        took = time.monotonic() - began
        ended = {job.metadata.name for job in work.jobs() if job.status.state == "Succeeded"}
        answered = future.result()
    wrong, times = [], []
    for name in names:
        job = work.ended(name, 120)
        tries = [phase.attempt for phase in job.status.phases]
        wrong += [f"{name}: {job.status.state}, {tries}"] if (job.status.state, tries) != ("Succeeded", [1]) else []
    for number in range(options.downloads):
        job = work.ended(f"download-{number}", 600)
        hashes = {output.sha256 for output in job.status.outputs}
        if job.status.state != "Succeeded" or digest not in hashes:
            wrong.append(f"download-{number}: {job.status.state}, {job.status.error}, {hashes}")
        elif job.status.completion_time and job.status.start_time:
            times.append((job.status.completion_time - job.status.start_time).total_seconds())
    return Measured(took, len(ended & set(names)), times, slow.most, answered, wrong)


def run(options: argparse.Namespace) -> list[str]:
    """The load, told; what is wrong."""
    paths = paths_from_environment()
    cluster, release = cluster_and_release()
    work = Work(EmbeddedCluster(paths).rest)
    piece = music.find_music(paths.cache / "music")
    try:
        with slow_server(install.node_address(cluster), piece) as (base, slow):
            others: dict[str, Any] = {
                "capacity.maxRunning": options.downloads + _SLOTS,
                "fetch.allowedCIDRs": [install.only(base)],
                "pipelines.resources.download": _SMALL,
            }
            bring(cluster, release, others)
            work.prepare({"capacity": [simulate("one", 500)]})
            with prometheus(paths, os.environ, "5s") as running:
                start = time.time()
                found = load(cluster, work, base, slow, options)
                running.refresh()
                panels = measure(running, start, time.time())
    finally:
        remove(cluster)
    file = repository() / "build" / "capacity.json"
    file.parent.mkdir(exist_ok=True)
    about = f"{datetime.now(UTC):%Y-%m-%d}, {options.downloads} downloads, Simulate, {options.clients} API clients"
    file.write_text(json.dumps({"start": start, "end": time.time(), "about": about, "panels": panels}))
    return tell(found, options)


def tell(found: Measured, options: argparse.Namespace) -> list[str]:
    """Print it; what is wrong."""
    answered = found.answered
    p50, p99 = (percentile(answered.seconds, share) * 1_000 for share in (0.5, 0.99))
    wrong = found.wrong + [f"answers {each}: {count}" for each, count in answered.status.items() if each != 200]
    wrong += [f"streams {each}: {count}" for each, count in answered.streams.items() if each not in (200, 204)]
    wrong += [f"at most {found.most_at_once} downloads at once"] if found.most_at_once < options.downloads else []
    print(f"downloads: {len(found.downloads)} right, at most {found.most_at_once} at once")
    if found.downloads:
        print(
            f"  start to end: {percentile(found.downloads, 0.5):.0f} s (median), {max(found.downloads):.0f} s (longest)"
        )
    rate = found.simulated / found.seconds * 3_600
    print(f"Simulate: {found.simulated} ended in {found.seconds:.0f} s beside them, which is {rate:.0f} an hour")
    print(
        f"API: {options.clients} clients, {len(answered.seconds)} answers, {dict(answered.status)}, p50 {p50:.0f} ms, "
        f"p99 {p99:.0f} ms; {sum(answered.streams.values())} streams {dict(answered.streams)} with {answered.events} "
        f"events; {dict(answered.faults) or 'no faults'}"
    )
    print(Counter(line.split(":")[0].split("-")[0] for line in wrong) or "nothing wrong", flush=True)
    return wrong + ([f"{rate:.0f} Simulate jobs an hour"] if rate < 1_000 else [])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--downloads", type=int, default=50)
    parser.add_argument("--clients", type=int, default=500)
    options = parser.parse_args()
    print(machine(), flush=True)
    return told(run(options))


if __name__ == "__main__":
    raise SystemExit(main())
