"""A node that is lost while Render works on it: ``python bench/karaoke/lost_node.py``.

On the embedded cluster, whose release and AudioJobs it removes. While the encoder is under way its only node falls
silent, as a machine does that sleeps: the kubelet is stopped, and the processes of the phase's pod are frozen. Once the
operator has given the attempt up, the node comes back; the old pod then wakes in the middle of its work.

The phase must begin anew and alone, without a failure counted, and the job must end with the whole film.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.harness import machine
from bench.product import NAMESPACE
from bench.upgrades.releases import bring, cluster_and_release, remove
from bench.upgrades.work import Work, told

from audiojob_dev.cluster.embedded import Cluster as EmbeddedCluster
from audiojob_dev.demo import karaoke
from audiojob_dev.paths import paths_from_environment
from audiojob_dev.tools import processes
from audiojob_types.resources.job import AudioJob

RENDER: Final = "render"
FREEZER: Final = Path("/sys/fs/cgroup/freezer/audiojob/kubepods")
TIMES: Final[dict[str, Any]] = {
    "disruption.nodeLostSeconds": 10,
    "disruption.graceSeconds": 10,
    "disruption.lostAfterSeconds": 10,
}
_GIVEN_UP_SECONDS: Final = 240
_ENDS_SECONDS: Final = 60


def rendering(job: AudioJob) -> bool:
    """Whether the encoder is under way."""
    report = job.status.progress.get(RENDER)
    return report is not None and 10 < report.percent < 60


def phase_of(job: AudioJob) -> Any:
    """What status says of Render."""
    return next(each for each in job.status.phases if each.name == RENDER)


@contextmanager
def silent_node(embedded: EmbeddedCluster, pod: str) -> Iterator[None]:
    """While entered the node does nothing for its pods, and that pod nothing at all."""
    [kubelet] = [pid for pid, name in processes.tagged(embedded.paths.state).items() if name == "kubelet"]
    [group] = FREEZER.glob(f"**/pod{pod}")
    freezers = [*group.glob("*/freezer.state"), group / "freezer.state"]
    os.kill(kubelet, signal.SIGSTOP)
    try:
        (group / "freezer.state").write_text("FROZEN")
        yield
    finally:
        for freezer in freezers:
            if freezer.exists():
                freezer.write_text("THAWED")
        os.kill(kubelet, signal.SIGCONT)


def lose(embedded: EmbeddedCluster, work: Work, name: str) -> list[str]:
    """The story of one job; what is wrong."""
    seen: list[AudioJob] = []

    def noted(job: AudioJob) -> AudioJob:
        seen.append(job)
        return job

    job = work.until(name, lambda job: rendering(noted(job)), "rendering", 180)
    [pod] = [each for each in work.pods(name) if each["status"].get("phase") == "Running"]
    print(f"the node falls silent at {job.status.percent} % of the job", flush=True)
    began = time.monotonic()
    with silent_node(embedded, pod["metadata"]["uid"]):
        work.until(name, lambda job: phase_of(noted(job)).attempt == 2, "given up", _GIVEN_UP_SECONDS)
        print(f"given up after {time.monotonic() - began:.0f} s; the node comes back", flush=True)
    back = time.monotonic()
    done = work.until(name, lambda job: noted(job).status.state.finished, "at its end", 300)
    print(f"{done.status.state} {time.monotonic() - back:.0f} s later", flush=True)
    return check(work, done, [each.status.percent for each in seen])


def check(work: Work, done: AudioJob, percents: list[int]) -> list[str]:
    """What is wrong at the end."""
    wrong = [] if done.status.state == "Succeeded" else [f"{done.status.state}: {done.status.error}"]
    wrong += [] if percents == sorted(percents) else [f"percent fell: {percents}"]
    for phase in done.status.phases:
        met = int(phase.name == RENDER)
        found = (phase.attempt, phase.disruptions, phase.failures)
        wanted = (0, 0, 0) if phase.state == "Succeeded" and not phase.attempt else (1 + met, met, 0)
        wrong += [f"{phase.name}: attempt, disruptions, failures {found}, not {wanted}"] if found != wanted else []
    return wrong + [f"still runs: {name}" for name in alive_after(work, done.metadata.name, _ENDS_SECONDS)]


def alive_after(work: Work, name: str, seconds: float) -> list[str]:
    """Its pods that have not ended by then; a job may end a moment before the last one."""
    end = time.monotonic() + seconds
    while True:
        pods = [each for each in work.pods(name) if each["status"].get("phase") not in ("Succeeded", "Failed")]
        if not pods or time.monotonic() > end:
            return [each["metadata"]["name"] for each in pods]
        time.sleep(0.5)


def run() -> list[str]:
    """Install, make a song, lose the node."""
    cluster, release = cluster_and_release()
    embedded = EmbeddedCluster(paths_from_environment())
    work = Work(embedded.rest)
    try:
        bring(cluster, release, TIMES)
        song, name = karaoke.make(cluster, NAMESPACE, release.images["runner"], Console())
        wrong = lose(embedded, work, name)
        told_film = next(each for each in work.job(name).status.outputs if each.name == "video")
        print(f"film of {told_film.duration_milliseconds} ms, song of {song.seconds * 1_000:.0f} ms", flush=True)
        off = abs((told_film.duration_milliseconds or 0) / 1_000 - song.seconds)
        return wrong + ([f"the film is off by {off:.3f} s"] if off > 1 / 24 else [])
    finally:
        remove(cluster)


def main() -> int:
    argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0]).parse_args()
    print(machine(), flush=True)
    return told(run())


if __name__ == "__main__":
    raise SystemExit(main())
