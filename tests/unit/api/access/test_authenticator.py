"""Who may call: one answer for every bad token, rights by verb, reviews cached for some seconds."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.unit.api.fakes import GOOD_TOKEN, READER_TOKEN, MemoryBackend

from audiojob_api.access.attempts import Attempts
from audiojob_api.access.authenticator import Authenticator, ExpiringCache, Together, bearer_token
from audiojob_api.access.authorizer import Identity
from audiojob_api.access.rights import Right
from audiojob_api.problems import Problem

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


def test_no_route_says_whether_a_job_exists_before_it_knows_the_caller(
    anonymous: TestClient, document: dict[str, Any]
) -> None:
    paths = document["paths"].items()
    routes = [(method.upper(), path) for path, item in paths for method in item if path.startswith("/api/")]
    assert len(routes) > 8
    for method, path in routes:
        address = path.format(name="none", id="none", output="a", upload="up-" + "0" * 32, part=1, instrument="a")
        assert anonymous.request(method, address, json={}).status_code == 401, (method, path)
        if not path.startswith(JOBS):
            continue
        reader = {"Authorization": f"Bearer {READER_TOKEN}"}
        known = anonymous.request(method, address, json={}, headers=reader)
        assert known.status_code == (403 if method != "GET" else 200 if path == JOBS else 404), (method, path)


def test_two_tokens_are_none(anonymous: TestClient) -> None:
    both = [("Authorization", f"Bearer {GOOD_TOKEN}"), ("Authorization", f"Bearer {READER_TOKEN}")]
    assert anonymous.get(JOBS, headers=both).status_code == 401


def test_a_token_is_reviewed_once_in_a_while(client: TestClient, backend: MemoryBackend) -> None:
    for _ in range(3):
        client.get(JOBS, headers={"Authorization": f"Bearer {GOOD_TOKEN}"})
    assert backend.reviews == 1


def test_a_cached_answer_expires() -> None:
    now = 0.0
    cache: ExpiringCache[int] = ExpiringCache(10, clock=lambda: now)
    cache.put("key", 1)
    now = 9.9
    assert cache.find("key") == 1
    now = 10.0
    assert cache.find("key") is None


class Slow(MemoryBackend):
    """Answers reviews only when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.let = asyncio.Event()
        self.access = 0

    async def review_token(self, token: str, audience: str) -> Identity | None:
        answer = await super().review_token(token, audience)
        await self.let.wait()
        return answer

    async def may(self, identity: Identity, namespace: str, right: Right) -> bool:
        self.access += 1
        await self.let.wait()
        return await super().may(identity, namespace, right)


def authenticator(backend: MemoryBackend, attempts: Attempts | None = None) -> Authenticator:
    return Authenticator(
        backend,
        audience="audiojob-api",
        cache_seconds=10,
        attempts=Attempts(30, 300) if attempts is None else attempts,
        count=lambda _: None,
    )


async def test_a_thousand_clients_of_one_account_that_come_at_once_cost_one_review_and_are_not_limited() -> None:
    backend = Slow()
    found = authenticator(backend)
    calls = [asyncio.create_task(found.identify([f"Bearer {GOOD_TOKEN}"], "192.0.2.1")) for _ in range(1_000)]
    await asyncio.sleep(0)
    backend.let.set()
    identity = (await asyncio.gather(*calls))[0]
    assert backend.reviews == 1

    backend.let.clear()
    asked = [asyncio.create_task(found.require(identity, "team", [Right("list")])) for _ in range(1_000)]
    await asyncio.sleep(0)
    backend.let.set()
    await asyncio.gather(*asked)
    assert backend.access == 1


async def test_unknown_tokens_at_once_count_each_and_the_same_one_once() -> None:
    backend = Slow()
    found = authenticator(backend, Attempts(2, 300, clock=lambda: 0.0))
    tokens = ["bad-1", "bad-1", "bad-2", "bad-3"]
    calls = [asyncio.create_task(found.identify([f"Bearer {each}"], "192.0.2.1")) for each in tokens]
    await asyncio.sleep(0)
    backend.let.set()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [each.status for each in answers if isinstance(each, Problem)] == [401, 401, 401, 429]


async def test_who_goes_away_takes_nobody_s_review_along() -> None:
    backend = Slow()
    found = authenticator(backend)
    first, second = (asyncio.create_task(found.identify([f"Bearer {GOOD_TOKEN}"], "192.0.2.1")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    backend.let.set()
    assert (await second).username
    assert backend.reviews == 1


async def test_a_failure_reaches_all_who_wait_and_is_not_kept() -> None:
    together: Together[int] = Together()

    async def fail() -> int:
        raise ConnectionError

    async def answer() -> int:
        return 1

    found = await asyncio.gather(*(together.call("key", fail) for _ in range(2)), return_exceptions=True)
    assert [type(each) for each in found] == [ConnectionError] * 2
    assert await together.call("key", answer) == 1
    assert "key" not in together
