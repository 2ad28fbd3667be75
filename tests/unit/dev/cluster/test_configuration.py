"""Configuration files and command lines of the embedded cluster."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from audiojob_dev.cluster import controlplane, node
from audiojob_dev.cluster.controlplane import ControlPlane
from audiojob_dev.cluster.node import Node
from audiojob_dev.tools.processes import Program


def _plane(*, has_nodes: bool = True) -> ControlPlane:
    return ControlPlane(
        folder=Path("/state"),
        binaries=Path("/bin-cache"),
        address="10.254.0.1",
        api_port=6443,
        etcd_port=2379,
        controller_manager_port=10257,
        scheduler_port=10259,
        has_nodes=has_nodes,
    )


def _node(*, may_lower_oom_score: bool = True) -> Node:
    return Node(
        plane=_plane(),
        containerd_root=Path("/cache/containerd"),
        containerd_program="/usr/bin/containerd",
        may_lower_oom_score=may_lower_oom_score,
        cgroup_root="/audiojob",
    )


def _flags(program: Program) -> dict[str, str]:
    return dict(item.removeprefix("--").split("=", 1) for item in program.arguments[1:])


def test_etcd_is_reachable_with_a_certificate_on_the_loopback_only() -> None:
    flags = _flags(controlplane.etcd(_plane()))
    assert flags["listen-client-urls"] == "https://127.0.0.1:2379"
    assert flags["client-cert-auth"] == "true"
    assert flags["listen-peer-urls"].startswith("unix://")


def test_the_api_server_refuses_anonymous_callers_and_authorizes_by_role() -> None:
    flags = _flags(controlplane.api_server(_plane()))
    assert flags["anonymous-auth"] == "false"
    assert flags["authorization-mode"] == "Node,RBAC"
    assert flags["bind-address"] == "10.254.0.1"


def test_an_api_server_without_nodes_advertises_no_address_and_runs_no_node_controllers() -> None:
    plane = _plane(has_nodes=False)
    assert "advertise-address" not in _flags(controlplane.api_server(plane))
    assert "node" not in _flags(controlplane.controller_manager(plane))["controllers"]
    assert "controllers" not in _flags(controlplane.controller_manager(_plane()))


def test_the_audit_log_keeps_writes_and_drops_reads_and_node_heartbeats() -> None:
    rules = controlplane.audit_policy()["rules"]
    assert rules[0]["level"] == "None"
    assert rules[0]["resources"] == [{"group": "coordination.k8s.io", "resources": ["leases"]}]
    assert rules[1]["verbs"] == ["create", "update", "patch", "delete", "deletecollection"]
    assert rules[-1] == {"level": "None"}


@pytest.mark.parametrize(
    ("may_lower", "restrict"),
    [
        pytest.param(True, False, id="where the kernel lets us protect pods, containerd does"),
        pytest.param(False, True, id="where it does not, containerd must not try, or no pod starts"),
    ],
)
def test_containerd_is_told_whether_it_may_lower_oom_scores(may_lower: bool, restrict: bool) -> None:
    text = node.containerd_configuration(_node(may_lower_oom_score=may_lower))
    cri = tomllib.loads(text)["plugins"]["io.containerd.grpc.v1.cri"]
    assert cri["restrict_oom_score_adj"] is restrict
    assert cri["sandbox_image"] == node.PAUSE_IMAGE
    assert cri["netns_mounts_under_state_dir"] is True


def test_the_kubelet_never_evicts_for_a_full_disk_of_the_machine_but_demands_credentials() -> None:
    configuration = node.kubelet_configuration(_node())
    assert configuration["evictionHard"] == {}
    assert configuration["authentication"]["anonymous"] == {"enabled": False}
    assert configuration["authorization"] == {"mode": "Webhook"}
    assert configuration["clusterDNS"] == [controlplane.DNS_SERVICE_ADDRESS]


def test_every_configuration_file_is_plain_data() -> None:
    for document in (
        node.kubelet_configuration(_node()),
        node.kube_proxy_configuration(_node()),
        node.network_configuration(_node()),
        controlplane.scheduler_configuration(_plane()),
    ):
        assert json.loads(json.dumps(document)) == document


@pytest.mark.parametrize(
    ("forwards", "expected"),
    [
        pytest.param(True, True, id="other names go to the machine's own servers"),
        pytest.param(False, False, id="a machine without name servers answers for the cluster alone"),
    ],
)
def test_cluster_dns_forwards_only_where_there_is_somebody_to_ask(forwards: bool, expected: bool) -> None:
    assert ("forward . /etc/resolv.conf" in node.dns_configuration(_node(), forwards=forwards)) is expected
