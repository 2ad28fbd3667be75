"""The command ``doctor`` as an administrator runs it, against a real API server."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from tests.integration.operator.conftest import Space, make_space

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.rest import MERGE_PATCH

pytestmark = pytest.mark.integration


def doctor(server: LocalApiServer, *namespaces: str, **settings: str) -> tuple[int, str]:
    """Its exit status and what it prints."""
    names = ",".join(f'"{name}"' for name in namespaces)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AUDIOJOB_")},
        "AUDIOJOB_KUBECONFIG": str(server.kubeconfig),
        "AUDIOJOB_JOB_NAMESPACES": f"[{names}]",
        "AUDIOJOB_IMAGES__RUNNER": "audiojob/runner:test",
        "AUDIOJOB_IMAGES__RUNNER_TORCH": "audiojob/runner-torch:test",
        "AUDIOJOB_IMAGES__RUNNER_MUSIC": "audiojob/runner-music:test",
        "AUDIOJOB_LEASE__NAMESPACE": "default",
        **settings,
    }
    command = [sys.executable, "-m", "audiojob_operator", "doctor", "--api", "http://127.0.0.1:1/readyz"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, " ".join(done.stdout.split()) + done.stderr


def prepare(space: Space) -> None:
    """The claim, bound; a leader; and an operator's account that may do everything."""
    rest, namespace = space.rest, space.namespace
    claims = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims"
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
    rest.request("POST", claims, {"metadata": {"name": "audiojob-store"}, "spec": spec})
    bound = {"status": {"phase": "Bound"}}
    rest.request("PATCH", f"{claims}/audiojob-store/status", bound, content_type=MERGE_PATCH)
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    lease = {"holderIdentity": "somebody", "renewTime": now, "leaseDurationSeconds": 3600}
    leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
    rest.request("POST", leases, {"metadata": {"name": namespace}, "spec": lease})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    accounts = [
        {"kind": "ServiceAccount", "name": namespace, "namespace": "default"},
        {"kind": "ServiceAccount", "name": "audiojob-runner", "namespace": namespace},
    ]
    binding = {"metadata": {"name": namespace}, "roleRef": role, "subjects": accounts}
    rest.request("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)


def test_it_names_what_is_wrong_and_ends_with_1(apiserver: LocalApiServer) -> None:
    code, text = doctor(apiserver, "audiojob-is-not-here", AUDIOJOB_LEASE__NAME="audiojob-nobody")

    assert code == 1, text
    for sentence in (
        "ok CRDs: 4 of 4 are those of audiojob",
        "FAULT rights of the operator: missing permissions: ",
        "FAULT operator: nobody holds the Lease default/audiojob-nobody",
        "FAULT audiojob-is-not-here: the namespace does not exist.",
        "FAULT API: http://127.0.0.1:1/readyz cannot be reached",
        "monitoring: the Prometheus operator is not installed.",
        "ok clock: this process and the API server agree.",
    ):
        assert sentence in text


def test_a_namespace_that_is_ready_for_jobs(apiserver: LocalApiServer) -> None:
    space = make_space(apiserver)
    prepare(space)

    _, text = doctor(apiserver, space.namespace, AUDIOJOB_LEASE__NAME=space.namespace)

    for sentence in (
        "ok rights of the operator: all",
        "ok rights of the runner: all 1 are given",
        "ok operator: somebody leads.",
        f"ok {space.namespace}: is prepared.",
        f"ok {space.namespace}: claim audiojob-store is bound.",
    ):
        assert sentence in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["nurse"], "nurse is no command; there is one, doctor"), (["doctor", "--api"], "expected one argument")],
    ids=["a command that is none", "an option without its value"],
)
def test_a_wrong_command_line_ends_with_64(apiserver: LocalApiServer, arguments: list[str], words: str) -> None:
    environment = {
        **os.environ,
        "AUDIOJOB_KUBECONFIG": str(apiserver.kubeconfig),
        "AUDIOJOB_IMAGES__RUNNER": "r",
        "AUDIOJOB_IMAGES__RUNNER_TORCH": "t",
        "AUDIOJOB_IMAGES__RUNNER_MUSIC": "m",
    }
    command = [sys.executable, "-m", "audiojob_operator", *arguments]

    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, words in done.stderr) == (64, True), done.stderr
