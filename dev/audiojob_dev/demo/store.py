"""Reading what jobs published, from outside the pods: through the volume's folder, or through a reader pod."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from audiojob_dev.demo.tools import Cluster, wait_until
from audiojob_types.constants import STORE_CLAIM

READER = "audiojob-reader"


class Store(Protocol):
    """A job namespace's folder store, by key."""

    def manifest(self, key: str) -> dict[str, Any]:
        """The manifest document at ``key``."""

    def place(self, key: str) -> str:
        """Where a person finds ``key``: a path, or a command."""


class FolderOnThisMachine:
    """The embedded cluster's volumes are folders of this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def manifest(self, key: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self._root / key).read_text())
        return document

    def place(self, key: str) -> str:
        return str(self._root / key)


class ThroughPod:
    """Any other cluster: a pod that mounts the claim read-only."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace

    def manifest(self, key: str) -> dict[str, Any]:
        text = self._cluster.kubectl("-n", self._namespace, "exec", READER, "--", "cat", f"/store/{key}")
        document: dict[str, Any] = json.loads(text)
        return document

    def place(self, key: str) -> str:
        return f"kubectl --context {self._cluster.context} -n {self._namespace} cp {READER}:/store/{key} ."


def open_store(cluster: Cluster, namespace: str, image: str) -> Store:
    """The way to the store that fits the cluster."""
    if cluster.embedded:
        folder = folder_of(cluster, namespace, STORE_CLAIM)
        assert folder is not None, "a job has used it"
        return FolderOnThisMachine(folder)
    pod = restricted_pod(READER, image, ["sleep", "3600"], {"/store": STORE_CLAIM})
    cluster.kubectl("-n", namespace, "apply", "-f", "-", stdin=json.dumps(pod))

    def ready() -> bool:
        return bool(cluster.get("-n", namespace, "pod", READER)["status"].get("phase") == "Running")

    wait_until("the reader pod's start", 120, ready)
    return ThroughPod(cluster, namespace)


def folder_of(cluster: Cluster, namespace: str, claim: str) -> Path | None:
    """Where the embedded cluster keeps what is in a claim; None before anybody has used it."""
    volume_name = cluster.get("-n", namespace, "pvc", claim)["spec"].get("volumeName")
    if volume_name is None:
        return None
    return Path(cluster.get("pv", volume_name)["spec"]["local"]["path"])


def restricted_pod(
    name: str, image: str, command: list[str], claims: Mapping[str, str], *, read_only: bool = True
) -> dict[str, Any]:
    """A helper pod that Pod Security's ``restricted`` level admits, with ``claims`` by path and room at /data."""
    mounts = [{"name": claim, "mountPath": path, "readOnly": read_only} for path, claim in claims.items()]
    volumes: list[dict[str, Any]] = [
        {"name": claim, "persistentVolumeClaim": {"claimName": claim, "readOnly": read_only}}
        for claim in claims.values()
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": "audiojob-demo"}},
        "spec": {
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True, "runAsUser": 10001, "runAsGroup": 10001, "fsGroup": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "main", "image": image, "imagePullPolicy": "IfNotPresent", "command": command,
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                    "volumeMounts": [*mounts, {"name": "data", "mountPath": "/data"}],
                }
            ],
            "volumes": [*volumes, {"name": "data", "emptyDir": {"sizeLimit": "100Mi"}}],
        },
    }  # fmt: skip
