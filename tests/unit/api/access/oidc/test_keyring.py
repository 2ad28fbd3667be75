"""Keys of a provider: rotation, outages, and strangers that name keys which nobody has."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest
from tests.unit.api.access.oidc.issuer import Issuer

from audiojob_api.access.oidc.keyring import KEPT_SECONDS, PAUSE_SECONDS, REFRESH_SECONDS
from audiojob_api.problems import Problem


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


def header_of(header: str, **changes: str) -> str:
    """A head of a token that says something else."""
    found = json.loads(base64.urlsafe_b64decode(header + "=="))
    return base64.urlsafe_b64encode(json.dumps({**found, **changes}).encode()).decode().rstrip("=")


async def test_a_thousand_tokens_with_unknown_keys_cost_one_fetch(issuer: Issuer) -> None:
    reviewer = issuer.reviewer()
    assert await reviewer.review(issuer.token()) is not None
    issuer.seconds += PAUSE_SECONDS
    header, *rest = issuer.token().split(".")
    for _ in range(2):  # at once, and again
        unknown = [".".join((header_of(header, kid=f"k{number}"), *rest)) for number in range(500)]
        assert await asyncio.gather(*map(reviewer.review, unknown)) == [None] * 500  # W3
    assert issuer.fetches == 2


async def test_a_new_key_is_known_within_half_a_minute_and_the_old_one_goes(issuer: Issuer) -> None:
    reviewer = issuer.reviewer()
    old = issuer.token()
    assert await reviewer.review(old) is not None
    issuer.kids = [("ES256", "two")]
    assert await reviewer.review(issuer.token(kid="two")) is None, "asked a moment ago"
    issuer.seconds += PAUSE_SECONDS
    assert await reviewer.review(issuer.token(kid="two")) is not None
    assert await reviewer.review(old) is None
    assert issuer.fetches == 2


async def test_keys_live_on_for_a_day_while_the_provider_is_away(issuer: Issuer) -> None:
    reviewer = issuer.reviewer()
    assert await reviewer.review(issuer.token()) is not None
    issuer.away = True
    for _ in range(3):
        issuer.seconds += REFRESH_SECONDS
        assert await reviewer.review(issuer.token()) is not None
        await asyncio.sleep(0)  # the fetch runs meanwhile
    assert issuer.fetches == 4
    issuer.seconds += KEPT_SECONDS
    with pytest.raises(Problem) as raised:
        await reviewer.review(issuer.token())
    assert raised.value.status == 503
    issuer.away, issuer.seconds = False, issuer.seconds + PAUSE_SECONDS
    assert await reviewer.review(issuer.token()) is not None


async def test_a_provider_that_was_never_heard_is_asked_twice_a_minute(issuer: Issuer) -> None:
    issuer.away = True
    reviewer = issuer.reviewer()
    for _ in range(5):
        with pytest.raises(Problem):
            await reviewer.review(issuer.token())
    assert issuer.fetches == 1


async def test_an_empty_list_of_keys_replaces_none(issuer: Issuer) -> None:
    reviewer = issuer.reviewer()
    assert await reviewer.review(issuer.token()) is not None
    issuer.kids, issuer.seconds = [], issuer.seconds + PAUSE_SECONDS
    assert await reviewer.review(issuer.token(kid="nobody")) is None
    assert await reviewer.review(issuer.token()) is not None
