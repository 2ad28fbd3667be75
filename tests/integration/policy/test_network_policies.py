"""Where helm can ask the cluster, the NetworkPolicies name the API server's own address and port."""

from __future__ import annotations

import json

import pytest
import yaml
from tests.chart.helm import CHART, Helm

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.paths import paths_from_environment
from audiojob_dev.progress import Progress
from audiojob_dev.tools import binaries

pytestmark = pytest.mark.integration


def test_runners_reach_exactly_the_api_servers_address_and_port(apiserver: LocalApiServer) -> None:
    with Progress() as progress:
        folder = binaries.ensure(paths_from_environment(), ("helm",), progress)
    slices = json.loads(apiserver.kubectl("get", "endpointslice", "kubernetes", "-n", "default", "-o", "json"))
    flags = ["--dry-run=server", "--kubeconfig", str(apiserver.kubeconfig)]
    flags += ["--show-only", "templates/network-policies.yaml"]
    values = {"jobNamespaces": ["music"], "networkPolicy": {"enabled": True}}
    text = Helm(folder / "helm").run("template", "audiojob", str(CHART), "-n", "default", *flags, values=values)
    policy = next(each for each in yaml.safe_load_all(text) if each and each["metadata"]["name"] == "audiojob-store")
    addresses = [f"{address}/32" for each in slices["endpoints"] for address in each["addresses"]]
    assert policy["spec"]["egress"][1] == {
        "to": [{"ipBlock": {"cidr": address}} for address in addresses],
        "ports": [{"port": port["port"], "protocol": "TCP"} for port in slices["ports"]],
    }
