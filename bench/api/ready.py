"""The API's process beside 50,000 live jobs on a real API server: ``python bench/api/ready.py [--jobs 50000]``.

How long it takes until it is ready, its memory, and the longest pause of its loop, as the time of the processor that
one callback takes: before it is ready, and while jobs change and clients list and count. Then how long one client waits
for each list, over one connection, while jobs change no more. The jobs are written to etcd.

With ``--archived 1000000 --database sqlite|postgresql`` so many archived jobs are in the same namespace, beside the
live ones that have ended, and the lists are of both: ``TMPDIR=/dev/shm python bench/api/ready.py --archived 1000000``.
Users, weeks and places in the lists are drawn anew in each round.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import uvloop
from bench.api.archive import APART, BEGIN, fill
from bench.api.create import account_of_the_api
from bench.api.job import USERS, live_job
from bench.harness import machine, percentile, usage
from bench.restart import EtcdWriter
from tests.integration.api.conftest import JOBS, Api, allow
from tests.support.databases.postgres import Postgres

from audiojob_api import __main__ as program
from audiojob_api.archive.store import ArchiveStore
from audiojob_api.jobs.listing.cursor import encode
from audiojob_api.jobs.listing.query import Order, Query, Where
from audiojob_api.jobs.listing.rows import row_of
from audiojob_api.sql.database import Database
from audiojob_api.sql.url import parse
from audiojob_dev.cluster.apiserver import LocalApiServer, fresh_apiserver
from audiojob_dev.cluster.pki import KeyPair
from audiojob_dev.rest import JSON_PATCH, RestError, wait_until
from audiojob_dev.tools import processes
from audiojob_types.constants import ANNOTATION_ARCHIVED, API_AUDIENCE, API_VERSION

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
WEEK = 7 * 86_400_000
PAGES = 10
JOINED = (
    *(f"{JOBS}?sort={order}{rest}" for order in Order for rest in (
        "", "&limit=200", "&count=true", "&cursor={" + order + "}", "&user={user}", "&queue=queue-2&state=Failed",
        "&createdFrom={begin}", "&name=9999", "&where=archived&cursor={archived_" + order + "}",
    )),
    *(f"{JOBS}?count=true&{wanted}" for wanted in (
        "where=archived", "state=Failed", "state=Queued", "state=Failed,Cancelled", "user={user}", "user=nobody",
        "user={user}&state=Cancelled", "batch={batch}", "queue=queue-2", "pipeline=pipeline-1&state=Failed",
        "labels=team%3Dnone", "labels=team%3Dt7", "name=9999", "name=nowhere", "createdFrom={begin}",
        "createdFrom={begin}&createdTo={end}", "finishedFrom={begin}&finishedTo={end}&sort=finished",
        "finishedFrom={begin}&user={user}&sort=finished", "finishedFrom={begin}&state=Failed&sort=priority",
    )),
    f"{JOBS}/song-11",
)  # fmt: skip
"""As `str.format` takes them; a name of an order is the place of a page."""


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


def jobs_of(namespace: str, numbers: Sequence[int], marked: bool) -> list[dict[str, Any]]:
    """``marked``: those that have ended are in the archive too."""
    jobs = [live_job(number) for number in numbers]
    for job in jobs:
        job |= {"apiVersion": API_VERSION, "kind": "AudioJob"}
        job["metadata"]["namespace"] = namespace
        if marked and job["status"]["state"] == "Succeeded":
            job["metadata"]["annotations"] = {ANNOTATION_ARCHIVED: "true"}
    return jobs


def portions(count: int) -> Iterator[range]:
    return (range(start, min(start + TRANSACTION, count)) for start in range(0, count, TRANSACTION))


async def archive(url: str, namespace: str, live: int, rows: int) -> None:
    """The live jobs that have ended, as the API's writer leaves them, and so many others."""
    database = Database(parse(url))
    await database.open()
    writer = ArchiveStore(database, "bench")
    epoch = await writer.take()
    assert epoch is not None
    for numbers in portions(live):
        found = [row_of(job) for job in jobs_of(namespace, numbers, marked=True)]
        await writer.put(epoch, [row for row in found if row.archived])
    await writer.release(epoch)
    await fill(database, rows, namespace)
    await database.close()


async def store(server: LocalApiServer, namespace: str, count: int, marked: bool) -> None:
    plane = server._plane  # noqa: SLF001 - its etcd
    etcd = Etcd(f"https://127.0.0.1:{plane.etcd_port}", server.authority, plane.pair("apiserver-etcd"))
    async with EtcdWriter(etcd) as writer:  # type: ignore[arg-type] # all that it asks for
        for numbers in portions(count):
            jobs = jobs_of(namespace, numbers, marked)
            for job in jobs:
                job["metadata"].pop("resourceVersion")  # etcd gives one
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


def drawn(chance: random.Random, archived: int) -> dict[str, str]:
    """What a round asks for."""
    moment = BEGIN + chance.randrange(max(archived, 1)) * APART
    begin, end = (datetime.fromtimestamp(each / 1_000, UTC).strftime("%FT%TZ") for each in (moment, moment + WEEK))
    values = {"begin": begin, "end": end, "user": f"user-{chance.randrange(USERS)}"}
    return values | {"batch": f"batch-{chance.randrange(max(archived // 3_000, 1)) * 3}"}


def places(chance: random.Random, archived: int) -> dict[str, str]:
    """Cursors into the middle of the archive."""
    moment, found = BEGIN + chance.randrange(max(archived, 1)) * APART, {}
    for order in Order:
        place = (5, moment, "0") if order is Order.PRIORITY else (moment, "0")
        found[str(order)] = encode(Query(order=order), place)
        found[f"archived_{order}"] = encode(Query(order=order, where=Where.ARCHIVED), place)
    return found


def lists(api: Api, rounds: int, archived: int) -> None:
    """One client, one question at a time, over one connection. Of each list `PAGES` pages in turn, then from anew."""
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=30)
    asked = JOINED if archived else ASKED
    took: dict[str, list[float]] = {path: [] for path in asked}
    chance, cursors = random.Random(1), dict[str, str]()  # noqa: S311 - no secret
    for number in range(rounds):
        values = drawn(chance, archived)
        cursors = places(chance, archived) | (cursors if number % PAGES else {})
        for path in asked:
            question = path.format(**values, **cursors)
            began = time.perf_counter()
            connection.request("GET", question, headers={"Authorization": f"Bearer {api.token}"})
            answer = connection.getresponse()
            text = answer.read()
            took[path].append(1_000 * (time.perf_counter() - began))
            assert answer.status == 200, (question, text)
            found = json.loads(text)
            assert "history" not in found, question
            if "cursor=" in path:
                turn(cursors, path, found)
    connection.close()
    told(took)


def turn(cursors: dict[str, str], path: str, found: dict[str, Any]) -> None:
    """On to the next page; behind the last, a new place."""
    name = path.rpartition("{")[2].rstrip("}")
    cursors.pop(name)
    if "cursor" in found:
        cursors[name] = found["cursor"]


def told(took: dict[str, list[float]]) -> None:
    slowest = max(took, key=lambda path: percentile(took[path], 0.99))
    every = [each for some in took.values() for each in some]
    for path, times in [*took.items(), ("all of them", every), (f"the slowest: {slowest}", took[slowest])]:
        name = path.replace(JOBS, "jobs")
        print(f"  {name:64} p50 {percentile(times, 0.5):6.1f} ms   p99 {percentile(times, 0.99):6.1f} ms")


@contextmanager
def database_of(kind: str, folder: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite:///{folder}/history.db"
        return
    with Postgres(durable=True) as server:
        yield server.create("bench")


def settings_of(api: Api, url: str, archived: int) -> dict[str, str]:
    archive = {
        "AUDIOJOB_ARCHIVE__ENABLED": "true",
        "AUDIOJOB_ARCHIVE__LABELS": '["team"]',
        "AUDIOJOB_ARCHIVE__RETENTION_DAYS": "36500",
    }
    return {
        **os.environ,
        "AUDIOJOB_NAMESPACE": api.namespace,
        "AUDIOJOB_KUBECONFIG": str(api.kubeconfig),
        "AUDIOJOB_HOST": "127.0.0.1",
        "AUDIOJOB_PORT": str(api.port),
        "AUDIOJOB_DATABASE__URL": url,
        **(archive if archived else {}),
    }


def measure(api: Api, process: subprocess.Popen[bytes], pauses: Path, asked: argparse.Namespace) -> None:
    begin = time.time()
    wait_until("the API to be ready", lambda: is_ready(api), seconds=600)
    ready = time.time()
    used = usage(process.pid)
    took, own = ready - begin, used.cpu_seconds
    print(f"  ready after {took:.1f} s, {own:.1f} s of the processor; required: below 40")
    time.sleep(3)
    if asked.archived:
        is_open = 'audiojob_api_database{state="Ready"} 1.0'
        wait_until("the database", lambda: is_open in api.call("GET", "/metrics", token="")[1], seconds=60)
        for where in ("live", "archived"):
            status, found = api.call("GET", f"{JOBS}?count=true&limit=1&where={where}")
            assert status == 200, (found, api.log.read_text(encoding="utf-8")[-3_000:])
            total = found["total"]
            print(f"  {where}: {'at least ' if total['atLeast'] else ''}{total['count']:,} jobs")
    questions, changes = work(api, asked.jobs, asked.seconds)
    used = usage(process.pid)
    print(f"  {questions} questions and {changes} changes in {asked.seconds:.0f} s")
    print(f"  most memory {used.peak_mebibytes:.0f} MiB; required: below 300")
    print(f"  longest pause before it was ready {longest(pauses, begin, ready):.1f} ms of the processor")
    print(f"  longest since {longest(pauses, ready + 1, time.time()):.1f} ms of the processor; required: 25")
    lists(api, asked.rounds, asked.archived)
    print(f"  load at the end {os.getloadavg()[0]:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=50_000)
    parser.add_argument("--archived", type=int, default=0, help="jobs in the archive, beside the live ones")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--rounds", type=int, default=200, help="of all lists, one at a time")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve is not None:
        serve(asked.serve)
    print(machine())
    with (
        fresh_apiserver("bench") as server,
        tempfile.TemporaryDirectory() as text,
        database_of(asked.database, Path(text)) as url,
    ):
        folder = Path(text)
        namespace, kubeconfig = account_of_the_api(server, folder)
        allow(server, namespace, "caller", ["create", "get", "list", "update"])
        asyncio.run(store(server, namespace, asked.jobs, marked=asked.archived > 0))
        if asked.archived:
            asyncio.run(archive(url, namespace, asked.jobs, asked.archived))
        pauses, api = folder / "pauses", Api(server, namespace, processes.free_port(), kubeconfig)
        api.token = server.service_account_token(namespace, "caller", audiences=(API_AUDIENCE,))
        command, environment = [sys.executable, __file__, "--serve", str(pauses)], settings_of(api, url, asked.archived)
        with api.log.open("wb") as log:
            process = subprocess.Popen(command, env=environment, stderr=log)
        try:
            measure(api, process, pauses, asked)
        finally:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
