"""Who gets in: one answer for every bad token, rights by verb, answers remembered for some seconds."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient
from tests.unit.api.fakes import GOOD_TOKEN, READER_TOKEN, MemoryGateway

from audiojob_api.access.authenticator import ShortMemory, bearer_token

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
    anonymous: TestClient, gateway: MemoryGateway, method: str, path: str, allowed: bool
) -> None:
    gateway.put("song", state="Running")
    answer = anonymous.request(
        method,
        path,
        headers={"Authorization": f"Bearer {READER_TOKEN}"},
        json={"pipeline": "x"} if method == "POST" else None,
    )
    assert answer.status_code == (200 if allowed else 403), answer.text
    assert "cancel" not in gateway.objects["song"]["spec"]
    assert set(gateway.objects) == {"song"}


def test_two_tokens_are_none(anonymous: TestClient) -> None:
    both = [("Authorization", f"Bearer {GOOD_TOKEN}"), ("Authorization", f"Bearer {READER_TOKEN}")]
    assert anonymous.get(JOBS, headers=both).status_code == 401


def test_a_token_is_reviewed_once_in_a_while(client: TestClient, gateway: MemoryGateway) -> None:
    for _ in range(3):
        client.get(JOBS, headers={"Authorization": f"Bearer {GOOD_TOKEN}"})
    assert gateway.reviews == 1


async def test_what_is_remembered_is_forgotten_in_time() -> None:
    now = 0.0
    memory: ShortMemory[int] = ShortMemory(10, clock=lambda: now)
    asked = 0

    async def ask() -> int:
        nonlocal asked
        asked += 1
        return asked

    assert await memory.get("key", ask) == 1
    now = 9.9
    assert await memory.get("key", ask) == 1
    now = 10.0
    assert await memory.get("key", ask) == 2


async def test_a_question_that_fails_is_asked_again() -> None:
    memory: ShortMemory[int] = ShortMemory(10)

    async def fail() -> int:
        raise ConnectionError

    async def answer() -> int:
        return 1

    with pytest.raises(ConnectionError):
        await memory.get("key", fail)
    assert await memory.get("key", answer) == 1
