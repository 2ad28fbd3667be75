"""Reviews of tokens and rights: only a clear yes of the API server is one."""

from __future__ import annotations

from typing import Any
from unittest.mock import AsyncMock

import pytest

from audiojob_api.access.authorizer import Identity
from audiojob_api.access.rights import Right
from audiojob_api.cluster.reviews import KubeAuthorizer

AUDIENCE = "audiojob-api"
USER = {"username": "ann", "uid": "1", "groups": ["team"], "extra": {"pod": ["a"]}}
ANN = Identity("ann", "1", ("team",), {"pod": ["a"]})


def authorizer(status: dict[str, Any] | None) -> tuple[KubeAuthorizer, AsyncMock]:
    """One whose API server answers every review with this status."""
    client = AsyncMock()
    client.create.return_value = {} if status is None else {"status": status}
    return KubeAuthorizer(client), client


@pytest.mark.parametrize(
    ("status", "identity"),
    [
        pytest.param({"authenticated": True, "audiences": [AUDIENCE], "user": USER}, ANN, id="valid and for us"),
        pytest.param({"authenticated": True, "audiences": ["other", AUDIENCE], "user": USER}, ANN, id="also for us"),
        pytest.param({"authenticated": True, "audiences": ["other"], "user": USER}, None, id="for somebody else"),
        pytest.param({"authenticated": True, "user": USER}, None, id="from an authenticator that knows no audiences"),
        pytest.param({"authenticated": False, "audiences": [AUDIENCE]}, None, id="not valid"),
        pytest.param({"error": "expired"}, None, id="an error"),
        pytest.param(None, None, id="no status"),
    ],
)
async def test_a_token_has_an_owner_only_if_it_is_valid_and_for_us(
    status: dict[str, Any] | None, identity: Identity | None
) -> None:
    reviewer, client = authorizer(status)
    assert await reviewer.review_token("t0ken", AUDIENCE) == identity
    assert client.create.await_args.args[1]["spec"] == {"token": "t0ken", "audiences": [AUDIENCE]}


@pytest.mark.parametrize(
    ("status", "allowed"),
    [({"allowed": True}, True), ({"allowed": False}, False), ({"denied": True}, False), (None, False)],
    ids=["allowed", "not allowed", "denied", "no status"],
)
async def test_rights_are_asked_for_the_whole_identity_in_the_one_namespace(
    status: dict[str, Any] | None, allowed: bool
) -> None:
    reviewer, client = authorizer(status)
    assert await reviewer.may(ANN, "team", Right("create")) is allowed
    spec = client.create.await_args.args[1]["spec"]
    assert (spec["user"], spec["uid"], spec["groups"], spec["extra"]) == ("ann", "1", ["team"], {"pod": ["a"]})
    assert spec["resourceAttributes"] == {
        "group": "audiojobs.dev", "resource": "audiojobs", "namespace": "team", "verb": "create",
    }  # fmt: skip


async def test_a_right_to_one_job_is_asked_for_by_its_name() -> None:
    reviewer, client = authorizer({"allowed": True})
    assert await reviewer.may(ANN, "team", Right("get", "song"))
    attributes = client.create.await_args.args[1]["spec"]["resourceAttributes"]
    assert (attributes["verb"], attributes["name"]) == ("get", "song")
