"""etcd, kube-apiserver, kube-controller-manager and kube-scheduler: their command lines and their files.

Pure but for `write_files`: what is started, and in which order, is decided elsewhere (apiserver.py for tests that
need no pods, cluster.py for the embedded cluster).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiojob_dev.cluster.kubeconfig import write_kubeconfig
from audiojob_dev.cluster.pki import Authority, KeyPair
from audiojob_dev.tools.processes import Program

SERVICE_RANGE = "10.96.0.0/16"
API_SERVICE_ADDRESS = "10.96.0.1"
DNS_SERVICE_ADDRESS = "10.96.0.10"
POD_RANGE = "10.244.0.0/16"
ISSUER = "https://kubernetes.default.svc"
CLUSTER_DOMAIN = "cluster.local"
# Clients of one machine: the defaults (20 requests a second) would measure themselves, not the machine.
CLIENT_QPS = 300
CLIENT_BURST = 500
_CONTROLLERS_WITHOUT_NODES = (
    "job-controller",
    "garbage-collector-controller",
    "ttl-after-finished-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "namespace-controller",
    "root-ca-certificate-publisher-controller",
    "resourcequota-controller",
    "endpointslice-controller",
)


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """One control plane: its folder, its address and its ports. etcd listens on the loopback only."""

    folder: Path
    binaries: Path
    address: str
    api_port: int
    etcd_port: int
    controller_manager_port: int
    scheduler_port: int
    has_nodes: bool

    @property
    def url(self) -> str:
        return f"https://{self.address}:{self.api_port}"

    @property
    def certificates(self) -> Path:
        return self.folder / "pki"

    @property
    def authority(self) -> Path:
        return self.certificates / "ca.crt"

    @property
    def admin(self) -> KeyPair:
        return self.pair("admin")

    @property
    def etcd_data(self) -> Path:
        return self.folder / "etcd"

    @property
    def audit_log(self) -> Path:
        return self.folder / "audit.log"

    def pair(self, name: str) -> KeyPair:
        return KeyPair(self.certificates / f"{name}.crt", self.certificates / f"{name}.key")

    def kubeconfig(self, name: str) -> Path:
        return self.folder / "kubeconfigs" / name


def write_files(plane: ControlPlane, authority: Authority, context: str) -> Path:
    """Write certificates, kubeconfigs, audit policy and scheduler configuration; return the admin's kubeconfig."""
    names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", f"kubernetes.default.svc.{CLUSTER_DOMAIN}"]
    hosts = [*names, "localhost", "127.0.0.1", API_SERVICE_ADDRESS, plane.address]
    authority.issue("apiserver", "kube-apiserver", hosts=list(dict.fromkeys(hosts)))
    authority.issue("etcd", "etcd", hosts=["localhost", "127.0.0.1"])
    authority.issue("apiserver-etcd", "kube-apiserver-etcd")
    authority.issue("apiserver-kubelet", "kube-apiserver-kubelet", ["system:masters"])
    authority.service_account_key()
    plane.kubeconfig("").mkdir(parents=True, exist_ok=True)
    for name in ("kube-controller-manager", "kube-scheduler", "kube-proxy"):
        write_client(plane, authority, name, f"system:{name}")
    _write_json(plane.folder / "audit-policy.json", audit_policy())
    _write_json(plane.folder / "scheduler.json", scheduler_configuration(plane))
    admin = authority.issue("admin", "audiojob-admin", ["system:masters"])
    return write_kubeconfig(
        plane.folder / "kubeconfig", url=plane.url, authority=plane.authority, client=admin, name=context
    )


def write_client(plane: ControlPlane, authority: Authority, name: str, user: str, groups: tuple[str, ...] = ()) -> Path:
    """Issue a client certificate and write the kubeconfig of one program; return the latter's path."""
    client = authority.issue(name, user, groups)
    return write_kubeconfig(
        plane.kubeconfig(name), url=plane.url, authority=plane.authority, client=client, name="default"
    )


def _write_json(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1) + "\n")


def audit_policy() -> dict[str, Any]:
    """Metadata of every finished write, so that writers can be counted; neither reads nor the nodes' heartbeats."""
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived", "ResponseStarted"],
        "omitManagedFields": True,
        "rules": [
            {
                "level": "None",
                "userGroups": ["system:nodes"],
                "resources": [{"group": "coordination.k8s.io", "resources": ["leases"]}],
            },
            {"level": "Metadata", "verbs": ["create", "update", "patch", "delete", "deletecollection"]},
            {"level": "None"},
        ],
    }


def scheduler_configuration(plane: ControlPlane) -> dict[str, Any]:
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "leaderElection": {"leaderElect": False},
        "clientConnection": {
            "kubeconfig": str(plane.kubeconfig("kube-scheduler")),
            "qps": CLIENT_QPS,
            "burst": CLIENT_BURST,
        },
    }


def etcd(plane: ControlPlane) -> Program:
    client_url = f"https://127.0.0.1:{plane.etcd_port}"
    # One member has no peers: nothing is ever dialled at the advertised address, and a socket in our own folder
    # keeps others from pretending to be one.
    peer_url = "http://127.0.0.1:1"
    pair = plane.pair("etcd")
    flags = {
        "data-dir": plane.etcd_data,
        "listen-client-urls": client_url,
        "advertise-client-urls": client_url,
        "listen-peer-urls": f"unix://{plane.folder}/etcd-peer.sock",
        "initial-advertise-peer-urls": peer_url,
        "initial-cluster": f"default={peer_url}",
        "client-cert-auth": "true",
        "trusted-ca-file": plane.authority,
        "cert-file": pair.certificate,
        "key-file": pair.key,
        # The data dies with the cluster: there is no power cut to survive.
        "unsafe-no-fsync": "true",
        "quota-backend-bytes": 8 * 1024**3,
        "log-level": "warn",
    }
    return _program(plane, "etcd", flags)


def api_server(plane: ControlPlane) -> Program:
    serving, etcd_client = plane.pair("apiserver"), plane.pair("apiserver-etcd")
    kubelet_client, service_account = plane.pair("apiserver-kubelet"), plane.certificates / "service-account"
    flags = {
        "bind-address": plane.address,
        "advertise-address": plane.address if plane.has_nodes else None,
        "secure-port": plane.api_port,
        "tls-cert-file": serving.certificate,
        "tls-private-key-file": serving.key,
        "client-ca-file": plane.authority,
        "etcd-servers": f"https://127.0.0.1:{plane.etcd_port}",
        "etcd-cafile": plane.authority,
        "etcd-certfile": etcd_client.certificate,
        "etcd-keyfile": etcd_client.key,
        "etcd-compaction-interval": "1m",
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "allow-privileged": "true",
        "anonymous-auth": "false",
        "service-cluster-ip-range": SERVICE_RANGE,
        "service-account-issuer": ISSUER,
        "service-account-key-file": f"{service_account}.pub",
        "service-account-signing-key-file": f"{service_account}.key",
        "kubelet-client-certificate": kubelet_client.certificate,
        "kubelet-client-key": kubelet_client.key,
        "kubelet-certificate-authority": plane.authority,
        # The node's name resolves nowhere: `kubectl logs` must use its address.
        "kubelet-preferred-address-types": "InternalIP",
        "audit-policy-file": plane.folder / "audit-policy.json",
        "audit-log-path": plane.audit_log,
        "audit-log-maxsize": 1024,
        "shutdown-delay-duration": "0s",
    }
    return _program(plane, "kube-apiserver", flags)


def controller_manager(plane: ControlPlane) -> Program:
    kubeconfig = plane.kubeconfig("kube-controller-manager")
    flags = {
        "kubeconfig": kubeconfig,
        "authentication-kubeconfig": kubeconfig,
        "authorization-kubeconfig": kubeconfig,
        "bind-address": plane.address,
        "secure-port": plane.controller_manager_port,
        "cert-dir": plane.folder / "controller-manager",
        "controllers": None if plane.has_nodes else ",".join(_CONTROLLERS_WITHOUT_NODES),
        "use-service-account-credentials": "true",
        "service-account-private-key-file": plane.certificates / "service-account.key",
        "root-ca-file": plane.authority,
        "cluster-cidr": POD_RANGE,
        "leader-elect": "false",
        "kube-api-qps": CLIENT_QPS,
        "kube-api-burst": CLIENT_BURST,
        "concurrent-job-syncs": 20,
        "terminated-pod-gc-threshold": 100_000,
    }
    return _program(plane, "kube-controller-manager", flags)


def scheduler(plane: ControlPlane) -> Program:
    kubeconfig = plane.kubeconfig("kube-scheduler")
    flags = {
        "config": plane.folder / "scheduler.json",
        "authentication-kubeconfig": kubeconfig,
        "authorization-kubeconfig": kubeconfig,
        "bind-address": plane.address,
        "secure-port": plane.scheduler_port,
        "cert-dir": plane.folder / "scheduler",
    }
    return _program(plane, "kube-scheduler", flags)


def _program(plane: ControlPlane, name: str, flags: Mapping[str, object]) -> Program:
    given = [f"--{key}={value}" for key, value in flags.items() if value is not None]
    return Program(name, [str(plane.binaries / name), *given])
