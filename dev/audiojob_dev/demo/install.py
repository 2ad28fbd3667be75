"""The chart, installed the way that the README tells people to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from audiojob_dev.demo.tools import Cluster, wait_until
from audiojob_dev.images.build import chart_values
from audiojob_dev.kubectl import types_served
from audiojob_dev.paths import repository

RELEASE = "audiojob"
RELEASE_NAMESPACE = "audiojob-system"
PROMETHEUS_TYPES = ("podmonitors.monitoring.coreos.com", "prometheusrules.monitoring.coreos.com")
MONITORING = ("podMonitor", "rules", "dashboards")


def install(
    cluster: Cluster,
    job_namespaces: Sequence[str],
    images: dict[str, str],
    allowed_cidr: str | None,
    others: Mapping[str, Any] | None = None,
) -> None:
    """CRDs, then the chart with values for this cluster; returns when operator and API are ready.

    The namespaces must exist: see :func:`ensure_namespace`. ``others`` are further values by dotted key.
    """
    ensure_namespace(cluster, RELEASE_NAMESPACE)
    root = repository()
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(root / "crds"))
    wait_until("the resource types", 60, lambda: types_served(cluster.get("-f", str(root / "crds"))))
    if cluster.embedded:
        forget_interrupted(cluster)
    arguments = ["upgrade", "--install", RELEASE, str(root / "charts" / "audiojob"), "-n", RELEASE_NAMESPACE]
    for key, value in {**values(job_namespaces, images, allowed_cidr), **(others or {})}.items():
        arguments += ["--set-json", f"{key}={json.dumps(value)}"]
    cluster.helm(*arguments, "--wait", "--timeout", "5m")


def forget_interrupted(cluster: Cluster) -> None:
    """Let helm begin anew where it was killed: as long as its record says so, it believes that it is still at it.

    Only for a cluster that nobody else installs anything in.
    """
    pending = "status in (pending-install,pending-upgrade,pending-rollback)"
    selector = f"owner=helm,name={RELEASE},{pending}"
    cluster.kubectl("-n", RELEASE_NAMESPACE, "delete", "secrets", "-l", selector)


def ensure_namespace(cluster: Cluster, name: str) -> None:
    """The namespace exists and admits restricted pods only."""
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(restricted_namespace(name)))


def values(job_namespaces: Sequence[str], images: dict[str, str], allowed_cidr: str | None) -> dict[str, Any]:
    """The chart values of each installation of ours: images, job namespaces, and the address of the music server."""
    return {
        **{f"images.{key}": value for key, value in chart_values(images)["images"].items()},
        "jobNamespaces": list(job_namespaces),
        "api.namespace": job_namespaces[0],
        "fetch.allowedCIDRs": [allowed_cidr] if allowed_cidr else [],
    }


def monitoring(cluster: Cluster) -> dict[str, bool]:
    """Chart values: monitoring is on where the cluster has the Prometheus Operator."""
    found = cluster.kubectl("get", "crd", *PROMETHEUS_TYPES, "--ignore-not-found", "-o", "name").split()
    return {f"monitoring.{part}.enabled": len(found) == len(PROMETHEUS_TYPES) for part in MONITORING}


def restricted_namespace(name: str) -> dict[str, Any]:
    """A namespace that admits restricted pods only."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    }


def only(base: str) -> str:
    """The entry of fetch.allowedCIDRs for one server: a node has others, such as kube-proxy's, on the same address."""
    parts = urlsplit(base)
    return f"{parts.hostname}/32:{parts.port}"


def node_address(cluster: Cluster) -> str:
    """The internal address of the cluster's first node; on the embedded cluster, this machine's."""
    node = cluster.get("nodes")["items"][0]
    address: str = next(a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP")
    return address
