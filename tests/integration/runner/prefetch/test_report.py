"""Prefetch as a process with a token of its own, and a real API server that it reports to."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.parse
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.integration.runner.prefetch.filling import ONE, ONE_NAME, ONE_PATH, TWO_PATH, Filling, Process, sha256
from tests.support.rights import until_allowed

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.rest import MERGE_PATCH
from audiojob_types.constants import MODELS_CONFIGMAP, PREFETCH_SERVICE_ACCOUNT
from audiojob_types.models import WANTED_KEY, ModelBook, ModelState

pytestmark = pytest.mark.integration

RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces"


@dataclass
class Place:
    """A namespace with the account and the right that the chart gives, and a pod's files."""

    server: LocalApiServer
    name: str
    pod: Path

    @property
    def configmaps(self) -> str:
        return f"/api/v1/namespaces/{self.name}/configmaps"

    def book(self) -> ModelBook:
        found = self.server.rest.request("GET", f"{self.configmaps}/{MODELS_CONFIGMAP}")
        return ModelBook.read(found["data"])

    def connect(self, process: Process) -> str:
        """Give the process what the kubelet mounts; the token."""
        folder = self.pod / "var/run/secrets/kubernetes.io/serviceaccount"
        folder.mkdir(parents=True)
        token = self.server.service_account_token(self.name, PREFETCH_SERVICE_ACCOUNT)
        (folder / "token").write_text(token, encoding="ascii")
        (folder / "namespace").write_text(self.name, encoding="ascii")
        (folder / "ca.crt").write_bytes(self.server.authority.read_bytes())
        parts = urllib.parse.urlsplit(self.server.url)
        process.environ |= {
            "KUBERNETES_SERVICE_HOST": parts.hostname or "",
            "KUBERNETES_SERVICE_PORT": str(parts.port),
        }
        return token


@pytest.fixture
def place(apiserver: LocalApiServer, tmp_path: Path) -> Iterator[Place]:
    name = f"prefetch-{uuid.uuid4().hex[:8]}"
    apiserver.create_namespace(name)
    apiserver.ensure_service_account(name, PREFETCH_SERVICE_ACCOUNT)
    rest = apiserver.rest
    metadata = {"metadata": {"name": PREFETCH_SERVICE_ACCOUNT}}
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [MODELS_CONFIGMAP], "verbs": ["patch"]}]
    rest.request("POST", f"{RBAC}/{name}/roles", {**metadata, "rules": rules})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": PREFETCH_SERVICE_ACCOUNT}
    subject = {"kind": "ServiceAccount", "name": PREFETCH_SERVICE_ACCOUNT, "namespace": name}
    rest.request("POST", f"{RBAC}/{name}/rolebindings", {**metadata, "roleRef": role, "subjects": [subject]})
    asked = {"group": "", "resource": "configmaps", "name": MODELS_CONFIGMAP}
    until_allowed(rest, name, PREFETCH_SERVICE_ACCOUNT, "patch", **asked)
    made = Place(apiserver, name, tmp_path / "pod")
    wanted = {"metadata": {"name": MODELS_CONFIGMAP}, "data": {WANTED_KEY: '["htdemucs", "mdx"]'}}
    rest.request("POST", made.configmaps, wanted)
    rest.request("POST", made.configmaps, {"metadata": {"name": "other"}, "data": {"a": "b"}})
    yield made
    rest.request("DELETE", f"/api/v1/namespaces/{name}")


def send(place: Place, token: str, method: str, path: str, body: Any = None) -> int:
    """The status of a request with the prefetch Job's token."""
    parts = urllib.parse.urlsplit(place.server.url)
    context = ssl.create_default_context(cafile=str(place.server.authority))
    connection = http.client.HTTPSConnection(parts.hostname or "", parts.port, context=context, timeout=30)
    try:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": MERGE_PATCH}
        connection.request(method, path, json.dumps(body) if body else None, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_how_far_each_model_is_reaches_the_record(tmp_path: Path, filling: Filling, place: Place) -> None:
    del filling.web.routes[f"/demucs/{TWO_PATH}"]
    process = Process(tmp_path, filling.base)
    place.connect(process)

    code, said = process.run("htdemucs", "mdx")

    assert code == 66, said
    book = place.book()
    assert book.unready == {"mdx"}
    ready, failed = book.records["htdemucs"], book.records["mdx"]
    assert (ready.state, ready.percent, ready.files) == (ModelState.READY, 100, {ONE_NAME: sha256(ONE)})
    assert failed.state is ModelState.FAILED
    assert "status 404" in failed.message
    assert failed.suggestion
    assert ready.report_time is not None


def test_a_failed_model_is_ready_after_another_run(tmp_path: Path, filling: Filling, place: Place) -> None:
    filling.web.serve(f"/demucs/{ONE_PATH}", b"another file")
    process = Process(tmp_path, filling.base)
    place.connect(process)
    assert process.run()[0] == 64
    assert place.book().records["htdemucs"].state is ModelState.FAILED
    filling.serve_all()
    assert process.run()[0] == 0
    assert place.book().records["htdemucs"].state is ModelState.READY


def test_a_record_that_cannot_be_written_is_tried_again_by_the_job(
    tmp_path: Path, filling: Filling, place: Place
) -> None:
    process = Process(tmp_path, filling.base)
    place.connect(process)
    place.server.rest.request("DELETE", f"{place.configmaps}/{MODELS_CONFIGMAP}")
    code, said = process.run()
    assert code == 75, said
    assert "refused the record" in said
    assert (filling.root / ONE_NAME).read_bytes() == ONE


def test_the_token_writes_the_record_and_nothing_else(tmp_path: Path, filling: Filling, place: Place) -> None:
    token = place.connect(Process(tmp_path, filling.base))
    record, change = f"{place.configmaps}/{MODELS_CONFIGMAP}", {"data": {"mdx": "{}"}}
    assert send(place, token, "PATCH", record, change) == 200
    for method, path in (
        ("GET", record),
        ("DELETE", record),
        ("PATCH", f"{place.configmaps}/other"),
        ("GET", place.configmaps),
        ("GET", f"/api/v1/namespaces/{place.name}/secrets"),
        ("PATCH", f"/apis/audiojobs.dev/v1alpha1/namespaces/{place.name}/audiojobs/song/status"),
    ):
        assert send(place, token, method, path, change if method == "PATCH" else None) == 403, f"{method} {path}"
