"""The whole API as a process: jobs on a real API server, files on a folder, keys and history in PostgreSQL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.integration.api.conftest import SYSTEM, Api, allow, launched, wait_ready
from tests.integration.files import results
from tests.integration.files.results import Holes, Of
from tests.support.databases.postgres import Postgres

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.rest import wait_until
from audiojob_dev.tools import processes
from audiojob_types.base import format_time
from audiojob_types.constants import API_AUDIENCE, FILES_KEYS_CONFIGMAP, VERB_ISSUE_KEYS

TICKETS = "audiojob-tickets"
ALL_RIGHTS = ["create", "get", "list", "update", VERB_ISSUE_KEYS]


@dataclass
class Whole:
    """The running API and the store that its files service mounts."""

    api: Api
    store: Path
    files: dict[str, Any]
    """Settings by which another process of the API finds the files service."""
    processes: tuple[int, int]
    """The API's and the files service's."""

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.api.port}"

    def publish(self, job: str, phase: str, outputs: Mapping[str, bytes | Holes], **status: Any) -> None:
        """What a runner and the operator would do: a phase's results in the store, named in the job's status."""
        of = Of(self.api.namespace, job, self.api.stored(job)["metadata"]["uid"], phase)
        now = format_time(datetime.now(UTC))
        log = '{"message":"one"}\n{"message":"two"}\n'
        done = results.publish(self.store / self.api.namespace, of, outputs, (log,), createdTime=now)
        ended = {"state": "Succeeded", "percent": 100, "startTime": now, "completionTime": now, "phases": [done]}
        self.api.set_status(job, **{**ended, **status})


@pytest.fixture(scope="package")
def whole(api: Api, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    """One for all tests of the folder, with the stricter of both databases; ``whole.api.token`` may do everything."""
    server, namespace = api.server, api.namespace
    folder = tmp_path_factory.mktemp("whole")
    (folder / "store" / namespace).mkdir(parents=True)
    _give_files_rights(server, namespace)
    allow(server, namespace, "everything", ALL_RIGHTS)
    with _files_service(namespace, folder) as (url, serving):
        files = {"AUDIOJOB_FILES_URL": url, "AUDIOJOB_FILES_HOME": SYSTEM}
        settings: dict[str, Any] = {
            **files,
            "AUDIOJOB_DATABASE__URL": postgres.create(f"t{uuid.uuid4().hex}"),
            "AUDIOJOB_ARCHIVE__ENABLED": "true",
            "AUDIOJOB_ATTEMPTS_PER_MINUTE": "100000",
            "AUDIOJOB_ATTEMPTS_PER_MINUTE_IN_ALL": "100000",
        }
        with launched(server, namespace, api.kubeconfig, **settings) as (running, process):
            running.token = server.service_account_token(namespace, "everything", audiences=(API_AUDIENCE,))
            wait_ready(running, process)
            _pass_keys_on(server, namespace, folder)
            wait_until("the database", lambda: running.call("GET", "/api/v1/keys")[0] == 200, seconds=60)
            yield Whole(running, folder / "store", files, (process.pid, serving))


@contextmanager
def _files_service(namespace: str, folder: Path) -> Iterator[tuple[str, int]]:
    port = processes.free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AUDIOJOB_")},
        "AUDIOJOB_FILES_NAMESPACE": namespace,
        "AUDIOJOB_FILES_ROOT": str(folder / "store"),
        "AUDIOJOB_FILES_KEYS": str(folder / "keys.json"),
        "AUDIOJOB_FILES_HOST": "127.0.0.1",
        "AUDIOJOB_FILES_PORT": str(port),
        "AUDIOJOB_FILES_MIN_FREE_BYTES": "0",
        "AUDIOJOB_FILES_MAX_OPEN_UPLOADS": "100000",
    }
    with (folder / "files.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "audiojob_files"], env=environment, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}", process.pid
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, (folder / "files.log").read_text()
    finally:
        process.kill()
        process.wait()


def _give_files_rights(server: LocalApiServer, namespace: str) -> None:
    """The Secret and ConfigMap of tickets, and the API's rights on them, as templates/files.yaml has them."""
    for kind, name, where in (("Secret", TICKETS, SYSTEM), ("ConfigMap", FILES_KEYS_CONFIGMAP, namespace)):
        metadata = {"name": name, "namespace": where}
        rule = {
            "apiGroups": [""], "resources": [f"{kind.lower()}s"], "resourceNames": [name], "verbs": ["get", "patch"],
        }  # fmt: skip
        server.kubectl.apply(
            {"apiVersion": "v1", "kind": kind, "metadata": metadata},
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": [rule]},
            {
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata,
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
                "subjects": [{"kind": "ServiceAccount", "name": "api-test-api", "namespace": SYSTEM}],
            },
        )  # fmt: skip


def _pass_keys_on(server: LocalApiServer, namespace: str, folder: Path) -> None:
    """What the kubelet does: the ConfigMap as a file."""

    def told() -> bool:
        path = f"/api/v1/namespaces/{namespace}/configmaps/{FILES_KEYS_CONFIGMAP}"
        data = server.rest.request("GET", path).get("data") or {}
        if "keys.json" in data:
            (folder / "keys.json").write_text(data["keys.json"])
        return "keys.json" in data

    wait_until("the public key of tickets", told, seconds=60)
