"""The API's process beside 50,000 live jobs on a real API server: ``python bench/api/ready.py [--jobs 50000]``.

How long it takes until it is ready, its memory, and the longest pause of its loop, as the time of the processor that
one callback takes: before it is ready, and while jobs change and clients list and count. Then how long one client waits
for each list, over one connection, while jobs change no more. The jobs are written to etcd.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import os
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import uvloop
from bench.api.create import account_of_the_api
from bench.api.job import live_job
from bench.harness import machine, percentile, usage
from bench.restart import EtcdWriter
from tests.integration.api.conftest import JOBS, Api, allow

from audiojob_api import __main__ as program
from audiojob_dev.cluster.apiserver import LocalApiServer, fresh_apiserver
from audiojob_dev.cluster.pki import KeyPair
from audiojob_dev.rest import JSON_PATCH, RestError, wait_until
from audiojob_dev.tools import processes
from audiojob_types.constants import API_AUDIENCE, API_VERSION

TRANSACTION = 100
ASKED = (
    JOBS,
    "/api/v1/health",
    f"{JOBS}?sort=finished",
    f"{JOBS}?sort=priority&count=true",
    f"{JOBS}?state=Queued&count=true",
    f"{JOBS}?user=nobody",
    f"{JOBS}?name=song-4&sort=finished&limit=200",
    f"{JOBS}/song-10",
)


@dataclass(frozen=True, slots=True)
class Etcd:
    """What `EtcdWriter` asks of a cluster."""

    etcd_url: str
    authority: Path
    etcd_client: KeyPair


def serve(told: Path) -> None:
    """The API, which writes each second how long the longest callback of its loop was: nobody else is served then.

    On asyncio's own loop: uvloop lets nobody see its callbacks, and what they do is the same.
    """
    plain, longest = getattr(asyncio.Handle, "_run"), [0.0]  # noqa: B009 - what the loop calls, and no stub names

    def timed(handle: asyncio.Handle) -> None:
        began = time.thread_time()
        plain(handle)
        longest[0] = max(longest[0], time.thread_time() - began)

    def tell() -> None:
        with told.open("w", encoding="ascii", buffering=1) as lines:
            while True:
                time.sleep(1)
                most, longest[0] = longest[0], 0.0
                lines.write(f"{time.time()} {1_000 * most}\n")

    uvloop.new_event_loop = asyncio.new_event_loop  # type: ignore[assignment]
    setattr(asyncio.Handle, "_run", timed)  # noqa: B010 - mypy lets no method be assigned to
    threading.Thread(target=tell, daemon=True).start()
    sys.exit(program.main())


async def store(server: LocalApiServer, namespace: str, count: int) -> None:
    plane = server._plane  # noqa: SLF001 - its etcd
    etcd = Etcd(f"https://127.0.0.1:{plane.etcd_port}", server.authority, plane.pair("apiserver-etcd"))
    async with EtcdWriter(etcd) as writer:  # type: ignore[arg-type] # all that it asks for
        for start in range(0, count, TRANSACTION):
            jobs = [live_job(number) for number in range(start, min(start + TRANSACTION, count))]
            for job in jobs:
                job["metadata"].pop("resourceVersion")
                job |= {"apiVersion": API_VERSION, "kind": "AudioJob"}
                job["metadata"]["namespace"] = namespace
            await writer.put(jobs)
    path = f"/apis/{API_VERSION}/namespaces/{namespace}/audiojobs?limit=1"
    while True:  # the API server takes in so many at once in a minute
        with suppress(RestError, OSError):
            await asyncio.to_thread(server.rest.request, "GET", path, timeout=300)
            return
        await asyncio.sleep(1)


def is_ready(api: Api) -> bool:
    with suppress(OSError):
        return bool(api.call("GET", "/readyz", token="")[0] == 200)
    return False


def longest(told: Path, begin: float, end: float) -> float:
    lines = (line.split() for line in told.read_text(encoding="ascii").splitlines())
    return max((float(pause) for when, pause in lines if begin < float(when) <= end + 1), default=0.0)


def work(api: Api, count: int, seconds: float) -> tuple[int, int]:
    """Clients that ask, and an operator that writes; how often each."""
    over, asked, changed = threading.Event(), [0], [0]
    path = f"/apis/{API_VERSION}/namespaces/{api.namespace}/audiojobs"

    def ask(number: int) -> None:
        while not over.is_set():
            for each in ASKED[number:] + ASKED[:number]:
                status, _ = api.call("GET", each)
                assert status == 200, each
                asked[0] += 1

    def change(number: int) -> None:
        while not over.is_set():
            number = (number + 977) % count
            operations = [{"op": "replace", "path": "/status/message", "value": f"Changed at {time.time()}."}]
            api.server.rest.request("PATCH", f"{path}/song-{number}/status", operations, content_type=JSON_PATCH)
            changed[0] += 1

    with ThreadPoolExecutor(10) as pool:
        futures = [pool.submit(ask, number) for number in range(4)] + [pool.submit(change, 7 * n) for n in range(4)]
        time.sleep(seconds)
        over.set()
        for each in futures:
            each.result(60)
    return asked[0], changed[0]


def lists(api: Api, rounds: int) -> None:
    """One client, one question at a time, over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=30)
    took: dict[str, list[float]] = {path: [] for path in ASKED}
    for _ in range(rounds):
        for path in ASKED:
            began = time.perf_counter()
            connection.request("GET", path, headers={"Authorization": f"Bearer {api.token}"})
            answer = connection.getresponse()
            answer.read()
            took[path].append(1_000 * (time.perf_counter() - began))
            assert answer.status == 200, path
    connection.close()
    for path, times in [*took.items(), ("all of them", [each for some in took.values() for each in some])]:
        print(f"  {path:56} p50 {percentile(times, 0.5):6.1f} ms   p99 {percentile(times, 0.99):6.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--rounds", type=int, default=200, help="of all lists, one at a time")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve is not None:
        serve(asked.serve)
    print(machine())
    with fresh_apiserver("bench") as server, tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        namespace, kubeconfig = account_of_the_api(server, folder)
        allow(server, namespace, "caller", ["create", "get", "list", "update"])
        asyncio.run(store(server, namespace, asked.jobs))
        told, api = folder / "pauses", Api(server, namespace, processes.free_port(), kubeconfig)
        api.token = server.service_account_token(namespace, "caller", audiences=(API_AUDIENCE,))
        environment = {
            **os.environ,
            "AUDIOJOB_NAMESPACE": namespace,
            "AUDIOJOB_KUBECONFIG": str(kubeconfig),
            "AUDIOJOB_HOST": "127.0.0.1",
            "AUDIOJOB_PORT": str(api.port),
            "AUDIOJOB_DATABASE__URL": f"sqlite:///{folder}/history.db",
        }
        begin = time.time()
        with api.log.open("wb") as log:
            process = subprocess.Popen([sys.executable, __file__, "--serve", str(told)], env=environment, stderr=log)
        try:
            wait_until("the API to be ready", lambda: is_ready(api), seconds=600)
            ready = time.time()
            used = usage(process.pid)
            took, own = ready - begin, used.cpu_seconds
            print(f"  ready after {took:.1f} s, {own:.1f} s of the processor; required: below 40")
            time.sleep(3)
            questions, changes = work(api, asked.jobs, asked.seconds)
            used = usage(process.pid)
            print(f"  {questions} questions and {changes} changes in {asked.seconds:.0f} s")
            print(f"  most memory {used.peak_mebibytes:.0f} MiB; required: below 300")
            print(f"  longest pause before it was ready {longest(told, begin, ready):.1f} ms of the processor")
            print(f"  longest since {longest(told, ready + 1, time.time()):.1f} ms of the processor; required: 25")
            lists(api, asked.rounds)
            print(f"  load at the end {os.getloadavg()[0]:.1f}")
        finally:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
