"""The images of a release: their digests, and the Debian packages in them."""

from __future__ import annotations

import tempfile
from pathlib import Path

from audiojob_dev.images import build as images
from audiojob_dev.images.buildah import Buildah
from audiojob_dev.paths import Paths
from audiojob_dev.progress import Progress

_PUSH_SECONDS = 3600.0


def digests(paths: Paths, local: dict[str, str], registry: str, progress: Progress) -> dict[str, str]:
    """References with digests, by image. Pushed to ``registry``; without one, what a push would give."""
    buildah = Buildah(paths)
    named = images.references(registry) if registry else local
    found = {}
    with tempfile.TemporaryDirectory(prefix="audiojob-release-", dir=paths.cache) as folder:
        for name, image in local.items():
            with progress.step(f"{'push' if registry else 'digest of'} {name}"):
                place = Path(folder) / name
                target = f"docker://{named[name]}" if registry else f"oci:{place}"
                report = Path(folder) / f"{name}.digest"
                options = ["--quiet", "--format", "oci", "--digestfile", str(report), *images.push_options(registry)]
                buildah.run("push", *options, image, target, timeout=_PUSH_SECONDS)
                found[name] = f"{named[name].rpartition(':')[0]}@{report.read_text().strip()}"
    return found


def dpkg_status(paths: Paths, image: str) -> str:
    """What Debian's package manager says is installed in an image."""
    buildah = Buildah(paths)
    container = buildah.run("from", "--pull-never", image).strip()
    try:
        root = Path(buildah.run("mount", container).strip())
        try:
            return (root / "var/lib/dpkg/status").read_text(encoding="utf-8")
        finally:
            buildah.run("umount", container)
    finally:
        buildah.run("rm", container)
