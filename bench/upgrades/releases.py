"""Two releases of audiojob on the embedded cluster: this tree, and an earlier commit as it was."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.product import NAMESPACE, cluster_with_images

from audiojob_dev.cluster.embedded import Cluster as EmbeddedCluster
from audiojob_dev.demo import install
from audiojob_dev.demo.install import RELEASE, RELEASE_NAMESPACE
from audiojob_dev.demo.tools import Cluster
from audiojob_dev.images.build import REGISTRY, build_earlier
from audiojob_dev.images.load import load
from audiojob_dev.paths import paths_from_environment, repository
from audiojob_dev.progress import Progress

# In development the two have images of different repositories, which both releases must know to take over pods.
_REPOSITORIES = [f"{REGISTRY}/audiojob/{name}" for name in ("runner", "runner-earlier")]


@dataclass(frozen=True, slots=True)
class Release:
    """A chart, and the images that belong to it."""

    chart: Path
    images: dict[str, str]


def cluster_and_release() -> tuple[Cluster, Release]:
    """The embedded cluster, up, with nothing of audiojob in it; and the release of this tree."""
    cluster, images = cluster_with_images()
    remove(cluster)
    for namespace in (RELEASE_NAMESPACE, NAMESPACE):
        install.ensure_namespace(cluster, namespace)
    return cluster, Release(repository() / "charts" / "audiojob", images)


def remove(cluster: Cluster) -> None:
    """Take a release away, with its jobs and its resource types."""
    if RELEASE in cluster.helm("-n", RELEASE_NAMESPACE, "list", "--all", "--short").split():
        cluster.helm("-n", RELEASE_NAMESPACE, "uninstall", RELEASE, "--no-hooks", "--wait", "--timeout", "2m")
    # Its operator, without rights by then, could not give the Lease back: the next one would wait until it expires.
    cluster.kubectl("-n", RELEASE_NAMESPACE, "delete", "lease", f"{RELEASE}-operator", "--ignore-not-found")
    types = cluster.kubectl("get", "crd", "-o", "name").split()
    if ours := [name for name in types if name.endswith(".audiojobs.dev")]:
        cluster.kubectl("delete", *ours, "--timeout=120s")
    cluster.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=120s")


@contextmanager
def earlier_release(commit: str, torch: str) -> Iterator[Release]:
    """A commit's chart and images, from a work tree of its own. ``torch``: an image that no phase here starts."""
    paths, here = paths_from_environment(), ["git", "-C", str(repository()), "worktree"]
    with tempfile.TemporaryDirectory(prefix="audiojob-earlier-") as folder:
        sources = Path(folder) / "sources"
        subprocess.run([*here, "add", "--detach", str(sources), commit], capture_output=True, check=True)
        try:
            with Progress() as progress:
                built = {name: build_earlier(paths, sources, name, progress) for name in ("control", "runner")}
                load(paths, EmbeddedCluster(paths).containers, built.values(), progress)
            yield Release(sources / "charts" / "audiojob", {**built, "runner-torch": torch})
        finally:
            subprocess.run([*here, "remove", "--force", str(sources)], capture_output=True, check=True)


def bring(cluster: Cluster, release: Release, others: Mapping[str, Any]) -> None:
    """``helm upgrade --install`` as docs/upgrade.md has it; returns when operator and API are ready."""
    values = {
        **install.values([NAMESPACE], release.images, "127.0.0.1/32:*"),
        "images.earlierRepositories": _REPOSITORIES,
        "defaultQueue.maxRunningPerUser": None,  # all jobs are one user's
        **others,
    }
    arguments = ["upgrade", "--install", RELEASE, str(release.chart), "-n", RELEASE_NAMESPACE]
    for key, value in values.items():
        arguments += ["--set-json", f"{key}={json.dumps(value)}"]
    cluster.helm(*arguments, "--reset-then-reuse-values", "--wait", "--timeout", "5m")


def back(cluster: Cluster) -> None:
    """``helm rollback`` to the revision before."""
    cluster.helm("rollback", RELEASE, "-n", RELEASE_NAMESPACE, "--wait", "--timeout", "5m")
