"""Many AudioJobs at once over the same Jobs made by a script: ``python bench/scale.py [--jobs N] [--raw-first]
[--overlap PAIRS | --pool PAIRS]``.

A: N two-phase AudioJobs, created as fast as one client can, run to their end by the real operator.
B: the operator's own two Job manifests, N times, uid and owner stripped: all first Jobs are created at once, and each
   second one when the Job before it is Complete. A script in this process does it, with one watch of Jobs.

Both on one control plane in one run; its pods live on kwok nodes and do nothing: they take a second to start and one to
end, so that kwok writes each status once. In between everything is deleted.
With --pool: by turns, A by the workers of a pool that waits for them, and B. kwok runs the workers' pods, and a process
reports for them under the chart's policy (bench/workers/played.py).
The operator does not run during B. Wall time is from the first create to the end of the last.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import audit
from bench.audit import Span
from bench.harness import (
    PHASES,
    PIPELINE,
    USER_AGENT,
    Object,
    audiojob,
    clear,
    follow,
    in_parallel,
    machine,
    open_client,
    operator_process,
    percentile,
    plane_cpu,
    reconciles,
    settle,
    simulated_cluster,
    usage,
    version_of,
)
from bench.phases import fresh, raw_manifests
from bench.product import NAMESPACE
from bench.workers import simulated
from tests.support.operator_process import OperatorProcess

from audiojob_dev.cluster.kwok import SimulatedCluster
from audiojob_kube.client import AiohttpKubeClient
from audiojob_kube.resources import AUDIOJOBS, JOBS
from audiojob_operator.state.projections import job_is_finished
from audiojob_types.constants import MANAGER_OPERATOR

RAW_NAMESPACE = "audiojob-bench-raw"
_WARM_UP = 20
_PACED = 60
_PACE_SECONDS = 0.25
_STALL_SECONDS = 120.0
_SETTLE_SECONDS = 4.0
_POD_MILLISECONDS = 1_000
_AIM = 1.3


@dataclass(frozen=True, slots=True)
class Side:
    """What one side took. ``cpu``: seconds by program while it ran. ``audited``: bytes of the audit log about it."""

    wall_seconds: float
    cpu: dict[str, float]
    audited: Span


@dataclass(frozen=True, slots=True)
class Ours:
    """The AudioJobs' side. ``paced``: the part of the audit log about the jobs that came one by one."""

    side: Side
    paced: Span
    operator_cpu_seconds: float
    reconciles: float
    operator_peak_mebibytes: float


class Remaining:
    """Names that have not reached their end; `stalled` says when none has for long."""

    def __init__(self, names: set[str]) -> None:
        self.names = names
        self._last = time.monotonic()
        self.done = asyncio.Event()

    def reached(self, name: str) -> None:
        if name in self.names:
            self.names.discard(name)
            self._last = time.monotonic()
            if not self.names:
                self.done.set()

    async def wait(self, watching: asyncio.Task[None]) -> None:
        """Until all are done. Raises what the watch raised, or TimeoutError when none got done for two minutes."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self.done.wait()
            if self.done.is_set():
                return
            if watching.done():
                watching.result()
            if time.monotonic() - self._last > _STALL_SECONDS:
                raise TimeoutError(f"{len(self.names)} have not ended, among them {sorted(self.names)[:3]}")


async def run_audiojobs(client: AiohttpKubeClient, names: list[str], pipeline: str = PIPELINE) -> float:
    """Create all and wait until all have succeeded; wall seconds."""
    left = Remaining(set(names))
    version = await version_of(client, AUDIOJOBS, NAMESPACE)

    async def watch() -> None:
        async for event in follow(client, AUDIOJOBS, NAMESPACE, version, "status.state=Succeeded"):
            left.reached(event.object["metadata"]["name"])

    watching = asyncio.create_task(watch())
    try:
        start = time.monotonic()
        await in_parallel([client.create(AUDIOJOBS, audiojob(name, pipeline), NAMESPACE) for name in names])
        await left.wait(watching)
        return time.monotonic() - start
    finally:
        watching.cancel()


async def run_raw(client: AiohttpKubeClient, manifests: list[Object], reference: Object, count: int) -> float:
    """``count`` times both Jobs in a row; wall seconds."""
    follow_up: dict[str, Object] = {}
    firsts, lasts = [], set()
    for number in range(count):
        # The script below knows a job by the eight digits that `fresh` makes of this.
        stand_in = f"{number:08x}-0000-4000-8000-{number:012x}"
        first, second = (fresh(manifest, reference, stand_in, place) for place, manifest in enumerate(manifests, 1))
        firsts.append(first)
        follow_up[first["metadata"]["name"]] = second
        lasts.add(second["metadata"]["name"])
    left = Remaining(lasts)
    version = await version_of(client, JOBS, RAW_NAMESPACE)

    async def watch() -> None:
        async with asyncio.TaskGroup() as group:
            async for event in follow(client, JOBS, RAW_NAMESPACE, version):
                name = event.object["metadata"]["name"]
                if not job_is_finished(event.object):
                    continue
                left.reached(name)
                if (second := follow_up.pop(name, None)) is not None:
                    group.create_task(client.create(JOBS, second, RAW_NAMESPACE))

    watching = asyncio.create_task(watch())
    try:
        start = time.monotonic()
        await in_parallel([client.create(JOBS, first, RAW_NAMESPACE) for first in firsts])
        await left.wait(watching)
        return time.monotonic() - start
    finally:
        watching.cancel()


class Benchmark:
    """Both sides on one cluster."""

    def __init__(self, cluster: SimulatedCluster, jobs: int, log: Path) -> None:
        self._cluster = cluster
        self.jobs = jobs
        self._operators = {
            overlap: operator_process(cluster, NAMESPACE, log, AUDIOJOB_OVERLAP__ENABLED=str(overlap).lower())
            for overlap in (False, True)
        }
        self._log = log

    def warm_up(self) -> tuple[list[Object], Object]:
        """A few AudioJobs; the two Job manifests of one of them, and itself."""

        async def run() -> tuple[list[Object], Object]:
            client = open_client(self._cluster)
            try:
                await run_audiojobs(client, [f"warm-{number}" for number in range(_WARM_UP)])
                reference = await client.get(AUDIOJOBS, "warm-0", NAMESPACE)
                manifests = await raw_manifests(client, reference)
                for _ in range(2):
                    await run_raw(client, manifests, reference, _WARM_UP)
                    await asyncio.to_thread(clear, self._cluster, RAW_NAMESPACE)
                return manifests, reference
            finally:
                await client.aclose()

        with self._operators[False]:  # a raw Job that waits for its inputs would wait in vain
            found = asyncio.run(run())
        clear(self._cluster, NAMESPACE)
        return found

    def ours(self, *, overlap: bool) -> Ours:
        """A."""
        with self._operators[overlap]:
            return asyncio.run(self._measure(self._operators[overlap], PIPELINE))

    def pooled(self) -> tuple[Ours, float]:
        """A, by a pool's workers, and the CPU seconds of the process that plays them."""
        with self._operators[True], simulated.workers_played(self._cluster, NAMESPACE) as played:
            before = usage(played).cpu_seconds
            ours = asyncio.run(self._measure(self._operators[True], simulated.PIPELINE))
            return ours, usage(played).cpu_seconds - before

    async def _measure(self, operator: OperatorProcess, pipeline: str) -> Ours:
        names = [f"bench-{number}" for number in range(self.jobs)]
        client = open_client(self._cluster)
        try:
            await run_audiojobs(client, ["first"], pipeline)  # now the operator's caches and its Lease are there
            before, offset, cpu = usage(operator.pid), self._offset(), plane_cpu(self._cluster)
            made = reconciles(self._log)
            wall = await run_audiojobs(client, names, pipeline)
            side = self._side(wall, cpu, offset)
            after, made = usage(operator.pid), reconciles(self._log) - made
            paced = await self._run_paced(client) if pipeline == PIPELINE else Span(0, 0)
        finally:
            await client.aclose()
        return Ours(side, paced, after.cpu_seconds - before.cpu_seconds, made, after.peak_mebibytes)

    async def _run_paced(self, client: AiohttpKubeClient) -> Span:
        """A few more, one after the other on a control plane that has nothing else to do."""
        start = self._offset()
        for number in range(_PACED):
            await client.create(AUDIOJOBS, audiojob(f"paced-{number}"), NAMESPACE)
            await asyncio.sleep(_PACE_SECONDS)
        await asyncio.sleep(_SETTLE_SECONDS)
        return Span(start, self._offset())

    def raw(self, manifests: list[Object], reference: Object) -> Side:
        """B."""

        async def run() -> float:
            client = open_client(self._cluster)
            try:
                return await run_raw(client, manifests, reference, self.jobs)
            finally:
                await client.aclose()

        offset, cpu = self._offset(), plane_cpu(self._cluster)
        return self._side(asyncio.run(run()), cpu, offset)

    def _side(self, wall: float, cpu_before: dict[str, float], offset: int) -> Side:
        settle(_SETTLE_SECONDS)
        after = plane_cpu(self._cluster)
        cpu = {name: value - cpu_before[name] for name, value in after.items()}
        return Side(wall, cpu, Span(offset, self._offset()))

    def _offset(self) -> int:
        return self._cluster.audit_log.stat().st_size


def latencies(log: Path, span: Span) -> list[float]:
    """Seconds from the arrival of each AudioJob's create to the answer to its first Job's create."""
    jobs = {one.name: one for one in audit.creates(audit.entries(log, NAMESPACE, span), "audiojobs", USER_AGENT)}
    found: dict[str, float] = {}
    for child in audit.creates(audit.entries(log, NAMESPACE, span), "jobs", MANAGER_OPERATOR):
        name, phase = audit.parent(child.name)
        if phase == PHASES[0] and name in jobs and name not in found:
            found[name] = child.answered - jobs[name].received
    return list(found.values())


def writes_table(log: Path, jobs: int, sides: dict[str, tuple[str, Span]]) -> Iterator[str]:
    """Lines: writes per job by writer, verb and resource, for each side's namespace and span of the log."""
    counted: dict[str, Counter[tuple[str, str, str, str]]] = {
        name: audit.count_writes(audit.entries(log, namespace, span)) for name, (namespace, span) in sides.items()
    }
    rows = sorted({row for counter in counted.values() for row in counter})
    yield f"{'writer':<24} {'verb':<17} {'resource':<18} {'result':<7}" + "".join(f"{name:>10}" for name in sides)
    for row in rows:
        numbers = "".join(f"{counter[row] / jobs:>10.2f}" for counter in counted.values())
        yield f"{row[0]:<24} {row[1]:<17} {row[2]:<18} {row[3]:<7}{numbers}"
    totals = "".join(f"{counter.total() / jobs:>10.2f}" for counter in counted.values())
    yield f"{'all':<24} {'':<17} {'':<18} {'':<7}{totals}"


def report(cluster: SimulatedCluster, jobs: int, ours: Ours, raw: Side) -> None:
    """Print all figures."""
    side = ours.side
    ratio = side.wall_seconds / raw.wall_seconds
    print(f"{jobs} two-phase AudioJobs      {side.wall_seconds:8.1f} s  {jobs / side.wall_seconds:6.1f} jobs/s")
    print(f"the same Jobs by a script {raw.wall_seconds:10.1f} s  {jobs / raw.wall_seconds:6.1f} jobs/s")
    print(f"ratio of wall times       {ratio:10.2f}    (aim: at most {_AIM})")
    print("AudioJob create to first Job create, by the API server's audit log:")
    for how, span in (("all at once", side.audited), (f"one every {_PACE_SECONDS} s", ours.paced)):
        waits = latencies(cluster.audit_log, span)
        halves = f"p50 {percentile(waits, 0.5):7.3f} s   p99 {percentile(waits, 0.99):7.3f} s"
        print(f"  {how:<24} {halves}   ({len(waits)} jobs)")
    print(f"operator CPU per 1,000 jobs {ours.operator_cpu_seconds * 1000 / jobs:8.1f} s")
    print(f"reconciles per job          {ours.reconciles / jobs:8.1f}")
    print(f"operator peak RSS           {ours.operator_peak_mebibytes:8.0f} MiB")
    print("\nCPU seconds             AudioJobs       raw")
    for name in side.cpu:
        print(f"{name:<24} {side.cpu[name]:>8.1f} {raw.cpu[name]:>9.1f}")
    print(f"{'operator':<24} {ours.operator_cpu_seconds:>8.1f} {'-':>9}")
    both = sum(side.cpu.values()) + ours.operator_cpu_seconds, sum(raw.cpu.values())
    print(f"{'all':<24} {both[0]:>8.1f} {both[1]:>9.1f}   ratio {both[0] / both[1]:.2f}")
    print("\nwrites per job (audit log)")
    sides = {"AudioJobs": (NAMESPACE, side.audited), "raw": (RAW_NAMESPACE, raw.audited)}
    print("\n".join(writes_table(cluster.audit_log, jobs, sides)))


def compare_overlap(cluster: SimulatedCluster, benchmark: Benchmark, pairs: int) -> None:
    """Print what overlapped start costs or saves while all jobs come at once."""
    ratios = []
    for number in range(pairs):
        walls = {}
        for overlap in (False, True) if number % 2 == 0 else (True, False):
            walls[overlap] = benchmark.ours(overlap=overlap).side.wall_seconds
            clear(cluster, NAMESPACE)
        ratios.append(walls[True] / walls[False])
        print(f"off {walls[False]:6.1f} s   on {walls[True]:6.1f} s   ratio {ratios[-1]:.3f}", flush=True)
    print(f"median ratio {statistics.median(ratios):.3f} (aim: at most 1.02)")


def compare_pool(
    cluster: SimulatedCluster, benchmark: Benchmark, raw_of: tuple[list[Object], Object], pairs: int
) -> None:
    """Print how many jobs a second workers do, and a script that makes the same Jobs."""
    ratios, jobs = [], benchmark.jobs
    for number in range(pairs):
        walls = {}
        for pooled in (True, False) if number % 2 == 0 else (False, True):
            if pooled:
                ours, played = benchmark.pooled()
                side = ours.side
                print(
                    f"operator {ours.operator_cpu_seconds:.1f} CPU s, {ours.reconciles / jobs:.1f} reconciles a job;",
                    end=" ",
                )
                print(f"who plays the workers {played:.1f} CPU s")
                if number == 0:
                    print("\n".join(writes_table(cluster.audit_log, jobs, {"pool": (NAMESPACE, side.audited)})))
            else:
                side = benchmark.raw(*raw_of)
            walls[pooled] = side.wall_seconds
            print({name: round(seconds, 1) for name, seconds in side.cpu.items()}, flush=True)
            clear(cluster, NAMESPACE if pooled else RAW_NAMESPACE)
        ratios.append(walls[False] / walls[True])
        print(
            f"pool {jobs / walls[True]:.1f} jobs/s   raw {jobs / walls[False]:.1f} jobs/s   ratio {ratios[-1]:.2f}",
            flush=True,
        )
    print(f"median ratio {statistics.median(ratios):.2f} (at least 1.5, aim 2)")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--jobs", type=int, default=2_000)
    parser.add_argument(
        "--overlap", type=int, metavar="PAIRS", help="only A, by turns with overlapped start and without"
    )
    parser.add_argument("--pool", type=int, metavar="PAIRS", help="by turns a pool's workers, and B")
    parser.add_argument("--raw-first", action="store_true", help="measure B before A")
    log = Path(tempfile.gettempdir()) / "audiojob-bench-operator.log"
    parser.add_argument("--log", type=Path, default=log, help="where the operator's log is written")
    arguments = parser.parse_args()
    print(machine())
    arguments.log.write_text("")
    with simulated_cluster([NAMESPACE, RAW_NAMESPACE], _POD_MILLISECONDS, _POD_MILLISECONDS) as cluster:
        benchmark = Benchmark(cluster, arguments.jobs, arguments.log)
        manifests, reference = benchmark.warm_up()
        if arguments.overlap:
            compare_overlap(cluster, benchmark, arguments.overlap)
            return
        if arguments.pool:
            compare_pool(cluster, benchmark, (manifests, reference), arguments.pool)
            return
        if arguments.raw_first:
            raw = benchmark.raw(manifests, reference)
            clear(cluster, RAW_NAMESPACE)
            ours = benchmark.ours(overlap=True)
        else:
            ours = benchmark.ours(overlap=True)
            clear(cluster, NAMESPACE)
            raw = benchmark.raw(manifests, reference)
        report(cluster, arguments.jobs, ours, raw)


if __name__ == "__main__":
    main()
