"""The app over a backend in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.unit.api.fakes import GOOD_TOKEN, MemoryBackend

from audiojob_api.app import create_app
from audiojob_api.settings import ApiSettings


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend()


@pytest.fixture
def anonymous(backend: MemoryBackend) -> Iterator[TestClient]:
    """A client without a token."""
    app = create_app(ApiSettings(namespace="team"), backend.backend(), backend.stopping)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def client(anonymous: TestClient) -> TestClient:
    """A client that may do everything."""
    anonymous.headers["Authorization"] = f"Bearer {GOOD_TOKEN}"
    return anonymous


@pytest.fixture(scope="session")
def document() -> dict[str, Any]:
    """The OpenAPI document as it is served; to make it takes half a second."""
    backend = MemoryBackend()
    with TestClient(create_app(ApiSettings(namespace="team"), backend.backend(), backend.stopping)) as client:
        served: dict[str, Any] = client.get("/openapi.json").json()
        return served
