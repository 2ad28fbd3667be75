"""Tokens of providers: what is taken, and everything that is not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.api.access.oidc.issuer import ISSUER, Issuer, private_key, public_document

from audiojob_api.access.authorizer import Grant, Role
from audiojob_api.access.oidc.tokens import keys_of

BAND = Grant("band", "team", Role.SUBMITTER)


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_token_of_each_algorithm_is_taken(issuer: Issuer, algorithm: str) -> None:
    issuer.kids = [(algorithm, "one")]
    reviewed = await issuer.reviewer().review(issuer.token(algorithm=algorithm))
    assert reviewed is not None
    assert reviewed.identity.username == "oidc:corp:ann"
    assert reviewed.identity.grants == (BAND,)
    assert reviewed.seconds == 60


def part(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def unsigned(issuer: Issuer) -> str:
    return f"{part({'alg': 'none'})}.{issuer.token().split('.')[1]}."


def hmac_with_public_key(issuer: Issuer) -> str:
    signed = f"{part({'alg': 'HS256', 'kid': 'one'})}.{issuer.token().split('.')[1]}"
    secret = json.dumps(public_document("ES256", "one")).encode()
    digest = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def changed(issuer: Issuer) -> str:
    header, _, signature = issuer.token().split(".")
    return f"{header}.{issuer.token(sub='bob').split('.')[1]}.{signature}"


REFUSED: dict[str, Callable[[Issuer], str]] = {
    "expired": lambda issuer: issuer.token(exp=issuer.seconds - 31),
    "without an end": lambda issuer: issuer.token(exp=None),
    "an end that is no number": lambda issuer: issuer.token(exp=float("inf")),
    "not yet valid": lambda issuer: issuer.token(nbf=issuer.seconds + 300),
    "made in the future": lambda issuer: issuer.token(iat=issuer.seconds + 300),
    "for somebody else": lambda issuer: issuer.token(aud="other"),
    "for nobody": lambda issuer: issuer.token(aud=None),
    "of no user": lambda issuer: issuer.token(sub=None),
    "of a user without a name": lambda issuer: issuer.token(sub=""),
    "of a user whose name is a line break": lambda issuer: issuer.token(sub="a\nb"),
    "alg none": unsigned,
    "an HMAC with the public key": hmac_with_public_key,
    "other claims than were signed": changed,
    "signed by another key of the same name": lambda issuer: issuer.token(algorithm="EdDSA"),
    "a key that the provider has not": lambda issuer: issuer.token(kid="two"),
    "what must be understood": lambda issuer: issuer.token(headers={"crit": ["exp"]}),
    "a key of its own": lambda issuer: issuer.token(
        kid="two", headers={"jwk": public_document("ES256", "two"), "jku": "https://evil.example.org/keys"}
    ),
}


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED.keys())
async def test_a_token_is_refused(issuer: Issuer, make: Callable[[Issuer], str]) -> None:
    reviewer = issuer.reviewer()
    assert await reviewer.review(make(issuer)) is None
    assert await reviewer.review(issuer.token()) is not None


async def test_clocks_may_differ_by_half_a_minute_and_the_log_tells_of_more(
    issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    reviewer = issuer.reviewer()
    late = await reviewer.review(issuer.token(exp=issuer.seconds - 20))
    assert late is not None
    assert 9 < late.seconds <= 10
    assert await reviewer.review(issuer.token(nbf=issuer.seconds + 20, iat=issuer.seconds + 20)) is not None
    token = issuer.token(exp=issuer.seconds - 312)
    assert await reviewer.review(token) is None
    assert "expired 312 s ago by this clock" in caplog.text
    assert not any(piece in caplog.text for piece in token.split("."))


def test_whose_tokens_they_are(issuer: Issuer) -> None:
    reviewer = issuer.reviewer()
    assert reviewer.owns(issuer.token())
    assert reviewer.owns(unsigned(issuer)), "and so it is not the API server's to judge"
    for other in (issuer.token(iss=ISSUER + "/"), issuer.token(iss=None), "opaque", "a.b.c", "", "é.é.é", "..."):
        assert not reviewer.owns(other)


async def test_groups_decide_and_the_first_rule_for_a_namespace_wins(issuer: Issuer) -> None:
    async def grants(**claims: Any) -> dict[str, Role]:
        reviewed = await issuer.reviewer().review(issuer.token(**claims))
        assert reviewed is not None
        return {grant.namespace: grant.role for grant in reviewed.identity.grants or ()}

    assert await grants(groups=["crew", "band"]) == {"team": Role.SUBMITTER}
    assert await grants(groups="crew") == {"team": Role.OPERATOR}
    assert await grants(groups=["fans"], org={"name": "film"}) == {"team": Role.VIEWER, "film": Role.ADMIN}
    assert await grants(groups=None, **{"org.name": "film"}) == {"film": Role.ADMIN}
    for nothing in (None, [], {"band": 1}, 7, [["band"]], "BAND", [None] * 300):
        assert await grants(groups=nothing) == {}


def test_keys_that_are_none_of_ours_are_passed_over() -> None:
    good = public_document("ES256", "one")
    listed = [
        good,
        {**good, "use": "enc"},
        {**good, "alg": "ES512"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "one"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "small"},
        {"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"},
        "text",
        {},
    ]
    assert [key.kid for key in keys_of({"keys": listed})] == ["one"]
    assert private_key("ES256", "one") is not None
    documents: list[object] = [{}, [], None, {"keys": "x"}]
    for document in documents:
        with pytest.raises(ValueError, match="list of keys"):
            keys_of(document)
