"""The NetworkPolicies: what pods of job namespaces reach. That a cluster enforces them is not tested here."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest
import yaml
from tests.chart.helm import Helm, Object, find, merged, of_kind

from audiojob_types import constants as c
from audiojob_types.descriptor import Egress
from audiojob_types.resources.urlrules import NEVER_NETWORKS, PRIVATE_NETWORKS
from audiojob_types.tasks import Task

pytestmark = pytest.mark.chart

GOLDEN = Path(__file__).parent / "golden" / "network-policies.yaml"
VALUES: Object = {
    "jobNamespaces": ["music"],
    "networkPolicy": {
        "enabled": True,
        "apiServer": {"cidrs": ["10.0.0.10/32"], "ports": [6443]},
        "storeCIDRs": ["10.9.0.1/32"],
        "clusterCIDRs": ["11.0.0.0/16"],
        "proxyCIDRs": ["10.1.2.3/32:3128"],
    },
    "fetch": {"allowedCIDRs": ["10.20.0.0/16", "10.20.0.7/32:8080", "fd00:1::/32:*"]},
    "models": {"enabled": True, "prefetch": {"enabled": True, "allowedCIDRs": ["10.30.0.0/16"]}},
}


def test_they_are_as_written_down(helm: Helm) -> None:
    text = yaml.safe_dump_all(of_kind(helm.render(VALUES), "NetworkPolicy"), sort_keys=True)
    assert text == GOLDEN.read_text(encoding="utf-8"), f"if the change is meant, write this to {GOLDEN.name}:\n{text}"


def test_there_are_none_unless_they_are_asked_for(helm: Helm) -> None:
    assert of_kind(helm.render({"jobNamespaces": ["music"]}), "NetworkPolicy") == []


def test_where_the_api_server_is_not_known_only_its_ports_are_open(helm: Helm) -> None:
    policy = find(helm.render({"jobNamespaces": ["music"], "networkPolicy": {"enabled": True}}), *STORE)
    assert policy["spec"]["egress"][1] == {
        "ports": [{"port": 443, "protocol": "TCP"}, {"port": 6443, "protocol": "TCP"}]
    }
    assert policy["spec"]["ingress"] == []


STORE = ("NetworkPolicy", "audiojob-store", "music")


def test_the_api_reaches_its_database_once_its_networks_are_named(helm: Helm) -> None:
    database: Object = {"kind": "PostgreSQL", "secret": "db"}
    values = merged(VALUES, {"api": {"database": database}, "files": {"enabled": True, "oneNode": True}})
    name = ("NetworkPolicy", "audiojob-api", "audiojob-system")
    assert "audiojob-api" not in [each["metadata"]["name"] for each in of_kind(helm.render(values), "NetworkPolicy")]
    named = merged(values, {"networkPolicy": {"apiCIDRs": ["10.1.2.3/32:5432", "10.1.2.4/32"]}})
    objects = helm.render(named)
    policy, pod = find(objects, *name), find(objects, "Deployment", "audiojob-api", "audiojob-system")
    selected = policy["spec"]["podSelector"]["matchLabels"].items()
    assert selected <= pod["spec"]["template"]["metadata"]["labels"].items()
    dns, server, files, sql, provider = policy["spec"]["egress"]
    assert [each["port"] for each in dns["ports"]] == [53, 53]
    assert server["to"] == [{"ipBlock": {"cidr": "10.0.0.10/32"}}]
    assert files["to"][0]["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "music"}
    assert (sql["to"], sql["ports"]) == (
        [{"ipBlock": {"cidr": "10.1.2.3/32"}}], [{"port": 5432, "protocol": "TCP"}],
    )  # fmt: skip
    assert [each["port"] for each in provider["ports"]] == [80, 443]
    assert policy["spec"]["policyTypes"] == ["Egress"], "who may come in is the ingress's business"


def test_what_fetches_reaches_no_address_that_is_not_public(helm: Helm) -> None:
    policy = find(helm.render(VALUES), "NetworkPolicy", "audiojob-internet", "music")
    blocks = [each["ipBlock"] for each in policy["spec"]["egress"][0]["to"]]
    closed = [ip_network(network) for block in blocks for network in block["except"]]
    for wanted in map(ip_network, (*PRIVATE_NETWORKS, *NEVER_NETWORKS, "11.0.0.0/16")):
        same = [network for network in closed if network.version == wanted.version]
        assert any(wanted.subnet_of(network) for network in same), wanted  # type: ignore[arg-type]


def test_each_pod_of_a_job_namespace_says_what_it_reaches(helm: Helm) -> None:
    objects = helm.render(merged(VALUES, {"sweep": {"enabled": True}}))
    templates = [
        each["spec"]["template"] for each in of_kind(objects, "Job") if each["metadata"]["namespace"] == "music"
    ]
    templates += [each["spec"]["jobTemplate"]["spec"]["template"] for each in of_kind(objects, "CronJob")]
    found = {each["metadata"]["labels"][c.LABEL_EGRESS] for each in templates}
    assert found == {Egress.STORE, Egress.INTERNET}


def test_only_tasks_that_fetch_or_ask_reach_the_internet() -> None:
    reaching = {task for task in Task if task.descriptor.egress is Egress.INTERNET}
    assert reaching == {Task.DOWNLOAD, Task.FIND_LYRICS, Task.INSPECT}
