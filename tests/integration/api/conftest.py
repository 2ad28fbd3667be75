"""The API's process on a real API server, with the chart's rights and real tokens; one for all tests of the folder."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.chart.helm import CHART, KUBERNETES, Helm
from tests.support.databases.postgres import Postgres
from tests.support.rights import until_allowed

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.paths import paths_from_environment
from audiojob_dev.progress import Progress
from audiojob_dev.rest import JSON_PATCH, RestError, wait_until
from audiojob_dev.tools import binaries, processes
from audiojob_types.constants import API_AUDIENCE, API_VERSION

JOBS = "/api/v1/jobs"
SYSTEM = "api-test-system"
URL = {"url": "https://example.org/song.flac"}


class Api:
    """The running process, and one namespace."""

    def __init__(self, server: LocalApiServer, namespace: str, port: int, kubeconfig: Path) -> None:
        self.server = server
        self.namespace = namespace
        self.port = port
        self.kubeconfig = kubeconfig
        self.log = kubeconfig.with_name(f"log-{port}")
        self.token = ""

    def call(self, method: str, path: str, body: Any = None, *, token: str | None = None) -> tuple[int, Any]:
        """One request; status and decoded answer. ``token`` None takes the caller's, '' sends none."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        used = self.token if token is None else token
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {used}"} if used else {})}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            text = response.read()
            is_json = "json" in response.headers.get("Content-Type", "")
            return response.status, json.loads(text) if is_json else text.decode()
        finally:
            connection.close()

    @contextmanager
    def events(self, name: str, **headers: str) -> Iterator[http.client.HTTPResponse]:
        """The open stream of a job's events."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(
                "GET", f"{JOBS}/{name}/events", headers={"Authorization": f"Bearer {self.token}", **headers}
            )
            yield connection.getresponse()
        finally:
            connection.close()

    def open_streams(self) -> float:
        """How many streams the API thinks are open."""
        lines = self.call("GET", "/metrics", token="")[1].splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith("audiojob_api_event_streams "))

    def create(self, **body: Any) -> tuple[int, Any]:
        return self.call("POST", JOBS, {"pipeline": "download", "source": URL, **body})

    def stored(self, name: str) -> Any:
        return self.server.rest.request("GET", f"/apis/{API_VERSION}/namespaces/{self.namespace}/audiojobs/{name}")

    def set_status(self, name: str, **status: Any) -> None:
        """What the operator would write."""
        path = f"/apis/{API_VERSION}/namespaces/{self.namespace}/audiojobs/{name}/status"
        operations = [{"op": "add", "path": f"/status/{key}", "value": value} for key, value in status.items()]
        self.server.rest.request("PATCH", path, operations, content_type=JSON_PATCH)


def allow(
    server: LocalApiServer, namespace: str, account: str, verbs: list[str], named: dict[str, list[str]] | None = None
) -> None:
    """A ServiceAccount that has these verbs on AudioJobs, and others on single ones."""
    server.ensure_service_account(namespace, account)
    audiojobs: dict[str, Any] = {"apiGroups": ["audiojobs.dev"], "resources": ["audiojobs"]}
    rules = [{**audiojobs, "verbs": verbs}]
    rules += [{**audiojobs, "verbs": some, "resourceNames": [name]} for name, some in (named or {}).items()]
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "rules": rules}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": account},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
    }
    metadata = {"metadata": {"name": account, "namespace": namespace}}
    server.kubectl.apply({**role, **metadata}, {**binding, **metadata})
    until_allowed(server.rest, namespace, account, verbs[0])


def chart_template(name: str, namespace: str) -> str:
    """What the chart renders of one template for this namespace."""
    with Progress() as progress:
        helm = Helm(binaries.ensure(paths_from_environment(), ("helm",), progress) / "helm")
    values = {"fullnameOverride": "api-test", "jobNamespaces": [namespace], "api": {"namespace": namespace}}
    flags = ["-n", SYSTEM, "--kube-version", KUBERNETES, "-s", f"templates/{name}"]
    return helm.run("template", "api-test", str(CHART), *flags, values=values)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for all tests of the process; never skipped: Debian's packages are fetched where there is none."""
    with Postgres() as server:
        yield server


@pytest.fixture(scope="package")
def api(apiserver: LocalApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The API as the chart runs it: its account, its rights, nothing more."""
    namespace = f"api-{uuid.uuid4().hex[:8]}"
    apiserver.create_namespace(namespace)
    with suppress(RestError):
        apiserver.create_namespace(SYSTEM)
    apiserver.kubectl("apply", "-f", "-", stdin=chart_template("api-rbac.yaml", namespace))
    apiserver.ensure_service_account(SYSTEM, "api-test-api")
    folder = tmp_path_factory.mktemp("api")
    token = apiserver.service_account_token(SYSTEM, "api-test-api")
    kubeconfig = apiserver.write_token_kubeconfig(folder / "kubeconfig", token, namespace)
    allow(apiserver, namespace, "caller", ["create", "get", "list", "update"])
    allow(apiserver, namespace, "reader", ["get", "list"])
    with launched(apiserver, namespace, kubeconfig) as (running, process):
        wait_ready(running, process)
        yield running


def started(
    server: LocalApiServer, namespace: str, kubeconfig: Path, **settings: str
) -> tuple[Api, subprocess.Popen[bytes]]:
    """The API's process, which its caller ends."""
    running = Api(server, namespace, processes.free_port(), kubeconfig)
    running.token = server.service_account_token(namespace, "caller", audiences=(API_AUDIENCE,))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AUDIOJOB_")},
        "AUDIOJOB_NAMESPACE": namespace,
        "AUDIOJOB_KUBECONFIG": str(kubeconfig),
        "AUDIOJOB_HOST": "127.0.0.1",
        "AUDIOJOB_PORT": str(running.port),
        **settings,
    }
    with running.log.open("wb") as stream:
        process = subprocess.Popen([sys.executable, "-m", "audiojob_api"], env=environment, stderr=stream)
    return running, process


@contextmanager
def launched(
    server: LocalApiServer, namespace: str, kubeconfig: Path, **settings: str
) -> Iterator[tuple[Api, subprocess.Popen[bytes]]]:
    """The API's process; ended by SIGTERM, which it must obey."""
    running, process = started(server, namespace, kubeconfig, **settings)
    try:
        yield running, process
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == -signal.SIGTERM, running.log.read_text()  # uvicorn ends by the signal that it got
        assert "Application shutdown complete" in running.log.read_text()
    finally:
        process.kill()
        process.wait()


def wait_ready(api: Api, process: subprocess.Popen[bytes], path: str = "/readyz") -> None:
    """Wait until the probe at ``path`` says so."""

    def answers() -> bool:
        assert process.poll() is None, api.log.read_text()
        with suppress(OSError):
            return api.call("GET", path, token="")[0] == 200
        return False

    wait_until(f"{path} of the API", answers, seconds=60)
