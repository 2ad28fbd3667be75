"""Probes and metrics."""

from __future__ import annotations

from starlette.testclient import TestClient
from tests.unit.api.fakes import MemoryBackend


def test_alive_even_when_the_api_server_is_away(anonymous: TestClient, backend: MemoryBackend) -> None:
    backend.is_synced, backend.seconds_old = False, 1e6
    assert anonymous.get("/livez").status_code == 200


def test_ready_only_with_a_complete_and_fresh_read_model(anonymous: TestClient, backend: MemoryBackend) -> None:
    assert anonymous.get("/readyz").status_code == 200
    backend.seconds_old = 1e6
    assert anonymous.get("/readyz").status_code == 503
    backend.seconds_old, backend.is_synced = 1.0, False
    assert anonymous.get("/readyz").status_code == 503


def test_not_ready_once_shutdown_has_begun(anonymous: TestClient, backend: MemoryBackend) -> None:
    backend.stopping.set()
    answer = anonymous.get("/readyz")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert anonymous.get("/livez").status_code == 200


def test_metrics_name_routes_and_not_jobs(client: TestClient, backend: MemoryBackend) -> None:
    backend.put("my-secret-song")
    client.get("/api/v1/jobs/my-secret-song")
    client.get("/nothing/here")
    text = client.get("/metrics").text
    assert 'route="/api/v1/jobs/{name}"' in text
    assert 'route="unmatched"' in text
    assert "my-secret-song" not in text
    assert "here" not in text
    assert "audiojob_api_jobs 1.0" in text
