"""An upgrade, a rollback and an upgrade under way: ``python bench/upgrades/versions.py [--earlier COMMIT]``.

The earlier release is that commit's chart with images built from its sources, neither patched; the later one is this
tree. Jobs in each phase, at a review, backing off, suspended, waiting for another job and held by a queue are met by
``helm upgrade``, then others by ``helm rollback``; and one by the rollback that the earlier release cannot read, which
must wait and go on after the next upgrade. Nothing may fail, and no attempt may be added.

On the embedded cluster, whose release and AudioJobs it removes. Phases that need torch are not started.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.harness import machine
from bench.upgrades.leadership import gaps, watched
from bench.upgrades.releases import Release, back, bring, cluster_and_release, earlier_release, remove
from bench.upgrades.work import LONG, PIPELINES, Work, reason_of, simulate, told

from audiojob_dev.cluster.embedded import Cluster as EmbeddedCluster
from audiojob_dev.demo.tools import Cluster
from audiojob_dev.paths import paths_from_environment

EARLIER = "061f37f"
LATER_ONLY = "only-later"
_WORDS = [{"name": "lyrics", "text": "la la la\nla la\n"}]
_READS_WORDS = {"name": "words", "task": "Lyrics", "inputs": [{"name": "lyrics", "from": "Job", "output": "lyrics"}]}
UNKNOWN_THERE = {LATER_ONLY: [simulate("one", LONG), _READS_WORDS]}


def change(work: Work, mark: str, runners: tuple[str, str], title: str, step: Callable[[], None]) -> list[str]:
    """Meet a set of jobs with a change of release; what is wrong afterwards."""
    work.submit_all(mark)
    began = time.monotonic()
    step()
    took = time.monotonic() - began
    work.release_all(mark)
    wrong = work.check_all(mark, *runners)
    print(f"{title}: {took:.1f} s by helm; jobs in all states ended: {len(wrong)} wrong", flush=True)
    return wrong


def changes(cluster: Cluster, work: Work, earlier: Release, later: Release) -> list[str]:
    """Upgrade, rollback, upgrade."""
    first, second = earlier.images["runner"], later.images["runner"]
    wrong = change(work, "up", (first, second), "upgrade", lambda: bring(cluster, later, {}))
    work.prepare(UNKNOWN_THERE)
    work.submit(LATER_ONLY, LATER_ONLY, {"inputs": _WORDS})
    wrong += change(work, "down", (second, first), "rollback", lambda: back(cluster))
    reason = reason_of(work.job(LATER_ONLY))
    wrong += [f"{LATER_ONLY}: {reason} after the rollback"] if reason != "RevisionUnreadable" else []
    bring(cluster, later, {})
    job = work.ended(LATER_ONLY, 120)
    attempts = [phase.attempt for phase in job.status.phases]
    print(f"what the earlier release cannot read: {reason}, then {job.status.state}, attempts {attempts}")
    return wrong + ([f"{LATER_ONLY}: {job.status}"] if (job.status.state, attempts) != ("Succeeded", [1, 1]) else [])


def run(commit: str) -> list[str]:
    """All of it; what is wrong."""
    cluster, later = cluster_and_release()
    rest = EmbeddedCluster(paths_from_environment()).rest
    work = Work(rest)
    try:
        with earlier_release(commit, later.images["runner-torch"]) as earlier:
            bring(cluster, earlier, {})
            work.prepare(PIPELINES)
            with watched(rest) as lease:
                wrong = changes(cluster, work, earlier, later)
        print("seconds without a leader:", ", ".join(f"{each:.1f}" for each in gaps(lease.history)))
    finally:
        remove(cluster)
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--earlier", default=EARLIER, help=f"commit of the earlier release ({EARLIER})")
    arguments = parser.parse_args()
    print(machine(), flush=True)
    return told(run(arguments.earlier))


if __name__ == "__main__":
    raise SystemExit(main())
