"""What the embedded cluster is made of, pinned, and the keys that say when to build it again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

KUBERNETES_VERSION = "1.34.4"
# helm 3.22 asks for the most.
GO_MINIMUM = (1, 26)
DEBIAN_SUITE = "bookworm"


@dataclass(frozen=True, slots=True)
class Binary:
    """A Go program. `module_version` is None where `dev/go/go.mod` pins it."""

    name: str
    package: str
    module_version: str | None = None


BINARIES = (
    Binary("etcd", "go.etcd.io/etcd/server/v3"),
    Binary("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
    Binary("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
    Binary("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    Binary("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
    Binary("kubelet", "k8s.io/kubernetes/cmd/kubelet"),
    Binary("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"),
    Binary("helm", "helm.sh/helm/v3/cmd/helm", "v3.22.0"),
    Binary("coredns", "github.com/coredns/coredns", "v1.12.4"),
    Binary("versitygw", "github.com/versity/versitygw/cmd/versitygw", "v1.8.0"),
)
# Apart from BINARIES: only benchmarks and the tests of lost nodes ask for it, and it must not change the key below.
KWOK = Binary("kwok", "sigs.k8s.io/kwok/cmd/kwok", "v0.7.0")
API_SERVER_BINARIES = ("etcd", "kube-apiserver", "kubectl", "kube-controller-manager")


def go_module_directory(repository: Path) -> Path:
    return repository / "dev" / "go"


def binaries_key(module: Path) -> str:
    """12 hex digits over go.mod, go.sum and the versions above: the same key, the same binaries."""
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum"):
        digest.update((module / name).read_bytes())
    for binary in BINARIES:
        digest.update(f"{binary.name} {binary.package}@{binary.module_version}\n".encode())
    return digest.hexdigest()[:12]


def version_flags() -> str:
    """Linker flags that make the Kubernetes programs report their version."""
    major, minor, _ = KUBERNETES_VERSION.split(".")
    package = "k8s.io/component-base/version"
    values = {
        "gitVersion": f"v{KUBERNETES_VERSION}",
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
    }
    return "-s -w " + " ".join(f"-X {package}.{key}={value}" for key, value in values.items())
