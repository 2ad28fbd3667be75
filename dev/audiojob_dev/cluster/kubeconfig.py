"""Kubeconfig files with embedded client certificates. They are JSON, which every YAML reader takes."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

from audiojob_dev.cluster.pki import KeyPair


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def write_kubeconfig(path: Path, *, url: str, authority: Path, client: KeyPair, name: str, namespace: str = "") -> Path:
    """Write one cluster, one user and one current context, all called `name`, with mode 0600."""
    context = {"cluster": name, "user": name} | ({"namespace": namespace} if namespace else {})
    user = {"client-certificate-data": _encoded(client.certificate), "client-key-data": _encoded(client.key)}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": url, "certificate-authority-data": _encoded(authority)}}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": context}],
        "current-context": name,
    }
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(document, file, indent=1)
    temporary.replace(path)
    return path
