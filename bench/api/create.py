"""How long a creation over REST takes beside a bare POST to the API server: ``python bench/api/create.py``.

With limits and the archive on, PostgreSQL or SQLite; eight at once, with a token that is known. Runs alternate, and the
medians of five are shown. In the same run: the least that is possible with the API's libraries, a route that does
nothing but pass the job on (``passing_on.py``); and how long Celery takes to submit a task to Redis (Debian's server;
Celery in a venv of its own, both fetched into a temporary folder).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import aiohttp
from bench.harness import machine, percentile
from tests.integration.api.conftest import JOBS, SYSTEM, URL, Api, allow, chart_template, launched, wait_ready
from tests.support.databases.postgres import Postgres

from audiojob_dev.cluster.apiserver import LocalApiServer, fresh_apiserver
from audiojob_dev.rest import RestError, wait_until
from audiojob_dev.tools import debian, processes
from audiojob_types.constants import API_VERSION

AT_ONCE = 8
REDIS = (
    "redis-server",
    "redis-tools",
    "libjemalloc2",
    "liblzf1",
    "liblua5.1-0",
    "lua-cjson",
    "lua-bitop",
    "libhiredis0.14",
)
LEAST = "a route that passes on"
CELERY = ("celery==5.7.0", "redis", "packaging")  # kombu imports the last and does not say so
LIMITS = {
    "limits": {
        "burst": {"requests": 1_000_000, "seconds": 1},
        "jobsPerHourPerAddress": 1_000_000,
        "tiers": {"bench": {"jobsPerDay": 1_000_000, "concurrentJobs": 1_000_000}},
        "kubernetesTier": "bench",
    }
}
SUBMIT = """
import json, sys, time
from concurrent.futures import ThreadPoolExecutor
from celery import Celery
url, count, at_once = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
app = Celery("bench", broker=url)
def submit(number):
    began = time.perf_counter()
    app.send_task("separate", kwargs={"pipeline": "download", "source": {"url": "https://example.org/song.flac"}})
    return time.perf_counter() - began
with ThreadPoolExecutor(at_once) as pool:
    list(pool.map(submit, range(50)))
    print(json.dumps(list(pool.map(submit, range(count)))))
"""

Call = Callable[[aiohttp.ClientSession, str], Awaitable[None]]


def account_of_the_api(server: LocalApiServer, folder: Path) -> tuple[str, Path]:
    """A namespace, and the kubeconfig of an account with the rights that the chart gives the API there."""
    namespace = f"bench-{uuid.uuid4().hex[:6]}"
    server.create_namespace(namespace)
    with suppress(RestError):
        server.create_namespace(SYSTEM)
    server.kubectl("apply", "-f", "-", stdin=chart_template("api-rbac.yaml", namespace))
    server.ensure_service_account(SYSTEM, "api-test-api")
    token = server.service_account_token(SYSTEM, "api-test-api")
    return namespace, server.write_token_kubeconfig(folder / "kubeconfig", token, namespace)


@contextmanager
def api_of(server: LocalApiServer, folder: Path, database: str) -> Iterator[Api]:
    """The API as the chart runs it, with limits and the archive."""
    namespace, kubeconfig = account_of_the_api(server, folder)
    allow(server, namespace, "caller", ["create", "get", "list", "update"])
    access = folder / "access.json"
    access.write_text(json.dumps(LIMITS))
    settings = {
        "AUDIOJOB_DATABASE__URL": database, "AUDIOJOB_ARCHIVE__ENABLED": "true", "AUDIOJOB_ACCESS_FILE": str(access),
    }  # fmt: skip
    with launched(server, namespace, kubeconfig, **settings) as (api, process):
        wait_ready(api, process)
        ready = 'audiojob_api_database{state="Ready"} 1.0'
        wait_until("the database", lambda: ready in api.call("GET", "/metrics", token="")[1], seconds=60)
        yield api


@contextmanager
def passing_on(api: Api) -> Iterator[Api]:
    """A route that passes jobs on, with the account of this API, in a process of its own."""
    passing = Api(api.server, api.namespace, processes.free_port(), api.kubeconfig)
    passing.token = api.token
    command = [sys.executable, str(Path(__file__).with_name("passing_on.py"))]
    process = subprocess.Popen([*command, str(api.kubeconfig), api.namespace, str(passing.port)])

    def answers() -> bool:
        with suppress(OSError):
            return passing.call("GET", "/openapi.json", token="")[0] == 200
        return False

    try:
        wait_until("the route", answers, seconds=60)
        yield passing
    finally:
        process.terminate()
        process.wait(30)


def over_rest(api: Api) -> Call:
    url, headers = f"http://127.0.0.1:{api.port}{JOBS}", {"Authorization": f"Bearer {api.token}"}

    async def call(session: aiohttp.ClientSession, name: str) -> None:
        body = {"name": name, "pipeline": "download", "source": URL}
        async with session.post(url, json=body, headers=headers) as answer:
            assert answer.status == 201, await answer.text()
            await answer.read()

    return call


def bare(api: Api) -> Call:
    """The same job, with the same rights, straight to the API server."""
    server = api.server
    token = server.service_account_token(api.namespace, "caller")
    url = f"{server.url}/apis/{API_VERSION}/namespaces/{api.namespace}/audiojobs"
    headers, tls = {"Authorization": f"Bearer {token}"}, ssl.create_default_context(cafile=str(server.authority))

    async def call(session: aiohttp.ClientSession, name: str) -> None:
        spec = {"pipeline": "download", "source": URL}
        body = {"apiVersion": API_VERSION, "kind": "AudioJob", "metadata": {"name": name}, "spec": spec}
        async with session.post(url, json=body, headers=headers, ssl=tls) as answer:
            assert answer.status == 201, await answer.text()
            await answer.read()

    return call


async def timed(call: Call, count: int) -> list[float]:
    """Milliseconds of each, eight at once over connections that stay open; the first forty are not counted."""
    took: list[float] = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE)) as session:
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(number: int) -> None:
            async with slots:
                began = time.perf_counter()
                await call(session, f"job-{uuid.uuid4().hex[:16]}")
                if number >= 5 * AT_ONCE:
                    took.append(1_000 * (time.perf_counter() - began))

        await asyncio.gather(*(one(number) for number in range(count + 5 * AT_ONCE)))
    return took


@contextmanager
def celery(folder: Path) -> Iterator[Callable[[int], list[float]]]:
    """Submits so many tasks; milliseconds of each."""
    debian.unpack(REDIS, folder / "redis")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    python = str(folder / "venv/bin/python")
    subprocess.run([python, "-m", "pip", "install", "-q", *CELERY], check=True)
    port = processes.free_port()
    libraries = folder / "redis/usr/lib" / f"{os.uname().machine}-linux-gnu"
    command = [str(folder / "redis/usr/bin/redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with (folder / "redis.log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, env={**os.environ, "LD_LIBRARY_PATH": str(libraries)}
        )
    (folder / "submit.py").write_text(SUBMIT)

    def submit(count: int) -> list[float]:
        arguments = [python, str(folder / "submit.py"), f"redis://127.0.0.1:{port}/0", str(count), str(AT_ONCE)]
        done = subprocess.run(arguments, check=True, capture_output=True, text=True)
        return [1_000 * each for each in json.loads(done.stdout)]

    try:
        yield submit
    finally:
        server.terminate()
        server.wait(10)


def shown(name: str, runs: list[list[float]]) -> tuple[float, float]:
    median = statistics.median(percentile(run, 0.5) for run in runs)
    worst = statistics.median(percentile(run, 0.99) for run in runs)
    print(f"  {name:34} p50 {median:7.1f} ms   p99 {worst:7.1f} ms")
    return median, worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="postgresql")
    parser.add_argument("--requests", type=int, default=400, help="of one run")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--no-celery", action="store_true")
    asked = parser.parse_args()
    print(f"{machine()}; {asked.database}, {asked.runs} runs of {asked.requests}, {AT_ONCE} at once")
    server = Postgres(durable=True) if asked.database == "postgresql" else nullcontext()
    with fresh_apiserver("bench") as kubernetes, server as postgres, tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        url = postgres.create("bench") if postgres is not None else f"sqlite:///{folder}/history.db"
        with (
            api_of(kubernetes, folder, url) as api,
            passing_on(api) as least,
            nullcontext() if asked.no_celery else celery(folder) as submit,
        ):
            runs: dict[str, list[list[float]]] = {
                "bare POST": [],
                LEAST: [],
                "REST": [],
                "Celery": [],
            }
            for _ in range(asked.runs):
                runs["bare POST"].append(asyncio.run(timed(bare(api), asked.requests)))
                runs[LEAST].append(asyncio.run(timed(over_rest(least), asked.requests)))
                runs["REST"].append(asyncio.run(timed(over_rest(api), asked.requests)))
                if submit is not None:
                    runs["Celery"].append(submit(asked.requests))
            found = {name: shown(name, each) for name, each in runs.items() if each}
    (half, tail), (bare_half, bare_tail) = found["REST"], found["bare POST"]
    least_half, least_tail = found[LEAST]
    print(f"  passing on / bare POST: p50 {least_half / bare_half:.2f}, p99 {least_tail / bare_tail:.2f}")
    print(f"  REST / bare POST: p50 {half / bare_half:.2f}, p99 {tail / bare_tail:.2f} (required: at most 2)")
    print(f"  load at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
