"""Reading what jobs published, from outside the pods: through the volume's folder, or through a reader pod."""

from __future__ import annotations

import json
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
        claim = cluster.get("-n", namespace, "pvc", STORE_CLAIM)
        volume = cluster.get("pv", claim["spec"]["volumeName"])
        return FolderOnThisMachine(Path(volume["spec"]["local"]["path"]))
    cluster.kubectl(
        "-n", namespace, "apply", "-f", "-", stdin=json.dumps(restricted_pod(READER, image, ["sleep", "3600"]))
    )

    def ready() -> bool:
        return bool(cluster.get("-n", namespace, "pod", READER)["status"].get("phase") == "Running")

    wait_until("the reader pod's start", 120, ready)
    return ThroughPod(cluster, namespace)


def restricted_pod(name: str, image: str, command: list[str]) -> dict[str, Any]:
    """A helper pod that Pod Security's ``restricted`` level admits, with the store at /store and room at /data."""
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
                    "volumeMounts": [
                        {"name": "store", "mountPath": "/store", "readOnly": True},
                        {"name": "data", "mountPath": "/data"},
                    ],
                }
            ],
            "volumes": [
                {"name": "store", "persistentVolumeClaim": {"claimName": STORE_CLAIM, "readOnly": True}},
                {"name": "data", "emptyDir": {"sizeLimit": "100Mi"}},
            ],
        },
    }  # fmt: skip
