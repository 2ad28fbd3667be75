"""Puts the parts together for a whole run: programs and images side by side, then the cluster, then the loading."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from audiojob_dev.cluster.embedded import PROGRAMS, Cluster, require_root
from audiojob_dev.errors import DevError
from audiojob_dev.images import build as images
from audiojob_dev.images.buildah import Buildah
from audiojob_dev.images.load import load
from audiojob_dev.paths import Paths
from audiojob_dev.progress import Progress
from audiojob_dev.tools import binaries, debian, packages
from audiojob_dev.tools.versions import DASHBOARD_CHECK, KWOK

ALL_IMAGES = tuple(image.name for image in images.IMAGES)
# Integration and chart tests need no pods.
_TEST_PROGRAMS = (
    "etcd",
    "kube-apiserver",
    "kubectl",
    "kube-controller-manager",
    "kube-scheduler",
    "helm",
    "versitygw",
)


def cluster_with_images(
    paths: Paths,
    progress: Progress,
    gpus: int | None = None,
    programs: Iterable[str] = ("helm",),
    names: Iterable[str] = ALL_IMAGES,
) -> dict[str, str]:
    """The embedded cluster up, these images in it, and `programs` beside it; returns the images' references by name.

    Images are built and loaded while the programs compile: the one waits for disks where the other needs processors.
    """
    require_root()
    buildah = Buildah(paths)
    cluster = Cluster(paths)
    with ThreadPoolExecutor(max_workers=1) as pool:
        building = pool.submit(_build_and_load, paths, cluster, tuple(names), buildah, progress)
        try:
            binaries.ensure(paths, {*PROGRAMS, *programs}, progress)
            references = building.result()
        except BaseException:
            buildah.cancel()
            raise
    cluster.up(progress, gpus)
    load(paths, cluster.containers, references.values(), progress)
    return references


def _build_and_load(
    paths: Paths, cluster: Cluster, names: Iterable[str], buildah: Buildah, progress: Progress
) -> dict[str, str]:
    references = images.build(paths, names, progress, buildah)
    cluster.before_start(lambda containers: load(paths, containers, references.values(), progress))
    return references


def images_where_needed(
    paths: Paths, progress: Progress, names: Iterable[str], environment: Mapping[str, str]
) -> dict[str, str]:
    """Build the images and bring them to the cluster that was asked for; returns their references by name.

    REGISTRY set: pushed there. CONTEXT=kind-…: loaded by kind. Neither: loaded into the embedded cluster if it is up.
    """
    wanted = list(names)
    registry, context = environment.get("REGISTRY"), environment.get("CONTEXT")
    if registry:
        return images.push(paths, wanted, registry.rstrip("/"), progress)
    if context:
        return images.load_into_kind(paths, wanted, context, progress)
    references = images.build(paths, wanted, progress)
    cluster = Cluster(paths)
    if cluster.status().up:
        load(paths, cluster.containers, references.values(), progress)
    return references


def for_tests(paths: Paths, progress: Progress, environment: Mapping[str, str], user_id: int) -> None:
    """What `make test` needs: programs always; the embedded cluster and its images for root without a CONTEXT."""
    packages.ensure(packages.TEST_REQUIREMENTS, announce=lambda text: progress.note(f"installing {text}"))
    if environment.get("CONTEXT"):
        binaries.ensure(paths, _TEST_PROGRAMS, progress)
        images_where_needed(paths, progress, ALL_IMAGES, environment)
    elif user_id == 0:
        cluster_with_images(paths, progress, programs=_TEST_PROGRAMS)
    else:
        binaries.ensure(paths, _TEST_PROGRAMS, progress)
        progress.note("Tests with real pods will be skipped: they need root, or CONTEXT=<context>.")
    for binary in (KWOK, DASHBOARD_CHECK):
        binaries.ensure_apart(paths, binary, progress)
    _promtool(paths, progress, environment)


def _promtool(paths: Paths, progress: Progress, environment: Mapping[str, str]) -> None:
    """As for the cluster: whoever cannot have it does without the tests that need it, and CI must run them all."""
    if packages.program("promtool"):
        return
    try:
        debian.prometheus(paths, progress)
    except DevError as error:
        if environment.get("CI"):
            raise
        progress.note(f"Alerts are not tried by Prometheus' own tool: {error}")
