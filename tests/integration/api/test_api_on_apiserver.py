"""The API's process on a real API server, with the chart's rights and real tokens."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.chart.helm import CHART, KUBERNETES, Helm

from audiojob_dev import binaries, processes
from audiojob_dev.apiserver import LocalApiServer
from audiojob_dev.paths import paths_from_environment
from audiojob_dev.progress import Progress
from audiojob_dev.rest import JSON_PATCH, RestError
from audiojob_types.constants import API_AUDIENCE, API_VERSION, LABEL_USER

pytestmark = pytest.mark.integration

JOBS = "/api/v1/jobs"
SYSTEM = "api-test-system"
URL = {"url": "https://example.org/song.flac"}


class Api:
    """The running process, and one namespace."""

    def __init__(self, server: LocalApiServer, namespace: str, port: int) -> None:
        self.server = server
        self.namespace = namespace
        self.port = port
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

    def create(self, **body: Any) -> tuple[int, Any]:
        return self.call("POST", JOBS, {"pipeline": "download", "source": URL, **body})

    def stored(self, name: str) -> Any:
        return self.server.rest.request("GET", f"/apis/{API_VERSION}/namespaces/{self.namespace}/audiojobs/{name}")

    def set_status(self, name: str, **status: Any) -> None:
        """What the operator would write."""
        path = f"/apis/{API_VERSION}/namespaces/{self.namespace}/audiojobs/{name}/status"
        operations = [{"op": "add", "path": f"/status/{key}", "value": value} for key, value in status.items()]
        self.server.rest.request("PATCH", path, operations, content_type=JSON_PATCH)


def allow(server: LocalApiServer, namespace: str, account: str, verbs: list[str]) -> None:
    """A ServiceAccount with these verbs on AudioJobs."""
    server.ensure_service_account(namespace, account)
    rules = [{"apiGroups": ["audiojobs.dev"], "resources": ["audiojobs"], "verbs": verbs}]
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "rules": rules}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": account},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
    }
    metadata = {"metadata": {"name": account, "namespace": namespace}}
    server.kubectl.apply({**role, **metadata}, {**binding, **metadata})


@pytest.fixture(scope="module")
def api(apiserver: LocalApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The API as the chart runs it: its account, its rights, nothing more."""
    namespace = f"api-{uuid.uuid4().hex[:8]}"
    apiserver.create_namespace(namespace)
    with suppress(RestError):
        apiserver.create_namespace(SYSTEM)
    with Progress() as progress:
        helm = Helm(binaries.ensure(paths_from_environment(), ("helm",), progress) / "helm")
    values = {"fullnameOverride": "api-test", "jobNamespaces": [namespace], "api": {"namespace": namespace}}
    flags = ["-n", SYSTEM, "--kube-version", KUBERNETES, "-s", "templates/api-rbac.yaml"]
    apiserver.kubectl("apply", "-f", "-", stdin=helm.run("template", "api-test", str(CHART), *flags, values=values))
    apiserver.ensure_service_account(SYSTEM, "api-test-api")
    folder = tmp_path_factory.mktemp("api")
    token = apiserver.service_account_token(SYSTEM, "api-test-api")
    kubeconfig = apiserver.write_token_kubeconfig(folder / "kubeconfig", token, namespace)
    running = Api(apiserver, namespace, processes.free_port())
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AUDIOJOB_")},
        "AUDIOJOB_NAMESPACE": namespace,
        "AUDIOJOB_KUBECONFIG": str(kubeconfig),
        "AUDIOJOB_HOST": "127.0.0.1",
        "AUDIOJOB_PORT": str(running.port),
    }
    log = folder / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen([sys.executable, "-m", "audiojob_api"], env=environment, stderr=stream)
    try:
        wait_ready(running, process, log)
        allow(apiserver, namespace, "caller", ["create", "get", "list", "update"])
        allow(apiserver, namespace, "reader", ["get", "list"])
        running.token = apiserver.service_account_token(namespace, "caller", audiences=(API_AUDIENCE,))
        yield running
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == -signal.SIGTERM, log.read_text()  # uvicorn, once done, ends by the signal it got
        assert "Application shutdown complete" in log.read_text()
    finally:
        process.kill()
        process.wait()


def wait_ready(api: Api, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until /readyz says so."""
    deadline = time.monotonic() + 40
    while True:
        assert process.poll() is None, log.read_text()
        with suppress(OSError):
            if api.call("GET", "/readyz", token="")[0] == 200:
                return
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def test_create_get_list_cancel(api: Api) -> None:
    status, created = api.create(name="song", priority="low")
    assert status == 201, created
    stored = api.stored("song")
    assert stored["spec"]["priority"] == 1
    assert stored["metadata"]["labels"][LABEL_USER] == f"system.serviceaccount.{api.namespace}.caller"
    assert api.call("GET", f"{JOBS}/song")[1]["uid"] == stored["metadata"]["uid"]
    assert "song" in {item["name"] for item in api.call("GET", JOBS)[1]["items"]}
    assert api.call("POST", f"{JOBS}/song/cancel")[0] == 202
    assert api.stored("song")["spec"]["cancel"] is True


def test_events_follow_a_job_to_its_end(api: Api) -> None:
    api.create(name="followed")
    states: list[str] = []
    first = threading.Event()

    def follow() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=30)
        connection.request("GET", f"{JOBS}/followed/events", headers={"Authorization": f"Bearer {api.token}"})
        for line in connection.getresponse():
            if line.startswith(b"data:"):
                states.append(json.loads(line[5:])["status"]["state"])
                first.set()
        connection.close()

    thread = threading.Thread(target=follow)
    thread.start()
    assert first.wait(20)
    api.set_status("followed", state="Running")
    api.set_status("followed", state="Succeeded", percent=100)
    thread.join(20)
    assert not thread.is_alive(), "the stream ends with the job"
    assert states[0] == "Pending"
    assert states[-1] == "Succeeded"


@pytest.mark.parametrize(
    ("audiences", "want"),
    [((API_AUDIENCE,), 200), ((), 401), (("somebody-else",), 401)],
    ids=["a token for us", "a token for the API server", "a token for somebody else"],
)
def test_only_tokens_for_our_audience_are_taken(api: Api, audiences: tuple[str, ...], want: int) -> None:
    token = api.server.service_account_token(api.namespace, "caller", audiences=audiences)
    assert api.call("GET", JOBS, token=token)[0] == want


@pytest.mark.parametrize("token", ["", "garbage", "a.b.c"], ids=["none", "garbage", "no real signature"])
def test_without_a_token_nothing_is_told(api: Api, token: str) -> None:
    status, problem = api.call("GET", JOBS, token=token)
    assert status == 401
    assert problem["type"] == "/problems/unauthenticated"


def test_a_reader_may_look_and_nothing_else(api: Api) -> None:
    api.create(name="readable")
    token = api.server.service_account_token(api.namespace, "reader", audiences=(API_AUDIENCE,))
    assert api.call("GET", f"{JOBS}/readable", token=token)[0] == 200
    status, problem = api.call("POST", JOBS, {"pipeline": "download"}, token=token)
    assert status == 403
    assert "create audiojobs" in problem["detail"]
    assert api.call("POST", f"{JOBS}/readable/cancel", token=token)[0] == 403


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"source": {"url": "https://a.b/c", "object": {"key": "x"}}}, ["exactly one"], id="two sources"),
        pytest.param({"source": {}}, ["exactly one"], id="an empty source"),
        pytest.param({"source": {"url": "file:///etc/passwd"}}, ["url", "http"], id="a file URL"),
        pytest.param({"source": {"url": "http://me:pw@host/x"}}, ["user name or password"], id="credentials"),
        pytest.param({"image": "evil"}, ["image"], id="an unknown field"),
        pytest.param({"parameters": {"separate": {"model": "evil"}}}, ["parameters.separate.model"], id="a model"),
        pytest.param({"name": "n" * 64}, ["name"], id="a name of 64 characters"),
    ],
)
def test_bad_input_is_refused_in_words(api: Api, change: dict[str, Any], words: list[str]) -> None:
    status, problem = api.create(**change)
    assert status == 422, problem
    text = json.dumps(problem)
    for word in words:
        assert word in text


def test_a_name_of_63_characters_works(api: Api) -> None:
    assert api.create(name="n" * 63)[0] == 201


def test_an_idempotency_key_makes_one_job_under_a_storm(api: Api) -> None:
    names: set[str] = set()

    def send() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=30)
        headers = {
            "Authorization": f"Bearer {api.token}",
            "Content-Type": "application/json",
            "Idempotency-Key": "storm",
        }
        connection.request("POST", JOBS, json.dumps({"pipeline": "download", "source": URL}), headers)
        response = connection.getresponse()
        names.add(json.loads(response.read())["name"])
        assert response.status in (200, 201)
        connection.close()

    threads = [threading.Thread(target=send) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names) == 1
