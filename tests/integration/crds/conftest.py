"""Fixtures of the CRD tests."""

from __future__ import annotations

import pytest
from tests.integration.crds.resources import Resources

from audiojob_dev.apiserver import LocalApiServer


@pytest.fixture
def resources(apiserver: LocalApiServer) -> Resources:
    """Strict requests in the namespace `default`; names are unique, so tests do not meet."""
    return Resources(apiserver, "default")
