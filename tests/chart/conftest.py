"""Fixtures of the chart tests."""

from __future__ import annotations

import pytest
from tests.chart.helm import Helm

from audiojob_dev.paths import paths_from_environment
from audiojob_dev.progress import Progress
from audiojob_dev.tools import binaries


@pytest.fixture(scope="session")
def helm() -> Helm:
    """The pinned helm, built where it is missing."""
    with Progress() as progress:
        folder = binaries.ensure(paths_from_environment(), ("helm",), progress)
    return Helm(folder / "helm")
