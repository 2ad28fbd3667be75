"""Probes and metrics."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from tests.unit.api.fakes import MemoryBackend

from audiojob_api.app import create_app
from audiojob_api.settings import ApiSettings
from audiojob_api.sql.database import Database, State
from audiojob_api.sql.url import parse


def test_alive_even_when_the_api_server_is_away(anonymous: TestClient, backend: MemoryBackend) -> None:
    backend.is_synced, backend.seconds_old = False, 1e6
    assert anonymous.get("/livez").status_code == 200


def test_ready_only_with_a_complete_and_fresh_read_model(anonymous: TestClient, backend: MemoryBackend) -> None:
    assert anonymous.get("/readyz").status_code == 200
    backend.seconds_old = 1e6
    assert anonymous.get("/readyz").status_code == 503
    backend.seconds_old, backend.is_synced = 1.0, False
    assert anonymous.get("/readyz").status_code == 503


@pytest.mark.parametrize(
    ("state", "seconds", "status"),
    [
        pytest.param(State.OPENING, 1.0, 503, id="not ready while the database is being opened"),
        pytest.param(State.OPENING, 60.0, 200, id="ready where a migration takes a minute"),
        pytest.param(State.READY, 1.0, 200, id="ready once it is open"),
        pytest.param(State.AWAY, 1.0, 200, id="ready where it is away, which is said with each answer"),
        pytest.param(State.READ_ONLY, 1.0, 200, id="ready where a newer release has changed it"),
    ],
)
def test_the_database_and_readiness(
    state: State, seconds: float, status: int, backend: MemoryBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    database = Database(parse(f"sqlite:///{tmp_path}/history.db"), clock=lambda: now[0])
    monkeypatch.setattr(database, "run", asyncio.Event().wait)  # it stays as it is said here
    database.state, now[0] = state, seconds
    app = create_app(ApiSettings(namespace="team"), replace(backend.backend(), database=database), backend.stopping)
    with TestClient(app) as client:
        assert client.get("/readyz").status_code == status


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
