"""A flood of reports: ``python bench/chart/flood.py [--reporters 1000] [--seconds 30]``.

So many clients with the token of one runner patch a status again as soon as they are answered, once without the
chart's FlowSchemas and once with them. Meanwhile the real operator keeps its Lease, and a probe under its account reads
an AudioJob. The reporters are a process of their own, which goes last for the processor: they stand for pods on other
machines, and what one of them waits for must not be measured as the operator's wait.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import ssl
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.harness import machine, percentile, settle
from tests.support.operator_process import PROGRAM, OperatorProcess

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.paths import paths_from_environment, repository
from audiojob_dev.progress import Progress
from audiojob_dev.rest import RestError, wait_until
from audiojob_dev.tools import binaries
from audiojob_types import constants as c

RELEASE: Final = "audiojob"
SYSTEM, MUSIC = "audiojob-system", "music"
_JOBS: Final = f"/apis/{c.API_VERSION}/namespaces/{MUSIC}/audiojobs"
_SONGS: Final = 100  # reporters share them: of one alone most patches would meet another
_LEASE: Final = f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/{RELEASE}-operator"
_PROBE_SECONDS: Final = 0.1
_CALL: Final = aiohttp.ClientTimeout(total=60)
_NICE: Final = 5
_MERGE: Final = {"Content-Type": "application/merge-patch+json"}

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """How to reach the API server, as what account."""

    url: str
    authority: str
    token: str


@dataclass
class Answers:
    """What one kind of client was answered: by status, and by FlowSchema (its uid)."""

    status: Counter[int] = field(default_factory=Counter)
    schemas: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    def note(self, answer: aiohttp.ClientResponse) -> None:
        """Count one."""
        self.status[answer.status] += 1
        self.schemas[answer.headers.get("X-Kubernetes-PF-FlowSchema-UID", "")] += 1


@dataclass
class Lease:
    """How old the operator's Lease became, and who held it."""

    age: float = 0.0
    holders: set[str] = field(default_factory=set)


def session_of(place: Place) -> aiohttp.ClientSession:
    """Without a limit of connections."""
    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=place.authority), limit=0)
    return aiohttp.ClientSession(
        place.url, connector=connector, headers={"Authorization": f"Bearer {place.token}"}, timeout=_CALL
    )


def reporters(place: Place, count: int, seconds: float) -> Answers:
    """So many of them for so long; a process of its own."""
    os.nice(_NICE)
    return asyncio.run(_reporters(place, count, seconds))


async def _reporters(place: Place, count: int, seconds: float) -> Answers:
    answers, end = Answers(), time.monotonic() + seconds
    body = json.dumps({"status": {"progress": {"first": {"attempt": 1, "percent": 50}}}})

    async def report(session: aiohttp.ClientSession, number: int) -> None:
        while time.monotonic() < end:
            try:
                path = f"{_JOBS}/song-{number % _SONGS}/status"
                async with session.patch(path, data=body, headers=_MERGE) as answer:
                    await answer.read()
                    answers.note(answer)
            except (aiohttp.ClientError, TimeoutError):
                answers.status[0] += 1

    async with session_of(place) as session:
        await asyncio.gather(*(report(session, number) for number in range(count)))
    return answers


async def probe(place: Place, seconds: float) -> Answers:
    """Read an AudioJob again and again."""
    answers, end = Answers(), time.monotonic() + seconds
    async with session_of(place) as session:
        while (began := time.monotonic()) < end:
            try:
                async with session.get(f"{_JOBS}/song-0") as answer:
                    await answer.read()
                    answers.note(answer)
            except (aiohttp.ClientError, TimeoutError):
                answers.status[0] += 1
            answers.seconds.append(time.monotonic() - began)
            await asyncio.sleep(_PROBE_SECONDS)
    return answers


def watch_lease(server: LocalApiServer, seconds: float) -> Lease:
    """As an administrator, whom no priority level holds up."""
    lease, end = Lease(), time.monotonic() + seconds
    while time.monotonic() < end:
        spec = server.rest.request("GET", _LEASE)["spec"]
        age = datetime.now(UTC) - datetime.fromisoformat(spec["renewTime"])
        lease.age = max(lease.age, age.total_seconds())
        lease.holders.add(spec["holderIdentity"])
        time.sleep(1)
    return lease


def flood(server: LocalApiServer, count: int, seconds: float) -> tuple[Answers, Answers, Lease]:
    """What reporters, the probe, and the operator's Lease went through."""
    authority = str(server.authority)
    runner = Place(server.url, authority, server.service_account_token(MUSIC, c.RUNNER_SERVICE_ACCOUNT))
    operator = Place(server.url, authority, server.service_account_token(SYSTEM, f"{RELEASE}-operator"))
    spawning = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawning) as apart, ThreadPoolExecutor(1) as beside:
        apart.submit(os.getpid).result()  # started and imported before it counts
        reports = apart.submit(reporters, runner, count, seconds)
        lease = beside.submit(watch_lease, server, seconds)
        probed = asyncio.run(probe(operator, seconds))
        return reports.result(), probed, lease.result()


def line(name: str, seconds: float, found: tuple[Answers, Answers, Lease], schemas: dict[str, str]) -> str:
    """One line of the table."""
    reports, probed, lease = found
    p50, p99, most = (percentile(probed.seconds, share) * 1_000 for share in (0.5, 0.99, 1))
    by = [", ".join(schemas.get(uid, uid or "none") for uid in each.schemas) for each in (reports, probed)]
    return (
        f"{name:<22} {sum(reports.status.values()) / seconds:6.0f} answers/s to reporters, {dict(reports.status)}, by "
        f"{by[0]}; operator: {len(probed.seconds)} calls, p50 {p50:.0f} ms, p99 {p99:.0f} ms, max {most:.0f} ms, "
        f"{dict(probed.status)}, by {by[1]}; Lease at most {lease.age:.1f} s old, holders: {len(lease.holders)}"
    )


def prepare(server: LocalApiServer) -> None:
    """Accounts with the rights that they have in a release, roughly, and AudioJobs that wait for their pipeline."""
    server.apply_crds(repository() / "crds")
    for namespace, account in ((SYSTEM, f"{RELEASE}-operator"), (MUSIC, c.RUNNER_SERVICE_ACCOUNT)):
        server.create_namespace(namespace)
        server.ensure_service_account(namespace, account)
        binding = {
            "metadata": {"name": account},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "namespace": namespace, "name": account}],
        }
        server.rest.request("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
    for number in range(_SONGS):
        job = {"apiVersion": c.API_VERSION, "kind": "AudioJob", "metadata": {"name": f"song-{number}"}}
        server.rest.request("POST", _JOBS, {**job, "spec": {"pipeline": "none"}})


def flow_control(server: LocalApiServer, helm: Path) -> None:
    """Install the chart's FlowSchemas, and wait until they are in force."""
    chart = str(repository() / "charts" / "audiojob")
    command = [str(helm), "template", RELEASE, chart, "-n", SYSTEM, "--kube-version", "1.34.4"]
    command += ["--set", f"jobNamespaces={{{MUSIC}}}", "-s", "templates/flow-control.yaml"]
    objects = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    server.kubectl("apply", "-f", "-", stdin=objects)
    settle(5)


def measure(programs: Path, count: int, seconds: float, *, apart: bool) -> None:
    """One fresh API server, with the FlowSchemas or without."""
    with tempfile.TemporaryDirectory(prefix="audiojob-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        server = LocalApiServer(folder / "plane", programs)
        server.start()
        try:
            prepare(server)
            if apart:
                flow_control(server, programs / "helm")
            token = server.service_account_token(SYSTEM, f"{RELEASE}-operator")
            config = server.write_token_kubeconfig(folder / "operator.kubeconfig", token, SYSTEM)
            lease = {"AUDIOJOB_LEASE__NAMESPACE": SYSTEM, "AUDIOJOB_LEASE__NAME": f"{RELEASE}-operator"}
            with OperatorProcess(config, [MUSIC], folder / "operator.log", PROGRAM, **lease):
                wait_until("the operator's Lease", lambda: _exists(server, _LEASE), seconds=120)
                found = flood(server, count, seconds)
            names = {each["metadata"]["uid"]: each["metadata"]["name"] for each in _schemas(server)}
            print(line("with FlowSchemas" if apart else "without FlowSchemas", seconds, found, names), flush=True)
        finally:
            server.stop()


def _schemas(server: LocalApiServer) -> list[Object]:
    found: list[Object] = server.rest.request("GET", "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas")["items"]
    return found


def _exists(server: LocalApiServer, path: str) -> bool:
    try:
        return bool(server.rest.request("GET", path)["spec"].get("renewTime"))
    except RestError:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--reporters", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--only", choices=("with", "without"), help="one of the two cases")
    arguments = parser.parse_args()
    with Progress() as progress:
        programs = binaries.ensure(paths_from_environment(), ("etcd", "kube-apiserver", "kubectl", "helm"), progress)
    print(machine(), flush=True)
    for case in ("without", "with"):
        if arguments.only in (None, case):
            measure(programs, arguments.reporters, arguments.seconds, apart=case == "with")


if __name__ == "__main__":
    main()
