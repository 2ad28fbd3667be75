"""A pool on simulated nodes: its pipeline, what its workers may report, and the process that plays them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.harness import PHASES, Object

from audiojob_dev.cluster.kwok import SimulatedCluster
from audiojob_dev.paths import repository
from audiojob_dev.rest import RestError, wait_until
from audiojob_types.constants import API_VERSION, LABEL_POOL, RUNNER_SERVICE_ACCOUNT

WORKERS: Final = 40
POOL: Final = "bench"
PIPELINE: Final = "bench-pool"
_RESOURCES: Final = {"cpu": "50m", "memory": "128Mi", "scratch": "64Mi"}
_RBAC: Final = "rbac.authorization.k8s.io"


@contextmanager
def workers_played(cluster: SimulatedCluster, namespace: str) -> Iterator[int]:
    """The pool, once all of its workers can be told phases; the process that plays them. The operator must run."""
    _allow(cluster, namespace)
    pools = f"/apis/{API_VERSION}/namespaces/{namespace}/audioworkerpools"
    stay = {"minWorkers": WORKERS, "maxWorkers": WORKERS, "maxPhases": 100_000, "idleSeconds": 3_600}
    spec = {"tasks": ["Simulate"], "resources": _RESOURCES, **stay}
    command = [sys.executable, str(Path(__file__).with_name("played.py")), str(cluster.kubeconfig)]
    command += [str(cluster.authority), namespace, str(WORKERS)]
    _create(cluster, pools, "AudioWorkerPool", POOL, {"spec": spec})
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", "the workers are not played"

        def all_idle() -> bool:
            status = cluster.rest.request("GET", f"{pools}/{POOL}").get("status", {})
            return bool(status.get("idle") == WORKERS)

        wait_until("the workers", all_idle, seconds=120)
        yield process.pid
    finally:
        process.kill()
        process.wait()
        cluster.rest.request("DELETE", f"{pools}/{POOL}", {"propagationPolicy": "Background"})
        jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs?labelSelector={LABEL_POOL}%3D{POOL}"
        wait_until("the end of the workers", lambda: not cluster.rest.request("GET", jobs)["items"], seconds=120)


def _allow(cluster: SimulatedCluster, namespace: str) -> None:
    """The pipeline, the chart's policy for reports, and the runner's only right."""
    cluster.kubectl("apply", "-f", str(repository() / "charts/audiojob/templates/runner-policy.yaml"))
    phase = {"task": "Simulate", "resources": _RESOURCES, "workerPool": {"name": POOL, "fallbackSeconds": 3_600}}
    phases = [{"name": name, **phase} for name in PHASES]
    _create(cluster, f"/apis/{API_VERSION}/audiopipelines", "AudioPipeline", PIPELINE, {"spec": {"phases": phases}})
    rules = [{"apiGroups": ["audiojobs.dev"], "resources": ["audiojobs/status"], "verbs": ["patch"]}]
    account = {"kind": "ServiceAccount", "name": RUNNER_SERVICE_ACCOUNT, "namespace": namespace}
    role = {"apiGroup": _RBAC, "kind": "Role", "name": RUNNER_SERVICE_ACCOUNT}
    path = f"/apis/{_RBAC}/v1/namespaces/{namespace}"
    _create(cluster, f"{path}/roles", "Role", RUNNER_SERVICE_ACCOUNT, {"rules": rules}, f"{_RBAC}/v1")
    binding = {"roleRef": role, "subjects": [account]}
    _create(cluster, f"{path}/rolebindings", "RoleBinding", RUNNER_SERVICE_ACCOUNT, binding, f"{_RBAC}/v1")


def _create(
    cluster: SimulatedCluster, path: str, kind: str, name: str, content: Object, version: str = API_VERSION
) -> None:
    """Unless it is there."""
    try:
        cluster.rest.request("POST", path, {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **content})
    except RestError as error:
        if error.status != 409:
            raise
