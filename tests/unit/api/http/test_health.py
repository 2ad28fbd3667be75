"""Probes and metrics."""

from __future__ import annotations

from starlette.testclient import TestClient
from tests.unit.api.fakes import MemoryGateway


def test_alive_even_when_the_api_server_is_away(anonymous: TestClient, gateway: MemoryGateway) -> None:
    gateway.is_synced, gateway.seconds_old = False, 1e6
    assert anonymous.get("/livez").status_code == 200


def test_ready_only_with_a_complete_and_fresh_read_model(anonymous: TestClient, gateway: MemoryGateway) -> None:
    assert anonymous.get("/readyz").status_code == 200
    gateway.seconds_old = 1e6
    assert anonymous.get("/readyz").status_code == 503
    gateway.seconds_old, gateway.is_synced = 1.0, False
    assert anonymous.get("/readyz").status_code == 503


def test_not_ready_once_shutdown_has_begun(anonymous: TestClient) -> None:
    anonymous.app.state.stopping.set()  # type: ignore[attr-defined]
    answer = anonymous.get("/readyz")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert anonymous.get("/livez").status_code == 200


def test_metrics_name_routes_and_not_jobs(client: TestClient, gateway: MemoryGateway) -> None:
    gateway.put("my-secret-song")
    client.get("/api/v1/jobs/my-secret-song")
    client.get("/nothing/here")
    text = client.get("/metrics").text
    assert 'route="/api/v1/jobs/{name}"' in text
    assert 'route="unmatched"' in text
    assert "my-secret-song" not in text
    assert "here" not in text
    assert "audiojob_api_jobs 1.0" in text
