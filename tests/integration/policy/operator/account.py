"""The operator's account as the chart installs it, under the chart's policies for it, and what it is answered."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.chart.helm import CHART, RELEASE, Helm
from tests.integration.policy.space import Answer, send

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.paths import paths_from_environment
from audiojob_dev.progress import Progress
from audiojob_dev.rest import wait_until
from audiojob_dev.tools import binaries
from audiojob_operator.operator_policy import DELETIONS_NAME, EVENTS_NAME, JOBS_NAME, REVISIONS_NAME
from audiojob_types.constants import API_VERSION
from audiojob_types.generate import status_policy

Object = dict[str, Any]

SHOWN = ("operator-rbac", "operator-policy", "children-policy", "status-policy")
PREFIX = "pinned"  # of names in the cluster that other tests' releases have, too
LIBRARIES = [
    {"name": "shelf", "prefix": "library/shelf"},
    {"name": "films", "prefix": "library/films", "readOnly": True},
    {"name": "nas", "claimName": "nas-music"},
    {"name": "old", "claimName": "old-records", "readOnly": True},
]
FOLDER: Object = {"libraries": LIBRARIES, "models": {"enabled": True}, "fetch": {"secret": True}}
BUCKET: Object = {**FOLDER, "store": {"kind": "S3", "s3": {"bucket": "music"}}}
PROBE: Object = {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}]}
IMAGES = {
    "runner": {"repository": "docker.io/audiojob/runner"},
    "runnerTorch": {"repository": "docker.io/audiojob/runner-torch"},
    "runnerMusic": {"repository": "docker.io/audiojob/runner-music"},
    "earlierRepositories": ["docker.io/before/runner"],
}


@dataclass(frozen=True)
class Account:
    """The operator's account in one job namespace. Requests are tried and store nothing."""

    server: LocalApiServer
    namespace: str
    token: str

    def create(self, plural: str, body: Object) -> Answer:
        """Try to create it. ``plural`` comes with its API: ``apis/batch/v1 jobs``."""
        return self._try("POST", plural, body)

    def delete(self, plural: str, name: str) -> Answer:
        return self._try("DELETE", plural, None, f"/{name}")

    def report(self, namespace: str, name: str, status: Object) -> Answer:
        """Try to write an AudioJob's status."""
        path = f"/apis/{API_VERSION}/namespaces/{namespace}/audiojobs/{name}/status?dryRun=All"
        return send(self.server, self.token, "PATCH", path, {"status": status})

    def _try(self, method: str, plural: str, body: Object | None, name: str = "") -> Answer:
        api, kind = plural.split()
        path = f"/{api}/namespaces/{self.namespace}/{kind}{name}?dryRun=All"
        return send(self.server, self.token, method, path, body, "application/json")


def moved(job: Object, namespace: str) -> Object:
    """A Job that was built for the namespace music, in another one."""
    text = json.dumps(job).replace('"music"', json.dumps(namespace)).replace("music/", f"{namespace}/")
    found: Object = json.loads(text)
    for field in ("uid", "creationTimestamp"):
        found["metadata"].pop(field, None)
    found.pop("status", None)
    return found


@contextmanager
def installed(server: LocalApiServer, values: Object) -> Iterator[Account]:
    """The account's rights and policies, from when each policy is seen to refuse until all of it is removed."""
    system, music = (f"{word}-{uuid.uuid4().hex[:8]}" for word in ("system", "team"))
    for namespace in (system, music):
        server.create_namespace(namespace)
    server.ensure_service_account(system, f"{PREFIX}-operator")
    with Progress() as progress:
        folder = binaries.ensure(paths_from_environment(), ("helm",), progress)
    release = ["template", RELEASE, str(CHART), "-n", system, "--skip-crds"]
    shown = [f"--show-only=templates/{name}.yaml" for name in SHOWN]
    given = {"jobNamespaces": [music], "fullnameOverride": PREFIX, "images": IMAGES, **values}
    text = Helm(folder / "helm").run(*release, *shown, values=given)
    server.kubectl("apply", "-f", "-", stdin=text)
    spec = {"suspend": True, "template": {"spec": PROBE}}
    path = f"/apis/batch/v1/namespaces/{music}/jobs"
    server.rest.request("POST", path, {"metadata": {"name": "probe"}, "spec": spec})
    for namespace in (system, music):
        body = {"apiVersion": API_VERSION, "kind": "AudioJob", "metadata": {"name": "probe"}, "spec": {"pipeline": "a"}}
        server.rest.request("POST", f"/apis/{API_VERSION}/namespaces/{namespace}/audiojobs", body)
    account = Account(server, music, server.service_account_token(system, f"{PREFIX}-operator"))
    try:
        wait_until("the policies", lambda: _in_force(account, system), seconds=30)
        yield account
    finally:
        server.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=text)
        for namespace in (system, music):
            server.rest.request("DELETE", f"/apis/{API_VERSION}/namespaces/{namespace}/audiojobs")
            server.rest.request("DELETE", f"/api/v1/namespaces/{namespace}")


def _in_force(account: Account, elsewhere: str) -> bool:
    """Whether each policy has refused what it must, once the rights are there, too."""
    metadata = {"name": "probe"}
    bodies: dict[str, tuple[str, Object]] = {
        JOBS_NAME: ("apis/batch/v1 jobs", {"metadata": metadata, "spec": {"template": {"spec": PROBE}}}),
        REVISIONS_NAME: ("apis/apps/v1 controllerrevisions", {"metadata": metadata, "revision": 1, "data": {}}),
        EVENTS_NAME: ("api/v1 events", {"metadata": metadata, "involvedObject": {"namespace": account.namespace}}),
    }
    answers = {policy: account.create(plural, body).message for policy, (plural, body) in bodies.items()}
    answers[DELETIONS_NAME] = account.delete("apis/batch/v1 jobs", "probe").message
    answers[status_policy.NAME] = account.report(elsewhere, "probe", {"state": "Running"}).message
    reported = account.report(account.namespace, "probe", {"percent": 1}).status == 200
    deleted = account.delete(f"apis/{API_VERSION} audiojobs", "probe").message
    return reported and DELETIONS_NAME in deleted and all(policy in answer for policy, answer in answers.items())
