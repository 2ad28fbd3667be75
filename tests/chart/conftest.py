"""Fixtures of the chart tests."""

from __future__ import annotations

import shutil

import pytest
from tests.chart.helm import CHART, Helm

from audiojob_dev.paths import paths_from_environment
from audiojob_dev.progress import Progress
from audiojob_dev.tools import binaries


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """The pinned helm, built where it is missing; and the chart without its types, which are a third of a render."""
    with Progress() as progress:
        folder = binaries.ensure(paths_from_environment(), ("helm",), progress)
    chart = tmp_path_factory.mktemp("chart") / CHART.name
    shutil.copytree(CHART, chart, ignore=shutil.ignore_patterns("crds"))
    return Helm(folder / "helm", chart)


@pytest.fixture(scope="session")
def whole(helm: Helm) -> Helm:
    """The same with the types: what upgrades them is made of them."""
    return Helm(helm.binary)
