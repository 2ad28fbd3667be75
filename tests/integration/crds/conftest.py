"""Fixtures of the CRD tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.integration.crds.resources import Resources

from audiojob_dev.cluster.apiserver import LocalApiServer


@pytest.fixture
def resources(apiserver: LocalApiServer) -> Iterator[Resources]:
    """Strict requests in the namespace `default`; nothing is left there for the operators of other tests."""
    found = Resources(apiserver, "default")
    yield found
    found.delete_jobs()
