"""The app over a gateway in memory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient
from tests.unit.api.fakes import GOOD_TOKEN, MemoryGateway

from audiojob_api.app import create_app
from audiojob_api.settings import ApiSettings


@pytest.fixture
def gateway() -> MemoryGateway:
    return MemoryGateway()


@pytest.fixture
def anonymous(gateway: MemoryGateway) -> Iterator[TestClient]:
    """A client without a token."""
    app = create_app(ApiSettings(namespace="team"), gateway)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def client(anonymous: TestClient) -> TestClient:
    """A client that may do everything."""
    anonymous.headers["Authorization"] = f"Bearer {GOOD_TOKEN}"
    return anonymous
