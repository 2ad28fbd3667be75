"""The packaged chart of a release, as helm reads it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.chart.helm import CHART, RELEASE, RELEASE_NAMESPACE, Helm

from audiojob_dev.release import chart

pytestmark = pytest.mark.chart


def test_helm_renders_the_package_with_images_by_digest(helm: Helm, tmp_path: Path) -> None:
    digest = "sha256:" + "b" * 64
    names = ("control", "runner", "runner-torch", "runner-music")
    images = {name: f"registry.example.org/audiojob/{name}@{digest}" for name in names}
    archive = tmp_path / "audiojob.tgz"
    archive.write_bytes(chart.package(CHART, images, 1_700_000_000))

    rendered = helm.run("template", RELEASE, str(archive), "-n", RELEASE_NAMESPACE, values={"jobNamespaces": ["music"]})

    assert all(reference in rendered for reference in images.values())
    assert "name: audiojobs.audiojobs.dev" in helm.run("show", "crds", str(archive))
