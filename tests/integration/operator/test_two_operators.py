"""Two operators at once: one waits for the Lease; and where both work after all, nothing is doubled."""

from __future__ import annotations

import signal
import time
from collections import Counter
from pathlib import Path

from tests.integration.operator.conftest import Space
from tests.support.faultproxy import FaultProxy
from tests.support.operator_process import OperatorProcess
from tests.support.podrunner import PodRunner

from audiojob_dev.apiserver import LocalApiServer
from audiojob_dev.rest import wait_until

_QUICK_LEASE = {
    "AUDIOJOB_LEASE__DURATION_SECONDS": "3",
    "AUDIOJOB_LEASE__RENEW_DEADLINE_SECONDS": "2",
    "AUDIOJOB_LEASE__RETRY_SECONDS": "0.5",
}


def holder(server: LocalApiServer, lease: str) -> str:
    """Who holds the Lease."""
    found = server.rest.request("GET", f"/apis/coordination.k8s.io/v1/namespaces/default/leases/{lease}")
    return str(found["spec"].get("holderIdentity") or "")


def test_two_active_operators_double_nothing(space: Space, proxy: FaultProxy, tmp_path: Path) -> None:
    kubeconfig = proxy.write_kubeconfig(tmp_path / "config")
    proxy.begin()
    operators = [
        OperatorProcess(
            kubeconfig, [space.namespace], tmp_path / f"log-{name}", AUDIOJOB_LEASE__NAME=f"{space.namespace}-{name}"
        )
        for name in ("a", "b")
    ]
    names = [f"song-{number}" for number in range(6)]
    with operators[0], operators[1], PodRunner(space.rest, space.namespace) as pods:
        for name in names:
            space.submit(name)
            time.sleep(0.2)  # jobs of every age while both work
        done = [space.finished(name, seconds=60, story=operators[0].story) for name in names]
    assert {job["status"]["state"] for job in done} == {"Succeeded"}
    created = Counter(w.name for w in proxy.record.writes if w.path.endswith("/jobs") and w.status == 201)
    assert len(created) == 2 * len(names)
    assert set(created.values()) == {1}
    attempts = Counter((phase.job, phase.phase, phase.attempt) for phase in pods.seen.values())
    assert set(attempts.values()) == {1}
    assert {phase["attempt"] for job in done for phase in job["status"]["phases"]} == {1}


def test_a_second_operator_waits_and_takes_over(space: Space, proxy: FaultProxy, tmp_path: Path) -> None:
    kubeconfig = proxy.write_kubeconfig(tmp_path / "config")
    proxy.begin()
    lease = f"{space.namespace}-shared"

    def operator(name: str) -> OperatorProcess:
        settings = {"AUDIOJOB_LEASE__NAME": lease, "AUDIOJOB_LEASE__IDENTITY": name, **_QUICK_LEASE}
        return OperatorProcess(kubeconfig, [space.namespace], tmp_path / f"log-{name}", **settings)

    first, second = operator("first"), operator("second")
    with first, PodRunner(space.rest, space.namespace):
        space.submit("before")
        space.finished("before", story=first.story)
        with second:
            assert holder(proxy.apiserver, lease) == "first"
            first.send(signal.SIGKILL)
            began = time.monotonic()
            space.submit("after")
            space.finished("after", story=second.story)
            assert time.monotonic() - began < 20, "the hand-over"
            assert holder(proxy.apiserver, lease) == "second"
            second.send(signal.SIGTERM)
            assert second.wait(10) == 0, second.story()
            wait_until("the Lease to be given back", lambda: holder(proxy.apiserver, lease) == "", seconds=5)
