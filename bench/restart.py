"""The operator killed among many queued AudioJobs, and its memory beside many finished ones.

``python bench/restart.py [--jobs N]``: N AudioJobs of which ten may run; SIGKILL; when no pod is left, start it again.
Tells how long after the start of the process the first new Job was created, and the most that ever ran at once.

``python bench/restart.py --memory [--live N] [--finished N]``: the operator's peak memory, first while the live ones
are created beside it, then started anew when all are there, each time with two looks at all finished ones.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import ssl
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import aiohttp
import orjson
from bench import audit
from bench.audit import Span
from bench.harness import (
    PHASES,
    Object,
    audiojob,
    follow,
    in_parallel,
    machine,
    open_client,
    operator_process,
    settle,
    simulated_cluster,
    usage,
    version_of,
)
from bench.product import NAMESPACE
from tests.support.operator_process import OperatorProcess

from audiojob_dev.cluster.kwok import SimulatedCluster
from audiojob_dev.rest import RestError
from audiojob_kube.client import AiohttpKubeClient
from audiojob_kube.resources import AUDIOJOBS, PODS
from audiojob_types.constants import MANAGER_OPERATOR
from audiojob_types.resources.job import FINISHED_STATES

_LIMIT = 10
_POD_MILLISECONDS = 2_000
_BEFORE_SECONDS = 20.0
_AFTER_SECONDS = 20.0
_SWEEP_SECONDS = 60.0
_WAIT_SECONDS = 600.0
_SETTLE_SECONDS = 2.0
_TRANSACTION = 100  # etcd allows 128 operations
_AIM_SECONDS = 10
_AIM_MEBIBYTES = 350


@dataclass
class Running:
    """How many run, by a watch in the order of the API server's versions: each moment that ever was is seen."""

    now: set[str] = field(default_factory=set)
    most: int = 0
    exceeded_at: float | None = None  # seconds since the epoch, the first time

    def update(self, name: str, *, runs: bool) -> None:
        if not runs:
            self.now.discard(name)
            return
        self.now.add(name)
        self.most = max(self.most, len(self.now))
        if self.most > _LIMIT and self.exceeded_at is None:
            self.exceeded_at = time.time()


def holds_a_place(job: Object) -> bool:
    """Started and not finished."""
    status = job.get("status") or {}
    return bool(status.get("startTime")) and status.get("state") not in {str(state) for state in FINISHED_STATES}


def lives(pod: Object) -> bool:
    """Neither succeeded nor failed."""
    return pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")


class Observer:
    """Watches AudioJobs and pods from the beginning of the benchmark to its end."""

    def __init__(self, client: AiohttpKubeClient) -> None:
        self._client = client
        self.jobs, self.pods = Running(), Running()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Observer:
        job_version = await version_of(self._client, AUDIOJOBS, NAMESPACE)
        pod_version = await version_of(self._client, PODS, NAMESPACE)
        self._tasks = [
            asyncio.create_task(self._watch_jobs(job_version)),
            asyncio.create_task(self._watch_pods(pod_version)),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            if task.done():
                task.result()
            task.cancel()

    async def _watch_jobs(self, version: str) -> None:
        async for event in follow(self._client, AUDIOJOBS, NAMESPACE, version):
            runs = event.type != "DELETED" and holds_a_place(event.object)
            self.jobs.update(event.object["metadata"]["name"], runs=runs)

    async def _watch_pods(self, version: str) -> None:
        async for event in follow(self._client, PODS, NAMESPACE, version):
            runs = event.type != "DELETED" and lives(event.object)
            self.pods.update(event.object["metadata"]["name"], runs=runs)


async def until(what: str, check: Callable[[], bool]) -> None:
    """Wait until ``check`` holds. Raises TimeoutError after ten minutes."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while not check():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        await asyncio.sleep(0.05)


async def measure_restart(cluster: SimulatedCluster, count: int, log: Path) -> None:
    """The whole benchmark of a restart; prints its figures."""
    operator = operator_process(cluster, NAMESPACE, log, AUDIOJOB_CAPACITY__MAX_RUNNING=str(_LIMIT))
    client = open_client(cluster)
    try:
        async with Observer(client) as seen:
            with operator:
                names = [f"queued-{number}" for number in range(count)]
                await in_parallel([client.create(AUDIOJOBS, audiojob(name), NAMESPACE) for name in names])
                await until("ten jobs run", lambda: len(seen.jobs.now) == _LIMIT)
                await asyncio.sleep(_BEFORE_SECONDS)
                # Only where all slots are taken can a restart give one too many away.
                await until("ten jobs run again", lambda: len(seen.jobs.now) == _LIMIT)
                before = usage(operator.pid)
                operator.kill()
                print(f"killed; {len(seen.jobs.now)} run, CPU so far {before.cpu_seconds:.1f} s")
                await until("all pods end", lambda: not seen.pods.now)
                offset = cluster.audit_log.stat().st_size
                began = time.time()
                operator.start()
                await asyncio.sleep(_AFTER_SECONDS)
                await until("jobs run again", lambda: len(seen.pods.now) > 0)
                after = usage(operator.pid)
            settle(_SETTLE_SECONDS)
        print_restart(cluster, Span(offset, cluster.audit_log.stat().st_size), began)
    finally:
        await client.aclose()
    print(f"most AudioJobs that held a slot at once   {seen.jobs.most:6d}    (limit {_LIMIT})")
    print(f"most pods that lived at once              {seen.pods.most:6d}")
    print(f"operator peak RSS after the restart       {after.peak_mebibytes:6.0f} MiB")
    for what, running in (("AudioJobs", seen.jobs), ("pods", seen.pods)):
        if running.exceeded_at is not None:
            sys.exit(f"more {what} than {_LIMIT}, first {running.exceeded_at - began:+.1f} s from the restart")


def print_restart(cluster: SimulatedCluster, span: Span, began: float) -> None:
    """Seconds from the start of the process to its first creates, from the audit log."""
    created = audit.creates(audit.entries(cluster.audit_log, NAMESPACE, span), "jobs", MANAGER_OPERATOR)
    starts = [one.received - began for one in created if audit.parent(one.name)[1] == PHASES[0]]
    print(
        f"process start to first Job create         {created[0].received - began:6.2f} s  (aim: below {_AIM_SECONDS})"
    )
    print(
        f"process start to first newly started job  {starts[0]:6.2f} s  ({len(created)} Jobs in {_AFTER_SECONDS:.0f} s)"
    )


async def make_finished(cluster: SimulatedCluster, reference: Object, count: int) -> None:
    """AudioJobs that have ended, written into etcd as the API server would have stored them.

    By two calls each through the API server 50,000 of them take ten minutes, and the operator sees no difference.
    """
    began = time.monotonic()
    async with EtcdWriter(cluster) as etcd:
        for start in range(0, count, _TRANSACTION):
            await etcd.put([copy_of(reference, number) for number in range(start, min(start + _TRANSACTION, count))])
    # The API server takes a minute to take so many in, as it would not if they had come through it.
    path = f"{AUDIOJOBS.path(NAMESPACE)}?limit=1&fieldSelector=status.state%3DFailed"
    while True:
        with suppress(RestError):  # its own time-out is a minute
            await asyncio.to_thread(cluster.rest.request, "GET", path, timeout=_WAIT_SECONDS)
            break
        if time.monotonic() - began > _WAIT_SECONDS:
            raise TimeoutError("the finished AudioJobs are not served")
    print(f"{count} finished AudioJobs stored and served after {time.monotonic() - began:.0f} s")


def copy_of(reference: Object, number: int) -> Object:
    """The same AudioJob with another name and uid, without what only a served object has."""
    metadata = {**reference["metadata"], "name": f"done-{number}", "uid": str(uuid.UUID(int=number + 1))}
    metadata.pop("resourceVersion")
    return {**reference, "metadata": metadata}


class EtcdWriter:
    """Puts AudioJobs into a cluster's etcd, through its JSON gateway."""

    def __init__(self, cluster: SimulatedCluster) -> None:
        self._url = cluster.etcd_url
        self._tls = ssl.create_default_context(cafile=str(cluster.authority))
        self._tls.load_cert_chain(cluster.etcd_client.certificate, cluster.etcd_client.key)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> EtcdWriter:
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self._tls))
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        await self._session.close()

    async def put(self, objects: list[Object]) -> None:
        """All of them in one transaction."""
        assert self._session is not None
        puts = [
            {"requestPut": {"key": _encoded(_etcd_key(one)), "value": _encoded(orjson.dumps(one))}} for one in objects
        ]
        async with self._session.post(f"{self._url}/v3/kv/txn", json={"success": puts}) as answer:
            answer.raise_for_status()


def _etcd_key(job: Object) -> bytes:
    metadata = job["metadata"]
    return f"/registry/{AUDIOJOBS.group}/{AUDIOJOBS.plural}/{metadata['namespace']}/{metadata['name']}".encode()


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def run_one(client: AiohttpKubeClient, name: str) -> Object:
    """One AudioJob to its end; the object."""
    await client.create(AUDIOJOBS, audiojob(name), NAMESPACE)
    for _ in range(600):
        job = await client.get(AUDIOJOBS, name, NAMESPACE)
        if job.get("status", {}).get("state") == "Succeeded":
            return job
        await asyncio.sleep(0.1)
    raise TimeoutError(name)


async def measure_memory(cluster: SimulatedCluster, live: int, finished: int, log: Path) -> None:
    """Peak memory twice: while the live ones arrive, and after a start beside all of them."""
    settings = {"AUDIOJOB_CAPACITY__MAX_RUNNING": str(_LIMIT), "AUDIOJOB_SWEEP__FINISHED_SECONDS": str(_SWEEP_SECONDS)}
    operator = operator_process(cluster, NAMESPACE, log, **settings)
    client = open_client(cluster)
    try:
        with operator:
            reference = await run_one(client, "reference")
        await make_finished(cluster, reference, finished)
        with started(operator, log) as ready:
            await until_settled(operator, await ready, "started beside finished jobs only")
            names = [f"live-{number}" for number in range(live)]
            for start in range(0, live, 1_000):
                await in_parallel(
                    [client.create(AUDIOJOBS, audiojob(name), NAMESPACE) for name in names[start : start + 1_000]]
                )
            await until_settled(operator, 0, f"{live} live jobs arrived")
            await asyncio.sleep(2 * _SWEEP_SECONDS)
            peak = report_memory(operator, "after sweeps of the finished ones")
        with started(operator, log) as ready:
            await until_settled(operator, await ready, "restarted beside all")
            await asyncio.sleep(2 * _SWEEP_SECONDS)
            again = report_memory(operator, "after sweeps of the finished ones")
    finally:
        await client.aclose()
    print(f"peak RSS {peak:.0f} MiB, after a restart {again:.0f} MiB (aim: at most {_AIM_MEBIBYTES})")


@contextmanager
def started(operator: OperatorProcess, log: Path) -> Iterator[Awaitable[float]]:
    """The running operator; what is yielded tells the seconds until it held the Lease with complete caches."""
    offset, began = log.stat().st_size, time.monotonic()

    def leads() -> bool:
        with log.open("rb") as file:
            file.seek(offset)
            return b"holding Lease" in file.read()

    async def ready() -> float:
        await until("the operator to hold the Lease", leads)
        return time.monotonic() - began

    with operator:
        yield ready()


async def until_settled(operator: OperatorProcess, ready: float, when: str) -> None:
    """Wait, two minutes at most, until the process uses less than a tenth of a core for five seconds."""
    if ready:
        print(f"ready {ready:.1f} s after the start of the process")
    for _ in range(24):
        before = usage(operator.pid).cpu_seconds
        await asyncio.sleep(5)
        if usage(operator.pid).cpu_seconds - before < 0.5:
            break
    report_memory(operator, when)


def report_memory(operator: OperatorProcess, when: str) -> float:
    found = usage(operator.pid)
    print(f"{when:<36} peak RSS {found.peak_mebibytes:6.0f} MiB   CPU {found.cpu_seconds:6.1f} s")
    return found.peak_mebibytes


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--jobs", type=int, default=5_000, help="queued jobs of the restart")
    parser.add_argument("--memory", action="store_true", help="measure memory instead")
    parser.add_argument("--live", type=int, default=10_000)
    parser.add_argument("--finished", type=int, default=50_000)
    log = Path(tempfile.gettempdir()) / "audiojob-bench-operator.log"
    parser.add_argument("--log", type=Path, default=log, help="where the operator's log is written")
    arguments = parser.parse_args()
    print(machine())
    arguments.log.write_text("")
    with simulated_cluster([NAMESPACE], _POD_MILLISECONDS) as cluster:
        if arguments.memory:
            asyncio.run(measure_memory(cluster, arguments.live, arguments.finished, arguments.log))
        else:
            asyncio.run(measure_restart(cluster, arguments.jobs, arguments.log))


if __name__ == "__main__":
    main()
