"""HEAD at any path that takes GET."""

from __future__ import annotations

from starlette.testclient import TestClient
from tests.unit.api.fakes import MemoryBackend

JOBS = "/api/v1/jobs"


def test_head_is_get_without_a_body(client: TestClient, backend: MemoryBackend) -> None:
    backend.put("song", state="Running")
    for path, status in ((JOBS, 200), (f"{JOBS}/song", 200), (f"{JOBS}/none", 404), (f"{JOBS}/song/cancel", 405)):
        got, head = client.get(path), client.head(path)
        assert (head.status_code, head.content, got.status_code) == (status, b"", status), path
        assert head.headers == got.headers
    assert client.head(f"{JOBS}/song/events").headers["content-type"].startswith("text/event-stream"), "and it ends"
    assert backend.listeners("song") == 0
