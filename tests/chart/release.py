"""A release of the chart on a test's API server."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
import uuid

from tests.chart.helm import CHART, RELEASE, Helm, Object

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.rest import RestError

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


class Installed:
    """A release, and whether an account may do something."""

    def __init__(self, server: LocalApiServer, helm: Helm) -> None:
        self.server = server
        self.helm = helm
        self.system, self.music, self.other = unique("system"), unique("music"), unique("other")
        for namespace in (self.system, self.music, self.other):
            server.create_namespace(namespace, RESTRICTED)
        self.notes = self.upgrade("--install")

    def upgrade(self, *arguments: str, **others: Object) -> str:
        """Install or upgrade with these values beside the namespaces; returns what helm prints."""
        values = {"jobNamespaces": [self.music], **others}
        flags = [
            "-n",
            self.system,
            "--kubeconfig",
            str(self.server.kubeconfig),
            "--skip-crds",
            "--no-hooks",
        ]  # no kubelet runs their Jobs
        return self.helm.run("upgrade", RELEASE, str(CHART), *flags, *arguments, values=values)

    def rollback(self) -> None:
        """To the revision before."""
        self.helm.run("rollback", RELEASE, "-n", self.system, "--kubeconfig", str(self.server.kubeconfig), "--no-hooks")

    def uninstall(self) -> None:
        self.helm.run("uninstall", RELEASE, "-n", self.system, "--kubeconfig", str(self.server.kubeconfig))

    def get(self, path: str) -> Object:
        found: Object = self.server.rest.request("GET", path)
        return found

    def exists(self, path: str) -> bool:
        try:
            return bool(self.get(path))
        except RestError as error:
            if error.status != 404:
                raise
            return False

    def flow_schema(self, token: str, path: str) -> str:
        """The uid of the FlowSchema by which the API server treats a request, allowed or not."""
        request = urllib.request.Request(f"{self.server.url}{path}", headers={"Authorization": f"Bearer {token}"})
        trusted = ssl.create_default_context(cafile=str(self.server.authority))
        try:
            with urllib.request.urlopen(request, context=trusted, timeout=30) as answer:
                headers = answer.headers
        except urllib.error.HTTPError as refused:
            headers = refused.headers
        return str(headers.get("X-Kubernetes-PF-FlowSchema-UID", ""))

    def claim(self) -> Object:
        return self.get(f"/api/v1/namespaces/{self.music}/persistentvolumeclaims/audiojob-store")

    def may(self, user: str, verb: str, resource: str, namespace: str) -> bool:
        """Ask the API server. `resource` is `group/resource` or `group/resource/subresource`."""
        group, _, rest = resource.partition("/")
        name, _, subresource = rest.partition("/")
        attributes = {
            "verb": verb, "group": "" if group == "core" else group, "resource": name, "subresource": subresource,
            "namespace": namespace,
        }  # fmt: skip
        review = {"spec": {"user": user, "groups": ["system:authenticated"], "resourceAttributes": attributes}}
        answer = self.server.rest.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
        return bool(answer["status"]["allowed"])
