"""The two ways in: ``kubectl apply`` of the example, and ``curl`` to the API."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from audiojob_dev.demo.install import RELEASE, RELEASE_NAMESPACE, ensure_namespace
from audiojob_dev.demo.models import MODEL
from audiojob_dev.demo.store import restricted_pod
from audiojob_dev.demo.tools import Cluster, ToolError, wait_until
from audiojob_dev.demo.view import next_name
from audiojob_dev.paths import repository
from audiojob_types.constants import API_AUDIENCE

CALLER = "demo-caller"
MUSIC_POD = "audiojob-music"


@dataclass(frozen=True, slots=True)
class MusicSource:
    """Where the piece is served, and the one address and port that the administrator's setting must allow for it."""

    url: str
    cidr: str


def apply_example(cluster: Cluster, namespace: str, url: str) -> str:
    """Apply ``examples/separate.yaml`` with this URL under the next free name; returns the name."""
    manifest = example(url)
    taken = {item["metadata"]["name"] for item in cluster.get("-n", namespace, "audiojobs")["items"]}
    manifest["metadata"]["name"] = next_name(manifest["metadata"]["name"], taken)
    cluster.kubectl("-n", namespace, "apply", "-f", "-", stdin=json.dumps(manifest))
    name: str = manifest["metadata"]["name"]
    return name


def example(url: str) -> dict[str, Any]:
    """The example's document for ``url`` and the demo's model; it works in every demo, whatever the one before made."""
    manifest: dict[str, Any] = yaml.safe_load((repository() / "examples" / "separate.yaml").read_text())
    manifest["metadata"].pop("namespace", None)
    manifest["spec"] |= {"source": {"url": url}, "reuse": "Never"}
    manifest["spec"]["parameters"] = {"separate": {"model": MODEL}}
    return manifest


def post_to_api(cluster: Cluster, namespace: str, url: str, console: Console) -> str:
    """The same job by curl, with the token of a ServiceAccount that may create AudioJobs; returns the name."""
    for document in caller(namespace):
        cluster.kubectl("-n", namespace, "apply", "-f", "-", stdin=json.dumps(document))
    token = cluster.kubectl("-n", namespace, "create", "token", CALLER, "--audience", API_AUDIENCE).strip()
    spec = example(url)["spec"]
    body = json.dumps({key: spec[key] for key in ("pipeline", "source", "parameters", "reuse")})
    with cluster.port_forward(RELEASE_NAMESPACE, f"service/{RELEASE}-api", 80) as port:
        address = f"http://127.0.0.1:{port}/api/v1/jobs"
        console.print(
            f"  curl -X POST {address} -H 'Authorization: Bearer …' -d '{body}'", markup=False, soft_wrap=True
        )
        # The token goes in by standard input: command lines are visible to every user of the machine.
        headers = f'header = "Authorization: Bearer {token}"\nheader = "Content-Type: application/json"\n'
        command = ["curl", "-sS", "-K", "-", "-X", "POST", address, "--data-binary", body, "-w", "\n%{http_code}"]
        done = subprocess.run(command, check=False, input=headers, capture_output=True, text=True)
    answer, _, code = done.stdout.rpartition("\n")
    if done.returncode != 0 or code not in ("201", "202"):
        raise ToolError(f"the API answered {code or 'nothing'}: {answer or done.stderr}")
    document = json.loads(answer)
    console.print(f"  HTTP {code} → audiojob/{document['name']}", markup=False)
    name: str = document["name"]
    return name


def caller(namespace: str) -> list[dict[str, Any]]:
    """A ServiceAccount that may use AudioJobs and nothing else."""
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": CALLER}},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": CALLER},
            "rules": [{
                "apiGroups": ["audiojobs.dev"],
                "resources": ["audiojobs"],
                "verbs": ["create", "get", "list", "update"],
            }],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": CALLER},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": CALLER},
            "subjects": [{"kind": "ServiceAccount", "name": CALLER, "namespace": namespace}],
        },
    ]  # fmt: skip


def music_pod(cluster: Cluster, namespace: str, piece: Path, image: str) -> MusicSource:
    """A pod that serves the piece, for clusters whose pods cannot reach this machine."""
    pod = restricted_pod(MUSIC_POD, image, ["python", "-m", "http.server", "8000", "--directory", "/data"], {})
    ensure_namespace(cluster, namespace)
    cluster.kubectl("-n", namespace, "apply", "-f", "-", stdin=json.dumps(pod))

    def address() -> str | None:
        status = cluster.get("-n", namespace, "pod", MUSIC_POD)["status"]
        return status.get("podIP") if status.get("phase") == "Running" else None

    ip = wait_until("the music pod's start", 180, address)
    cluster.kubectl("-n", namespace, "cp", str(piece), f"{MUSIC_POD}:/data/{piece.name}")
    return MusicSource(url=f"http://{ip}:8000/{piece.name}", cidr=f"{ip}/32:8000")
