"""Static local volumes for claims: folders of the state folder behind a class without a provisioner.

hostPath would ignore fsGroup; local volumes honour it, and the node affinity that they need is given.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from audiojob_dev.cluster.node import NODE_NAME
from audiojob_dev.rest import Rest

STORAGE_CLASS = "audiojob-local"
# Group of our pods: folders that the kubelet makes for subPaths inherit it.
_GROUP = 10001
_CAPACITY = "100Gi"
_PREFIX = "audiojob-local-"
_VOLUMES = "/api/v1/persistentvolumes"


def storage_class() -> dict[str, Any]:
    """The default class. It binds at once: with one node there is nothing to wait for."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": STORAGE_CLASS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": "kubernetes.io/no-provisioner",
        "reclaimPolicy": "Retain",
        "volumeBindingMode": "Immediate",
    }


def volume(name: str, folder: Path) -> dict[str, Any]:
    """A PersistentVolume at `folder`. Its capacity is a label for the binder; nothing enforces it."""
    node = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE_NAME]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": _CAPACITY},
            "accessModes": ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": STORAGE_CLASS,
            "local": {"path": str(folder)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [node]}]}},
        },
    }


def next_names(existing: Iterable[str], count: int) -> list[str]:
    """`count` names that follow the highest number in use."""
    numbers = [int(found[1]) for name in existing if (found := re.fullmatch(rf"{_PREFIX}(\d+)", name))]
    first = max(numbers, default=0) + 1
    return [f"{_PREFIX}{number:04d}" for number in range(first, first + count)]


def ensure(rest: Rest, folder: Path, free: int) -> int:
    """Remove volumes whose claim is gone, with what they hold, and make new ones until `free` are unbound.

    Returns how many were made.
    """
    volumes = [item for item in rest.request("GET", _VOLUMES)["items"] if item["metadata"]["name"].startswith(_PREFIX)]
    available = 0
    for item in volumes:
        phase = item.get("status", {}).get("phase", "Pending")
        if phase == "Released":
            rest.request("DELETE", f"{_VOLUMES}/{item['metadata']['name']}")
            shutil.rmtree(folder / item["metadata"]["name"], ignore_errors=True)
        available += phase in ("Available", "Pending") and "claimRef" not in item["spec"]
    names = next_names((item["metadata"]["name"] for item in volumes), max(0, free - available))
    for name in names:
        place = folder / name
        place.mkdir(parents=True)
        if os.geteuid() == 0:
            os.chown(place, 0, _GROUP)
        place.chmod(0o2775)
        rest.request("POST", _VOLUMES, volume(name, place))
    return len(names)
