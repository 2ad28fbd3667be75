"""What is asked of a job that exists: suspend, resume, another priority, a review, a retry."""

from __future__ import annotations

import json
from typing import Any
from unittest.mock import AsyncMock

import pytest
from starlette.testclient import TestClient
from tests.unit.api.fakes import READER_TOKEN, MemoryBackend
from tests.unit.api.http.routes.test_jobs import problem

from audiojob_kube.errors import Cause, Conflict, Invalid, NotFound, TransportError
from audiojob_types.constants import LABEL_USER

JOBS = "/api/v1/jobs"
SONG = f"{JOBS}/song"
APPROVE = {"phase": "publish", "approved": True}
PHASES: list[dict[str, Any]] = [
    {"name": "separate", "state": "Succeeded", "attempt": 1},
    {"name": "publish", "state": "Waiting"},
]

# Each call, with a body that would do.
CALLS: dict[str, tuple[str, str, Any]] = {
    "cancel": ("POST", f"{SONG}/cancel", None),
    "delete": ("DELETE", SONG, None),
    "suspend": ("POST", f"{SONG}/suspend", None),
    "resume": ("POST", f"{SONG}/resume", None),
    "priority": ("PATCH", SONG, {"priority": 7}),
    "review": ("POST", f"{SONG}/reviews", APPROVE),
    "retry": ("POST", f"{SONG}/retry", None),
}
# What a job that has ended so does not take any more.
REFUSED_AT_THE_END = [
    pytest.param(*call, state, id=f"{name} when {state}")
    for name, call in CALLS.items()
    for state in ("Succeeded", "Failed", "Cancelled")
    if name != "retry" and (name not in ("cancel", "delete") or state != "Cancelled")
]


def version(backend: MemoryBackend) -> str:
    found: str = backend.objects["song"]["metadata"]["resourceVersion"]
    return found


def spec(backend: MemoryBackend) -> dict[str, Any]:
    found: dict[str, Any] = backend.objects["song"]["spec"]
    return found


@pytest.mark.parametrize(("method", "path", "body"), CALLS.values(), ids=CALLS.keys())
def test_an_unknown_job_is_404_and_a_reader_may_not(
    client: TestClient, backend: MemoryBackend, method: str, path: str, body: Any
) -> None:
    problem(client.request(method, path, json=body), 404)
    backend.put("song", state="Failed")
    client.headers["Authorization"] = f"Bearer {READER_TOKEN}"
    problem(client.request(method, path, json=body), 403)
    client.headers.pop("Authorization")
    problem(client.request(method, path, json=body), 401)


@pytest.mark.parametrize(("method", "path", "body", "state"), REFUSED_AT_THE_END)
def test_a_job_that_has_ended_takes_nothing_any_more(
    client: TestClient, backend: MemoryBackend, method: str, path: str, body: Any, state: str
) -> None:
    backend.put("song", state=state, phases=PHASES)
    before = version(backend)
    found = problem(client.request(method, path, json=body), 409)
    assert found["type"] == "/problems/already-finished"
    assert state in found["detail"]
    assert version(backend) == before


@pytest.mark.parametrize("state", ["Pending", "Queued", "Running", "Suspended"])
def test_suspend_and_resume_are_written_once_however_often_they_are_asked_for(
    client: TestClient, backend: MemoryBackend, state: str
) -> None:
    backend.put("song", state=state)
    for verb, want in (("resume", None), ("suspend", True), ("suspend", True), ("resume", False), ("resume", False)):
        answer = client.post(f"{SONG}/{verb}")
        assert answer.status_code == 202, answer.text
        assert answer.json()["spec"].get("suspend") == want == spec(backend).get("suspend")
    assert int(version(backend)) == 3, "one write each, and none for what was never suspended"


@pytest.mark.parametrize("state", ["Pending", "Queued", "Suspended"])
@pytest.mark.parametrize(("given", "stored"), [(7, 7), ("high", 10)])
def test_a_waiting_job_takes_another_priority(
    client: TestClient, backend: MemoryBackend, state: str, given: object, stored: int
) -> None:
    backend.put("song", state=state)
    answer = client.patch(SONG, json={"priority": given})
    assert answer.status_code == 200, answer.text
    assert answer.json()["spec"]["priority"] == stored == spec(backend)["priority"]
    before = version(backend)
    assert client.patch(SONG, json={"priority": given}).status_code == 200
    assert version(backend) == before, "nothing is written a second time"


def test_a_running_job_keeps_its_priority(client: TestClient, backend: MemoryBackend) -> None:
    backend.put("song", state="Running")
    assert problem(client.patch(SONG, json={"priority": 7}), 409)["type"] == "/problems/already-started"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        pytest.param({"priority": 0}, "/priority", id="0"),
        pytest.param({"priority": 11}, "/priority", id="11"),
        pytest.param({"priority": "urgent"}, "/priority", id="an unknown word"),
        pytest.param({"priority": None}, "/priority", id="null"),
        pytest.param({}, "/priority", id="nothing"),
        pytest.param({"priority": 5, "pipeline": "x"}, "/pipeline", id="what cannot be changed"),
        pytest.param([], "", id="a list"),
    ],
)
def test_a_change_that_does_not_fit_is_refused(
    client: TestClient, backend: MemoryBackend, body: Any, pointer: str
) -> None:
    backend.put("song", state="Queued")
    found = problem(client.patch(SONG, json=body), 422)
    assert [error["pointer"] for error in found["errors"]] == [pointer]


def test_reviews_are_added_in_order(client: TestClient, backend: MemoryBackend) -> None:
    waiting = [*PHASES, {"name": "export", "state": "Waiting", "attempt": 0}]
    backend.put("song", state="Suspended", phases=waiting)
    answer = client.post(f"{SONG}/reviews", json={**APPROVE, "message": "fine"})
    assert answer.status_code == 201, answer.text
    assert client.post(f"{SONG}/reviews", json={"phase": "export", "approved": False}).status_code == 201
    assert spec(backend)["reviews"] == [
        {**APPROVE, "message": "fine"},
        {"phase": "export", "approved": False, "message": ""},
    ]


def test_the_first_review_of_a_phase_counts(client: TestClient, backend: MemoryBackend) -> None:
    backend.put("song", state="Suspended", phases=PHASES)
    assert client.post(f"{SONG}/reviews", json=APPROVE).status_code == 201
    found = problem(client.post(f"{SONG}/reviews", json={**APPROVE, "approved": False}), 409)
    assert found["type"] == "/problems/already-reviewed"
    assert len(spec(backend)["reviews"]) == 1


TAKES: list[dict[str, Any]] = [PHASES[0], {**PHASES[1], "reviewTakes": ["lyrics", "title"]}]
LYRICS = {"name": "lyrics", "text": "La la la"}


def handing_in(*inputs: Any) -> dict[str, Any]:
    return {**APPROVE, "inputs": list(inputs)}


def test_a_review_may_hand_in_inputs(client: TestClient, backend: MemoryBackend) -> None:
    backend.put("song", state="Suspended", phases=TAKES)
    body = handing_in(LYRICS, {"name": "title", "object": {"key": "titles/song.txt"}})
    answer = client.post(f"{SONG}/reviews", json=body)
    assert answer.status_code == 201, answer.text
    assert spec(backend)["reviews"] == [{**body, "message": ""}]
    for again in (body, handing_in({**LYRICS, "text": "other"}), APPROVE):
        assert problem(client.post(f"{SONG}/reviews", json=again), 409)["type"] == "/problems/already-reviewed"


@pytest.mark.parametrize(
    ("inputs", "pointer", "word"),
    [
        pytest.param([{**LYRICS, "name": "cover"}], "/inputs/0", "known: lyrics, title", id="what nobody reads"),
        pytest.param([{"name": "title"}], "/inputs/0", "exactly one of", id="nothing"),
        pytest.param(
            [LYRICS, {**LYRICS, "name": "title", "object": {"key": "a"}}], "/inputs/1", "one of", id="two in one"
        ),
        pytest.param([LYRICS, LYRICS], "/inputs/0", "twice", id="two of a name"),
        pytest.param(
            [{**LYRICS, "text": "é" * 20_000}], "/inputs/0/text", "32768 bytes", id="a text that is too large"
        ),
        pytest.param([{**LYRICS, "text": "x" * 32_769}], "/inputs/0/text", "32768", id="a text of too many characters"),
        pytest.param(
            [{"name": "lyrics", "object": {"key": "../other/x"}}],
            "/inputs/0/object/key",
            "relative path",
            id="elsewhere",
        ),
        pytest.param(
            [{"name": "lyrics", "url": "https://example.org"}], "/inputs/0/url", "unknown field", id="an address"
        ),
        pytest.param([{**LYRICS, "name": f"n{n}"} for n in range(5)], "/inputs", "at most 4", id="too many"),
    ],
)
def test_inputs_that_make_no_sense_are_refused_naming_the_field(
    client: TestClient, backend: MemoryBackend, inputs: Any, pointer: str, word: str
) -> None:
    backend.put("song", state="Suspended", phases=TAKES)
    found = problem(client.post(f"{SONG}/reviews", json=handing_in(*inputs)), 422)
    assert [(error["pointer"], word in error["detail"]) for error in found["errors"]] == [(pointer, True)]
    assert "reviews" not in spec(backend)


def test_inputs_of_a_rejection_and_of_a_job_that_is_being_cancelled_are_refused(
    client: TestClient, backend: MemoryBackend
) -> None:
    backend.put("song", state="Suspended", phases=TAKES)
    rejection = {**handing_in(LYRICS), "approved": False}
    assert problem(client.post(f"{SONG}/reviews", json=rejection), 422)["errors"][0]["pointer"] == "/inputs"
    assert client.post(f"{SONG}/cancel").status_code == 202
    found = problem(client.post(f"{SONG}/reviews", json=handing_in(LYRICS)), 409)
    assert (found["type"], "being cancelled" in found["detail"]) == ("/problems/already-finished", True)


@pytest.mark.parametrize(
    ("phases", "body", "status", "word"),
    [
        pytest.param(PHASES, {**APPROVE, "phase": "mix"}, 422, "separate, publish", id="a phase that it does not have"),
        pytest.param(PHASES, {**APPROVE, "phase": "separate"}, 409, "has started", id="a phase that has run"),
        pytest.param([], APPROVE, 409, "not resolved", id="a job whose pipeline is not resolved yet"),
        pytest.param(PHASES, {"phase": "publish"}, 422, "approved", id="no verdict"),
        pytest.param(PHASES, {**APPROVE, "approved": "yes"}, 422, "approved", id="a word for a verdict"),
        pytest.param(PHASES, {**APPROVE, "phase": "Publish"}, 422, "phase", id="a phase that is no name"),
        pytest.param(PHASES, {**APPROVE, "message": "x" * 1_025}, 422, "message", id="a message that is too long"),
        pytest.param(TAKES, {**handing_in(LYRICS), "phase": "mix"}, 422, "separate, publish", id="inputs for no phase"),
        pytest.param(TAKES, {**handing_in(LYRICS), "phase": "separate"}, 409, "has started", id="inputs that are late"),
        pytest.param(PHASES, handing_in(LYRICS), 422, "known: none", id="inputs for a phase that takes none"),
        pytest.param(PHASES, {**APPROVE, "by": "me"}, 422, "by", id="an unknown field"),
    ],
)
def test_reviews_that_make_no_sense_are_refused_naming_the_field(
    client: TestClient, backend: MemoryBackend, phases: Any, body: Any, status: int, word: str
) -> None:
    backend.put("song", state="Suspended", phases=phases)
    found = problem(client.post(f"{SONG}/reviews", json=body), status)
    assert word in json.dumps(found)
    assert status != 422 or found["errors"]
    assert "reviews" not in spec(backend)


@pytest.mark.parametrize("state", ["Failed", "Cancelled"])
def test_a_retry_is_a_new_job_of_the_same_spec(client: TestClient, backend: MemoryBackend, state: str) -> None:
    backend.put("song", state=state)
    wanted = {"pipeline": "separate", "source": {"url": "https://example.org/a"}, "priority": 3, "queueName": "night"}
    life = {"suspend": True, "cancel": True, "startTime": "2026-01-01T00:00:00Z", "reviews": [APPROVE], "retryOf": "x"}
    backend.objects["song"]["spec"] = {**wanted, **life}
    before = version(backend)

    answer = client.post(f"{SONG}/retry")

    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert made["name"].startswith("song-retry-")
    assert answer.headers["location"] == f"{JOBS}/{made['name']}"
    assert made["spec"] == {**wanted, "retryOf": "song"}
    assert backend.objects[made["name"]]["metadata"]["labels"] == {LABEL_USER: "system.serviceaccount.team.caller"}
    assert version(backend) == before, "the old job stays as it is"


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("Pending", "not-finished"),
        ("Queued", "not-finished"),
        ("Running", "not-finished"),
        ("Suspended", "not-finished"),
        ("Succeeded", "already-finished"),
    ],
)
def test_only_what_failed_or_was_cancelled_can_be_tried_again(
    client: TestClient, backend: MemoryBackend, state: str, kind: str
) -> None:
    backend.put("song", state=state)
    found = problem(client.post(f"{SONG}/retry"), 409)
    assert found["type"] == f"/problems/{kind}"
    assert list(backend.objects) == ["song"]


def test_names_of_retries_fit_and_do_not_grow(client: TestClient, backend: MemoryBackend) -> None:
    name = "a" * 47 + "-" + "b" * 15
    for _ in range(3):
        backend.put(name, state="Failed")
        name = client.post(f"{JOBS}/{name}/retry").json()["name"]
        assert name.startswith("a" * 47 + "-retry-")
        assert len(name) <= 63


def test_a_retry_with_an_idempotency_key_is_made_once(client: TestClient, backend: MemoryBackend) -> None:
    headers = {"Idempotency-Key": "again"}
    for name in ("song", "other"):
        backend.put(name, state="Failed")
    first, second = (client.post(f"{SONG}/retry", headers=headers) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    other = client.post(f"{JOBS}/other/retry", headers=headers)
    assert problem(other, 422)["type"] == "/problems/idempotency-key-reused"
    assert len(backend.objects) == 3


@pytest.mark.parametrize(
    ("failure", "status", "kind"),
    [
        pytest.param(Conflict(409, "Conflict", "The job has changed meanwhile"), 409, "conflict", id="it has changed"),
        pytest.param(NotFound(404, "NotFound", "gone"), 404, "not-found", id="it is gone"),
        pytest.param(TransportError("refused"), 503, "unavailable", id="the API server is away"),
        pytest.param(
            Invalid(422, "Invalid", "bad", (Cause("FieldValueInvalid", "reviews must only be added to", "spec"),)),
            422, "invalid-job", id="the API server refuses the value",
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("call", ["cancel", "suspend", "priority", "review"])
def test_failures_of_kubernetes_are_explained(
    client: TestClient, backend: MemoryBackend, failure: Exception, status: int, kind: str, call: str
) -> None:
    backend.put("song", state="Queued", phases=PHASES)
    backend.failure = failure
    method, path, body = CALLS[call]
    assert problem(client.request(method, path, json=body), status)["type"] == f"/problems/{kind}"


@pytest.mark.parametrize("call", ["cancel", "suspend", "priority", "review"])
def test_a_job_that_ended_a_moment_ago_is_answered_as_ended(
    client: TestClient, backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """The API server refuses the change by its own rule; this replica still thought that the job was queued."""
    method, path, body = CALLS[call]
    seen = backend.put("song", state="Queued", phases=PHASES)
    monkeypatch.setattr(backend, "find", AsyncMock(return_value=seen))
    backend.put("song", state="Succeeded", phases=PHASES)
    backend.failure = Invalid(422, "Invalid", "spec.cancel cannot be changed: the job has ended")
    found = problem(client.request(method, path, json=body), 409)
    assert (found["type"], "ended as Succeeded" in found["detail"]) == ("/problems/already-finished", True)


def test_sources_may_be_another_jobs_output_and_jobs_a_retry(client: TestClient, backend: MemoryBackend) -> None:
    body = {
        "pipeline": "separate", "name": "song", "retryOf": "first",
        "source": {"jobRef": {"name": "mix", "output": "vocals"}},
    }  # fmt: skip
    answer = client.post(JOBS, json=body)
    assert answer.status_code == 201, answer.text
    body.pop("name")
    assert spec(backend) == body


@pytest.mark.parametrize(
    ("change", "pointer", "word"),
    [
        pytest.param({"source": {"jobRef": {"name": "song"}}}, "/source/jobRef/name", "another job", id="itself"),
        pytest.param({"retryOf": "song"}, "/retryOf", "another job", id="a retry of itself"),
        pytest.param({"retryOf": "Song"}, "/retryOf", "pattern", id="a retry of what is no name"),
        pytest.param({"source": {"jobRef": {}}}, "/source/jobRef/name", "required", id="no job"),
        pytest.param({"source": {"jobRef": {"name": "a.b"}}}, "/source/jobRef/name", "pattern", id="no name of a job"),
        pytest.param(
            {"source": {"jobRef": {"name": "mix", "output": "../x"}}}, "/source/jobRef/output", "pattern", id="a path"
        ),
    ],
)
def test_references_that_make_no_sense_are_refused(
    client: TestClient, backend: MemoryBackend, change: dict[str, Any], pointer: str, word: str
) -> None:
    found = problem(client.post(JOBS, json={"pipeline": "separate", "name": "song", **change}), 422)
    assert [(error["pointer"], word in error["detail"]) for error in found["errors"]] == [(pointer, True)]
    assert not backend.objects


def test_the_openapi_document_names_these_calls_and_their_answers(document: dict[str, Any]) -> None:
    paths = document["paths"]
    wanted = {("", "patch"), ("/cancel", "post"), ("/suspend", "post"), ("/resume", "post"), ("/reviews", "post"),
              ("/retry", "post"), ("", "delete")}  # fmt: skip
    for path, method in wanted:
        answers = paths[f"{JOBS}/{{name}}{path}"][method]["responses"]
        assert {"401", "403", "404", "409", "422", "503"} <= set(answers), (path, method)


@pytest.mark.parametrize(
    ("call", "now"),
    [
        pytest.param("priority", {"state": "Running", "phases": PHASES}, id="it runs by now"),
        pytest.param("review", {"state": "Suspended", "phases": PHASES}, id="it was reviewed by now"),
    ],
)
def test_what_this_replica_does_not_know_yet_is_tested_in_the_same_write(
    client: TestClient, backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch, call: str, now: dict[str, Any]
) -> None:
    method, path, body = CALLS[call]
    seen = backend.put("song", state="Queued", phases=PHASES)
    monkeypatch.setattr(backend, "find", AsyncMock(return_value=seen))
    backend.put("song", **now)
    if "reviews" in path:
        backend.objects["song"]["spec"] = {**spec(backend), "reviews": [APPROVE]}
    before = backend.objects["song"]
    assert problem(client.request(method, path, json=body), 409)["type"] == "/problems/conflict"
    assert backend.objects["song"] is before
