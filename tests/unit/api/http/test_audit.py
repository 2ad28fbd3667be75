"""Who changed what: a line of JSON for each change that a known caller asked for, and the caller for the API server."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.unit.api.fakes import GOOD_TOKEN, READER_TOKEN, MemoryBackend

from audiojob_kube.agent import agent_of

JOBS = "/api/v1/jobs"
CALLER = "system:serviceaccount:team:caller"


@pytest.fixture(autouse=True)
def _heard(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "audiojob_api.audit")


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [json.loads(record.getMessage()) for record in caplog.records if record.name == "audiojob_api.audit"]


@pytest.mark.parametrize(
    ("request_", "state", "want"),
    [
        (("POST", "/song/cancel", None), "Running", {"verb": "cancel", "job": "song", "status": 202}),
        (("DELETE", "/song", None), "Running", {"verb": "cancel", "job": "song", "status": 202}),
        (("POST", "/song/suspend", None), "Running", {"verb": "suspend", "job": "song", "status": 202}),
        (("PATCH", "/song", {"priority": 3}), "Queued", {"verb": "change", "job": "song", "status": 200}),
        (("POST", "", {"pipeline": "x", "name": "new"}), "Queued", {"verb": "create", "job": "new", "status": 201}),
        (("POST", "", {"pipelin": "x"}), "Queued", {"verb": "create", "job": None, "status": 422}),
        (("POST", "/none/cancel", None), "Queued", {"verb": "cancel", "job": "none", "status": 404}),
    ],
    ids=["cancel", "delete", "suspend", "priority", "create", "a body that is refused", "no such job"],
)
def test_a_change_leaves_a_line(
    client: TestClient,
    backend: MemoryBackend,
    caplog: pytest.LogCaptureFixture,
    request_: tuple[str, str, Any],
    state: str,
    want: dict[str, Any],
) -> None:
    method, path, body = request_
    backend.put("song", state=state)
    client.request(method, JOBS + path, json=body)
    (line,) = lines(caplog)
    assert line == {"user": CALLER, "uid": "", "namespace": "team", "client": "testclient", **want}


def test_a_retry_names_both_jobs(client: TestClient, backend: MemoryBackend, caplog: pytest.LogCaptureFixture) -> None:
    backend.put("song", state="Failed")
    made = client.post(f"{JOBS}/song/retry").json()["name"]
    (line,) = lines(caplog)
    assert (line["verb"], line["job"], line["made"]) == ("retry", "song", made)


def test_a_refused_change_leaves_a_line_and_a_look_leaves_none(
    anonymous: TestClient, backend: MemoryBackend, caplog: pytest.LogCaptureFixture
) -> None:
    backend.put("song", state="Running")
    headers = {"Authorization": f"Bearer {READER_TOKEN}"}
    anonymous.get(f"{JOBS}/song", headers=headers)
    anonymous.get(JOBS, headers=headers)
    anonymous.post(f"{JOBS}/song/cancel")
    assert lines(caplog) == []
    anonymous.post(f"{JOBS}/song/cancel", headers=headers)
    (line,) = lines(caplog)
    assert (line["user"], line["status"]) == ("reader", 403)


@pytest.mark.parametrize(
    ("user", "shown"),
    [
        (CALLER, f"audiojob-api (cancel for {CALLER})"),
        ("ann@example.org", "audiojob-api (cancel for ann@example.org)"),
        ("a) evil\r\nX-Forged: (b", "audiojob-api (cancel for a%29%20evil%0D%0AX-Forged:%20%28b)"),
        ("Jürgen", "audiojob-api (cancel for J%C3%BCrgen)"),
        ("x" * 5_000, f"audiojob-api (cancel for {'x' * 512})"),
    ],
    ids=["an account", "a mail address", "what would end the comment", "letters", "5,000 characters"],
)
def test_the_api_server_is_told_who_asked(
    client: TestClient, backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch, user: str, shown: str
) -> None:
    seen: list[str] = []
    backend.users = dict.fromkeys(backend.users, user)
    backend.put("song", state="Running")
    change = backend.change

    async def watched(*arguments: Any) -> Any:
        seen.append(agent_of("audiojob-api"))
        return await change(*arguments)

    monkeypatch.setattr(backend, "change", watched)
    assert client.post(f"{JOBS}/song/cancel").status_code == 202
    assert seen == [shown]
    assert agent_of("audiojob-api") == "audiojob-api", "and nobody after it"


def test_each_request_leaves_a_line_of_the_access_log_without_what_is_secret(
    client: TestClient, backend: MemoryBackend, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "audiojob_api.access")
    backend.put("song", state="Running")
    client.get(f"{JOBS}/song")
    client.get(f"{JOBS}?token=s3cret")
    client.get(f"/s3cret/{GOOD_TOKEN}", headers={"Authorization": "Bearer s3cret"})
    client.get("/livez")
    found = [json.loads(record.getMessage()) for record in caplog.records if record.name == "audiojob_api.access"]
    assert [(each["method"], each["route"], each["status"], each["user"]) for each in found] == [
        ("GET", "/api/v1/jobs/{name}", 200, CALLER), ("GET", "/api/v1/jobs", 401, None),
        ("GET", "unmatched", 404, None),
    ]  # fmt: skip
    assert found[0]["bytes"] > 100
    assert set(found[0]) == {"method", "route", "status", "seconds", "bytes", "user", "client"}
    assert "s3cret" not in caplog.text
    assert GOOD_TOKEN not in caplog.text
