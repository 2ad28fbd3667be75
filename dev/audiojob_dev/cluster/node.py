"""containerd, kubelet, kube-proxy and CoreDNS: their command lines and configuration files, pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiojob_dev.cluster.controlplane import (
    CLIENT_BURST,
    CLIENT_QPS,
    CLUSTER_DOMAIN,
    DNS_SERVICE_ADDRESS,
    POD_RANGE,
    ControlPlane,
)
from audiojob_dev.tools.processes import Program

NODE_NAME = "audiojob-node"
BRIDGE = "audiojob0"
PAUSE_IMAGE = "docker.io/audiojob/pause:1"
DNS_PORT = 1053
_CNI_PROGRAMS = Path("/usr/lib/cni")
_KUBELET_PORT = 10250


@dataclass(frozen=True, slots=True)
class Node:
    """The one node: where its files lie, and what the machine lets it do."""

    plane: ControlPlane
    containerd_root: Path
    containerd_program: str
    may_lower_oom_score: bool
    cgroup_root: str

    @property
    def folder(self) -> Path:
        return self.plane.folder

    @property
    def containerd_socket(self) -> Path:
        return self.folder / "containerd.sock"

    @property
    def cni_folder(self) -> Path:
        return self.folder / "cni"


def containerd_configuration(node: Node) -> str:
    """TOML for containerd 1.6 and 1.7 (version 2)."""
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    unwanted = ["btrfs", "devmapper", "zfs", "aufs"]
    disabled = json.dumps([f"io.containerd.snapshotter.v1.{name}" for name in unwanted])
    restrict = json.dumps(not node.may_lower_oom_score)
    return f"""version = 2
root = {json.dumps(str(node.containerd_root))}
state = {json.dumps(str(node.folder / "containerd"))}
disabled_plugins = {disabled}

[grpc]
address = {json.dumps(str(node.containerd_socket))}

[plugins."io.containerd.internal.v1.opt"]
path = {json.dumps(str(node.folder / "containerd-opt"))}

[{cri}]
sandbox_image = "{PAUSE_IMAGE}"
restrict_oom_score_adj = {restrict}
# Inside the state folder, `down` finds and unmounts them.
netns_mounts_under_state_dir = true
stream_server_address = "127.0.0.1"

[{cri}.containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"

[{cri}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[{cri}.containerd.runtimes.runc.options]
SystemdCgroup = false

[{cri}.cni]
bin_dir = "{_CNI_PROGRAMS}"
conf_dir = {json.dumps(str(node.cni_folder / "net.d"))}
"""


def network_configuration(node: Node) -> dict[str, Any]:
    """CNI: one bridge on this machine. Masquerading is ours (network.py), so that `down` can take it away."""
    return {
        "cniVersion": "0.4.0",
        "name": "audiojob",
        "plugins": [
            {
                "type": "bridge",
                "bridge": BRIDGE,
                "isGateway": True,
                "ipMasq": False,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": POD_RANGE}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                    "dataDir": str(node.cni_folder / "addresses"),
                },
            }
        ],
    }


def kubelet_configuration(node: Node) -> dict[str, Any]:
    serving = node.plane.pair("kubelet-serving")
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": node.plane.address,
        "port": _KUBELET_PORT,
        "healthzBindAddress": node.plane.address,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(node.plane.authority)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(serving.certificate),
        "tlsPrivateKeyFile": str(serving.key),
        "containerRuntimeEndpoint": f"unix://{node.containerd_socket}",
        "clusterDNS": [DNS_SERVICE_ADDRESS],
        "clusterDomain": CLUSTER_DOMAIN,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": node.cgroup_root,
        "failCgroupV1": False,
        "failSwapOn": False,
        "makeIPTablesUtilChains": False,
        # A full disk of the developer must not evict pods; only their own limits do.
        "evictionHard": {},
        "imageGCHighThresholdPercent": 100,
        "imageMinimumGCAge": "24h",
        "serializeImagePulls": False,
        "maxPods": 250,
        "podLogsDir": str(node.folder / "pod-logs"),
        "kubeAPIQPS": CLIENT_QPS,
        "kubeAPIBurst": CLIENT_BURST,
        "eventRecordQPS": CLIENT_QPS,
        "eventBurst": CLIENT_BURST,
        "volumePluginDir": str(node.folder / "volume-plugins"),
    }


def kube_proxy_configuration(node: Node) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(node.plane.kubeconfig("kube-proxy"))},
        "mode": "iptables",
        "clusterCIDR": POD_RANGE,
        "hostnameOverride": NODE_NAME,
        "bindAddress": node.plane.address,
        "healthzBindAddress": f"{node.plane.address}:10256",
        "metricsBindAddress": f"{node.plane.address}:10249",
        "iptables": {"localhostNodePorts": False},
        # Zero leaves the machine's own limits of connection tracking as they are.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }


def dns_configuration(node: Node, *, forwards: bool) -> str:
    """Corefile; `forwards` where this machine has name servers of its own to ask for the rest."""
    forward = "    forward . /etc/resolv.conf\n" if forwards else ""
    return f""".:{DNS_PORT} {{
    bind {node.plane.address}
    errors
    kubernetes {CLUSTER_DOMAIN} in-addr.arpa ip6.arpa {{
        kubeconfig {node.plane.kubeconfig("coredns")}
        ttl 5
    }}
{forward}    cache 5
}}
"""


def write_files(node: Node, *, forwards_dns: bool) -> None:
    """Write every configuration file of this module. The kubeconfigs are the control plane's."""
    network = node.cni_folder / "net.d"
    for folder in (network, node.folder / "kubelet", node.containerd_root):
        folder.mkdir(parents=True, exist_ok=True)
    (node.folder / "containerd.toml").write_text(containerd_configuration(node))
    (network / "10-audiojob.conflist").write_text(json.dumps(network_configuration(node), indent=1))
    (node.folder / "kubelet.json").write_text(json.dumps(kubelet_configuration(node), indent=1))
    (node.folder / "kube-proxy.json").write_text(json.dumps(kube_proxy_configuration(node), indent=1))
    (node.folder / "Corefile").write_text(dns_configuration(node, forwards=forwards_dns))


def containerd(node: Node) -> Program:
    return Program("containerd", [node.containerd_program, "--config", str(node.folder / "containerd.toml")])


def kubelet(node: Node) -> Program:
    flags = {
        "config": node.folder / "kubelet.json",
        "kubeconfig": node.plane.kubeconfig("kubelet"),
        "hostname-override": NODE_NAME,
        "node-ip": node.plane.address,
        "root-dir": node.folder / "kubelet",
        "cert-dir": node.folder / "kubelet" / "pki",
        "node-labels": "audiojobs.dev/embedded=true",
    }
    return _program(node, "kubelet", flags)


def kube_proxy(node: Node) -> Program:
    return _program(node, "kube-proxy", {"config": node.folder / "kube-proxy.json"})


def coredns(node: Node) -> Program:
    return Program("coredns", [str(node.plane.binaries / "coredns"), "-conf", str(node.folder / "Corefile")])


def _program(node: Node, name: str, flags: Mapping[str, object]) -> Program:
    return Program(name, [str(node.plane.binaries / name), *(f"--{key}={value}" for key, value in flags.items())])
