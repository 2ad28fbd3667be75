"""Songs through Separate: a Job each, then by a pool of one worker: ``python bench/workers/warm.py [--songs N] …``.

One song (30 s), fetched and normalized beforehand, is separated N times with the proof model, by AudioJobs of one
phase in a queue that lets ``--running`` of them (1) run at a time, with reuse: Never. A: each phase in a Job of its
own. B: by the worker of a pool that is created with the first of the jobs, so its start counts; with two running, it
is told the next phase ahead.

Wall time is from the first create to the end of the last job. A phase's work is what its runner reports. The network's
part of it is measured apart: the song in this process, N times less the first. Writes are those of the API server's
audit log to the namespace, without those of this script, which plays the user.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import soundfile
from bench import audit
from bench.harness import follow, in_parallel, machine, version_of
from bench.product import (
    NAMESPACE,
    USER_AGENT,
    Object,
    cluster_with_images,
    create_pool,
    open_client,
    remove_pool,
    until_gone,
)

from audiojob_dev.demo import install, models, music
from audiojob_dev.models.proof_music import RATE, make_piece
from audiojob_dev.paths import paths_from_environment, repository
from audiojob_kube.client import AiohttpKubeClient
from audiojob_kube.resources import AUDIOJOBS, AUDIOPIPELINES, AUDIOQUEUES, PODS, Resource
from audiojob_types.constants import API_VERSION, LABEL_JOB
from audiojob_types.contract import PhaseResult
from audiojob_types.progress import PhaseUsage
from audiojob_types.workers.order import ReportedEnd

QUEUE: Final = "bench-warm"
POOL: Final = "bench-warm"
PREPARE, COLD, WARM = "bench-prepare", "bench-separate", "bench-separate-warm"
SONG: Final = "song.wav"
SONG_JOB: Final = "bench-song"
_SEED: Final = 5
_SETTLE_SECONDS: Final = 4.0
_LIMIT_SECONDS: Final = 1_800.0
_FINISHED: Final = ("Succeeded", "Failed", "Cancelled")
_RESOURCES: Final = {"cpu": "1", "memory": "1Gi", "scratch": "1Gi"}
_AIMS: Final = {"ratio": 3.0, "writes": 6.0}


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many songs, of what length, of which ``running`` AudioJobs may run at a time."""

    songs: int
    seconds: float
    running: int


@dataclass(frozen=True, slots=True)
class Side:
    """What one side took. ``usage`` by AudioJob; ``audited``: bytes of the audit log about it."""

    wall_seconds: float
    usage: dict[str, PhaseUsage]
    audited: audit.Span

    def share(self, field: str) -> float:
        """Of the wall time, in percent, of a field of the usage that is in milliseconds."""
        used = sum(getattr(each, field) or 0 for each in self.usage.values())
        return used / 10 / self.wall_seconds


# ---------------------------------------------------------------- the cluster


@contextmanager
def prepared_cluster(seconds: float) -> Iterator[str]:
    """The chart, with the proof model in the models volume; yields the address of the song."""
    cluster, images = cluster_with_images()
    install.ensure_namespace(cluster, NAMESPACE)
    with tempfile.TemporaryDirectory() as folder:
        soundfile.write(Path(folder) / SONG, make_piece(_SEED, seconds).mix.T, RATE, subtype="PCM_16")
        with music.serve(Path(folder), install.node_address(cluster)) as base:
            install.install(cluster, [NAMESPACE], images, install.only(base), models.CHART_VALUES)
            models.fill(cluster, NAMESPACE, images["runner"])
            yield f"{base}/{SONG}"


async def put(client: AiohttpKubeClient, resource: Resource, kind: str, name: str, spec: Object) -> None:
    """Create the object, or give it this spec."""
    namespace = NAMESPACE if resource.namespaced else None
    found = await client.list(resource, namespace)
    if name in {item["metadata"]["name"] for item in found.items}:
        await client.patch_merge(resource, name, {"spec": spec}, namespace)
        return
    body = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
    await client.create(resource, body, namespace)


async def make_objects(client: AiohttpKubeClient, running: int) -> None:
    """Three pipelines, and a queue that lets so many jobs run."""
    small = {"cpu": "100m", "memory": "512Mi", "scratch": "512Mi"}
    get = {"name": "get", "task": "Download", "inputs": [{"name": "source", "from": "Job"}], "resources": small}
    source = [{"name": "source", "from": "get", "output": "source"}]
    normal = {"name": "normal", "task": "Normalize", "inputs": source, "resources": small}
    separate = {"name": "separate", "task": "Separate", "inputs": [{"name": "audio", "from": "Job"}]}
    cold = {**separate, "resources": _RESOURCES}
    warm = {**cold, "workerPool": {"name": POOL, "fallbackSeconds": 600}}
    for name, phases in ((PREPARE, [get, normal]), (COLD, [cold]), (WARM, [warm])):
        await put(client, AUDIOPIPELINES, "AudioPipeline", name, {"phases": phases})
    await put(client, AUDIOQUEUES, "AudioQueue", QUEUE, {"maxRunning": running})


def audiojob(name: str, pipeline: str, source: Object) -> Object:
    """A job that never takes over what another one made."""
    spec: Object = {"pipeline": pipeline, "queueName": QUEUE, "source": source, "reuse": "Never"}
    if pipeline != PREPARE:
        spec["parameters"] = {"separate": {"model": models.MODEL}}
    return {"apiVersion": API_VERSION, "kind": "AudioJob", "metadata": {"name": name}, "spec": spec}


# ---------------------------------------------------------------- both sides


class Seen:
    """What watches of AudioJobs and pods tell of the jobs of one side."""

    def __init__(self, names: set[str]) -> None:
        self._left = set(names)
        self.usage: dict[str, PhaseUsage] = {}
        self.ended: dict[str, Object] = {}
        self.all_ended = asyncio.Event()

    def job(self, obj: Object) -> None:
        """A version of an AudioJob. A worker's report stands in it until the operator has recorded it."""
        name, status = obj["metadata"]["name"], obj.get("status") or {}
        for report in (status.get("progress") or {}).values():
            if text := report.get("result"):
                self._used(name, ReportedEnd.read(text).result)
        if name in self._left and status.get("state") in _FINISHED:
            self._left.remove(name)
            self.ended[name] = obj
            if not self._left:
                self.all_ended.set()

    def pod(self, obj: Object) -> None:
        """A version of a pod. That of a phase says how it ended as it ends."""
        name = (obj["metadata"].get("labels") or {}).get(LABEL_JOB)
        for container in (obj.get("status") or {}).get("containerStatuses") or ():
            message = ((container.get("state") or {}).get("terminated") or {}).get("message")
            if name and message:
                self._used(name, PhaseResult.read(message))

    def _used(self, name: str, result: PhaseResult) -> None:
        if result.usage is not None:
            self.usage[name] = result.usage


@asynccontextmanager
async def watching(client: AiohttpKubeClient, names: list[str]) -> AsyncIterator[Seen]:
    """Follow AudioJobs and pods from now on."""
    seen = Seen(set(names))

    async def watch(resource: Resource, version: str) -> None:
        async for event in follow(client, resource, NAMESPACE, version):
            (seen.job if resource is AUDIOJOBS else seen.pod)(event.object)

    versions = [(resource, await version_of(client, resource, NAMESPACE)) for resource in (AUDIOJOBS, PODS)]
    tasks = [asyncio.create_task(watch(resource, version)) for resource, version in versions]
    try:
        yield seen
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()


async def run_songs(client: AiohttpKubeClient, pipeline: str, songs: int, source: Object) -> Side:
    """All songs by one pipeline; with the pool's, its creation is the first thing."""
    log = paths_from_environment().audit_log
    names = [f"{pipeline}-{uuid.uuid4().hex[:6]}" for _ in range(songs)]
    start = log.stat().st_size
    async with watching(client, names) as seen:
        began = time.monotonic()
        if pipeline == WARM:
            pool = {"tasks": ["Separate"], "trust": "AnyInput", "preload": {"models": [models.MODEL]}}
            await create_pool(client, POOL, {**pool, "resources": _RESOURCES})
        await in_parallel([client.create(AUDIOJOBS, audiojob(name, pipeline, source), NAMESPACE) for name in names])
        async with asyncio.timeout(_LIMIT_SECONDS):
            await seen.all_ended.wait()
        wall = time.monotonic() - began
        await asyncio.sleep(_SETTLE_SECONDS)
    check(seen, worker=pipeline == WARM)
    return Side(wall, seen.usage, audit.Span(start, log.stat().st_size))


def check(seen: Seen, *, worker: bool) -> None:
    """Every job has succeeded at its first attempt, in the way that is measured."""
    for name, job in seen.ended.items():
        (phase,) = job["status"]["phases"]
        assert job["status"]["state"] == "Succeeded", f"{name}: {job['status']}"
        assert phase["attempt"] == 1, f"{name}: {phase}"
        assert ("podUID" in phase) == worker, f"{name}: {phase}"
    pods = {job["status"]["phases"][0].get("podUID") for job in seen.ended.values()}
    assert len(pods) == 1, f"several workers: {pods}"


def network_seconds(songs: int, seconds: float) -> float:
    """Seconds of the network alone for a song, median, as the task runs it with this machine's processors."""
    import torch  # noqa: PLC0415 - the cluster's part needs none

    from audiojob_runner.cpus import usable_cpus  # noqa: PLC0415
    from audiojob_runner.models.demucs import load_separator  # noqa: PLC0415
    from audiojob_runner.separation.accelerator import Accelerator  # noqa: PLC0415
    from audiojob_runner.separation.mixfile import MixFile, check_source, measure  # noqa: PLC0415
    from audiojob_runner.separation.separate import Separation  # noqa: PLC0415
    from audiojob_types.contract import Device  # noqa: PLC0415

    torch.set_num_threads(usable_cpus())
    model = load_separator(models.MODEL, repository() / "tests" / "data" / "models", Device.CPU, 0).model
    took = []
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / SONG
        soundfile.write(source, make_piece(_SEED, seconds).mix.T, RATE, subtype="FLOAT")
        samples = check_source(source)
        statistics_of = measure(source, samples, lambda: None)
        for _ in range(songs + 1):
            separation = Separation(model, samples, 25, 0, 0)
            began = time.monotonic()
            with MixFile(source, samples) as mix:
                for _ in separation.blocks(mix, statistics_of, Accelerator(Device.CPU), lambda _: None):
                    pass
            took.append(time.monotonic() - began)
    return statistics.median(took[1:])


# ---------------------------------------------------------------- figures


def writes(side: Side) -> Counter[tuple[str, str, str, str]]:
    """Writes to the namespace but for the user's, by writer, verb, resource and result."""
    counted = audit.count_writes(audit.entries(paths_from_environment().audit_log, NAMESPACE, side.audited))
    return Counter({row: count for row, count in counted.items() if row[0] != USER_AGENT})


def report(sides: dict[str, Side], songs: int, network: float) -> None:
    """Print all figures."""
    print(f"{'':<34}" + "".join(f"{name:>14}" for name in sides))

    def row(name: str, values: list[str]) -> None:
        print(f"{name:<34}" + "".join(f"{value:>14}" for value in values))

    each = list(sides.values())
    row("wall (s)", [f"{side.wall_seconds:.1f}" for side in each])
    row("songs per minute", [f"{60 * songs / side.wall_seconds:.1f}" for side in each])
    row("a task at work (% of wall)", [f"{side.share('work_milliseconds'):.0f}" for side in each])
    row("network alone (% of wall)", [f"{100 * network * songs / side.wall_seconds:.0f}" for side in each])
    row("processor time (% of one)", [f"{side.share('cpu_milliseconds'):.0f}" for side in each])
    row("usage known of", [str(len(side.usage)) for side in each])
    counted = [writes(side) for side in each]
    row("writes per phase", [f"{counter.total() / songs:.1f}" for counter in counted])
    print(f"wall, Jobs over worker: {each[0].wall_seconds / each[1].wall_seconds:.2f} (aim: at least {_AIMS['ratio']})")
    print(f"network alone, one song: {network:.2f} s; aim of the worker's writes: at most {_AIMS['writes']}")
    print("\nwrites per phase, by writer (audit log)")
    for key in sorted({key for counter in counted for key in counter}):
        writer, verb, resource, result = key
        row(
            f"{writer} {verb} {resource} {result}"[:60].ljust(34),
            [f"{counter[key] / songs:.2f}" for counter in counted],
        )


async def measure_both(url: str, wanted: Wanted) -> dict[str, Side]:
    """The song is prepared, a job of each kind warms files and images up, then A and B."""
    client = open_client()
    try:
        await remove_pool(client, POOL)
        await make_objects(client, wanted.running)
        ready = f"{SONG_JOB}-{uuid.uuid4().hex[:6]}"
        async with watching(client, [ready]) as seen, asyncio.timeout(120):
            await client.create(AUDIOJOBS, audiojob(ready, PREPARE, {"url": url}), NAMESPACE)
            await seen.all_ended.wait()
        assert seen.ended[ready]["status"]["state"] == "Succeeded", seen.ended[ready]["status"]
        source = {"jobRef": {"name": ready, "output": "audio"}}
        await run_songs(client, COLD, 1, source)
        sides = {"a Job each": await run_songs(client, COLD, wanted.songs, source)}
        sides["one worker"] = await run_songs(client, WARM, wanted.songs, source)
        return sides
    finally:
        await remove_pool(client, POOL)
        await clear(client)
        await client.aclose()


async def clear(client: AiohttpKubeClient) -> None:
    """The jobs that were made here; with them go their Jobs."""
    found = await client.list(AUDIOJOBS, NAMESPACE)
    names = [each["metadata"]["name"] for each in found.items]
    ours = [name for name in names if name.startswith((COLD, SONG_JOB))]
    await in_parallel([client.delete(AUDIOJOBS, name, NAMESPACE) for name in ours])
    if ours:
        await until_gone(client, f"{LABEL_JOB} in ({','.join(ours)})")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--songs", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--running", type=int, default=1)
    wanted = Wanted(**vars(parser.parse_args()))
    print(machine())
    with prepared_cluster(wanted.seconds) as url:
        sides = asyncio.run(measure_both(url, wanted))
    report(sides, wanted.songs, network_seconds(min(wanted.songs, 10), wanted.seconds))


if __name__ == "__main__":
    main()
