"""Who may call: one answer for every bad token, rights by verb, reviews cached for some seconds."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient
from tests.unit.api.fakes import GOOD_TOKEN, READER_TOKEN, MemoryBackend

from audiojob_api.access.authenticator import ExpiringCache, bearer_token

JOBS = "/api/v1/jobs"


@pytest.mark.parametrize(
    ("headers", "want"),
    [
        ([], None),
        (["Bearer t0ken"], "t0ken"),
        (["bearer t0ken"], "t0ken"),
        (["Bearer"], None),
        (["Bearer "], None),
        (["Bearer a b"], None),
        (["Basic dXNlcg=="], None),
        (["Bearer t0ken", "Bearer t0ken"], None),
        (["Bearer tökén"], None),
        (["Bearer a\x00b"], None),
        (["Bearer " + "x" * 20_000], None),
    ],
    ids=[
        "no header",
        "a token",
        "the scheme in lower case",
        "a scheme alone",
        "an empty token",
        "two words",
        "another scheme",
        "two headers",
        "letters that no token has",
        "a NUL",
        "20,000 characters",
    ],
)
def test_the_token_of_the_header(headers: list[str], want: str | None) -> None:
    assert bearer_token(headers) == want


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Basic Zm9vOmJhcg=="], ids=["none", "wrong", "basic"])
def test_every_bad_token_gets_the_same_answer(anonymous: TestClient, header: str | None) -> None:
    answer = anonymous.get(JOBS, headers={"Authorization": header} if header else {})
    reference = anonymous.get(JOBS)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json() == reference.json()


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", JOBS, True), ("GET", f"{JOBS}/song", True), ("POST", JOBS, False), ("POST", f"{JOBS}/song/cancel", False)],
    ids=["list", "get", "create", "cancel"],
)
def test_rights_are_asked_by_verb(
    anonymous: TestClient, backend: MemoryBackend, method: str, path: str, allowed: bool
) -> None:
    backend.put("song", state="Running")
    answer = anonymous.request(
        method,
        path,
        headers={"Authorization": f"Bearer {READER_TOKEN}"},
        json={"pipeline": "x"} if method == "POST" else None,
    )
    assert answer.status_code == (200 if allowed else 403), answer.text
    assert "cancel" not in backend.objects["song"]["spec"]
    assert set(backend.objects) == {"song"}


def routes_of(client: TestClient) -> list[tuple[str, str]]:
    paths = client.get("/openapi.json").json()["paths"]
    return [(method.upper(), path) for path, item in paths.items() for method in item if path.startswith("/api/")]


def test_no_route_says_whether_a_job_exists_before_it_knows_the_caller(anonymous: TestClient) -> None:
    routes = routes_of(anonymous)
    assert len(routes) > 8
    for method, path in routes:
        assert anonymous.request(method, path.format(name="none"), json={}).status_code == 401, (method, path)
        reader = {"Authorization": f"Bearer {READER_TOKEN}"}
        known = anonymous.request(method, path.format(name="none"), json={}, headers=reader)
        assert known.status_code == (403 if method != "GET" else 200 if path == JOBS else 404), (method, path)


def test_two_tokens_are_none(anonymous: TestClient) -> None:
    both = [("Authorization", f"Bearer {GOOD_TOKEN}"), ("Authorization", f"Bearer {READER_TOKEN}")]
    assert anonymous.get(JOBS, headers=both).status_code == 401


def test_a_token_is_reviewed_once_in_a_while(client: TestClient, backend: MemoryBackend) -> None:
    for _ in range(3):
        client.get(JOBS, headers={"Authorization": f"Bearer {GOOD_TOKEN}"})
    assert backend.reviews == 1


async def test_a_cached_answer_expires() -> None:
    now = 0.0
    cache: ExpiringCache[int] = ExpiringCache(10, clock=lambda: now)
    asked = 0

    async def ask() -> int:
        nonlocal asked
        asked += 1
        return asked

    assert await cache.get("key", ask) == 1
    now = 9.9
    assert await cache.get("key", ask) == 1
    now = 10.0
    assert await cache.get("key", ask) == 2


async def test_a_failure_is_not_cached() -> None:
    cache: ExpiringCache[int] = ExpiringCache(10)

    async def fail() -> int:
        raise ConnectionError

    async def answer() -> int:
        return 1

    with pytest.raises(ConnectionError):
        await cache.get("key", fail)
    assert await cache.get("key", answer) == 1
