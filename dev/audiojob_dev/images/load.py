"""Brings built images into the embedded cluster's containerd, and only those layers that it lacks.

The torch image holds several GB that hardly ever change. buildah writes an OCI layout and leaves out blobs that lie
there already, so containerd's own blobs are linked into the layout first; what is then new goes to containerd as one
stream. A change of our code moves a few hundred kB instead of the whole image.
"""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import time
from collections.abc import Iterable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from audiojob_dev.cluster.containers import Containers
from audiojob_dev.images.buildah import Buildah
from audiojob_dev.paths import Paths
from audiojob_dev.progress import Progress
from audiojob_dev.tools.locks import locked

_CONTENT = "io.containerd.content.v1.content/blobs/sha256"
_LOAD_SECONDS = 1800.0
_KEPT_SECONDS = 3600.0


def load(paths: Paths, containers: Containers, references: Iterable[str], progress: Progress) -> None:
    """Load local images that containerd lacks; then remove older ones of the same names.

    Images that a container uses stay, and those that somebody asked for within the last hour: a test run that
    began before the sources changed still starts pods from them.
    """
    wanted = list(references)
    with locked(paths.cache / "load.lock", seconds=_LOAD_SECONDS, holder="another load of images"):
        for reference in wanted:
            if reference not in containers.images():
                with progress.step(f"load {reference}") as step:
                    size = _load(paths, containers, reference)
                    step.detail = f"{size / 1e6:.1f} MB were new"
        recent = _remember(paths.cache / "loaded.json", wanted, time.time())
        containers.remove_images(outdated(containers.images(), wanted, recent | containers.used_images()))


def _remember(file: Path, wanted: Iterable[str], now: float) -> set[str]:
    """Note when `wanted` were asked for; return all that were within the last hour."""
    try:
        known: dict[str, float] = json.loads(file.read_text())
    except (OSError, ValueError):
        known = {}
    known.update(dict.fromkeys(wanted, now))
    recent = {reference: asked for reference, asked in known.items() if now - asked < _KEPT_SECONDS}
    file.write_text(json.dumps(recent))
    return set(recent)


def outdated(images: Iterable[str], wanted: Iterable[str], kept: Iterable[str]) -> list[str]:
    """Images of the same repositories as `wanted` under other tags, but for those in `kept`."""
    current = set(wanted)
    repositories = {reference.rpartition(":")[0] for reference in current}
    staying = current | set(kept)
    return [item for item in images if item not in staying and item.rpartition(":")[0] in repositories]


def _load(paths: Paths, containers: Containers, reference: str) -> int:
    """Returns the bytes that were sent."""
    layout = paths.cache / "layout"
    shutil.rmtree(layout, ignore_errors=True)
    present = containers.blobs()
    try:
        _link_blobs(paths.containerd_root / _CONTENT, layout / "blobs" / "sha256", present)
        Buildah(paths).write_layout(reference, layout)
        index = named_index(json.loads((layout / "index.json").read_text()), reference)
        blobs = needed_blobs(layout, index, present)
        containers.import_stream(lambda stream: _write_archive(stream, layout, index, blobs))
        return sum(blob.stat().st_size for blob in blobs)
    finally:
        shutil.rmtree(layout, ignore_errors=True)


def _link_blobs(store: Path, target: Path, present: set[str]) -> None:
    target.mkdir(parents=True)
    for digest in present:
        name = digest.removeprefix("sha256:")
        # Removed in between, or on another file system: then it is written again.
        with suppress(OSError):
            os.link(store / name, target / name)


def named_index(index: dict[str, Any], reference: str) -> dict[str, Any]:
    """The layout's index with the image's full name, as containerd reads it."""
    annotations = {
        "io.containerd.image.name": reference,
        "org.opencontainers.image.ref.name": reference.rpartition(":")[2],
    }
    manifests = [{**item, "annotations": annotations} for item in index["manifests"]]
    return {**index, "manifests": manifests}


def needed_blobs(layout: Path, index: dict[str, Any], present: set[str]) -> list[Path]:
    """Files of the manifest, the configuration, and those layers whose digests are not `present`."""
    place = layout / "blobs" / "sha256"
    needed: list[Path] = []
    for entry in index["manifests"]:
        manifest_file = place / entry["digest"].removeprefix("sha256:")
        manifest = json.loads(manifest_file.read_text())
        layers = [layer["digest"] for layer in manifest["layers"] if layer["digest"] not in present]
        digests = dict.fromkeys([manifest["config"]["digest"], *layers])
        needed += [manifest_file, *(place / digest.removeprefix("sha256:") for digest in digests)]
    return needed


def _write_archive(stream: IO[bytes], layout: Path, index: dict[str, Any], blobs: list[Path]) -> None:
    with tarfile.open(fileobj=stream, mode="w|") as tar:
        for name, data in (
            ("oci-layout", (layout / "oci-layout").read_bytes()),
            ("index.json", json.dumps(index).encode()),
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, BytesIO(data))
        for blob in blobs:
            tar.add(blob, arcname=f"blobs/sha256/{blob.name}", recursive=False)
