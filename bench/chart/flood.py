"""A flood of reports: ``python bench/chart/flood.py [--reporters 1000] [--seconds 30]``.

So many clients with the token of one runner patch a status again as soon as they are answered, once without the
chart's FlowSchemas and once with them. Meanwhile the real operator keeps its Lease, and a probe under its account reads
an AudioJob.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.harness import machine, settle
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
_MERGE: Final = {"Content-Type": "application/merge-patch+json"}

Object = dict[str, Any]


@dataclass
class Seen:
    """What the probe and the reporters were answered, and how old the Lease became."""

    probes: list[float] = field(default_factory=list)
    probe_status: Counter[int] = field(default_factory=Counter)
    reports: Counter[int] = field(default_factory=Counter)
    lease_age: float = 0.0
    holders: set[str] = field(default_factory=set)

    def line(self, name: str, seconds: float) -> str:
        """One line of the table."""
        times = sorted(self.probes) or [float("nan")]
        p50, p99 = times[len(times) // 2], times[min(len(times) - 1, int(len(times) * 0.99))]
        rate, took = sum(self.reports.values()) / seconds, [f"{each * 1_000:.0f} ms" for each in (p50, p99, times[-1])]
        return (
            f"{name:<22} {rate:6.0f} reports/s, {dict(self.reports)}; operator: {len(self.probes)} calls, "
            f"p50 {took[0]}, p99 {took[1]}, max {took[2]}, {dict(self.probe_status)}; "
            f"Lease at most {self.lease_age:.1f} s old, holders: {len(self.holders)}"
        )


class Flood:
    """Clients of one API server."""

    def __init__(self, server: LocalApiServer, reporters: int) -> None:
        self._server = server
        self._reporters = reporters
        self._runner = server.service_account_token(MUSIC, c.RUNNER_SERVICE_ACCOUNT)
        self._operator = server.service_account_token(SYSTEM, f"{RELEASE}-operator")

    async def run(self, seconds: float) -> Seen:
        """All of them for so long."""
        seen = Seen()
        context = ssl.create_default_context(cafile=str(self._server.authority))
        connector = aiohttp.TCPConnector(ssl=context, limit=0)
        async with aiohttp.ClientSession(self._server.url, connector=connector) as session:
            end = time.monotonic() + seconds
            await asyncio.gather(
                *(self._report(session, end, number, seen) for number in range(self._reporters)),
                self._probe(session, end, seen),
                asyncio.to_thread(self._watch_lease, end, seen),
            )
        return seen

    async def _report(self, session: aiohttp.ClientSession, end: float, number: int, seen: Seen) -> None:
        headers = {"Authorization": f"Bearer {self._runner}", **_MERGE}
        body = json.dumps({"status": {"progress": {"first": {"attempt": 1, "percent": 50}}}})
        while time.monotonic() < end:
            try:
                path = f"{_JOBS}/song-{number % _SONGS}/status"
                async with session.patch(path, data=body, headers=headers) as answer:
                    await answer.read()
                    seen.reports[answer.status] += 1
            except aiohttp.ClientError:
                seen.reports[0] += 1

    async def _probe(self, session: aiohttp.ClientSession, end: float, seen: Seen) -> None:
        headers = {"Authorization": f"Bearer {self._operator}"}
        while (began := time.monotonic()) < end:
            async with session.get(f"{_JOBS}/song-0", headers=headers) as answer:
                await answer.read()
                seen.probe_status[answer.status] += 1
            seen.probes.append(time.monotonic() - began)
            await asyncio.sleep(_PROBE_SECONDS)

    def _watch_lease(self, end: float, seen: Seen) -> None:
        """As an administrator, whom no priority level holds up."""
        while time.monotonic() < end:
            spec = self._server.rest.request("GET", _LEASE)["spec"]
            age = datetime.now(UTC) - datetime.fromisoformat(spec["renewTime"])
            seen.lease_age = max(seen.lease_age, age.total_seconds())
            seen.holders.add(spec["holderIdentity"])
            time.sleep(1)


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


def measure(programs: Path, reporters: int, seconds: float, *, apart: bool) -> None:
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
                seen = asyncio.run(Flood(server, reporters).run(seconds))
            print(seen.line("with FlowSchemas" if apart else "without FlowSchemas", seconds), flush=True)
        finally:
            server.stop()


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
