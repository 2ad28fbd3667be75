"""API keys through the app: made, shown once, scoped, expiring, revoked; and what of them lies in the database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.unit.api.access.oidc.issuer import CONFIG, Issuer
from tests.unit.api.fakes import GOOD_TOKEN, MemoryBackend

from audiojob_api.access.config import AccessConfig
from audiojob_api.access.keys.secret import parse_key
from audiojob_api.access.keys.store import KeyStore
from audiojob_api.app import create_app
from audiojob_api.jobs.create import user_label
from audiojob_api.jobs.ports import NamespaceJobs
from audiojob_api.settings import ApiSettings
from audiojob_api.sql.database import Database, State
from audiojob_api.sql.url import parse
from audiojob_kube.errors import Forbidden, ServerError
from audiojob_types.constants import LABEL_USER

pytestmark = pytest.mark.integration

JOBS, KEYS = "/api/v1/jobs", "/api/v1/keys"
READER = {"name": "laptop", "scopes": ["jobs:read"]}
JOB = {"pipeline": "download"}
LIMITS = {
    "tierClaim": "plan", "defaultTier": "free",
    "tiers": {"free": {"jobsPerDay": 2, "priority": 2, "mostUrgent": 5}, "paid": {"priority": 8}},
    "burst": {"requests": 30, "seconds": 60},
}  # fmt: skip


class House:
    """The app over `team` and `film` with a database, and members of both."""

    def __init__(self, url: str, **config: Any) -> None:
        self.issuer = Issuer()
        self.team = MemoryBackend()
        self.team.verbs["system:serviceaccount:team:caller"] = {"create", "get", "list", "update"}
        access = AccessConfig.model_validate({**CONFIG.to_wire(), **config})
        spaces = {"team": self.team, "film": MemoryBackend()}
        jobs = {name: NamespaceJobs(reader=each, live=each, writer=each) for name, each in spaces.items()}
        self.database = Database(parse(url), check_seconds=0.05)
        backend = replace(
            self.team.backend(),
            jobs=jobs,
            reviewers=[self.issuer.reviewer(access)],
            access=access,
            database=self.database,
        )
        settings = ApiSettings(
            namespace="team", namespaces="film", auth_cache_seconds=0, stream_recheck_seconds=0.05
        )  # fmt: skip
        self.client = TestClient(create_app(settings, backend, self.team.stopping), raise_server_exceptions=False)

    def send(self, token: str, method: str, path: str, body: Any = None) -> Any:
        return self.client.request(method, path, json=body, headers={"Authorization": f"Bearer {token}"})

    def make(self, token: str, **body: Any) -> Any:
        answer = self.send(token, "POST", KEYS, {**READER, **body})
        assert answer.status_code == 201, answer.text
        assert answer.headers["cache-control"] == "no-store"
        return answer.json()

    def wait(self) -> None:
        until = time.monotonic() + 60
        while self.database.state is not State.READY:
            assert time.monotonic() < until, self.database.detail
            time.sleep(0.02)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(f"sqlite:///{tmp_path / 'audiojob.db'}", limits=LIMITS)
    with made.client:
        made.wait()
        yield made


def test_the_life_of_a_key(house: House, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    ann, crew = house.issuer.token(), house.issuer.token(sub="carl", groups=["crew"])
    reader = house.make(ann)
    maker = house.make(crew, name="robot", scopes=["jobs:create", "jobs:read", "jobs:change"], expiresDays=1)
    assert reader["owner"] == "oidc:corp:ann"
    key = reader["key"]
    assert house.send(key, "GET", JOBS).status_code == 200
    refused = house.send(key, "POST", JOBS, JOB)
    assert (refused.status_code, "jobs:read" in refused.json()["detail"]) == (403, True)
    made = house.send(maker["key"], "POST", JOBS, {**JOB, "name": "mine"})
    assert made.status_code == 201, made.text
    assert house.team.objects["mine"]["metadata"]["labels"] == {LABEL_USER: user_label("oidc:corp:carl")}
    assert house.send(maker["key"], "POST", f"{JOBS}/mine/suspend").status_code == 202

    (listed,) = house.send(ann, "GET", KEYS).json()["items"]
    assert (listed["id"], "key" in listed) == (reader["id"], False)
    assert house.send(ann, "DELETE", f"{KEYS}/{maker['id']}").status_code == 404, "another's"
    assert house.send(key, "GET", KEYS).status_code == 403, "no key shows keys"
    assert house.send(maker["key"], "POST", KEYS, READER).status_code == 403, "or makes one"
    assert house.send(ann, "DELETE", f"{KEYS}/{reader['id']}").status_code == 204
    assert house.send(ann, "DELETE", f"{KEYS}/{reader['id']}").status_code == 204
    assert house.send(key, "GET", JOBS).status_code == 401
    secret = parse_key(key)
    assert secret is not None
    for file in tmp_path.iterdir():
        assert secret.secret.encode() not in file.read_bytes()
    assert secret.secret not in caplog.text


def test_a_key_that_is_revoked_ends_the_streams_that_it_opened(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    key = house.make(house.issuer.token())
    house.team.put("song", state="Running")
    subscribe, revoking = house.team.subscribe, []

    def subscribed(*arguments: Any) -> Any:
        store = KeyStore(house.database)
        revoking.append(asyncio.ensure_future(store.revoke(key["id"], round(time.time() * 1_000))))
        return subscribe(*arguments)

    monkeypatch.setattr(house.team, "subscribe", subscribed)
    last = house.send(key["key"], "GET", f"{JOBS}/song/events").text.strip().split("\n\n")[-1]
    assert last.startswith("event: refused")  # W6
    assert "/problems/unauthenticated" in last
    assert len(revoking) == 1


def test_rights_that_are_gone_are_gone_for_the_key(house: House) -> None:
    key = house.make(house.issuer.token(groups=["band"], plan="paid"))["key"]
    assert house.send(key, "GET", JOBS).status_code == 200
    assert house.send(key, "GET", f"{JOBS}?namespace=film").status_code == 404
    rest = CONFIG.model_copy(update={"rules": CONFIG.rules[1:]})
    later = House(str(house.database.url.url), **rest.to_wire())
    with later.client:
        later.wait()
        assert later.send(key, "GET", JOBS).status_code == 403, "no rule lets the band in any more"


def test_an_admin_sees_and_revokes_the_keys_of_the_namespace(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    boss: dict[str, Any] = {"groups": [], "org": {"name": "film"}}
    admin = house.issuer.token(sub="eve", **boss)
    band, film = house.make(house.issuer.token()), house.make(house.issuer.token(sub="fay", **boss))
    assert [each["id"] for each in house.send(admin, "GET", f"{KEYS}?everybody=true").json()["items"]] == [film["id"]]
    assert house.send(admin, "DELETE", f"{KEYS}/{band['id']}").status_code == 404
    for name, most, ids in (("pages", 1, [film["id"]]), ("more", 0, [])):
        monkeypatch.setattr("audiojob_api.access.keys.store.MOST_LISTED", most or 1)
        monkeypatch.setattr("audiojob_api.access.keys.store._MOST_PAGES", 10 * most or 1)
        house.make(house.issuer.token(), name=name)  # newer, and not the admin's to see
        listed = house.send(admin, "GET", f"{KEYS}?everybody=true").json()
        assert ([each["id"] for each in listed["items"]], listed["truncated"]) == (ids, not most), name
    assert house.send(admin, "DELETE", f"{KEYS}/{film['id']}").status_code == 204


def test_a_kubernetes_account_needs_a_right_of_its_own(house: House) -> None:
    assert house.send(GOOD_TOKEN, "POST", KEYS, READER).status_code == 403
    house.team.verbs["system:serviceaccount:team:caller"] = {"issuekeys", "list"}
    key = house.make(GOOD_TOKEN)["key"]
    assert house.send(key, "GET", JOBS).status_code == 200
    house.team.verbs["system:serviceaccount:team:caller"] = set()
    assert house.send(key, "GET", JOBS).status_code == 403, "RBAC is asked for the key's owner"


BAD = {
    "no name": {"scopes": ["jobs:read"]},
    "no scope": {"name": "x", "scopes": []},
    "a scope that is none": {"name": "x", "scopes": ["admin"]},
    "a name with NUL, which PostgreSQL does not keep": {**READER, "name": "a\0b"},
    "a name with an escape of terminals": {**READER, "name": "\x1b[2J"},
    "a name of two lines": {**READER, "name": "a\nb"},
    "an end that is too far": {**READER, "expiresDays": 366},
    "no end": {**READER, "expiresDays": 0},
    "a misspelt field": {**READER, "expireDays": 3},
}


def test_bad_requests_and_bad_keys(house: House) -> None:
    ann = house.issuer.token()
    for why, body in BAD.items():
        assert house.send(ann, "POST", KEYS, body).status_code == 422, why
    key = house.make(ann)["key"]
    id_, secret = key[3:15], key[16:]
    for wrong in (
        f"aj_{id_}_{'A' * len(secret)}",
        f"aj_{id_}",
        f"aj_000000000000_{secret}",
        "aj__",
        f"{key}x",
    ):
        assert house.send(wrong, "GET", JOBS).status_code == 401


def test_limits_by_tier_hold_at_the_call(house: House) -> None:
    ann = house.issuer.token()
    first = house.send(ann, "POST", JOBS, JOB)
    assert (first.status_code, first.json()["spec"]["priority"]) == (201, 2)
    assert first.headers["ratelimit-policy"] == '"burst";q=30;w=60, "jobs-day";q=2;w=86400'
    assert '"jobs-day";r=1;t=' in first.headers["ratelimit"]
    assert house.send(ann, "POST", JOBS, {**JOB, "priority": 6}).status_code == 422, "more urgent than the tier has"
    for failure, status in ((Forbidden(403, "Forbidden", "quota"), 403), (ServerError(500, "InternalError", "x"), 503)):
        house.team.failure = failure
        assert house.send(ann, "POST", JOBS, JOB).status_code == status
    house.team.failure = None
    refused = house.send(ann, "POST", JOBS, JOB)
    assert (refused.status_code, refused.json()["type"]) == (429, "/problems/limit-reached"), "unknown fates count"
    assert "2 jobs a day of your tier, free" in refused.json()["detail"]
    assert '"jobs-day";r=0;t=' in refused.headers["ratelimit"]
    paid = house.issuer.token(sub="paula", plan="paid")
    assert {house.send(paid, "POST", JOBS, JOB).json()["spec"]["priority"] for _ in range(4)} == {8}
    statuses = [house.send(paid, "GET", JOBS).status_code for _ in range(40)]
    assert 429 in statuses
    limited = house.send(paid, "GET", JOBS)
    assert limited.status_code == 429
    assert limited.headers["ratelimit"].startswith('"burst";r=0;t=')
    assert int(limited.headers["retry-after"]) >= 1
    assert house.send(ann, "GET", JOBS).status_code == 200, "others go on"


def test_a_repeated_request_counts_once(house: House) -> None:
    ann = house.issuer.token()
    headers = {"Authorization": f"Bearer {ann}", "Idempotency-Key": "k"}
    statuses = [house.client.post(JOBS, json=JOB, headers=headers).status_code for _ in range(4)]
    assert statuses == [201, 200, 200, 200]
    assert house.send(ann, "POST", JOBS, JOB).status_code == 201
