"""Rows of the fault table about the API server itself: killed, without its database, put back, and rights that go.

One server of this module's own.
"""

# ruff: noqa: N802 - row ids as the table writes them

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.faults.rows import Rows, make_spaces, operating, until_decides
from tests.support.manypods import ManyPods, finish_pod
from tests.support.operator_process import OperatorProcess

from audiojob_dev.cluster import controlplane
from audiojob_dev.cluster.apiserver import LocalApiServer, fresh_apiserver
from audiojob_dev.rest import RestError, wait_until

NO_QUORUM_SECONDS = 5
PATIENT_LEASE = {"AUDIOJOB_LEASE__DURATION_SECONDS": "60", "AUDIOJOB_LEASE__RENEW_DEADLINE_SECONDS": "50"}


@pytest.fixture(scope="module")
def server() -> Iterator[LocalApiServer]:
    """An API server with controllers that this module may break."""
    with fresh_apiserver("broken", controllers=True) as made:
        yield made


def kill(server: LocalApiServer, *names: str) -> None:
    for name in names:
        process = server._running.pop(name)
        process.kill()
        process.wait()


def start(server: LocalApiServer, *, etcd: bool) -> None:
    if etcd:
        server._spawn(controlplane.etcd(server._plane))
    server._spawn(controlplane.api_server(server._plane))
    server._wait("the API server", server._ready)


def go_on(rows: Rows, row: str, phase: str, seconds: float = 60) -> None:
    """Let the running phase of the row's job succeed, and wait until the next one is there, or the end."""
    finish_pod(rows[row].rest, rows.pod_of(row, "stays", phase))
    if phase == "one":
        rows.until_running(row, "stays", "two", seconds)
    else:
        rows.finished(row, "stays", seconds)


def check_undisturbed(rows: Rows, row: str) -> None:
    """The end of a job that nothing happened to."""
    status = rows[row].job("stays")["status"]
    assert status["state"] == "Succeeded", rows.story()
    assert [phase["attempt"] for phase in status["phases"]] == [1, 1]
    assert set(rows.attempts(row).values()) == {1}, rows.attempts(row)
    assert set(rows.jobs_created(row).values()) == {1}


def test_F10_an_api_server_that_is_restarted_in_each_phase_disturbs_nothing(
    server: LocalApiServer, tmp_path: Path
) -> None:
    spaces = make_spaces(server, ["F10"])
    with operating(server, tmp_path, spaces, settings=PATIENT_LEASE) as rows:
        spaces["F10"].submit("stays")
        for phase in ("one", "two"):
            rows.until_running("F10", "stays", phase)
            rows.pod_of("F10", "stays", phase)
            kill(server, "kube-apiserver")
            start(server, etcd=False)
            go_on(rows, "F10", phase)
        check_undisturbed(rows, "F10")
        assert rows.log.read_text().count("holding Lease") == 1, "one process lived through it"


def test_F11_a_database_without_answers_and_one_that_is_restarted_lose_nothing(
    server: LocalApiServer, tmp_path: Path
) -> None:
    spaces = make_spaces(server, ["F11"])
    with operating(server, tmp_path, spaces, settings=PATIENT_LEASE) as rows:
        spaces["F11"].submit("stays")
        rows.until_running("F11", "stays")
        pod = rows.pod_of("F11", "stays")
        etcd = server._running["etcd"]
        etcd.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises((TimeoutError, RestError)):
                server.rest.request("GET", spaces["F11"].jobs_path, timeout=NO_QUORUM_SECONDS)
        finally:
            etcd.send_signal(signal.SIGCONT)
        wait_until("the API server", lambda: finishes(rows, pod), seconds=60)
        rows.until_running("F11", "stays", "two")
        kill(server, "kube-apiserver", "etcd")
        start(server, etcd=True)
        go_on(rows, "F11", "two")
        check_undisturbed(rows, "F11")
        assert rows.log.read_text().count("holding Lease") == 1, "one process lived through it"


def finishes(rows: Rows, pod: dict[str, object]) -> bool:
    finish_pod(rows["F11"].rest, pod)
    return True


def copy_database(server: LocalApiServer, backup: Path) -> None:
    """The files as after a crash at this moment: nothing is written meanwhile."""
    etcd = server._running["etcd"]
    etcd.send_signal(signal.SIGSTOP)
    try:
        shutil.copytree(server._plane.folder / "etcd", backup)
    finally:
        etcd.send_signal(signal.SIGCONT)


def test_F48_a_database_put_back_from_a_backup_is_taken_as_it_is(server: LocalApiServer, tmp_path: Path) -> None:
    """The backup knows of phase one only; its pod, as any pod, has gone on meanwhile and reports its end again."""
    spaces = make_spaces(server, ["F48"])
    backup = tmp_path / "backup"
    with operating(server, tmp_path, spaces, settings=PATIENT_LEASE) as rows:
        spaces["F48"].submit("stays")
        rows.until_running("F48", "stays")
        rows.pod_of("F48", "stays")
        copy_database(server, backup)
        go_on(rows, "F48", "one")
        rows.pod_of("F48", "stays", "two")
        # As every guide to a restore says: all clients are started again after it.
        rows.operator.kill()
        server._running["kube-controller-manager"].terminate()
        server._running.pop("kube-controller-manager").wait()
        kill(server, "kube-apiserver", "etcd")
        shutil.rmtree(server._plane.folder / "etcd")
        shutil.copytree(backup, server._plane.folder / "etcd")
        start(server, etcd=True)
        server.start_controllers()
        assert spaces["F48"].job("stays")["status"]["phase"] == "one"
        rows.operator.start()
        until_decides(rows, 2)
        go_on(rows, "F48", "one")
        go_on(rows, "F48", "two")
        status = spaces["F48"].job("stays")["status"]
        assert status["state"] == "Succeeded", rows.story()
        assert [phase["attempt"] for phase in status["phases"]] == [1, 1]


def test_F23_an_operator_whose_rights_are_taken_away_lives_and_heals_when_they_are_back(
    server: LocalApiServer, tmp_path: Path
) -> None:
    spaces = make_spaces(server, ["F23"])
    space = spaces["F23"]
    binding = {
        "metadata": {"name": "f23"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": space.namespace}],
    }
    path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    server.rest.request("POST", path, binding)
    token = server.service_account_token(space.namespace, "default")
    kubeconfig = server.write_token_kubeconfig(tmp_path / "config", token, space.namespace)
    log = tmp_path / "log"
    operator = OperatorProcess(
        kubeconfig, [space.namespace], log, AUDIOJOB_LEASE__NAME=space.namespace, **PATIENT_LEASE
    )
    with operator, ManyPods(server.rest, [space.namespace]) as pods:
        space.submit("before")
        space.finished("before", story=operator.story)
        server.rest.request("DELETE", f"{path}/f23")
        space.submit("after")
        wait_until("a refusal to be told", lambda: "Forbidden" in log.read_text(), seconds=60)
        assert space.job("after")["status"]["state"] in ("Pending", "Queued")
        server.rest.request("POST", path, binding)
        # Rights come back one by one: where the status could be written but no Job made, the next try is 30 s later.
        done = space.finished("after", seconds=75, story=operator.story)
        assert done["status"]["state"] == "Succeeded"
        assert len(pods.seen) == 4
        assert log.read_text().count("holding Lease") == 1, "one process lived through it"
