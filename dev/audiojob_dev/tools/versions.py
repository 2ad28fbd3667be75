"""What the embedded cluster is made of, pinned, and the keys that say when to build it again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

KUBERNETES_VERSION = "1.34.4"
# helm 3.22 asks for the most.
GO_MINIMUM = (1, 26)
DEBIAN_SUITE = "bookworm"


@dataclass(frozen=True, slots=True)
class Binary:
    """A Go program. `module_version` is None where the `go.mod` of its `folder` below `dev/go` pins it."""

    name: str
    package: str
    module_version: str | None = None
    folder: str = "."
    variables: tuple[str, ...] = ()  # strings that the linker sets, as `package.name=value`


_HELM = "v3.22.0"
# What a release of helm reports, and the Kubernetes that `helm template` assumes (1.20 without this: charts refuse it).
_HELM_VARIABLES = (
    f"helm.sh/helm/v3/internal/version.version={_HELM}",
    *(
        f"helm.sh/helm/v3/pkg/{package}.{name}={part}"
        for package in ("chartutil", "lint/rules")
        for name, part in zip(("k8sVersionMajor", "k8sVersionMinor"), KUBERNETES_VERSION.split("."), strict=False)
    ),
)
BINARIES = (
    Binary("etcd", "go.etcd.io/etcd/server/v3"),
    Binary("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
    Binary("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
    Binary("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    Binary("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
    Binary("kubelet", "k8s.io/kubernetes/cmd/kubelet"),
    Binary("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"),
    Binary("coredns", ".", folder="coredns"),
    Binary("helm", "helm.sh/helm/v3/cmd/helm", _HELM, variables=_HELM_VARIABLES),
    Binary("versitygw", "github.com/versity/versitygw/cmd/versitygw", "v1.8.0"),
)
# Apart from BINARIES: only benchmarks and the tests of lost nodes ask for it, and it must not change the key below.
KWOK = Binary("kwok", "sigs.k8s.io/kwok/cmd/kwok", "v0.7.0")
# Neither this one: only a test of the dashboards asks for it.
DASHBOARD_CHECK = Binary("dashboards", ".", folder="dashboards")


def go_module_directory(repository: Path) -> Path:
    return repository / "dev" / "go"


def binaries_key(module: Path, binaries: Iterable[Binary] = BINARIES) -> str:
    """12 hex digits over the module files and the versions above: the same key, the same binaries."""
    digest = hashlib.sha256()
    wanted = tuple(binaries)
    for folder in sorted({binary.folder for binary in wanted}):
        for file in (module / folder / "go.mod", module / folder / "go.sum", *sorted((module / folder).glob("*.go"))):
            digest.update(file.read_bytes())
    for binary in wanted:
        digest.update(f"{binary.name} {binary.package}@{binary.module_version} {binary.variables}\n".encode())
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
    return linker_flags(f"{package}.{key}={value}" for key, value in values.items())


def linker_flags(variables: Iterable[str]) -> str:
    """No debug information, and these variables set."""
    return " ".join(("-s -w", *(f"-X {variable}" for variable in variables)))
