"""The ways in, as an API server takes them: an Ingress, and an HTTPRoute with the published type of the Gateway API."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml
from tests.chart.helm import Helm, Object, find, of_kind

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.paths import repository

pytestmark = [pytest.mark.chart, pytest.mark.integration]

TYPES = repository() / "tests" / "data" / "gateway-api"
SYSTEM = "audiojob-system"
WAYS: dict[str, tuple[str, Object]] = {
    "an Ingress with all its values": (
        "Ingress",
        {
            "ingress": {
                "enabled": True,
                "className": "nginx",
                "host": "audio.example.org",
                "tlsSecret": "audio-tls",
                "annotations": {"nginx.ingress.kubernetes.io/proxy-buffering": "off"},
            }
        },
    ),
    "an Ingress for any host": ("Ingress", {"ingress": {"enabled": True}}),
    "an HTTPRoute with all its values": (
        "HTTPRoute",
        {
            "httpRoute": {
                "enabled": True,
                "parentRefs": [
                    {"name": "public", "namespace": "gateways", "sectionName": "https"},
                    {"name": "inside", "port": 8443},
                ],
                "hostnames": ["audio.example.org", "*.audio.example.org"],
                "annotations": {"example.org/team": "audio"},
            },
            "service": {"port": 8080},
        },
    ),
    "an HTTPRoute for any host": ("HTTPRoute", {"httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}]}}),
}


@pytest.fixture(scope="module")
def server(apiserver: LocalApiServer) -> Iterator[LocalApiServer]:
    """With the release's namespace and the Gateway API's type."""
    apiserver.rest.apply(
        f"/api/v1/namespaces/{SYSTEM}", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}}
    )
    apiserver.apply_crds(TYPES)
    yield apiserver
    apiserver.kubectl("delete", "--wait=false", "-f", str(TYPES / "httproutes.yaml"))


@pytest.mark.parametrize(("kind", "api"), WAYS.values(), ids=WAYS)
def test_the_server_accepts(server: LocalApiServer, helm: Helm, kind: str, api: Object) -> None:
    objects = helm.render({"jobNamespaces": ["music"], "api": api})
    ways = of_kind(objects, "Ingress", "HTTPRoute")
    assert [each["kind"] for each in ways] == [kind]
    told = server.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=yaml.safe_dump_all(ways))
    assert len(told.splitlines()) == 1

    service = find(objects, "Service", "audiojob-api", SYSTEM)
    (backend,) = _backends(ways[0])
    assert backend[0] == "audiojob-api"
    assert backend[1] in {value for port in service["spec"]["ports"] for value in (port["name"], port["port"])}


def _backends(way: Object) -> list[tuple[str, str | int]]:
    """Name and port of the services that it leads to."""
    if way["kind"] == "HTTPRoute":
        return [(each["name"], each["port"]) for rule in way["spec"]["rules"] for each in rule["backendRefs"]]
    services = [path["backend"]["service"] for rule in way["spec"]["rules"] for path in rule["http"]["paths"]]
    return [(each["name"], next(iter(each["port"].values()))) for each in services]
