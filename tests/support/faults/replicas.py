"""Two replicas of the API that are killed, put to sleep and cut from their database while jobs are made and end.

All accidents come from a seed. What must hold: each job that ever was is in the archive, once; no user has more jobs,
nor more at once, than the limits allow. What is made is read from the API server, not from the API's answers.
"""

from __future__ import annotations

import http.client
import json
import random
import signal
import subprocess
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select
from tests.integration.api.conftest import JOBS, URL, Api, allow, started, wait_ready
from tests.support.databases.postgres import Postgres

from audiojob_api.archive import maintenance
from audiojob_api.sql.database import Database
from audiojob_api.sql.tables.archive import JOBS as ARCHIVED
from audiojob_api.sql.tables.archive import WRITER
from audiojob_api.sql.url import parse
from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.rest import JSON_PATCH, RestError
from audiojob_types.constants import ANNOTATION_ARCHIVED, API_AUDIENCE, API_VERSION, LABEL_USER

ACCOUNTS = ("ann", "bob", "cid", "dot")
ENDED = {
    "state": "Succeeded", "percent": 100, "startTime": "2026-11-29T10:00:00Z", "completionTime": "2026-11-29T10:01:00Z",
}  # fmt: skip
Killed = subprocess.Popen[bytes]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of each account."""

    day: int
    at_once: int


@dataclass
class Seen:
    """What the API server has shown, and what was done."""

    users: dict[str, str] = field(default_factory=dict)
    """Of each job by uid; none is forgotten."""
    most_at_once: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    accidents: Counter[str] = field(default_factory=Counter)

    @property
    def by_user(self) -> Counter[str]:
        return Counter(self.users.values())


class Replicas:
    """Two of them on one namespace and one database."""

    def __init__(self, server: LocalApiServer, namespace: str, kubeconfig: Path, database: str, bounds: Bounds) -> None:
        self.seen = Seen()
        self.database = database
        self.bounds = bounds
        self._server, self._namespace, self._kubeconfig = server, namespace, kubeconfig
        self._path = f"/apis/{API_VERSION}/namespaces/{namespace}/audiojobs"
        tier = {"jobsPerDay": bounds.day, "concurrentJobs": bounds.at_once}
        access = kubeconfig.with_name(f"access-{uuid.uuid4().hex[:6]}.json")
        access.write_text(json.dumps({"limits": {"tiers": {"all": tier}, "kubernetesTier": "all"}}))
        self._settings = {
            "AUDIOJOB_DATABASE__URL": database,
            "AUDIOJOB_ARCHIVE__ENABLED": "true",
            "AUDIOJOB_ACCESS_FILE": str(access),
        }
        self._tokens = {}
        for account in ACCOUNTS:
            allow(server, namespace, account, ["create", "get", "list"])
            self._tokens[account] = server.service_account_token(namespace, account, audiences=(API_AUDIENCE,))
        server.ensure_service_account(namespace, "caller")  # whose token `started` asks for
        self._pair: list[tuple[Api, Killed]] = [self._start(), self._start()]
        self._over = threading.Event()

    def _start(self) -> tuple[Api, Killed]:
        return started(self._server, self._namespace, self._kubeconfig, **self._settings)

    def run(self, seconds: float, seed: int, accidents: int, postgres: Postgres | None = None) -> Seen:
        """So many accidents within that time, then wait until all is archived. ``postgres``: it is crashed too."""
        chance = random.Random(seed)
        for api, process in self._pair:
            wait_ready(api, process)
        with ThreadPoolExecutor(8) as pool:
            work = [pool.submit(self._ask, random.Random(chance.random())) for _ in range(4)]
            operating = pool.submit(self._operate)
            try:
                begin = time.monotonic()
                for number in range(1, accidents + 1):
                    time.sleep(max(0.0, begin + number * seconds / accidents - time.monotonic()))
                    self._accident(chance, postgres)
            finally:
                self._over.set()
            for each in work:
                each.result(60)
            for api, process in self._pair:
                wait_ready(api, process)
            operating.result(180)
        return self.seen

    def stop(self) -> None:
        """End both."""
        self._over.set()
        for _, process in self._pair:
            process.kill()
            process.wait()

    # ---------------------------------------------------------------- accidents

    def _accident(self, chance: random.Random, postgres: Postgres | None) -> None:
        index = chance.randrange(2)
        what = chance.choice(["kill", "kill", "sleep", "crash" if postgres is not None else "kill"])
        self.seen.accidents[what] += 1
        if what == "crash" and postgres is not None:
            postgres.stop(signal.SIGQUIT)
            time.sleep(chance.uniform(0, 2))
            postgres.start()
        elif what == "sleep":  # longer than a writer may be silent: another one takes over meanwhile
            self._pair[index][1].send_signal(signal.SIGSTOP)
            time.sleep(7)
            self._pair[index][1].send_signal(signal.SIGCONT)
        else:
            self._pair[index][1].kill()
            self._pair[index][1].wait()
            self._pair[index] = self._start()

    # ---------------------------------------------------------------- people

    def _ask(self, chance: random.Random) -> None:
        """Make one job after another, each until it is clear what came of it."""
        while not self._over.is_set():
            account, name = chance.choice(ACCOUNTS), f"job-{uuid.UUID(int=chance.getrandbits(128)).hex[:16]}"
            for _ in range(20):
                answer = self._post(chance, account, name)
                self.seen.answers[answer] += 1
                if answer in ("201", "409", "429") or self._over.is_set():
                    break
                time.sleep(0.1)
            time.sleep(0.05)

    def _post(self, chance: random.Random, account: str, name: str) -> str:
        api, _ = self._pair[chance.randrange(2)]
        body = {"name": name, "pipeline": "download", "source": URL}
        try:
            return str(api.call("POST", JOBS, body, token=self._tokens[account])[0])
        except (OSError, http.client.HTTPException, ValueError):
            return "no answer"

    # ---------------------------------------------------------------- the operator, and the TTL

    def _operate(self) -> None:
        """Jobs end a second after they were made, and are deleted once they are archived, until none is left."""
        made: dict[str, float] = {}
        jobs: list[dict[str, Any]] = []
        until = None
        while until is None or time.monotonic() < until:
            jobs = self._server.rest.request("GET", self._path)["items"]
            self._note(jobs)
            for job in jobs:
                name, uid = job["metadata"]["name"], job["metadata"]["uid"]
                if job.get("status", {}).get("state") != "Succeeded":
                    if time.monotonic() - made.setdefault(uid, time.monotonic()) > 1:
                        operations = [{"op": "add", "path": "/status", "value": ENDED}]
                        self._write("PATCH", f"{self._path}/{name}/status", operations)
                elif ANNOTATION_ARCHIVED in job["metadata"].get("annotations", {}):
                    self._write("DELETE", f"{self._path}/{name}")
            if self._over.is_set():
                until = until or time.monotonic() + 120
                if not jobs:
                    return
            time.sleep(0.2)
        raise TimeoutError(f"{len(jobs)} jobs are not archived")

    def _note(self, jobs: list[dict[str, Any]]) -> None:
        open_now: Counter[str] = Counter()
        for job in jobs:
            user = job["metadata"]["labels"][LABEL_USER]
            self.seen.users[job["metadata"]["uid"]] = user
            open_now[user] += job.get("status", {}).get("state") != "Succeeded"
        for user, count in open_now.items():
            self.seen.most_at_once[user] = max(count, self.seen.most_at_once[user])

    def _write(self, method: str, path: str, body: Any = None) -> None:
        with suppress(RestError):  # looked at again
            self._server.rest.request(method, path, body, content_type=JSON_PATCH)


async def faults_of(replicas: Replicas) -> tuple[list[str], int]:
    """What does not hold, in words, and the epoch of the last writer."""
    seen, bounds, found = replicas.seen, replicas.bounds, []
    database = Database(parse(replicas.database))
    await database.open()
    async with database.read() as connection:
        archived = [uid for (uid,) in (await connection.execute(select(ARCHIVED.c.uid))).all()]
        epoch = int((await connection.execute(select(WRITER.c.epoch))).scalar_one())
    found += [f"{count} are archived {what}" for what, count in (
        ("not at all", len(seen.users.keys() - set(archived))),
        ("twice", len(archived) - len(set(archived))),
        ("and never were", len(set(archived) - seen.users.keys())),
    ) if count]  # fmt: skip
    found += (await maintenance.check(database)).faults
    await database.close()
    found += [f"{user} has {count} jobs of {bounds.day}" for user, count in seen.by_user.items() if count > bounds.day]
    found += [
        f"{user} had {count} jobs at once of {bounds.at_once}"
        for user, count in seen.most_at_once.items()
        if count > bounds.at_once
    ]
    return found, epoch
