"""The cluster that the e2e tests run on: the embedded one, or the context that the user named."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from audiojob_dev import prepare
from audiojob_dev.cluster.addons import offer_gpus
from audiojob_dev.cluster.embedded import CONTEXT as EMBEDDED_CONTEXT
from audiojob_dev.cluster.embedded import Cluster
from audiojob_dev.errors import DevError
from audiojob_dev.images import build as images
from audiojob_dev.kubectl import Kubectl
from audiojob_dev.paths import Paths
from audiojob_dev.progress import Progress
from audiojob_dev.tools import binaries

NO_CLUSTER = "real pods need root (for the embedded cluster) or CONTEXT=<context>"


@dataclass(frozen=True)
class TestCluster:
    """A cluster with real nodes. `kubeconfig` is None where kubectl's own choice of files holds the context."""

    __test__ = False

    paths: Paths
    kubectl: Kubectl
    helm: Path
    embedded: bool

    @property
    def context(self) -> str:
        return self.kubectl.context

    @property
    def kubeconfig(self) -> Path | None:
        return self.kubectl.kubeconfig

    @property
    def audit_log(self) -> Path:
        """JSON lines of all writes; the embedded cluster's only."""
        return self.paths.audit_log

    @cached_property
    def images(self) -> dict[str, str]:
        """References of the images as the sources are now, built and brought to the cluster on first use."""
        names = [image.name for image in images.IMAGES]
        with Progress() as progress:
            return prepare.images_where_needed(self.paths, progress, names, os.environ)

    def create_namespace(self, name: str, labels: Mapping[str, str] | None = None) -> None:
        """A namespace that admits restricted pods only, unless `labels` say otherwise."""
        restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
        metadata = {"name": name, "labels": {**restricted, **(labels or {})}}
        self.kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

    def delete_namespace(self, name: str) -> None:
        """Ask for its deletion and return at once."""
        self.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")

    def offer_gpus(self, count: int) -> None:
        """Set the number of fake GPUs; the embedded cluster's node only."""
        offer_gpus(Cluster(self.paths).rest, count)

    def wait_for(
        self,
        what: str,
        check: Callable[[dict[str, Any]], bool],
        *,
        kind: str,
        name: str,
        namespace: str,
        seconds: float,
    ) -> dict[str, Any]:
        """Poll one object until `check` holds and return it; fails with its last status after `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            found = self.kubectl.get(kind, name, namespace)
            if check(found):
                return found
            if time.monotonic() >= deadline:
                status = json.dumps(found.get("status", {}), indent=1)[:3000]
                raise AssertionError(
                    f"{what}: not so after {seconds:.0f} s. {kind} {namespace}/{name} has status {status}"
                )
            time.sleep(0.3)


def find_cluster(paths: Paths, environment: Mapping[str, str], user_id: int) -> TestCluster | None:
    """The cluster to test on, started if it is the embedded one; None where neither root nor CONTEXT allows one.

    Raises DevError where CONTEXT names no known context.
    """
    context = environment.get("CONTEXT")
    if not context and user_id != 0:
        return None
    with Progress() as progress:
        programs = binaries.ensure(paths, ("kubectl", "helm"), progress)
        if not context:
            Cluster(paths).up(progress)
    kubectl = Kubectl(programs / "kubectl", context or EMBEDDED_CONTEXT, None if context else paths.kubeconfig)
    if context and context not in kubectl("config", "get-contexts", "--output=name").split():
        raise DevError(f"CONTEXT={context}: no such context; see `kubectl config get-contexts`.")
    return TestCluster(paths=paths, kubectl=kubectl, helm=programs / "helm", embedded=not context)
