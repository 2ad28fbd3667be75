"""The mark of a request proves nothing by itself: anybody who may create AudioJobs can write one."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient
from tests.unit.api.fakes import GOOD_TOKEN, MemoryBackend

from audiojob_api.app import create_app
from audiojob_api.settings import ApiSettings
from audiojob_types.constants import LABEL_USER

JOBS = "/api/v1/jobs"
BODY = {"pipeline": "separate", "source": {"url": "https://example.org/song.flac"}}
KEY = {"Idempotency-Key": "order-66"}


def forged(client: TestClient, backend: MemoryBackend, change: dict[str, Any], label: str | None = None) -> str:
    """A job that carries the right name and mark, and is made of something else; its name."""
    name: str = client.post(JOBS, json=BODY, headers=KEY).json()["name"]
    job = copy.deepcopy(backend.objects[name])
    job["spec"] |= change
    if label is not None:
        job["metadata"]["labels"][LABEL_USER] = label
    backend.store(job)
    return name


@pytest.mark.parametrize(
    "change",
    [
        {"source": {"url": "https://evil.example/song.flac"}},
        {"pipeline": "other"},
        {"destination": {"library": "evils"}},
        {"parameters": {"separate": {"model": "htdemucs_ft"}}},
        {"retryOf": "another"},
        {"queueName": "slow"},
        {"pipeline": 7},
    ],
    ids=["another source", "another pipeline", "a destination", "parameters", "files of a job", "a queue", "no spec"],
)
def test_a_forged_mark_is_a_name_taken(client: TestClient, backend: MemoryBackend, change: dict[str, Any]) -> None:
    name = forged(client, backend, change)
    before = copy.deepcopy(backend.objects[name])
    answer = client.post(JOBS, json=BODY, headers=KEY)
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/name-taken")
    assert "spec" not in answer.json()
    assert backend.objects == {name: before}


def test_a_job_of_another_user_is_a_name_taken(client: TestClient, backend: MemoryBackend) -> None:
    forged(client, backend, {}, label="mallory")
    assert client.post(JOBS, json=BODY, headers=KEY).status_code == 409


@pytest.mark.parametrize(
    "change",
    [{}, {"cancel": True}, {"suspend": True}, {"priority": 9}, {"suspend": False, "reuse": "Allowed"}],
    ids=["nothing", "cancelled since", "suspended since", "its priority changed since", "defaults of the API server"],
)
def test_the_callers_own_job_is_found_whatever_has_become_of_it(
    client: TestClient, backend: MemoryBackend, change: dict[str, Any]
) -> None:
    name = forged(client, backend, change)
    answer = client.post(JOBS, json=BODY, headers=KEY)
    assert (answer.status_code, answer.json().get("name")) == (200, name), answer.text


async def test_requests_with_one_key_come_one_after_the_other(
    backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = backend.create

    async def slow(job: Any) -> Any:
        for _ in range(50):
            await asyncio.sleep(0)
        return await create(job)

    monkeypatch.setattr(backend, "create", slow)
    app = create_app(ApiSettings(namespace="team"), backend.backend(), backend.stopping)
    headers = KEY | {"Authorization": f"Bearer {GOOD_TOKEN}"}
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://api") as client:
        bodies = [BODY, BODY, BODY | {"name": "another"}]
        answers = await asyncio.gather(*(client.post(JOBS, json=each, headers=headers) for each in bodies))
    assert [each.status_code for each in answers] == [201, 200, 422]
    assert answers[0].json()["name"] == answers[1].json()["name"]
    assert answers[2].json()["type"] == "/problems/idempotency-key-reused"
    assert len(backend.objects) == 1
