"""Upgrades of two operators under load, then a drain: ``python bench/upgrades/rolling.py [--upgrades 20]``.

Each upgrade is a ``helm upgrade`` with another annotation on the operator's pods, so that both are replaced. Meanwhile
two-phase AudioJobs run, always as many. Then every pod of operator, API and phases is evicted as ``kubectl drain``
does, without closing the node: it is the only one, and what is evicted must come up somewhere. Budgets hold evictions
up; they are tried again.

Afterwards each phase must have succeeded with one Kubernetes Job and one pod, or one more for each eviction of it.
On the embedded cluster, whose release and AudioJobs it removes.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.harness import machine, percentile
from bench.product import NAMESPACE
from bench.upgrades.leadership import gaps, watched
from bench.upgrades.releases import bring, cluster_and_release, remove
from bench.upgrades.work import Work, evict, runs, simulate, told

from audiojob_dev.cluster.embedded import Cluster as EmbeddedCluster
from audiojob_dev.demo.install import RELEASE_NAMESPACE
from audiojob_dev.paths import paths_from_environment
from audiojob_dev.rest import Rest
from audiojob_types.constants import LABEL_JOB

PIPELINE = {"under-load": [simulate("one", 2_000), simulate("two", 2_000)]}
DRAINED = {"under-drain": [simulate("one", 30_000), simulate("two", 1_000)]}
_AT_ONCE = 6
_RETRY_SECONDS = 5.0  # as kubectl drain waits after a 429
_DRAIN_SECONDS = 120.0


@contextmanager
def load(work: Work) -> Iterator[list[str]]:
    """So many jobs at once while entered, each followed by another; yields the names so far."""
    names: list[str] = []
    end = threading.Event()

    def keep() -> None:
        alive: set[str] = set()
        while not end.wait(0.5):
            alive = {name for name in alive if not work.job(name).status.state.finished}
            while len(alive) < _AT_ONCE and not end.is_set():
                name = f"load-{len(names)}"
                work.submit(name, "under-load")
                names.append(name)
                alive.add(name)

    thread = threading.Thread(target=keep, daemon=True)
    thread.start()
    try:
        yield names
    finally:
        end.set()
        thread.join()


def upgrades(bringing: Callable[[dict[str, Any]], None], count: int, seconds: float) -> list[float]:
    """So many upgrades, one after the other, none begun after so long; seconds of each."""
    took: list[float] = []
    start = time.monotonic()
    for number in range(count):
        began = time.monotonic()
        if began - start > seconds:
            break
        bringing({"operator.podAnnotations": {"bench": f"round-{number}"}})
        took.append(time.monotonic() - began)
        print(f"upgrade {number + 1}: {took[-1]:.1f} s", flush=True)
    return took


def _pods(rest: Rest) -> list[dict[str, Any]]:
    found = [
        each
        for namespace in (RELEASE_NAMESPACE, NAMESPACE)
        for each in rest.request("GET", f"/api/v1/namespaces/{namespace}/pods")["items"]
    ]
    return [pod for pod in found if pod["status"].get("phase") not in ("Succeeded", "Failed")]


def drain(rest: Rest) -> tuple[float, int, int]:
    """Evict all pods that there are now. Seconds until they are gone, how many, and how often a budget refused."""
    left = {pod["metadata"]["uid"]: pod["metadata"] for pod in _pods(rest)}
    count, refused, began, asked = len(left), 0, time.monotonic(), dict.fromkeys(left, 0.0)
    accepted: set[str] = set()
    while left and time.monotonic() - began < _DRAIN_SECONDS:
        for uid, metadata in left.items():
            if uid not in accepted and time.monotonic() - asked[uid] >= _RETRY_SECONDS:
                asked[uid] = time.monotonic()
                if evict(rest, metadata):
                    accepted.add(uid)
                else:
                    refused += 1
        time.sleep(0.2)
        alive = {pod["metadata"]["uid"] for pod in _pods(rest)}
        left = {uid: metadata for uid, metadata in left.items() if uid in alive}
    return time.monotonic() - began, count, refused


def check(work: Work, names: list[str]) -> list[str]:
    """What is wrong with jobs that nothing but upgrades has met."""
    wrong = []
    for name in names:
        job = work.ended(name, 180)
        attempts = [phase.attempt for phase in job.status.phases]
        wrong += [f"{name}: {job.status}"] if (job.status.state, attempts) != ("Succeeded", [1, 1]) else []
        wrong += work.wrong_children(name, [1, 1])
    return wrong


def check_drained(work: Work, names: list[str], evicted: set[str]) -> list[str]:
    """What is wrong with jobs whose first phase was evicted: a second attempt, a disruption, no failure."""
    wrong = []
    for name in names:
        job = work.ended(name, 180)
        met = int(name in evicted)
        first = job.status.phases[0]
        told = (job.status.state, first.attempt, first.disruptions, first.failures)
        wrong += [f"{name}: {told}"] if told != ("Succeeded", 1 + met, met, 0) else []
    return wrong


def run(count: int, minutes: float) -> list[str]:
    """Upgrades, then the drain."""
    cluster, release = cluster_and_release()
    rest = EmbeddedCluster(paths_from_environment()).rest
    work = Work(rest)

    def bringing(others: dict[str, Any]) -> None:
        bring(cluster, release, {"operator.replicas": 2, "api.replicas": 2, **others})

    try:
        bringing({})
        work.prepare({**PIPELINE, **DRAINED})
        with watched(rest) as lease, load(work) as names:
            took = upgrades(bringing, count, minutes * 60)
        without = gaps(lease.history)
        wrong = check(work, names)
        print(
            f"{len(took)} upgrades of {min(took):.1f} to {max(took):.1f} s; {lease.holders} leaders; without one "
            f"{percentile(without, 0.5):.1f} s (median), {max(without):.1f} s (longest of {len(without)}); "
            f"{len(names)} jobs of two phases beside them",
            flush=True,
        )
        drained = [f"drained-{number}" for number in range(4)]
        for name in drained:
            work.submit(name, "under-drain")
        for name in drained:
            work.until(name, runs(0), "at work", 60)
        time.sleep(5)  # their pods run
        phases = {pod["metadata"]["labels"][LABEL_JOB] for pod in _pods(rest) if LABEL_JOB in pod["metadata"]["labels"]}
        with watched(rest) as lease:
            seconds, evicted, refused = drain(rest)
            wrong += check_drained(work, drained, phases)
        print(
            f"drain: {evicted} pods gone in {seconds:.1f} s, {refused} evictions refused by budgets and repeated; "
            f"without a leader {', '.join(f'{each:.1f} s' for each in gaps(lease.history)) or 'never'}"
        )
        wrong += [f"drain took {seconds:.0f} s"] if seconds >= 60 else []
        wrong += [f"{max(without):.0f} s without a leader"] if max(without) >= 15 else []
    finally:
        remove(cluster)
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--upgrades", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=60, help="begin no upgrade after so long (60)")
    arguments = parser.parse_args()
    print(machine(), flush=True)
    return told(run(arguments.upgrades, arguments.minutes))


if __name__ == "__main__":
    raise SystemExit(main())
