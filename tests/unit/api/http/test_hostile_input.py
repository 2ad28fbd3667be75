"""Input made to break a parser: it is refused in words, never answered with a fault of ours."""

from __future__ import annotations

import base64

import pytest
from starlette.testclient import TestClient
from tests.unit.api.fakes import MemoryBackend

JOBS = "/api/v1/jobs"
JSON = {"Content-Type": "application/json"}


def nested(depth: int) -> bytes:
    """Brackets in brackets, where a model's name belongs."""
    return b'{"pipeline":"x","parameters":{"separate":{"model":' + b"[" * depth + b"]" * depth + b"}}}"


@pytest.mark.parametrize(
    ("content", "status", "pointer"),
    [
        pytest.param(rb'{"pipeline":"x","\ud800":1}', 422, "", id="half a surrogate pair as a field"),
        pytest.param(rb'{"pipeline":"x","parameters":{"\ud800":{}}}', 422, "/parameters", id="as a task"),
        pytest.param(
            rb'{"pipeline":"x","parameters":{"separate":{"\ud800":1}}}',
            422,
            "/parameters/separate",
            id="as a parameter",
        ),
        pytest.param(
            rb'{"pipeline":"x","source":{"url":"http://\ud800"}}', 422, "/source/url", id="as a part of the source"
        ),
        pytest.param(b'{"pipeline":"x","priority":NaN}', 422, "/priority", id="NaN"),
        pytest.param(
            b'{"pipeline":"x","ttlSecondsAfterFinished":-Infinity}', 422, "/ttlSecondsAfterFinished", id="infinity"
        ),
        pytest.param(b'{"pipeline":"x","priority":true}', 422, "/priority", id="true for a number"),
        pytest.param(b'{"pipeline":"x","priority":"5"}', 422, "/priority", id="a number as text"),
        pytest.param(
            b'{"pipeline":"x","activeDeadlineSeconds":"60"}', 422, "/activeDeadlineSeconds", id="a time as text"
        ),
        pytest.param(b'{"pipeline":"x","startTime":1e300}', 422, "/startTime", id="a time as a number"),
        pytest.param(
            b'{"pipeline":"x","startTime":"0001-01-01T00:00:00+14:00"}', 422, "/startTime", id="a time before time"
        ),
        pytest.param(b'{"pipeline":"x","startTime":"2030-01-01T00:00:00"}', 422, "/startTime", id="a time of no zone"),
        pytest.param(b'{"pipeline":"x","name":"a\\n"}', 422, "/name", id="a name with a line break"),
        pytest.param(
            b'{"pipeline":"x","parameters":{"separate":[]}}', 422, "/parameters/separate", id="a list of parameters"
        ),
        pytest.param(b"[]", 422, "", id="a list"),
        pytest.param(b"null", 422, "", id="null"),
        pytest.param(nested(900), 422, "/parameters/separate/model", id="900 brackets in brackets"),
        pytest.param(nested(20_000), 400, None, id="20,000 brackets in brackets"),
        pytest.param(b'{"pipeline":"x","priority":' + b"9" * 5_000 + b"}", 400, None, id="a number of 5,000 digits"),
        pytest.param(b'{"pipeline":"\xff"}', 400, None, id="bytes that are no UTF-8"),
    ],
)
def test_hostile_bodies(
    client: TestClient, backend: MemoryBackend, content: bytes, status: int, pointer: str | None
) -> None:
    answer = client.post(JOBS, content=content, headers=JSON)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    if pointer is not None:
        assert answer.json()["errors"][0]["pointer"].startswith(pointer)
    assert not backend.objects


@pytest.mark.parametrize(
    ("method", "path", "content", "name"),
    [
        pytest.param("POST", JOBS, b'{"pipeline":"x","pipeline":"y"}', "pipeline", id="a field"),
        pytest.param("POST", JOBS, b'{"pipeline":"x","pipeline":"x"}', "pipeline", id="with the same value"),
        pytest.param("POST", JOBS, rb'{"pipeline":"x","p\u0069peline":"y"}', "pipeline", id="spelt in another way"),
        pytest.param(
            "POST",
            JOBS,
            b'{"pipeline":"x","source":{"url":"http://a/b","url":"http://c/d"}}',
            "url",
            id="within a field",
        ),
        pytest.param(
            "POST",
            JOBS,
            b'{"pipeline":"x","parameters":{"separate":{"stems":1},"separate":{}}}',
            "separate",
            id="a task",
        ),
        pytest.param("POST", JOBS, rb'{"pipeline":"x","\ud800":1,"\ud800":2}', "\\ud800", id="half a surrogate pair"),
        pytest.param("PATCH", f"{JOBS}/song", b'{"priority":1,"priority":9}', "priority", id="a change"),
        pytest.param(
            "POST", f"{JOBS}/song/reviews", b'{"phase":"a","approved":false,"approved":true}', "approved", id="a review"
        ),
    ],
)
def test_a_field_that_is_named_twice_is_refused(
    client: TestClient, backend: MemoryBackend, method: str, path: str, content: bytes, name: str
) -> None:
    answer = client.request(method, path, content=content, headers=JSON)
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/repeated-field"), answer.text
    assert answer.json()["errors"][0]["pointer"] == f"/{name}"
    assert "send it once" in answer.json()["detail"]
    assert not backend.objects


@pytest.mark.parametrize("path", [f"{JOBS}/%00", f"{JOBS}/a%00/cancel", "/api/v1/keys/%00", "/api/v1/scores/a%00b"])
def test_a_path_with_nul_in_it_leads_nowhere(client: TestClient, path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        answer = client.request(method, path)
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found"), answer.text
        assert "nothing at this path" in answer.json()["detail"]


@pytest.mark.parametrize("query", ["state=Running&state=Failed", "limit=1&limit=%31", "cursor=&x=1&cursor=", "x=1&x=1"])
def test_a_parameter_that_is_given_twice_is_refused(client: TestClient, query: str) -> None:
    answer = client.get(f"{JOBS}?{query}")
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/repeated-field"), answer.text


def test_a_query_of_thousands_of_parameters_is_refused_in_few_words(client: TestClient) -> None:
    query = "&".join(f"{number}=" for number in range(4_000))
    answer = client.get(f"{JOBS}?{query}")
    assert answer.status_code == 422
    assert len(answer.content) < 10_000


@pytest.mark.parametrize("coding", ["utf-16", "utf-32-be", "utf-8-sig"])
def test_json_of_another_encoding_is_refused(client: TestClient, backend: MemoryBackend, coding: str) -> None:
    answer = client.post(JOBS, content='{"pipeline":"x"}'.encode(coding), headers=JSON)
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid-json")
    assert not backend.objects


@pytest.mark.parametrize(
    "length", ["9" * 5_000, "1" + "0" * 18, "-1", "abc"], ids=["5,000 digits", "1 EB", "-1", "words"]
)
def test_hostile_lengths(client: TestClient, length: str) -> None:
    answer = client.post(JOBS, content=b"{}", headers={**JSON, "Content-Length": length})
    assert answer.status_code in (400, 413), answer.text


@pytest.mark.parametrize(
    "inside",
    [b"[" * 760, b"{}", b"[]", b'["a"]', b'["a","b","c"]', b"\xff", b"1" * 700, b"[null,null]"],
    ids=["depth", "an object", "nothing", "one part", "three parts", "no UTF-8", "a large number", "nulls"],
)
def test_hostile_cursors(client: TestClient, inside: bytes) -> None:
    answer = client.get(JOBS, params={"cursor": base64.urlsafe_b64encode(inside).decode()})
    assert answer.status_code == 400, answer.text


@pytest.mark.parametrize("name", ["%ff%00", "..", "%2e%2e", "x" * 254, "%F0%9F%8E%B5"])
def test_hostile_names(client: TestClient, name: str) -> None:
    answer = client.get(f"{JOBS}/{name}")
    assert answer.status_code in (404, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_trailing_slash_is_not_redirected(client: TestClient) -> None:
    """A redirect is built from the Host header: the token would follow it."""
    answer = client.get(f"{JOBS}/", headers={"Host": "evil.example"}, follow_redirects=False)
    assert answer.status_code == 404
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Transfer-Encoding": "chunked", "Content-Length": "2"}, 400),
        ({"X-Long": "x" * 40_000}, 431),
    ],
    ids=["two lengths", "a head of 40,000 bytes"],
)
def test_hostile_heads(client: TestClient, backend: MemoryBackend, headers: dict[str, str], status: int) -> None:
    answer = client.post(JOBS, content=b'{"pipeline":"x"}', headers={**JSON, **headers})
    assert answer.status_code == status, answer.text
    assert answer.headers["connection"] == "close"
    assert not backend.objects


def test_a_key_that_is_sent_twice_is_refused(client: TestClient) -> None:
    twice = [("Idempotency-Key", "order-66"), ("Idempotency-Key", "order-67")]
    answer = client.post(JOBS, json={"pipeline": "x"}, headers=twice)
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/ambiguous-idempotency-key")


@pytest.mark.parametrize("coding", ["gzip", "identity, br", ""])
def test_a_packed_body_is_refused_whatever_it_holds(client: TestClient, coding: str) -> None:
    answer = client.post(JOBS, json={"pipeline": "x"}, headers={"Content-Encoding": coding})
    assert answer.status_code == 415
    assert "without Content-Encoding" in answer.json()["detail"]
