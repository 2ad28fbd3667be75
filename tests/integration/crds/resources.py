"""Writes resources to the API server and says what it answered."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.rest import MERGE_PATCH, RestError
from audiojob_types.constants import API_VERSION, GROUP, VERSION

BASE = f"/apis/{GROUP}/{VERSION}"
STRICT = "fieldValidation=Strict"


@dataclass(frozen=True)
class Answer:
    """HTTP status, the server's sentence, and the object if there is one."""

    status: int
    message: str = ""
    body: dict[str, Any] = field(default_factory=dict)


class Resources:
    """Strict requests as cluster admin, as kubectl makes them."""

    def __init__(self, server: LocalApiServer, namespace: str) -> None:
        self.server = server
        self.namespace = namespace
        self._created: list[str] = []

    def try_job(self, spec: dict[str, Any], name: str = "song", **others: Any) -> Answer:
        """What creating this AudioJob would answer; nothing is stored."""
        body = {"apiVersion": API_VERSION, "kind": "AudioJob", "metadata": {"name": name}, "spec": spec, **others}
        return self.send("POST", f"{self._jobs}?dryRun=All&{STRICT}", body)

    def try_pipeline(self, spec: dict[str, Any], name: str = "custom") -> Answer:
        """What creating this AudioPipeline would answer; nothing is stored."""
        body = {"apiVersion": API_VERSION, "kind": "AudioPipeline", "metadata": {"name": name}, "spec": spec}
        return self.send("POST", f"{BASE}/audiopipelines?dryRun=All&{STRICT}", body)

    def try_queue(self, spec: dict[str, Any], name: str = "night") -> Answer:
        """What creating this AudioQueue would answer; nothing is stored."""
        body = {"apiVersion": API_VERSION, "kind": "AudioQueue", "metadata": {"name": name}, "spec": spec}
        return self.send("POST", f"{BASE}/namespaces/{self.namespace}/audioqueues?dryRun=All&{STRICT}", body)

    def try_pool(self, spec: dict[str, Any], name: str = "warm") -> Answer:
        """What creating this AudioWorkerPool would answer; nothing is stored."""
        body = {"apiVersion": API_VERSION, "kind": "AudioWorkerPool", "metadata": {"name": name}, "spec": spec}
        return self.send("POST", f"{BASE}/namespaces/{self.namespace}/audioworkerpools?dryRun=All&{STRICT}", body)

    def create_job(self, spec: dict[str, Any]) -> str:
        """Create an AudioJob and return its name."""
        name = f"song-{uuid.uuid4().hex[:8]}"
        body = {"apiVersion": API_VERSION, "kind": "AudioJob", "metadata": {"name": name}, "spec": spec}
        answer = self.send("POST", f"{self._jobs}?{STRICT}", body)
        assert answer.status < 400, answer.message
        self._created.append(name)
        return name

    def delete_jobs(self) -> None:
        """Delete the AudioJobs that were created here."""
        while self._created:
            self.send("DELETE", f"{self._jobs}/{self._created.pop()}")

    def patch_spec(self, name: str, spec: dict[str, Any]) -> Answer:
        return self.send("PATCH", f"{self._jobs}/{name}?{STRICT}", {"spec": spec}, MERGE_PATCH)

    def patch_status(self, name: str, status: dict[str, Any]) -> Answer:
        return self.send("PATCH", f"{self._jobs}/{name}/status?{STRICT}", {"status": status}, MERGE_PATCH)

    def table(self, name: str) -> tuple[list[str], list[Any]]:
        """The columns of an AudioJob and what stands in them, as `kubectl get -o wide` shows it."""
        accept = "application/json;as=Table;v=v1;g=meta.k8s.io"
        found = self.server.rest.request("GET", f"{self._jobs}/{name}", accept=accept)
        return [column["name"] for column in found["columnDefinitions"]], found["rows"][0]["cells"]

    def send(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Answer:
        try:
            return Answer(200, "", self.server.rest.request(method, path, body, content_type=content_type))
        except RestError as error:
            return Answer(error.status, str(error))

    @property
    def _jobs(self) -> str:
        return f"{BASE}/namespaces/{self.namespace}/audiojobs"
