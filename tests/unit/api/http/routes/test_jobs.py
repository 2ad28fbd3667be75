"""Creating, reading, listing and cancelling jobs, and what is refused."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.unit.api.fakes import MemoryBackend

from audiojob_api.jobs.create import Requester, new_job, user_label
from audiojob_api.jobs.request import JobRequest
from audiojob_kube.errors import Cause, Forbidden, Invalid, NotFound, TooManyRequests, TransportError
from audiojob_types.constants import LABEL_USER

JOBS = "/api/v1/jobs"
SOURCE = {"url": "https://example.org/song.flac"}
SEPARATE = {"pipeline": "separate", "source": SOURCE}


def problem(answer: Any, status: int) -> dict[str, Any]:
    """The problem document of an answer."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["status"] == status
    assert body["type"].startswith("/problems/")
    assert body["detail"]
    return body


def test_a_created_job_answers_201_with_its_address(client: TestClient, backend: MemoryBackend) -> None:
    answer = client.post(JOBS, json={**SEPARATE, "name": "song", "priority": "high"})
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"{JOBS}/song"
    stored = backend.objects["song"]
    assert stored["spec"] == {**SEPARATE, "priority": 10}
    assert stored["metadata"]["labels"] == {LABEL_USER: "system.serviceaccount.team.caller"}
    assert client.get(answer.headers["location"]).json() == answer.json()


def test_texts_and_values_for_a_program_are_handed_on(client: TestClient, backend: MemoryBackend) -> None:
    spec = {
        "pipeline": "speak",
        "inputs": [{"name": "script", "text": "Grüß Gott.\n"}, {"name": "names", "object": {"key": "a/b.txt"}}],
        "parameters": {"container": {"values": {"voice": "de"}}},
    }
    answer = client.post(JOBS, json={**spec, "name": "song"})
    assert answer.status_code == 201, answer.text
    assert backend.objects["song"]["spec"] == spec


def test_a_job_without_a_name_gets_one(client: TestClient) -> None:
    names = {client.post(JOBS, json=SEPARATE).json()["name"] for _ in range(2)}
    assert len(names) == 2


def test_the_same_idempotency_key_and_body_make_one_job(client: TestClient, backend: MemoryBackend) -> None:
    headers = {"Idempotency-Key": "order-66"}
    first = client.post(JOBS, json=SEPARATE, headers=headers)
    again = client.post(JOBS, json=SEPARATE, headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert len(backend.objects) == 1


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param({"spec": {**SEPARATE, "source": {"url": "https://evil.example.org/a.flac"}}}, id="another spec"),
        pytest.param({"spec": {"pipeline": "separate"}}, id="less of the spec"),
        pytest.param({"labels": {"audiojobs.dev/user": "somebody-else"}}, id="for another user"),
    ],
)
def test_a_forged_mark_of_a_request_is_not_believed(
    client: TestClient, backend: MemoryBackend, forged: dict[str, Any]
) -> None:
    headers = {"Idempotency-Key": "order-66"}
    name = client.post(JOBS, json=SEPARATE, headers=headers).json()["name"]
    stored = backend.objects[name]
    stored["spec"] = forged.get("spec", stored["spec"])
    stored["metadata"]["labels"] |= forged.get("labels", {})
    assert problem(client.post(JOBS, json=SEPARATE, headers=headers), 409)["type"] == "/problems/name-taken"


def test_a_key_finds_its_job_after_that_was_changed(client: TestClient, backend: MemoryBackend) -> None:
    headers = {"Idempotency-Key": "order-66"}
    name = client.post(JOBS, json=SEPARATE, headers=headers).json()["name"]
    backend.objects[name]["spec"] |= {"priority": 9, "cancel": True, "reuse": "Allowed"}
    assert client.post(JOBS, json=SEPARATE, headers=headers).json()["name"] == name


def test_the_same_idempotency_key_with_another_body_is_refused(client: TestClient) -> None:
    headers = {"Idempotency-Key": "order-66"}
    client.post(JOBS, json=SEPARATE, headers=headers)
    other = client.post(JOBS, json={**SEPARATE, "pipeline": "download"}, headers=headers)
    assert problem(other, 422)["type"] == "/problems/idempotency-key-reused"


@pytest.mark.parametrize(
    ("first", "second"),
    [({"name": "song"}, {"name": "other"}), ({"name": "song"}, {}), ({}, {"name": "song"})],
    ids=["another name", "no name any more", "a name now"],
)
def test_an_idempotency_key_is_one_request_whatever_its_name(
    client: TestClient, backend: MemoryBackend, first: dict[str, str], second: dict[str, str]
) -> None:
    headers = {"Idempotency-Key": "order-66"}
    assert client.post(JOBS, json={**SEPARATE, **first}, headers=headers).status_code == 201
    assert client.post(JOBS, json={**SEPARATE, **first}, headers=headers).status_code == 200
    again = client.post(JOBS, json={**SEPARATE, **second}, headers=headers)
    assert problem(again, 422)["type"] == "/problems/idempotency-key-reused"
    assert len(backend.objects) == 1


def test_a_key_does_not_show_somebody_elses_job(client: TestClient, backend: MemoryBackend) -> None:
    client.post(JOBS, json={**SEPARATE, "name": "song"})
    answer = client.post(JOBS, json={**SEPARATE, "name": "song"}, headers={"Idempotency-Key": "order-66"})
    assert problem(answer, 409)["type"] == "/problems/name-taken"
    assert len(backend.objects) == 1


def test_two_callers_may_use_the_same_key() -> None:
    request = JobRequest.model_validate(SEPARATE)
    names = {new_job(request, Requester("team", user, "order-66"))["metadata"]["name"] for user in ("ann", "bob")}
    assert len(names) == 2


@pytest.mark.parametrize(
    ("user", "label"),
    [
        ("ann", "ann"),
        ("system:serviceaccount:team:caller", "system.serviceaccount.team.caller"),
        ("system.serviceaccount.team.caller", None),
        ("ann@example.org", None),
        ("-ann", None),
        ("u" * 64, None),
        ("", None),
    ],
    ids=["a word", "an account", "a name that reads as an account", "an address", "a dash first", "too long", "nobody"],
)
def test_users_are_labelled_without_mix_up(user: str, label: str | None) -> None:
    made = user_label(user)
    assert re.fullmatch(r"[A-Za-z0-9][-_.A-Za-z0-9]{0,62}", made)
    assert made == label if label else made != user.replace(":", ".")


def test_a_taken_name_is_refused(client: TestClient) -> None:
    client.post(JOBS, json={**SEPARATE, "name": "song"})
    assert problem(client.post(JOBS, json={**SEPARATE, "name": "song"}), 409)["type"] == "/problems/name-taken"


@pytest.mark.parametrize(
    ("change", "pointer", "word"),
    [
        pytest.param({"image": "evil"}, "/image", "unknown field", id="an unknown field"),
        pytest.param({"pipeline": "../x"}, "/pipeline", "pattern", id="a pipeline that is no name"),
        pytest.param({"name": "n" * 64}, "/name", "63", id="a name of 64 characters"),
        pytest.param({"priority": 11}, "/priority", "10", id="a priority above 10"),
        pytest.param({"priority": "urgent"}, "/priority", "high", id="an unknown word of priority"),
        pytest.param({"device": "TPU"}, "/device", "GPU", id="an unknown device"),
        pytest.param({"parameters": {"mix": {}}}, "/parameters/mix", "unknown task", id="an unknown task"),
        pytest.param(
            {"parameters": {"separate": {"model": "evil/x"}}},
            "/parameters/separate/model",
            "htdemucs",
            id="an unknown model",
        ),
        pytest.param(
            {"parameters": {"separate": {"stems": "SixStems", "model": "mdx"}}},
            "/parameters/separate",
            "htdemucs_6s",
            id="six stems from a model of four",
        ),
        pytest.param(
            {"parameters": {"container": {"command": ["sh"]}}},
            "/parameters/container/command",
            "unknown field",
            id="a command for a program",
        ),
        pytest.param(
            {"parameters": {"container": {"values": {"../x": "a"}}}},
            "/parameters/container/values",
            "letter",
            id="a value whose name is a path",
        ),
        pytest.param(
            {"inputs": [{"name": "../x", "text": ""}]}, "/inputs/0/name", "pattern", id="an input that is a path"
        ),
        pytest.param({"inputs": [{"name": "a", "text": "x" * 32_769}]}, "/inputs/0/text", "32768", id="a long text"),
        pytest.param({"inputs": [{"name": "a", "path": "/etc"}]}, "/inputs/0/path", "unknown field", id="a path"),
        pytest.param({"queueTimeoutSeconds": 0}, "/queueTimeoutSeconds", "1", id="a limit of 0 seconds"),
        pytest.param({"queueTimeoutSeconds": True}, "/queueTimeoutSeconds", "integer", id="a limit that is a word"),
        pytest.param({"startTime": "soon"}, "/startTime", "must be a time such as", id="a time that is none"),
        pytest.param(
            {"startTime": "9999-12-31T23:59:59-23:59"}, "/startTime", "1970 to 2999", id="the last time and later"
        ),
        pytest.param({"startTime": "0001-01-01T00:00:00+23:00"}, "/startTime", "1970", id="the first time and earlier"),
    ],
)
def test_what_does_not_fit_is_refused_naming_the_field(
    client: TestClient, backend: MemoryBackend, change: dict[str, Any], pointer: str, word: str
) -> None:
    # Dumped here: a client's own encoder would refuse a lone surrogate.
    answer = client.post(JOBS, content=json.dumps({**SEPARATE, **change}), headers={"Content-Type": "application/json"})
    body = problem(answer, 422)
    assert any(error["pointer"].startswith(pointer) and word in error["detail"] for error in body["errors"]), body
    assert not backend.objects


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        pytest.param(b"{", "application/json", 400, id="broken JSON"),
        pytest.param(b"[" * 100_000, "application/json", 400, id="JSON of great depth"),
        pytest.param(b"", "application/json", 422, id="no body"),
        pytest.param(b"pipeline: x", "application/yaml", 415, id="YAML"),
        pytest.param(
            b'{"pipeline": "' + b"x" * 300_000 + b'"}', "application/json", 413, id="a body that is too large"
        ),
    ],
)
def test_bodies_that_cannot_be_read(client: TestClient, content: bytes, content_type: str, status: int) -> None:
    problem(client.post(JOBS, content=content, headers={"Content-Type": content_type}), status)


def test_a_large_body_of_unknown_length_is_refused(client: TestClient) -> None:
    chunks = (b"x" * 50_000 for _ in range(10))
    problem(client.post(JOBS, content=chunks, headers={"Content-Type": "application/json"}), 413)


@pytest.mark.parametrize("key", ["", "k" * 256, "a b"], ids=["empty", "too long", "with a space"])
def test_bad_idempotency_keys_are_refused(client: TestClient, key: str) -> None:
    problem(client.post(JOBS, json=SEPARATE, headers={"Idempotency-Key": key}), 422)


@pytest.mark.parametrize(
    ("failure", "status", "word"),
    [
        pytest.param(TransportError("refused"), 503, "does not answer", id="the API server is away"),
        pytest.param(TooManyRequests(429, "TooManyRequests", "slow down", retry_after=7.0), 429, "busy", id="busy"),
        pytest.param(Forbidden(403, "Forbidden", "exceeded quota: jobs"), 403, "quota", id="a quota is used up"),
        pytest.param(
            Invalid(422, "Invalid", "bad", (Cause("FieldValueInvalid", "exactly one of url, object", "spec.source"),)),
            422,
            "bad",
            id="the API server refuses the source",
        ),
        pytest.param(NotFound(404, "NotFound", "namespaces team not found"), 503, "team", id="no such namespace"),
        pytest.param(RuntimeError("secret detail"), 500, "failed", id="a fault of ours"),
    ],
)
def test_failures_of_kubernetes_are_explained(
    client: TestClient, backend: MemoryBackend, failure: Exception, status: int, word: str
) -> None:
    backend.failure = failure
    body = problem(client.post(JOBS, json=SEPARATE), status)
    assert word in body["detail"]
    assert "secret" not in json.dumps(body)


def test_the_api_servers_causes_point_into_the_body(client: TestClient, backend: MemoryBackend) -> None:
    backend.failure = Invalid(422, "Invalid", "bad", (Cause("FieldValueInvalid", "exactly one", "spec.source"),))
    body = problem(client.post(JOBS, json=SEPARATE), 422)
    assert body["errors"] == [{"pointer": "/source", "detail": "exactly one"}]


POLICY = "ValidatingAdmissionPolicy 'a' with binding 'b' denied request: "


@pytest.mark.parametrize(
    ("said", "pointer", "detail"),
    [
        pytest.param("spec.source.url: 10.0.0.1 is: no", "/source/url", "10.0.0.1 is: no", id="it names a field"),
        pytest.param("spec.phases[2].name: no", "/phases/2/name", "no", id="it names a field of a list"),
        pytest.param("no: spec.source.url: bad", "", "no: spec.source.url: bad", id="it names none at its beginning"),
        pytest.param("nobody works on Sundays", "", "nobody works on Sundays", id="it names none"),
    ],
)
def test_a_refusal_of_an_admission_policy_keeps_its_words(
    client: TestClient, backend: MemoryBackend, said: str, pointer: str, detail: str
) -> None:
    message = f'audiojobs.audiojobs.dev "song" is forbidden: {POLICY}{said}'
    backend.failure = Invalid(422, "Invalid", message, (Cause("", POLICY + said, ""),))
    body = problem(client.post(JOBS, json=SEPARATE), 422)
    assert body["detail"] == said
    assert body["errors"] == [{"pointer": pointer, "detail": detail}]


def test_503_says_when_to_come_back(client: TestClient, backend: MemoryBackend) -> None:
    backend.failure = TransportError("refused")
    assert int(client.post(JOBS, json=SEPARATE).headers["retry-after"]) > 0


def test_an_unknown_job_is_404(client: TestClient) -> None:
    problem(client.get(f"{JOBS}/none"), 404)
    problem(client.post(f"{JOBS}/none/cancel"), 404)
    problem(client.get(f"{JOBS}/none/events"), 404)


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/api/v1/nothing", 404, None),
        ("GET", f"{JOBS}/", 404, None),
        ("PUT", JOBS, 405, "GET, HEAD, POST"),
        ("PUT", f"{JOBS}/x", 405, "DELETE, GET, HEAD, PATCH"),
        ("BREW", JOBS, 405, "GET, HEAD, POST"),
    ],
    ids=["an unknown path", "a slash too many", "put a list", "put a job", "a method that nobody knows"],
)
def test_unknown_paths_and_methods_are_problems_too(
    anonymous: TestClient, method: str, path: str, status: int, allow: str | None
) -> None:
    answer = anonymous.request(method, path, follow_redirects=False)
    problem(answer, status)
    assert answer.headers.get("allow") == allow


def test_lists_are_paged_newest_first_and_stay_in_place(client: TestClient, backend: MemoryBackend) -> None:
    for number in range(5):
        backend.put(f"job-{number}")
    first = client.get(JOBS, params={"limit": 2}).json()
    backend.put("job-9")  # newer than the first page: it must not move the second
    backend.remove("job-3")  # the last one of the first page
    second = client.get(JOBS, params={"limit": 2, "cursor": first["cursor"]}).json()
    third = client.get(JOBS, params={"limit": 2, "cursor": second["cursor"]}).json()
    pages = [[item["name"] for item in page["items"]] for page in (first, second, third)]
    assert pages == [["job-4", "job-3"], ["job-2", "job-1"], ["job-0"]]
    assert "cursor" not in third


def test_lists_are_narrowed(client: TestClient, backend: MemoryBackend) -> None:
    backend.put("a", state="Running")
    backend.put("b", state="Succeeded")
    assert [item["name"] for item in client.get(JOBS, params={"state": "Running"}).json()["items"]] == ["a"]
    assert client.get(JOBS, params={"pipeline": "other"}).json()["items"] == []
    assert len(client.get(JOBS, params={"queue": "default"}).json()["items"]) == 2


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"cursor": "forged"}, 400),
        ({"cursor": "WzEsIDJd"}, 400),
        ({"cursor": base64.urlsafe_b64encode(b"[" * 766).decode()}, 400),
        ({"limit": 0}, 422),
        ({"limit": 201}, 422),
        ({"state": "Dancing"}, 422),
    ],
    ids=[
        "a forged cursor",
        "a cursor of numbers",
        "a cursor of great depth",
        "limit 0",
        "limit 201",
        "an unknown state",
    ],
)
def test_bad_queries_are_refused(client: TestClient, query: dict[str, Any], status: int) -> None:
    problem(client.get(JOBS, params=query), status)


def test_cancel_is_asked_for_once_however_often(client: TestClient, backend: MemoryBackend) -> None:
    backend.put("song", state="Running")
    assert client.post(f"{JOBS}/song/cancel").status_code == 202
    version = backend.objects["song"]["metadata"]["resourceVersion"]
    assert client.delete(f"{JOBS}/song").status_code == 202
    assert backend.objects["song"]["spec"]["cancel"] is True
    assert backend.objects["song"]["metadata"]["resourceVersion"] == version, "nothing is written a second time"


def test_a_finished_job_cannot_be_cancelled(client: TestClient, backend: MemoryBackend) -> None:
    backend.put("song", state="Failed")
    assert "Failed" in problem(client.post(f"{JOBS}/song/cancel"), 409)["detail"]


@pytest.mark.parametrize(("state", "status"), [("Cancelled", 202), ("Succeeded", 409)])
def test_a_job_that_ended_after_cancel_says_how(
    client: TestClient, backend: MemoryBackend, state: str, status: int
) -> None:
    backend.put("song", state="Running")
    client.post(f"{JOBS}/song/cancel")
    backend.put("song", state=state)
    assert client.post(f"{JOBS}/song/cancel").status_code == status


def test_the_openapi_document_is_open_and_names_the_routes(anonymous: TestClient) -> None:
    paths = anonymous.get("/openapi.json").json()["paths"]
    assert {JOBS, f"{JOBS}/{{name}}", f"{JOBS}/{{name}}/cancel", f"{JOBS}/{{name}}/events"} <= set(paths)
    for path in (path for path in paths if path.startswith(JOBS)):
        for operation in paths[path].values():
            assert operation["security"] == [{"Bearer": []}]
            errors = {code: one["content"] for code, one in operation["responses"].items() if code >= "400"}
            assert {"401", "403", "422", "503"} <= set(errors)
            assert all(list(content) == ["application/problem+json"] for content in errors.values()), path
