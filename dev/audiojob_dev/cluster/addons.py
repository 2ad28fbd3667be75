"""What lies in the cluster from the start: name service, default storage class, and fake GPUs on request."""

from __future__ import annotations

from typing import Any

from audiojob_dev.cluster import volumes
from audiojob_dev.cluster.controlplane import DNS_SERVICE_ADDRESS
from audiojob_dev.cluster.node import DNS_PORT, NODE_NAME
from audiojob_dev.rest import JSON_PATCH, Rest, RestError

FAKE_GPU_LABEL = "audiojobs.dev/fake-gpu"
_NODE = f"/api/v1/nodes/{NODE_NAME}"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"


def install(rest: Rest, address: str) -> None:
    """Create the default storage class and the Service kube-dns, whose one endpoint is CoreDNS on this machine."""
    rest.apply(f"/apis/storage.k8s.io/v1/storageclasses/{volumes.STORAGE_CLASS}", volumes.storage_class())
    rest.apply(f"{_RBAC}/clusterroles/system:coredns", _dns_role())
    rest.apply(f"{_RBAC}/clusterrolebindings/system:coredns", _dns_binding())
    rest.apply("/api/v1/namespaces/kube-system/services/kube-dns", _dns_service())
    slices = "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices"
    rest.apply(f"{slices}/kube-dns-host", _dns_endpoints(address))


def _dns_role() -> dict[str, Any]:
    rules = [
        {"apiGroups": [""], "resources": ["endpoints", "services", "pods", "namespaces"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ]
    kind = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole"}
    return {**kind, "metadata": {"name": "system:coredns"}, "rules": rules}


def _dns_binding() -> dict[str, Any]:
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "system:coredns"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "system:coredns"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "system:coredns"}],
    }


def _dns_service() -> dict[str, Any]:
    ports = [
        {"name": f"dns-{protocol.lower()}", "protocol": protocol, "port": 53, "targetPort": DNS_PORT}
        for protocol in ("UDP", "TCP")
    ]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kube-dns", "namespace": "kube-system"},
        "spec": {"clusterIP": DNS_SERVICE_ADDRESS, "ports": ports},
    }


def _dns_endpoints(address: str) -> dict[str, Any]:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kube-dns-host",
            "namespace": "kube-system",
            "labels": {"kubernetes.io/service-name": "kube-dns"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address]}],
        "ports": [
            {"name": f"dns-{protocol.lower()}", "protocol": protocol, "port": DNS_PORT} for protocol in ("UDP", "TCP")
        ],
    }


def node_is_ready(rest: Rest, timeout: float = 30) -> bool:
    """Whether the node exists and its condition Ready is True."""
    try:
        found = rest.request("GET", _NODE, timeout=timeout)
    except RestError as error:
        if error.status == 404:
            return False
        raise
    conditions = found.get("status", {}).get("conditions", [])
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


def has_default_service_account(rest: Rest) -> bool:
    return bool(rest.request("GET", "/api/v1/namespaces/default/serviceaccounts/default"))


def offer_gpus(rest: Rest, count: int) -> None:
    """Have the node claim `count` GPUs, which the scheduler takes for real; 0 withdraws them.

    Such a node carries the label audiojobs.dev/fake-gpu, so that nothing mistakes it for one that can compute.
    """
    value = str(count)
    paths = [f"/status/{field}/nvidia.com~1gpu" for field in ("capacity", "allocatable")]
    operations = [{"op": "add", "path": path, "value": value} for path in paths]
    rest.request("PATCH", f"{_NODE}/status", operations, content_type=JSON_PATCH)
    label = "true" if count else None
    body = {"metadata": {"labels": {FAKE_GPU_LABEL: label}}}
    rest.request("PATCH", _NODE, body, content_type="application/merge-patch+json")
