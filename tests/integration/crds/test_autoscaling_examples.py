"""The examples of docs/autoscaling.md, as an API server with the other projects' resource types takes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.paths import repository
from audiojob_dev.rest import wait_until

pytestmark = pytest.mark.integration

TYPES = repository() / "tests" / "data" / "autoscaling"
EXAMPLES = sorted((repository() / "examples" / "autoscaling").glob("*.yaml"))


@pytest.fixture(scope="module")
def server(apiserver: LocalApiServer) -> Iterator[LocalApiServer]:
    """With the types of KEDA, Karpenter and Kueue; nothing else in the test set has any of them."""
    apiserver.kubectl("apply", "--server-side", "-f", str(TYPES))
    names = [yaml.safe_load(file.read_text())["metadata"]["name"] for file in TYPES.glob("*.yaml")]

    def served() -> bool:
        types = (
            apiserver.rest.request("GET", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")
            for name in names
        )
        return all(
            any(each["type"] == "Established" and each["status"] == "True" for each in one["status"]["conditions"])
            for one in types
        )

    wait_until("the types", served, seconds=60)
    for namespace in ("audiojob-system", "music"):
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        apiserver.rest.apply(f"/api/v1/namespaces/{namespace}", body)
    yield apiserver
    apiserver.kubectl("delete", "--wait=false", "-f", str(TYPES))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda file: file.name)
def test_an_example_is_valid(server: LocalApiServer, example: Path) -> None:
    told = server.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", str(example))

    assert len(told.splitlines()) == len(list(yaml.safe_load_all(example.read_text(encoding="utf-8"))))


@pytest.mark.parametrize("name", ["keda-headroom.yaml", "keda-workers.yaml"])
def test_row_23_without_prometheus_keda_keeps_the_replicas_that_there_are(name: str) -> None:
    file = repository() / "examples" / "autoscaling" / name
    objects = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
    (spec,) = [each["spec"] for each in objects if each["kind"] == "ScaledObject"]
    assert spec["fallback"]["behavior"] == "currentReplicas"
    assert [each["metadata"]["ignoreNullValues"] for each in spec["triggers"]] == ["false"]
