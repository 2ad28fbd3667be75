"""The table of calls and rights: every route asks for its row, before it looks at any job, and the page shows it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.unit.api.fakes import READER_TOKEN, MemoryBackend

from audiojob_api.access.rights import CHANGES, VERBS, Call, Right, rights_of, rights_to_create

JOBS = "/api/v1/jobs"
PAGE = (Path(__file__).parents[4] / "docs/api.md").read_text(encoding="utf-8")
REVIEW = {"phase": "publish", "approved": True}
# Call, method, path, body.
ROUTES: list[tuple[Call, str, str, Any]] = [
    (Call.CREATE, "POST", "", {"pipeline": "download"}),
    (Call.LIST, "GET", "", None),
    (Call.GET, "GET", "/song", None),
    (Call.FOLLOW, "GET", "/song/events", None),
    (Call.CANCEL, "POST", "/song/cancel", None),
    (Call.CANCEL, "DELETE", "/song", None),
    (Call.SUSPEND, "POST", "/song/suspend", None),
    (Call.RESUME, "POST", "/song/resume", None),
    (Call.CHANGE, "PATCH", "/song", {"priority": 1}),
    (Call.REVIEW, "POST", "/song/reviews", REVIEW),
    (Call.RETRY, "POST", "/song/retry", None),
    (Call.DOWNLOAD, "GET", "/song/outputs", None),
    (Call.DOWNLOAD, "GET", "/song/outputs.zip", None),
    (Call.DOWNLOAD, "GET", "/song/outputs/vocals", None),
    (Call.READ_LOG, "GET", "/song/logs", None),
]
UPLOAD = "up-" + "0" * 32
UPLOADS: list[tuple[Call, str, str, Any]] = [
    (Call.UPLOAD, "POST", "/api/v1/uploads", {"name": "a", "bytes": 1}),
    (Call.GET_UPLOAD, "GET", f"/api/v1/uploads/{UPLOAD}", None),
    (Call.SEND_PART, "PUT", f"/api/v1/uploads/{UPLOAD}/parts/1", None),
    (Call.UPLOAD, "POST", f"/api/v1/uploads/{UPLOAD}/complete", None),
    (Call.UPLOAD, "DELETE", f"/api/v1/uploads/{UPLOAD}", None),
]
SCORES: list[tuple[Call, str, str, Any]] = [
    *(
        (Call.DOWNLOAD, "GET", f"/api/v1/scores/song{part}", None)
        for part in ("", "/pdf", "/preview", "/midi", "/metadata")
    ),
    (Call.DOWNLOAD, "GET", "/api/v1/midi/song/vocals", None),
]
BULK: list[tuple[Call, str, str, Any]] = [
    (Call.CREATE, "POST", "/api/v1/bulk/create", {"jobs": [{"pipeline": "download"}]}),
    (Call.CANCEL, "POST", "/api/v1/bulk/cancel", {"names": ["song"]}),
    (Call.RETRY, "POST", "/api/v1/bulk/retry", {"names": ["song"]}),
]
ESTIMATES: list[tuple[Call, str, str, Any]] = [(Call.ESTIMATE, "POST", "/api/v1/estimate", {"pipeline": "download"})]
EACH_MISSING = [(*route, verb) for route in ROUTES for verb in VERBS[route[0]]]


@pytest.mark.parametrize(
    "case",
    EACH_MISSING,
    ids=[f"{method} {path or '/'} without {missing}" for _, method, path, _, missing in EACH_MISSING],
)
def test_each_call_needs_each_of_its_rights(
    anonymous: TestClient, backend: MemoryBackend, case: tuple[Call, str, str, Any, str]
) -> None:
    call, method, path, body, missing = case
    before = backend.put("song", state="Failed")
    backend.verbs["reader"] = {"create", "get", "list", "update"} - {missing}
    headers = {"Authorization": f"Bearer {READER_TOKEN}"}
    for name in (path, path.replace("song", "nothing")):
        answer = anonymous.request(method, JOBS + name, json=body, headers=headers)
        assert answer.status_code == 403, (call, answer.text)
        assert answer.json()["detail"].startswith(f"You may not {missing} ")
    assert backend.objects == {"song": before}


@pytest.mark.parametrize(("_call", "method", "path", "body"), UPLOADS, ids=[f"{each[1]} {each[2]}" for each in UPLOADS])
def test_who_may_make_no_job_may_hand_in_no_file(
    anonymous: TestClient, backend: MemoryBackend, _call: Call, method: str, path: str, body: Any
) -> None:
    backend.verbs["reader"] = {"get", "list", "update"}
    answer = anonymous.request(method, path, json=body, headers={"Authorization": f"Bearer {READER_TOKEN}"})
    assert answer.status_code == 403, answer.text


EACH_OF_MANY = [(path, body, verb) for call, _, path, body in BULK for verb in VERBS[call]]


@pytest.mark.parametrize(
    ("path", "body", "missing"), EACH_OF_MANY, ids=[f"{path} without {missing}" for path, _, missing in EACH_OF_MANY]
)
def test_many_jobs_need_the_rights_on_all(
    anonymous: TestClient, backend: MemoryBackend, path: str, body: Any, missing: str
) -> None:
    before = backend.put("song", state="Failed")
    backend.verbs["reader"] = {"create", "get", "list", "update"} - {missing}
    answer = anonymous.post(path, json=body, headers={"Authorization": f"Bearer {READER_TOKEN}"})
    assert answer.status_code == 403, answer.text
    assert answer.json()["detail"].startswith(f"You may not {missing} audiojobs")
    assert backend.objects == {"song": before}


@pytest.mark.parametrize("missing", VERBS[Call.ESTIMATE])
def test_an_estimate_needs_the_rights_to_make_and_to_list(
    anonymous: TestClient, backend: MemoryBackend, missing: str
) -> None:
    backend.verbs["reader"] = {"create", "get", "list", "update"} - {missing}
    headers = {"Authorization": f"Bearer {READER_TOKEN}"}
    answer = anonymous.post("/api/v1/estimate", json={"pipeline": "download"}, headers=headers)
    assert answer.status_code == 403, answer.text


@pytest.mark.parametrize("path", [path for _, _, path, _ in SCORES])
def test_who_may_see_no_job_gets_no_score_of_it(anonymous: TestClient, backend: MemoryBackend, path: str) -> None:
    backend.verbs["reader"] = {"create", "list", "update"}
    backend.put("song", state="Succeeded")
    answer = anonymous.get(path, headers={"Authorization": f"Bearer {READER_TOKEN}"})
    assert answer.status_code == 403, answer.text


def test_every_route_is_in_the_table(document: dict[str, Any]) -> None:
    paths = document["paths"]
    parts = ("jobs", "bulk", "uploads", "scores", "midi")
    ours = [path for path in paths if path.startswith(tuple(f"/api/v1/{part}" for part in parts))]
    served = {(method.upper(), path) for path in ours for method in paths[path]}
    jobs = {
        (method, JOBS + path.replace("song", "{name}").replace("vocals", "{output}")) for _, method, path, _ in ROUTES
    }
    files = {(method, path.replace(UPLOAD, "{upload}").replace("/1", "/{part}")) for _, method, path, _ in UPLOADS}
    scores = {
        (method, path.replace("song", "{name}").replace("vocals", "{instrument}")) for _, method, path, _ in SCORES
    }
    assert served == jobs | files | scores | {(method, path) for _, method, path, _ in BULK}
    assert {call for call, *_ in ROUTES + UPLOADS + ESTIMATES} == set(VERBS) == set(Call)


def test_every_change_shows_the_job_and_so_needs_the_right_to_see_it() -> None:
    for call in CHANGES - {Call.CREATE, Call.UPLOAD}:
        assert "get" in VERBS[call]
        assert Right("get", "song") in rights_of(call, "song")
    assert rights_of(Call.RETRY, "song") == (Right("create"), Right("get", "song"))


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({}, []),
        ({"source": {"url": "https://example.org/a"}}, []),
        ({"source": {"jobRef": {"name": "other", "output": "song"}}}, ["other"]),
        ({"retryOf": "other"}, ["other"]),
        ({"source": {"jobRef": {"name": "one", "output": "song"}}, "retryOf": "two"}, ["one", "two"]),
        ({"source": None}, []),
    ],
    ids=["no other job", "a URL", "another job's output", "another job's phases", "both", "no source"],
)
def test_a_job_that_takes_over_files_needs_the_right_to_see_where_they_come_from(
    change: dict[str, Any], wanted: list[str]
) -> None:
    job = {"metadata": {"name": "new"}, "spec": {"pipeline": "x", **change}}
    assert [right.name for right in rights_to_create(job, may_exist=False)] == wanted
    assert [right.name for right in rights_to_create(job, may_exist=True)] == [*wanted, "new"]


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("", {"pipeline": "x", "source": {"jobRef": {"name": "secret", "output": "vocals"}}}, {}),
        ("", {"pipeline": "x", "retryOf": "secret"}, {}),
        ("", {"pipeline": "x", "name": "secret"}, {"Idempotency-Key": "k"}),
        ("/mine/retry", None, {}),
        ("/secret/retry", None, {}),
    ],
    ids=["jobRef", "retryOf", "a key, and the job's name", "retry of a job that names it", "retry"],
)
def test_no_job_is_made_of_one_that_the_caller_may_not_get(
    client: TestClient, backend: MemoryBackend, path: str, body: Any, headers: dict[str, str]
) -> None:
    backend.hidden = {"secret"}
    backend.put("secret", state="Failed")
    mine = backend.put("mine", state="Failed")
    mine["spec"]["source"] = {"jobRef": {"name": "secret", "output": "vocals"}}
    answer = client.post(JOBS + path, json=body, headers=headers)
    assert (answer.status_code, set(backend.objects)) == (403, {"secret", "mine"}), answer.text


def test_the_page_shows_the_table() -> None:
    section = PAGE[PAGE.index("### Rights") : PAGE.index("## Calls")]
    shown: dict[str, tuple[str, ...]] = {}
    for calls, rights in re.findall(r"^\| ([^|]+) \| (`[^|]+) \|$", section, re.MULTILINE):
        verbs = tuple(re.findall(r"`(create|get|list|update)`", rights.split(";")[0]))
        shown |= dict.fromkeys(calls.split(", "), verbs)
    assert shown.pop("events") == VERBS[Call.FOLLOW]
    assert shown == {str(call): verbs for call, verbs in VERBS.items() if call != Call.FOLLOW}
