"""The API's process by itself: how it starts, what it says while its API server is away, and how it ends."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support.faults.proxy import FaultProxy
from tests.support.rights import until_allowed

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.tools import processes
from audiojob_types.constants import API_AUDIENCE, API_VERSION

pytestmark = pytest.mark.integration

JOBS = "/api/v1/jobs"
SECONDS = 60  # of patience with a busy machine
CALLER = "caller"


@dataclass(frozen=True)
class Running:
    """One process of the API."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    token: str

    @contextmanager
    def get(self, path: str, token: str | None = None) -> Iterator[http.client.HTTPResponse]:
        """The answer, its body still to be read."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)) as connection:
            connection.request("GET", path, headers={"Authorization": f"Bearer {token or self.token}"})
            with connection.getresponse() as response:
                yield response

    def status(self, path: str) -> int:
        """The status of a GET; 0 if nobody listens."""
        with suppress(OSError), self.get(path) as response:
            return response.status
        return 0

    def wait(self, what: str, check: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SECONDS
        while not check():
            assert time.monotonic() < deadline, f"not within {SECONDS} s: {what}\n{self.log.read_text()}"
            time.sleep(0.05)


def environment(**settings: str) -> dict[str, str]:
    """This process's variables, with these settings of the API and no others."""
    rest = {name: value for name, value in os.environ.items() if not name.startswith("AUDIOJOB_")}
    return rest | {f"AUDIOJOB_{name}": value for name, value in settings.items()}


@contextmanager
def api_process(folder: Path, kubeconfig: Path, namespace: str, token: str) -> Iterator[Running]:
    """The API on a free port; it need not be ready."""
    port, log = processes.free_port(), folder / "log"
    settings = environment(NAMESPACE=namespace, KUBECONFIG=str(kubeconfig), HOST="127.0.0.1", PORT=str(port))
    settings["AUDIOJOB_AUTH_CACHE_SECONDS"] = "60"  # a slow machine must not turn a known caller into a stranger
    with log.open("wb") as stream:
        process = subprocess.Popen([sys.executable, "-m", "audiojob_api"], env=settings, stderr=stream)
    try:
        yield Running(process, port, log, token)
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def kubeconfig(apiserver: LocalApiServer, tmp_path: Path) -> Iterator[Path]:
    """Leads to the API server with its administrator's rights; what the chart's allow is tested elsewhere."""
    with FaultProxy(apiserver) as proxy:
        yield proxy.write_kubeconfig(tmp_path / "kubeconfig")


@pytest.fixture
def token(apiserver: LocalApiServer, namespace: str) -> str:
    """Of an account that may read AudioJobs."""
    apiserver.ensure_service_account(namespace, CALLER)
    metadata = {"name": CALLER, "namespace": namespace}
    group = "rbac.authorization.k8s.io"
    rules = [{"apiGroups": ["audiojobs.dev"], "resources": ["audiojobs"], "verbs": ["get", "list"]}]
    apiserver.kubectl.apply(
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": CALLER},
            "subjects": [{"kind": "ServiceAccount", **metadata}],
        },
    )
    until_allowed(apiserver.rest, namespace, CALLER, "get")
    return apiserver.service_account_token(namespace, CALLER, audiences=(API_AUDIENCE,))


def create_job(server: LocalApiServer, namespace: str, name: str) -> None:
    job: dict[str, Any] = {
        "apiVersion": API_VERSION,
        "kind": "AudioJob",
        "metadata": {"name": name},
        "spec": {"pipeline": "download", "source": {"url": "https://example.org/song.flac"}},
    }
    server.rest.request("POST", f"/apis/{API_VERSION}/namespaces/{namespace}/audiojobs", job)


def test_shutdown_ends_open_streams(
    apiserver: LocalApiServer, namespace: str, token: str, kubeconfig: Path, tmp_path: Path
) -> None:
    create_job(apiserver, namespace, "followed")
    with api_process(tmp_path, kubeconfig, namespace, token) as api:
        api.wait("ready", lambda: api.status("/readyz") == 200)
        with api.get(f"{JOBS}/followed/events") as stream:
            assert stream.status == 200
            first = next(line for line in stream if line.startswith(b"data:"))
            assert json.loads(first[5:])["name"] == "followed"
            api.process.send_signal(signal.SIGTERM)
            rest = stream.read()  # raises IncompleteRead if the connection is cut
        api.process.wait(SECONDS)
        assert b"event: gone" not in rest, "the job is not gone, only this process"
        text = api.log.read_text()
        assert "timeout graceful shutdown exceeded" not in text, "it does not use up its time for open streams"
        assert "Application shutdown complete" in text
        assert "Traceback" not in text, text


def test_jobs_are_read_from_memory_while_the_api_server_is_away(
    apiserver: LocalApiServer, namespace: str, token: str, tmp_path: Path
) -> None:
    create_job(apiserver, namespace, "kept")
    proxy = FaultProxy(apiserver)
    proxy.__enter__()
    gone = False
    try:
        with api_process(tmp_path, proxy.write_kubeconfig(tmp_path / "kubeconfig"), namespace, token) as api:
            api.wait("the job is known", lambda: api.status(f"{JOBS}/kept") == 200)
            proxy.__exit__()
            gone = True
            assert api.status("/livez") == 200, "an outage elsewhere is no reason to be started again"
            assert api.status(f"{JOBS}/kept") == 200, "the caller was known a moment ago, and so is the job"
            with api.get(JOBS, token="a-stranger") as answer:
                assert (answer.status, json.loads(answer.read())["type"]) == (503, "/problems/unavailable")
                assert int(answer.headers["Retry-After"]) >= 1
            assert api.process.poll() is None
    finally:
        if not gone:
            proxy.__exit__()


def test_without_any_api_server_it_is_alive_and_not_ready(namespace: str, tmp_path: Path) -> None:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "none",
        "clusters": [{"name": "none", "cluster": {"server": f"http://127.0.0.1:{processes.free_port()}"}}],
        "users": [{"name": "none", "user": {}}],
        "contexts": [{"name": "none", "context": {"cluster": "none", "user": "none"}}],
    }
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(document))
    with api_process(tmp_path, kubeconfig, namespace, "any") as api:
        api.wait("alive", lambda: api.status("/livez") == 200)
        assert api.status("/readyz") == 503
        assert api.status(JOBS) == 503


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        pytest.param({}, ["AUDIOJOB_NAMESPACE"], id="no namespace"),
        pytest.param({"NAMESPACE": "team", "PORT": "http"}, ["AUDIOJOB_PORT"], id="a port that is none"),
        pytest.param(
            {"NAMESPACE": "team", "KUBECONFIG": "/none/here"}, ["/none/here"], id="a kubeconfig that is not there"
        ),
    ],
)
def test_settings_that_cannot_be_used_end_it_with_their_names(settings: dict[str, str], words: list[str]) -> None:
    command = [sys.executable, "-m", "audiojob_api"]
    done = subprocess.run(
        command, env=environment(**settings), capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 64
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stderr
