"""The operator's rights: the chart gives what the operator's own table names, and the process works with them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.chart.helm import Helm, Object, ci_values, find, of_kind
from tests.chart.release import Installed

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.rest import RestError, wait_until
from audiojob_dev.tools import processes
from audiojob_operator.settings import ImageSettings, OperatorSettings
from audiojob_operator.settings_groups import LeaseSettings
from audiojob_operator.watching.preflight import required
from audiojob_types.constants import API_VERSION, GROUP, VERSION

pytestmark = [pytest.mark.chart, pytest.mark.integration, pytest.mark.timeout(300)]

# Where a Role holds: everywhere, in which namespace, and for which name alone.
Held = set[tuple[str, str, str, str]]


def given(objects: list[Object], account: str) -> Held:
    """What the Roles bound to an account allow: (verb, group/resource, namespace or "", name or "")."""
    held: Held = set()
    for binding in of_kind(objects, "ClusterRoleBinding", "RoleBinding"):
        if account not in {subject["name"] for subject in binding["subjects"]}:
            continue
        namespace = binding["metadata"].get("namespace", "")
        role = find(objects, binding["roleRef"]["kind"], binding["roleRef"]["name"], namespace or None)
        held |= {
            (verb, f"{group}/{resource}", namespace, name)
            for rule in role["rules"]
            for verb in rule["verbs"]
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            for name in rule.get("resourceNames", [""])
        }
    return held


def needed(settings: OperatorSettings) -> Held:
    """What the operator asks for before it starts."""
    return {
        (
            access.verb,
            f"{access.resource.group}/{access.resource.plural}"
            + (f"/{access.subresource}" if access.subresource else ""),
            access.namespace,
            access.name,
        )
        for access in required(settings)
    }


@pytest.mark.parametrize("name", ci_values())
def test_the_chart_gives_exactly_the_rights_that_the_operator_checks(helm: Helm, name: str) -> None:
    values = ci_values()[name]
    objects = helm.render(values)
    (deployment,) = [each for each in of_kind(objects, "Deployment") if each["metadata"]["name"].endswith("-operator")]
    account = deployment["spec"]["template"]["spec"]["serviceAccountName"]
    settings = OperatorSettings(
        images=ImageSettings(runner="r", runner_torch="t", runner_music="m"),
        job_namespaces=tuple(values["jobNamespaces"]),
        lease=LeaseSettings(namespace=deployment["metadata"]["namespace"], name=account),
    )
    assert given(objects, account) == needed(settings)


class Running:
    """The operator, the release that it belongs to, and what it wrote to standard error."""

    def __init__(self, release: Installed, folder: Path) -> None:
        self.release = release
        self.log = folder / "operator.log"
        deployment = release.get(f"/apis/apps/v1/namespaces/{release.system}/deployments/audiojob-operator")
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        settings = {entry["name"]: entry.get("value", "the-pods-uid") for entry in container["env"]}
        mounted = release.get(f"/api/v1/namespaces/{release.system}/configmaps/audiojob-operator")
        file = folder / "settings.json"
        file.write_text(mounted["data"]["settings.json"], encoding="utf-8")
        server = release.server
        token = server.service_account_token(release.system, "audiojob-operator")
        kubeconfig = server.write_token_kubeconfig(folder / "kubeconfig", token, release.system)
        local = {
            "AUDIOJOB_SETTINGS_FILE": str(file),
            "AUDIOJOB_KUBECONFIG": str(kubeconfig),
            "AUDIOJOB_LISTEN_ADDRESS": "127.0.0.1",
            "AUDIOJOB_LISTEN_PORT": str(processes.free_port()),
            "AUDIOJOB_SWEEP__FINISHED_SECONDS": "1",
        }
        others = {name: value for name, value in os.environ.items() if not name.startswith("AUDIOJOB_")}
        with self.log.open("wb") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "audiojob_operator"], env=others | settings | local, stderr=stream
            )

    def create(self, name: str, namespace: str, **spec: Any) -> None:
        metadata = {"name": name}
        body = {
            "apiVersion": API_VERSION,
            "kind": "AudioJob",
            "metadata": metadata,
            "spec": {"pipeline": "download", **spec},
        }
        self.release.server.rest.request("POST", self._path(namespace), body)

    def change(self, name: str, namespace: str, spec: Object) -> None:
        path = f"{self._path(namespace)}/{name}"
        self.release.server.rest.request("PATCH", path, {"spec": spec}, content_type="application/merge-patch+json")

    def wait_for_state(self, name: str, namespace: str, state: str, reason: str = "") -> Object:
        found: Object = {}

        def reached() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            found.update(self.release.get(f"{self._path(namespace)}/{name}"))
            status = found["status"]
            reasons = {condition["reason"] for condition in status.get("conditions", [])}
            return bool(status["state"] == state and (not reason or reason in reasons))

        wait_until(f"{name} to be {state} {reason}", reached, seconds=90)
        return found

    def gone(self, path: str) -> bool:
        try:
            self.release.get(path)
        except RestError as error:
            return error.status == 404
        return False

    @staticmethod
    def _path(namespace: str) -> str:
        return f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/audiojobs"

    def audiojob(self, name: str, namespace: str) -> str:
        return f"{self._path(namespace)}/{name}"


@pytest.fixture
def running(apiserver: LocalApiServer, helm: Helm, tmp_path: Path) -> Iterator[Running]:
    release = Installed(apiserver, helm)
    operator = Running(release, tmp_path)
    yield operator
    operator.process.terminate()
    try:
        operator.process.wait(timeout=20)
    finally:
        operator.process.kill()
        for namespace in (release.music, release.other):
            apiserver.rest.request("DELETE", f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/audiojobs")
        release.uninstall()


def test_the_operator_works_with_the_rights_of_the_chart(running: Running) -> None:
    release = running.release
    source = {"url": "https://example.org/song.flac"}
    running.create("song", release.music, source=source, ttlSecondsAfterFinished=0)
    running.create("stray", release.other, source=source)

    song = running.wait_for_state("song", release.music, "Running")
    phase = song["status"]["phases"][0]
    job_path = f"/apis/batch/v1/namespaces/{release.music}/jobs/{phase['jobName']}"
    job = release.get(job_path)
    assert job["spec"]["template"]["spec"]["containers"][0]["image"] == "audiojob/runner:0.1.0"
    revision = song["status"]["pipelineRevision"]
    assert release.get(f"/apis/apps/v1/namespaces/{release.music}/controllerrevisions/{revision}")
    running.wait_for_state("stray", release.other, "Queued", "NamespaceNotPrepared")
    lease = release.get(f"/apis/coordination.k8s.io/v1/namespaces/{release.system}/leases/audiojob-operator")
    assert lease["spec"]["holderIdentity"]

    def told() -> bool:
        events = release.get(f"/api/v1/namespaces/{release.music}/events")["items"]
        return "PhaseStarted" in {event["reason"] for event in events}

    wait_until("the event", told, seconds=60)
    running.change("song", release.music, {"cancel": True})
    wait_until("the Job to be deleted", lambda: _deleted(running, job_path), seconds=60)
    wait_until("the AudioJob to be gone", lambda: running.gone(running.audiojob("song", release.music)), seconds=30)

    log = running.log.read_text().lower()
    refused = [line for line in log.splitlines() if "forbidden" in line or '"403' in line]
    # Events of a namespace that is not prepared are the only thing that may be refused.
    assert [line for line in refused if release.other not in line] == []


def _deleted(running: Running, path: str) -> bool:
    """Gone, or only kept until the garbage collector, which does not run here, has deleted its pods."""
    if running.gone(path):
        return True
    return "deletionTimestamp" in running.release.get(path)["metadata"]
