"""Many jobs in one call: what came of each, in order; one that fails stops no other, and no limit is got around."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import Any

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient
from tests.unit.api.access.oidc.test_tenants import ANN, House, house
from tests.unit.api.fakes import GOOD_TOKEN, MemoryBackend

from audiojob_api.access.config import AccessConfig, Burst, Limits
from audiojob_api.app import create_app
from audiojob_api.http.deps import services_of
from audiojob_api.jobs.queue_position import QueueSnapshot
from audiojob_api.settings import ApiSettings
from audiojob_kube.errors import Forbidden
from audiojob_types.constants import LABEL_USER

__all__ = ["house"]  # a fixture
BULK = "/api/v1/bulk"
URL = {"pipeline": "download", "source": {"url": "https://example.org/song.flac"}}
KEY = {"Idempotency-Key": "monday"}


def told(answer: Any) -> list[tuple[str | None, int]]:
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["done"], body["refused"]) == (
        sum("job" in each for each in body["items"]),
        sum("problem" in each for each in body["items"]),
    )
    assert all(each["problem"]["status"] == each["status"] for each in body["items"] if "problem" in each)
    return [(each["name"], each["status"]) for each in body["items"]]


def audited(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [json.loads(record.getMessage()) for record in caplog.records if record.name == "audiojob_api.audit"]


def test_of_many_jobs_each_is_made_or_says_why_not(client: TestClient, backend: MemoryBackend) -> None:
    backend.put("taken")
    jobs = [{**URL, "name": "one"}, {**URL, "name": "taken"}, {**URL, "name": "two", "priority": "high"}]
    answer = client.post(f"{BULK}/create", json={"jobs": jobs})
    assert told(answer) == [("one", 201), ("taken", 409), ("two", 201)]
    assert answer.json()["items"][1]["problem"]["type"] == "/problems/name-taken"
    assert answer.json()["items"][2]["job"]["spec"]["priority"] == 10
    assert set(backend.objects) == {"one", "taken", "two"}
    upload = {**URL, "name": "three", "source": {"upload": "up-" + "0" * 32}}
    assert told(client.post(f"{BULK}/create", json={"jobs": [upload, URL]}))[0] == ("three", 501)


def test_a_call_that_broke_off_is_sent_again_and_makes_what_lacks(client: TestClient, backend: MemoryBackend) -> None:
    first = told(client.post(f"{BULK}/create", json={"jobs": [URL, URL]}, headers=KEY))
    again = told(client.post(f"{BULK}/create", json={"jobs": [URL, URL, URL]}, headers=KEY))
    assert [status for _, status in first] == [201, 201]
    assert [status for _, status in again] == [200, 200, 201]
    assert again[:2] == [(name, 200) for name, _ in first]
    other = {**URL, "priority": 1}
    assert [status for _, status in told(client.post(f"{BULK}/create", json={"jobs": [other, URL]}, headers=KEY))] == [
        422, 200,
    ]  # fmt: skip
    assert len(backend.objects) == 3


BAD = [
    ("create", {"jobs": [URL, {"pipelin": "x"}]}, "/jobs/1/pipelin"),
    ("create", {"jobs": [URL, {**URL, "parameters": {"mix": {}}}]}, "/jobs/1/parameters/mix"),
    (
        "create", {"jobs": [{**URL, "source": {"url": "https://a", "upload": "up-" + "0" * 32}}]}, "/jobs/0/source",
    ),
    ("create", {"jobs": [{**URL, "name": "b"}, URL, {**URL, "name": "b"}]}, "/jobs/2/name"),
    ("create", {"jobs": []}, "/jobs"),
    ("create", {"jobs": [{"pipeline": "x"}] * 201}, "/jobs"),
    ("cancel", {"names": ["a", "a"]}, "/names"),
    ("cancel", {"names": ["../x"]}, "/names/0"),
    ("cancel", {"names": [f"j{number}" for number in range(201)]}, "/names"),
    ("cancel", {}, ""),
    ("cancel", {"names": ["a"], "matching": {}}, ""),
    ("cancel", {"names": ["a"], "cursor": "x"}, ""),
    ("cancel", {"matching": {"pipelin": "x"}}, "/matching/pipelin"),
    ("cancel", {"matching": {"state": "Failed"}}, "/matching/state"),
    ("cancel", {"matching": {"batch": None}}, "/matching/batch"),
    ("cancel", {"matching": {"state": None, "pipeline": "x"}}, "/matching/state"),
    ("retry", {"names": []}, "/names"),
    ("retry", {"matching": {}}, "/matching"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "body", "pointer"), BAD, ids=[f"{call} {json.dumps(b)[:50]}" for call, b, _ in BAD])
def test_a_body_that_does_not_fit_is_refused_as_a_whole(
    client: TestClient, backend: MemoryBackend, call: str, body: Any, pointer: str
) -> None:
    backend.put("a", state="Failed")
    answer = client.post(f"{BULK}/{call}", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert set(backend.objects) == {"a"}
    assert "cancel" not in backend.objects["a"]["spec"]


def test_named_jobs_are_cancelled_and_tried_again(client: TestClient, backend: MemoryBackend) -> None:
    for name, state in {"at-work": "Running", "done": "Succeeded", "broken": "Failed"}.items():
        backend.put(name, state=state)
    names = {"names": ["at-work", "done", "none", "broken"]}
    assert told(client.post(f"{BULK}/cancel", json=names)) == [
        ("at-work", 202), ("done", 409), ("none", 404), ("broken", 409),
    ]  # fmt: skip
    assert backend.objects["at-work"]["spec"]["cancel"] is True
    again = client.post(f"{BULK}/retry", json=names, headers=KEY)
    assert [status for _, status in told(again)] == [409, 409, 404, 201]
    made = again.json()["items"][3]["job"]
    assert made["spec"]["retryOf"] == "broken"
    repeated = told(client.post(f"{BULK}/retry", json={"names": ["broken"]}, headers=KEY))
    assert repeated == [(made["name"], 200)], "whatever else the list had"


def test_all_that_match_are_cancelled_a_page_at_a_time(
    client: TestClient, backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audiojob_api.http.routes.bulk.asked.MOST", 2)
    for number in range(5):
        backend.put(f"song-{number}", state="Queued")
    backend.put("done", state="Succeeded")
    found: list[tuple[str | None, int]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = client.post(f"{BULK}/cancel", json={"matching": {"pipeline": "separate"}, **cursor})
        found += told(answer)
        if "cursor" not in answer.json():
            break
        cursor = {"cursor": answer.json()["cursor"]}
    assert sorted(found) == [(f"song-{number}", 202) for number in range(5)]
    other = client.post(f"{BULK}/cancel", json={"matching": {"pipeline": "other"}, **cursor})
    assert (other.status_code, other.json()["type"]) == (400, "/problems/invalid-cursor")
    nothing = client.post(f"{BULK}/cancel", json={"matching": {"state": "Running"}})
    assert nothing.json() == {"items": [], "done": 0, "refused": 0}


def test_who_may_change_own_jobs_alone_ends_no_other(house: House) -> None:
    for name, labels in {"mine": ANN, "bobs": {LABEL_USER: "bob"}}.items():
        house.team.put(name, state="Running")["metadata"]["labels"] = labels

    def send(call: str, body: Any, **claims: Any) -> Any:
        headers = {"Authorization": f"Bearer {house.issuer.token(**claims)}"}
        return house.client.post(f"{BULK}/{call}", json=body, headers=headers)

    assert told(send("cancel", {"names": ["mine", "bobs"]})) == [("mine", 202), ("bobs", 403)]
    assert told(send("cancel", {"matching": {}})) == [("mine", 202)]
    assert told(send("cancel", {"matching": {"user": "bob"}})) == [("bobs", 403)]
    for call, body in (("create", {"jobs": [URL]}), ("retry", {"names": ["mine"]}), ("cancel", {"names": ["mine"]})):
        assert send(call, body, groups=["fans"]).status_code == 403
    assert send("cancel?namespace=film", {"matching": {}}).status_code == 404
    assert set(house.team.objects) == {"mine", "bobs"}
    assert told(send("cancel", {"matching": {}}, groups=["crew"]))[::-1] == [("mine", 202), ("bobs", 202)]


def test_a_job_made_of_one_that_the_caller_may_not_get_is_not_made(client: TestClient, backend: MemoryBackend) -> None:
    backend.hidden = {"secret"}
    backend.put("secret", state="Failed")
    jobs = [{**URL, "name": "a", "retryOf": "secret"}, {**URL, "name": "b"}]
    assert told(client.post(f"{BULK}/create", json={"jobs": jobs})) == [("a", 403), ("b", 201)]


def test_each_job_counts_against_the_limit_of_requests_and_has_a_line_of_its_own(
    backend: MemoryBackend, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="audiojob_api.audit")
    access = AccessConfig(limits=Limits(burst=Burst(requests=3, seconds=600)))
    app = create_app(ApiSettings(namespace="team"), replace(backend.backend(), access=access), backend.stopping)
    with TestClient(app, headers={"Authorization": f"Bearer {GOOD_TOKEN}"}) as client:
        jobs = [{**URL, "name": f"j{number}"} for number in range(5)]
        answer = client.post(f"{BULK}/create", json={"jobs": jobs})
        assert [status for _, status in told(answer)] == [201, 201, 201, 429, 429]
        waits = [each.get("retryAfterSeconds") for each in answer.json()["items"]]
        assert waits[:3] == [None] * 3
        assert all(0 < wait <= 600 for wait in waits[3:])
        assert answer.headers["ratelimit"].startswith('"burst";r=0;t=')
        assert answer.headers["ratelimit"].count("burst") == 1
        assert client.post(f"{BULK}/create", json={"jobs": jobs}).status_code == 429
    lines = audited(caplog)[:5]
    assert sorted((line["verb"], line["job"], line["status"]) for line in lines) == [
        ("create", f"j{number}", 201 if number < 3 else 429) for number in range(5)
    ]


@pytest.mark.parametrize(
    ("failure", "status"), [(Forbidden(403, "Forbidden", "exceeded quota: jobs"), 403), (RuntimeError("secret"), 500)]
)
def test_what_fails_for_one_is_told_of_it(
    client: TestClient, backend: MemoryBackend, failure: Exception, status: int
) -> None:
    backend.failure = failure
    answer = client.post(f"{BULK}/create?format=v1-compat", json={"jobs": [URL, URL]})
    assert told(answer) == [(None, status)] * 2
    assert "secret" not in answer.text
    backend.failure = None
    shown = client.post(f"{BULK}/create?format=v1-compat", json={"jobs": [URL]}).json()["items"][0]
    assert shown["job"]["status"] == "pending"
    assert shown["name"] == shown["job"]["job_id"]


def test_a_line_is_written_as_each_job_is_made_and_names_it_as_a_call_for_it_alone_does(
    client: TestClient, backend: MemoryBackend, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, logger="audiojob_api.audit")
    monkeypatch.setattr("audiojob_api.http.routes.bulk.outcomes._AT_ONCE", 1)
    before: list[int] = []
    create = backend.create

    async def watched(job: Any) -> Any:
        before.append(len(audited(caplog)))
        return await create(job)

    monkeypatch.setattr(backend, "create", watched)
    made = [name for name, _ in told(client.post(f"{BULK}/create", json={"jobs": [URL, {**URL, "name": "two"}]}))]
    assert before == [0, 1], "a process that is killed has told of all that it had done"
    assert [(line["job"], line.get("made")) for line in audited(caplog)] == [(made[0], None), ("two", None)]
    caplog.clear()
    backend.put("broken", state="Failed")
    again = told(client.post(f"{BULK}/retry", json={"names": ["broken", "none"]}))
    assert [(line["job"], line.get("made"), line["status"]) for line in audited(caplog)] == [
        ("broken", again[0][0], 201), ("none", None, 404),
    ]  # fmt: skip
    caplog.clear()
    assert client.post(f"{BULK}/cancel", json={"matching": {"batch": "none"}}).status_code == 200
    assert [(line["job"], line["status"]) for line in audited(caplog)] == [(None, 200)], "one of a call for no job"


def test_what_matched_a_state_and_moved_on_is_left_as_it_is(
    client: TestClient, backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("waits", "starts", "ends", "goes", "comes-again"):
        backend.put(name, state="Queued")
    page = backend.page

    async def late(query: Any) -> Any:
        found = await page(query)
        backend.put("starts", state="Running")
        backend.put("ends", state="Failed")
        backend.remove("goes")
        backend.remove("comes-again")
        backend.put("comes-again", state="Queued")
        return found

    monkeypatch.setattr(backend, "page", late)
    answer = client.post(f"{BULK}/cancel", json={"matching": {"state": "Queued"}})
    assert sorted(told(answer)) == [
        ("comes-again", 409), ("ends", 409), ("goes", 404), ("starts", 409), ("waits", 202),
    ]  # fmt: skip
    details = {each["name"]: each["problem"]["detail"] for each in answer.json()["items"] if "problem" in each}
    assert details["starts"] == "The job is Running by now, no more Queued; it was left as it is."
    assert details["ends"] == "The job has ended as Failed; there is nothing to cancel."
    assert details["comes-again"] == "The job was deleted meanwhile, and another one has its name."
    assert [name for name, job in backend.objects.items() if job["spec"].get("cancel")] == ["waits"]
    monkeypatch.setattr(backend, "page", page)
    backend.put("stops", state="Running")
    assert ("stops", 202) in told(client.post(f"{BULK}/cancel", json={"matching": {}})), "any state was asked for"


CALLS = [
    ("POST", "/api/v1/bulk/cancel", {"names": ["song"]}),
    ("POST", "/api/v1/bulk/create", {"jobs": [URL]}),
    ("POST", "/api/v1/jobs", URL),
    ("POST", "/api/v1/jobs/song/suspend", None),
    ("PATCH", "/api/v1/jobs/song", {"priority": 2}),
]


@pytest.mark.parametrize(("method", "path", "body"), CALLS, ids=[f"{method} {path}" for method, path, _ in CALLS])
def test_who_shows_a_job_that_waits_makes_no_snapshot_of_all_jobs_in_one_go(
    client: TestClient, backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch, method: str, path: str, body: Any
) -> None:
    backend.put("song", state="Queued")
    client.request(method, path, json=body, headers=KEY)
    for name in backend.objects:
        backend.put(name, state="Queued")
    positions = services_of(Request({"type": "http", "app": client.app})).spaces["team"].positions
    monkeypatch.setattr(positions, "_good_until", 0.0)
    monkeypatch.setattr(QueueSnapshot, "position", lambda *_: None)
    made, making = [], QueueSnapshot.making

    def watched(*given: Any) -> Any:
        made.append(1)
        return making(*given)

    monkeypatch.setattr(QueueSnapshot, "making", watched)
    answer = client.request(method, path, json=body, headers=KEY)
    assert answer.status_code < 300, answer.text
    assert made == [1], "in steps"
    monkeypatch.setattr(positions, "_good_until", 0.0)
    for name in backend.objects:
        backend.put(name, state="Pending")
    assert client.request(method, path, json=body, headers=KEY).status_code < 300
    assert made == [1], "and none of jobs that are in no queue"
