"""Two operators at once: one waits for the Lease; and where both work after all, nothing is doubled."""

# ruff: noqa: N802 - row ids as the fault table writes them

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from pathlib import Path

from tests.integration.operator.conftest import PHASES, Space
from tests.integration.operator.process.test_process import ask
from tests.support.faults.proxy import FaultProxy
from tests.support.operator_process import OperatorProcess
from tests.support.podrunner import PodRunner

from audiojob_dev.cluster.apiserver import LocalApiServer
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


def assert_nothing_was_doubled(space: Space, proxy: FaultProxy, pods: PodRunner, names: list[str]) -> None:
    """Every job has succeeded with one Job for each phase, made once, as a run of one undisturbed operator has it."""
    done = [space.job(name) for name in names]
    assert {job["status"]["state"] for job in done} == {"Succeeded"}
    mark = f"/namespaces/{space.namespace}/jobs"
    created = Counter(w.name for w in proxy.record.writes if w.path.endswith(mark) and w.status == 201)
    assert len(created) == len(PHASES) * len(names)
    assert set(created.values()) == {1}
    attempts = Counter((phase.job, phase.phase, phase.attempt) for phase in list(pods.seen.values()))
    assert set(attempts.values()) == {1}
    assert {phase["attempt"] for job in done for phase in job["status"]["phases"]} == {1}
    told = Counter((event["involvedObject"]["name"], event["message"]) for event in space.events())
    assert set(told.values()) == {1}


def two_active(space: Space, proxy: FaultProxy, folder: Path) -> list[OperatorProcess]:
    """Two operators that both work, because each has a Lease of its own."""
    proxy.begin()
    kubeconfig = proxy.write_kubeconfig(folder / "config")
    return [
        OperatorProcess(
            kubeconfig, [space.namespace], folder / f"log-{name}", AUDIOJOB_LEASE__NAME=f"{space.namespace}-{name}"
        )
        for name in ("a", "b")
    ]


def test_F7_two_active_operators_double_nothing(space: Space, proxy: FaultProxy, tmp_path: Path) -> None:
    operators = two_active(space, proxy, tmp_path)
    names = [f"song-{number}" for number in range(6)]
    with operators[0], operators[1], PodRunner(space.rest, space.namespace) as pods:
        for name in names:
            space.submit(name)
            time.sleep(0.2)  # jobs of every age while both work
        for name in names:
            space.finished(name, seconds=60, story=operators[0].story)
    assert_nothing_was_doubled(space, proxy, pods, names)


def test_F7_two_active_operators_that_are_killed_again_and_again_double_nothing(
    space: Space, proxy: FaultProxy, tmp_path: Path
) -> None:
    chance = random.Random(7)
    operators = two_active(space, proxy, tmp_path)
    names = [f"song-{number}" for number in range(10)]
    with operators[0], operators[1], PodRunner(space.rest, space.namespace) as pods:
        for number, name in enumerate(names):
            space.submit(name)
            time.sleep(chance.uniform(0.2, 1.5))
            if number % 2:
                victim = chance.choice(operators)
                victim.kill()
                victim.start()
        for name in names:
            space.finished(name, seconds=60, story=lambda: operators[0].story() + operators[1].story())
    assert_nothing_was_doubled(space, proxy, pods, names)


def test_the_leaders_sudden_death_is_over_soon_with_the_usual_lease_times(
    space: Space, proxy: FaultProxy, tmp_path: Path
) -> None:
    kubeconfig = proxy.write_kubeconfig(tmp_path / "config")
    proxy.begin()
    lease = f"{space.namespace}-shared"

    def operator(name: str) -> OperatorProcess:
        settings = {"AUDIOJOB_LEASE__NAME": lease, "AUDIOJOB_LEASE__IDENTITY": name}
        return OperatorProcess(kubeconfig, [space.namespace], tmp_path / f"log-{name}", **settings)

    first, second = operator("first"), operator("second")
    names = [f"song-{number}" for number in range(8)]
    with first, PodRunner(space.rest, space.namespace) as pods:
        wait_until("the first to lead", lambda: holder(proxy.apiserver, lease) == "first", seconds=30)
        with second:
            standing_by = "ok, stands by: first holds the Lease\n"
            wait_until("the second to stand by", lambda: readiness(tmp_path / "log-second") == standing_by, seconds=30)
            for name in names[:4]:
                space.submit(name)
            wait_until("work to be under way", lambda: bool(pods.seen), seconds=30)
            first.kill()
            for name in names[4:]:
                space.submit(name)
            # 15 s after the last renewal, and a look every 2 s; the rest is for a busy machine.
            wait_until("the second to lead", lambda: holder(proxy.apiserver, lease) == "second", seconds=30)
            for name in names[4:]:
                space.until(name, lambda status: bool(status.get("startTime")), "its start", story=second.story)
            for name in names:
                space.finished(name, seconds=60, story=second.story)
    assert_nothing_was_doubled(space, proxy, pods, names)


def readiness(log: Path) -> str:
    """What the operator that writes this log says of itself; "" before it says anything."""
    return ask(log, "/readyz")[1] if "probes and metrics" in log.read_text() else ""


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
            space.submit("after")
            space.finished("after", story=second.story)
            assert holder(proxy.apiserver, lease) == "second"
            second.send(signal.SIGTERM)
            assert second.wait(30) == 0, second.story()
            wait_until("the Lease to be given back", lambda: holder(proxy.apiserver, lease) == "", seconds=60)
