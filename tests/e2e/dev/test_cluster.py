"""The cluster runs restricted pods, resolves Services, shows logs, and schedules by the GPUs that it offers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.cluster import TestCluster

from audiojob_dev.rest import wait_until

pytestmark = pytest.mark.e2e

_CONTAINER_SECURITY = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
_POD_SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": 10001,
    "runAsGroup": 10001,
    "fsGroup": 10001,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def _pod(cluster: TestCluster, name: str, script: str, **extra: Any) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": cluster.images["runner"],
        "command": ["sh", "-c", script],
        "securityContext": _CONTAINER_SECURITY,
        **extra.pop("container", {}),
    }
    spec = {"restartPolicy": "Never", "securityContext": _POD_SECURITY, "containers": [container], **extra}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def _create(cluster: TestCluster, namespace: str, *documents: dict[str, Any]) -> None:
    for document in documents:
        cluster.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(document))


def _ended(pod: dict[str, Any]) -> bool:
    return pod["status"].get("phase") in ("Succeeded", "Failed")


def _run(cluster: TestCluster, namespace: str, pod: dict[str, Any]) -> str:
    """Run a pod to its end and return its log; fails unless it succeeded."""
    name = pod["metadata"]["name"]
    _create(cluster, namespace, pod)
    ended = cluster.wait_for("the pod ends", _ended, kind="pod", name=name, namespace=namespace, seconds=60)
    log = cluster.kubectl("logs", "-n", namespace, name)
    assert ended["status"]["phase"] == "Succeeded", log
    return log


@pytest.mark.in_turn
def test_a_restricted_pod_runs_as_our_user_and_its_log_can_be_read(
    cluster: TestCluster, cluster_namespace: str
) -> None:
    log = _run(cluster, cluster_namespace, _pod(cluster, "who", "id -u; id -g; touch /no 2>&1 || echo read-only"))
    lines = log.splitlines()
    assert lines[:2] == ["10001", "10001"]
    assert lines[-1] == "read-only"


@pytest.mark.in_turn
def test_a_pod_that_asks_for_root_is_refused_in_a_restricted_namespace(
    cluster: TestCluster, cluster_namespace: str
) -> None:
    pod = _pod(cluster, "root", "id", securityContext={**_POD_SECURITY, "runAsNonRoot": False, "runAsUser": 0})
    answer = cluster.kubectl("create", "-n", cluster_namespace, "-f", "-", stdin=json.dumps(pod), check=False)
    assert "violates PodSecurity" in answer


@pytest.mark.in_turn
def test_a_service_is_found_by_name_and_reaches_its_pod(cluster: TestCluster, cluster_namespace: str) -> None:
    serve = "cd /tmp && echo from-the-service > x && exec python3 -m http.server 8080"
    server = _pod(
        cluster,
        "server",
        serve,
        volumes=[{"name": "tmp", "emptyDir": {}}],
        container={
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
            "readinessProbe": {"httpGet": {"path": "/x", "port": 8080}, "periodSeconds": 1},
        },
    )
    server["metadata"]["labels"] = {"app": "server"}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"selector": {"app": "server"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    _create(cluster, cluster_namespace, server, service)
    cluster.kubectl("wait", "-n", cluster_namespace, "--for=condition=Ready", "pod/server", "--timeout=60s")
    url = f"http://web.{cluster_namespace}.svc.cluster.local/x"
    # kube-proxy learns of a new endpoint within a second or so.
    fetch = f"""import time, urllib.request
for last in (False,) * 19 + (True,):
    try:
        print(urllib.request.urlopen({url!r}, timeout=5).read().decode()); break
    except OSError:
        if last: raise
        time.sleep(0.5)
"""
    client = _pod(cluster, "client", "")
    client["spec"]["containers"][0]["command"] = ["python3", "-c", fetch]
    assert _run(cluster, cluster_namespace, client).strip() == "from-the-service"


@pytest.mark.in_turn
def test_a_claim_binds_and_our_group_may_write_below_a_sub_path(cluster: TestCluster, cluster_namespace: str) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "store"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    _create(cluster, cluster_namespace, claim)
    pod = _pod(
        cluster,
        "writer",
        "echo kept > /store/a/b/file && cat /store/a/b/file",
        volumes=[{"name": "store", "persistentVolumeClaim": {"claimName": "store"}}],
        container={"volumeMounts": [{"name": "store", "mountPath": "/store/a/b", "subPath": "a/b"}]},
    )
    assert _run(cluster, cluster_namespace, pod).strip() == "kept"


@pytest.fixture
def one_gpu(cluster: TestCluster) -> Iterator[None]:
    if not cluster.embedded:
        pytest.skip("fake GPUs are offered by the embedded cluster only")
    cluster.offer_gpus(1)
    yield
    cluster.offer_gpus(0)


@pytest.mark.usefixtures("one_gpu")
def test_the_second_pod_waits_while_the_first_holds_the_only_gpu(cluster: TestCluster, cluster_namespace: str) -> None:
    gpu = {"resources": {"limits": {"nvidia.com/gpu": 1}}}
    _create(cluster, cluster_namespace, _pod(cluster, "first", "sleep 600", container=gpu))
    cluster.kubectl("wait", "-n", cluster_namespace, "--for=condition=Ready", "pod/first", "--timeout=60s")
    _create(cluster, cluster_namespace, _pod(cluster, "second", "true", container=gpu))

    def says_why_it_waits(pod: dict[str, Any]) -> bool:
        conditions = pod["status"].get("conditions", [])
        return any("Insufficient nvidia.com/gpu" in item.get("message", "") for item in conditions)

    where = {"kind": "pod", "name": "second", "namespace": cluster_namespace}
    cluster.wait_for("the second pod waits for the GPU", says_why_it_waits, seconds=30, **where)
    cluster.kubectl("delete", "-n", cluster_namespace, "pod", "first", "--grace-period=0", "--force")
    cluster.wait_for("the second pod ends once the GPU is free", _ended, seconds=60, **where)


@pytest.mark.in_turn
def test_writes_of_the_cluster_are_in_its_audit_log(cluster: TestCluster, cluster_namespace: str) -> None:
    if not cluster.embedded:
        pytest.skip("the audit log of a foreign cluster cannot be read")

    def recorded() -> bool:
        lines = cluster.audit_log.read_text().splitlines()
        return any(f'"name":"{cluster_namespace}"' in line and '"resource":"namespaces"' in line for line in lines)

    wait_until("the namespace's creation is recorded", recorded, seconds=60)
