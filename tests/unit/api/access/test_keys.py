"""Keys without a database: their text, their time, and what is kept of an owner."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.api.access.oidc.issuer import CONFIG

from audiojob_api.access.authorizer import Identity, Role, Scope
from audiojob_api.access.keys.reviewer import account_of, owner_of
from audiojob_api.access.keys.secret import new_key, parse_key
from audiojob_api.access.keys.store import Key, is_due, is_valid
from audiojob_api.access.oidc.rules import member

TEXT = new_key()
ANN = member(CONFIG, "corp", "ann", {"groups": ["band"], "org": {"name": "film"}, "email": "ann@example.org"})
KEY = Key(TEXT.id, TEXT.sha256, "laptop", ANN.username, account_of(ANN), frozenset({Scope.READ}), 1_000, 9_000)


def test_a_key_is_read_as_it_was_written_and_nothing_else_is() -> None:
    text = str(TEXT)
    assert parse_key(text) == TEXT
    assert len(text) == 59
    for wrong in ("", "aj_", text[:-1], text + "A", text.upper(), text.replace("aj_", "ak_"), f" {text}", f"{text}\n"):
        assert parse_key(wrong) is None
    assert TEXT.secret.encode() not in TEXT.sha256


@pytest.mark.parametrize(
    ("key", "now", "want"),
    [
        (KEY, 1_000, True),
        (KEY, 8_999, True),
        (KEY, 9_000, False),
        (replace(KEY, revoked=2_000), 3_000, False),
        (replace(KEY, sha256=new_key().sha256), 3_000, False),
    ],
    ids=["new", "at the end of its time", "after it", "revoked", "another's secret"],
)
def test_when_a_key_is_valid(key: Key, now: int, want: bool) -> None:
    assert is_valid(key, TEXT, now) is want


def test_its_use_is_written_down_once_a_minute() -> None:
    assert is_due(KEY, 1_000)
    assert not is_due(replace(KEY, used=1_000), 60_999)
    assert is_due(replace(KEY, used=1_000), 61_000)


def test_of_an_owner_only_what_rules_read_is_kept() -> None:
    assert "email" not in str(KEY.account)
    owner = owner_of(KEY, CONFIG)
    assert {grant.namespace: grant.role for grant in owner.grants or ()} == {"team": Role.SUBMITTER, "film": Role.ADMIN}
    assert (owner.username, owner.scopes) == (ANN.username, frozenset({Scope.READ}))


def test_a_provider_or_a_rule_that_is_gone_gives_nothing() -> None:
    assert owner_of(KEY, CONFIG.model_copy(update={"providers": ()})).grants == ()
    assert owner_of(KEY, CONFIG.model_copy(update={"rules": ()})).grants == ()


def test_a_kubernetes_account_is_kept_as_rbac_knows_it() -> None:
    bob = Identity("bob", "1", ("team",), {"a": ["b"]})
    kept = replace(KEY, account=account_of(bob))
    assert owner_of(kept, CONFIG) == replace(bob, scopes=frozenset({Scope.READ}))
