"""One prepared namespace, and requests to it with a runner's token."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.parse
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tests.support.rights import until_allowed

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.rest import MERGE_PATCH, RestError
from audiojob_types.constants import API_VERSION, GROUP, RUNNER_SERVICE_ACCOUNT, VERSION

RBAC = "/apis/rbac.authorization.k8s.io/v1"
JOBS = f"/apis/{GROUP}/{VERSION}/namespaces"


@dataclass(frozen=True)
class Answer:
    """What the API server said: HTTP status, its sentence, and the object if it sent one."""

    status: int
    message: str
    body: dict[str, Any] = field(default_factory=dict)


def send(
    server: LocalApiServer, token: str, method: str, path: str, body: Any = None, content_type: str = MERGE_PATCH
) -> Answer:
    """Send a request with this token, as a runner would."""
    parts = urllib.parse.urlsplit(server.url)
    context = ssl.create_default_context(cafile=str(server.authority))
    connection = http.client.HTTPSConnection(parts.hostname or "", parts.port, context=context, timeout=30)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": content_type, "User-Agent": "audiojob-runner"}
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
    finally:
        connection.close()
    if response.status >= 400:
        return Answer(response.status, answer["message"], answer)
    return Answer(response.status, "", answer)


class Namespace:
    """One prepared namespace. Everything but `send` acts as cluster admin."""

    def __init__(self, server: LocalApiServer, name: str) -> None:
        self.server = server
        self.name = name

    def pod(self, name: str, node: str = "node-7") -> str:
        """Create a pod of the runner's service account on a node, and return a token bound to it."""
        spec = {
            "nodeName": node,
            "serviceAccountName": RUNNER_SERVICE_ACCOUNT,
            "containers": [{"name": "phase", "image": "none"}],
        }
        self.server.rest.request(
            "POST", f"/api/v1/namespaces/{self.name}/pods", {"metadata": {"name": name}, "spec": spec}
        )
        return self.server.service_account_token(self.name, RUNNER_SERVICE_ACCOUNT, pod=name)

    def audiojob(self, status: dict[str, Any], name: str = "") -> str:
        """Create an AudioJob, give it this status as the operator would, and return its name."""
        name = name or f"song-{uuid.uuid4().hex[:8]}"
        body = {
            "apiVersion": API_VERSION,
            "kind": "AudioJob",
            "metadata": {"name": name},
            "spec": {"pipeline": "separate"},
        }
        self.server.rest.request("POST", f"{JOBS}/{self.name}/audiojobs", body)
        self.operator_patch(name, status)
        return name

    def delete(self) -> None:
        """Delete the AudioJobs, so that the operators of other tests do not find them, and the namespace."""
        path = f"{JOBS}/{self.name}/audiojobs"
        self.server.rest.request("DELETE", path)
        for held in self.server.rest.request("GET", path)["items"]:  # by finalizers
            with suppress(RestError):  # it is gone meanwhile
                name, change = held["metadata"]["name"], {"metadata": {"finalizers": None}}
                self.server.rest.request("PATCH", f"{path}/{name}", change, content_type=MERGE_PATCH)
        self.server.rest.request("DELETE", f"/api/v1/namespaces/{self.name}")

    def operator_patch(self, job: str, status: dict[str, Any]) -> None:
        path = f"{JOBS}/{self.name}/audiojobs/{job}/status"
        self.server.rest.request("PATCH", path, {"status": status}, content_type=MERGE_PATCH)

    def read(self, job: str) -> dict[str, Any]:
        found: dict[str, Any] = self.server.rest.request("GET", f"{JOBS}/{self.name}/audiojobs/{job}")
        return found

    def report(self, token: str, job: str, status: dict[str, Any] | None, **others: Any) -> Answer:
        """Merge-patch the status with this token; `others` are further top-level keys of the body."""
        return self.send(token, "PATCH", f"audiojobs/{job}/status", {"status": status, **others})

    def send(self, token: str, method: str, path: str, body: Any = None, content_type: str = MERGE_PATCH) -> Answer:
        """Send a request below the namespace with this token."""
        return send(self.server, token, method, f"{JOBS}/{self.name}/{path}", body, content_type)

    def grant(self, role: str, rules: list[dict[str, Any]]) -> None:
        """Give the runner's service account these rights; returns once it has them."""
        path = f"{RBAC}/namespaces/{self.name}"
        self.server.rest.request("POST", f"{path}/roles", {"metadata": {"name": role}, "rules": rules})
        binding = {
            "metadata": {"name": role},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": RUNNER_SERVICE_ACCOUNT, "namespace": self.name}],
        }
        self.server.rest.request("POST", f"{path}/rolebindings", binding)
        for rule in rules:
            resource, _, subresource = rule["resources"][0].partition("/")
            asked = {"group": rule["apiGroups"][0], "resource": resource, "subresource": subresource}
            until_allowed(self.server.rest, self.name, RUNNER_SERVICE_ACCOUNT, rule["verbs"][0], **asked)


def prepare(server: LocalApiServer, name: str) -> Namespace:
    server.create_namespace(name)
    server.ensure_service_account(name, RUNNER_SERVICE_ACCOUNT)
    prepared = Namespace(server, name)
    prepared.grant("audiojob-runner", [{"apiGroups": [GROUP], "resources": ["audiojobs/status"], "verbs": ["patch"]}])
    return prepared
