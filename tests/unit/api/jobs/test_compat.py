"""Jobs in the words of older services, and how it is asked for."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.unit.api.fakes import MemoryBackend

from audiojob_api.jobs.compat import compat
from audiojob_types.resources.job import State

JOBS = "/api/v1/jobs"
OLD = {"format": "v1-compat"}


def shown(**status: Any) -> dict[str, Any]:
    return {
        "name": "song", "createdTime": "2026-01-01T00:00:00Z",
        "spec": {"pipeline": "separate", "priority": 9, "cancel": True}, "status": {"state": "Running", **status},
    }  # fmt: skip


def test_a_job_at_work() -> None:
    phases = [
        {"name": "download", "state": "Succeeded", "startTime": "2026-01-01T00:00:01Z"},
        {"name": "separate", "state": "Running", "startTime": "2026-01-01T00:00:09Z"},
        {"name": "publish", "state": "Waiting"},
    ]
    found = compat(shown(percent=42, message="Separating", startTime="2026-01-01T00:00:01Z", phases=phases))
    assert found == {
        "job_id": "song", "type": "separate", "status": "processing", "progress": 0.42, "message": "Separating",
        "current_stage": "separate", "priority": "high", "queue_position": None, "cancellation_requested": True,
        "created_at": "2026-01-01T00:00:00Z", "started_at": "2026-01-01T00:00:01Z",
        "updated_at": "2026-01-01T00:00:09Z", "completed_at": None, "failed_at": None, "outputs": [], "error": None,
        "result_url": None, "result": None, "estimated_duration": None,
    }  # fmt: skip


def test_how_jobs_end() -> None:
    end = "2026-01-01T00:01:00Z"
    good = compat(shown(state="Succeeded", percent=100, completionTime=end, outputs=[{"name": "vocals"}]))
    assert (good["status"], good["completed_at"], good["failed_at"]) == ("completed", end, None)
    assert (good["progress"], good["outputs"]) == (1.0, ["vocals"])
    assert (good["result_url"], good["result"]) == ("/api/v1/jobs/song/outputs", None)
    film = [{"name": "video", "durationMilliseconds": 53_000}, {"name": "thumbnail"}]
    assert compat(shown(state="Succeeded", outputs=film))["result"] == {
        "video_path": "/api/v1/jobs/song/outputs/video", "thumbnail_path": "/api/v1/jobs/song/outputs/thumbnail",
        "duration": 53.0,
    }  # fmt: skip
    error = {"reason": "NotFound", "phase": "download", "message": "It is gone.", "retryable": False}
    bad = compat(shown(state="Failed", completionTime=end, error=error))
    assert (bad["status"], bad["completed_at"], bad["failed_at"]) == ("failed", None, end)
    assert bad["error"] == {
        "code": "NotFound", "message": "It is gone.", "phase": "download", "retryable": False, "suggestion": None,
    }  # fmt: skip
    assert {compat(shown(state=state))["status"] for state in State} == {
        "pending", "queued", "processing", "suspended", "completed", "failed", "cancelled",
    }  # fmt: skip
    assert compat({**shown(), "status": {}})["status"] == "pending", "the operator has not seen it yet"


def test_every_call_that_shows_jobs_takes_the_format(client: TestClient, backend: MemoryBackend) -> None:
    made = client.post(JOBS, json={"pipeline": "x", "priority": "low"}, params=OLD)
    assert (made.status_code, made.json()["status"], made.json()["priority"]) == (201, "pending", "low")
    name = made.json()["job_id"]
    assert client.get(f"{JOBS}/{name}", params=OLD).json()["job_id"] == name
    assert [each["job_id"] for each in client.get(JOBS, params=OLD).json()["items"]] == [name]
    assert client.delete(f"{JOBS}/{name}", params=OLD).json()["cancellation_requested"] is True
    backend.put(name, state="Cancelled", completionTime="2026-01-01T00:01:00Z")
    assert '"status": "cancelled"' in client.get(f"{JOBS}/{name}/events", params=OLD).text


@pytest.mark.parametrize("query", ["format=v2", "format=", "format=v1-compat&format=v1-compat"])
def test_another_format_is_refused(client: TestClient, query: str) -> None:
    answer = client.get(f"{JOBS}?{query}")
    assert answer.status_code in (400, 422)
    assert "format" in answer.json()["detail"]
