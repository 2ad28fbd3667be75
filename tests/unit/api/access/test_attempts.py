"""How many unknown tokens are looked up: by address and in all, in bounded memory, callers unharmed."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient
from tests.unit.api.fakes import GOOD_TOKEN, MemoryBackend

from audiojob_api.access.attempts import Attempts, client_site
from audiojob_api.app import create_app
from audiojob_api.settings import ApiSettings

JOBS = "/api/v1/jobs"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_address_has_its_minute_and_gets_it_back_evenly() -> None:
    clock = Clock()
    attempts = Attempts(30, 1_000, clock)
    assert [attempts.take("10.0.0.1") for _ in range(30)] == [0.0] * 30
    assert attempts.take("10.0.0.1") == pytest.approx(2)
    assert attempts.take("10.0.0.2") == 0
    clock.now = 2.0
    assert attempts.take("10.0.0.1") == 0
    assert attempts.take("10.0.0.1") == pytest.approx(2)


def test_many_addresses_have_one_limit_together() -> None:
    attempts = Attempts(30, 100, Clock())
    answers = [attempts.take(f"10.0.{number // 250}.{number % 250}") for number in range(500)]
    assert answers.count(0) == 100


def test_an_attempt_that_was_good_does_not_count() -> None:
    attempts = Attempts(1, 1, Clock())
    for _ in range(5):
        assert attempts.take("10.0.0.1") == 0
        attempts.give_back("10.0.0.1")
    assert attempts.take("10.0.0.1") == 0
    assert attempts.take("10.0.0.1") > 0


def test_memory_does_not_grow_with_addresses() -> None:
    attempts = Attempts(30, 10**9, Clock())
    for number in range(10_000):
        attempts.take(str(number))
    assert len(attempts) == 4_096


@pytest.mark.parametrize(
    ("address", "site"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("testclient", "testclient"),
        ("", ""),
    ],
    ids=["IPv4", "IPv6 by subscriber", "IPv4 in IPv6", "a name", "a socket without address"],
)
def test_whom_an_address_belongs_to(address: str, site: str) -> None:
    assert client_site(address) == site


def get(client: TestClient, token: str) -> int:
    return client.get(JOBS, headers={"Authorization": f"Bearer {token}"}).status_code


def test_a_flood_of_tokens_is_answered_with_429_and_hardly_reaches_the_api_server(
    anonymous: TestClient, backend: MemoryBackend
) -> None:
    assert get(anonymous, GOOD_TOKEN) == 200
    answers = [get(anonymous, f"random-{number}") for number in range(120)]
    looked_up = answers.count(401)
    assert 30 <= looked_up < 100, "a minute's number, and what came back while this test ran"
    assert answers.count(429) == 120 - looked_up
    assert backend.reviews == looked_up + 1
    refused = anonymous.get(JOBS, headers={"Authorization": "Bearer one-more"})
    assert refused.json()["type"] == "/problems/too-many-requests"
    assert 1 <= int(refused.headers["retry-after"]) <= 2
    assert get(anonymous, GOOD_TOKEN) == 200, "a caller is not locked out by strangers"


def test_a_refused_token_is_asked_for_once_in_a_while(anonymous: TestClient, backend: MemoryBackend) -> None:
    assert [get(anonymous, "wrong") for _ in range(100)] == [401] * 100
    assert backend.reviews == 1


def test_a_token_that_was_good_is_looked_up_also_after_a_flood(backend: MemoryBackend) -> None:
    settings = ApiSettings(namespace="team", auth_cache_seconds=0, attempts_per_minute=1, attempts_per_minute_in_all=1)
    with TestClient(create_app(settings, backend.backend(), backend.stopping)) as client:
        assert get(client, GOOD_TOKEN) == 200
        assert [get(client, f"random-{number}") for number in range(3)] == [401, 429, 429]
        assert get(client, GOOD_TOKEN) == 200
        del backend.users[GOOD_TOKEN]
        assert get(client, GOOD_TOKEN) == 401, "and refused once it is no longer valid"
