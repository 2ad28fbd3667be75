"""The API server that the integration tests share is a real one."""

from __future__ import annotations

import base64
import json

import pytest
from tests.support.auditlog import whole_lines

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.rest import Rest, RestError, wait_until
from audiojob_dev.tools.versions import KUBERNETES_VERSION

pytestmark = pytest.mark.integration

_POD = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "nothing.invalid/c"}]}}


def _claims(token: str) -> dict[str, object]:
    payload = token.split(".")[1]
    claims: dict[str, object] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


def test_it_reports_the_pinned_version(apiserver: LocalApiServer) -> None:
    assert apiserver.rest.request("GET", "/version")["gitVersion"] == f"v{KUBERNETES_VERSION}"


def test_it_refuses_a_caller_without_credentials(apiserver: LocalApiServer) -> None:
    stranger = Rest(apiserver.url, apiserver.authority, None)
    with pytest.raises(RestError) as refused:
        stranger.request("GET", "/api/v1/namespaces")
    assert refused.value.status == 401


def test_a_pod_bound_token_names_the_pod_and_dies_with_it(apiserver: LocalApiServer, namespace: str) -> None:
    pods = f"/api/v1/namespaces/{namespace}/pods"
    uid = apiserver.rest.request("POST", pods, _POD)["metadata"]["uid"]
    token = apiserver.service_account_token(namespace, "default", pod="p")
    bound = _claims(token)["kubernetes.io"]
    assert isinstance(bound, dict)
    assert bound["pod"] == {"name": "p", "uid": uid}

    review = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token},
    }
    path = "/apis/authentication.k8s.io/v1/tokenreviews"
    assert apiserver.rest.request("POST", path, review)["status"]["authenticated"] is True
    apiserver.rest.request("DELETE", f"{pods}/p?gracePeriodSeconds=0")
    # Verified tokens are cached for some seconds.
    wait_until(
        "the token of a deleted pod is refused",
        lambda: not apiserver.rest.request("POST", path, review)["status"].get("authenticated"),
        seconds=30,
    )


def test_writes_are_audited_with_their_writer_and_reads_are_not(apiserver: LocalApiServer, namespace: str) -> None:
    agent = f"auditor-{namespace}"
    client = Rest(apiserver.url, apiserver.authority, apiserver.admin, user_agent=agent)
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    client.request("POST", path, {"metadata": {"name": "seen"}})
    client.request("GET", f"{path}/seen")

    def entries() -> list[dict[str, object]]:
        lines = whole_lines(apiserver.audit_log)
        return [entry for entry in map(json.loads, lines) if entry.get("userAgent") == agent]

    wait_until("the write is in the audit log", lambda: bool(entries()), seconds=60)
    assert [entry["verb"] for entry in entries()] == ["create"]


def test_the_job_controller_makes_pods_and_the_garbage_collector_removes_them(
    controllers: LocalApiServer, namespace: str
) -> None:
    jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    template = {"spec": {"restartPolicy": "Never", "containers": _POD["spec"]["containers"]}}  # type: ignore[index]
    controllers.rest.request("POST", jobs, {"metadata": {"name": "j"}, "spec": {"template": template}})

    def pods() -> int:
        return len(controllers.rest.request("GET", f"/api/v1/namespaces/{namespace}/pods")["items"])

    wait_until("the Job has a pod", lambda: pods() == 1, seconds=30)
    controllers.rest.request("DELETE", f"{jobs}/j?propagationPolicy=Background")
    wait_until("the pod is gone with its Job", lambda: pods() == 0, seconds=30)
