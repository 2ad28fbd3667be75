"""Tenants through the app: what a role allows, and that what is another tenant's is as good as nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.unit.api.access.oidc.issuer import Issuer
from tests.unit.api.access.test_rights import ROUTES
from tests.unit.api.fakes import MemoryBackend

from audiojob_api.access.rights import Call
from audiojob_api.access.roles import ROLES
from audiojob_api.app import create_app
from audiojob_api.jobs.create import user_label
from audiojob_api.jobs.ports import NamespaceJobs
from audiojob_api.settings import ApiSettings
from audiojob_types.constants import LABEL_USER

JOBS = "/api/v1/jobs"
ANN = {LABEL_USER: user_label("oidc:corp:ann")}
# What a viewer may do, and how it is answered where no files are served.
READ = {Call.LIST: 200, Call.GET: 200, Call.FOLLOW: 200, Call.DOWNLOAD: 501, Call.READ_LOG: 501}


class House:
    """The app over two namespaces, `team` and `film`, and its tokens."""

    def __init__(self) -> None:
        self.issuer = Issuer()
        self.team, self.film = MemoryBackend(), MemoryBackend()
        spaces = {"team": self.team, "film": self.film}
        jobs = {name: NamespaceJobs(reader=each, live=each, writer=each) for name, each in spaces.items()}
        backend = replace(self.team.backend(), jobs=jobs, reviewers=[self.issuer.reviewer()])
        settings = ApiSettings(namespace="team", namespaces="film")
        self.client = TestClient(create_app(settings, backend, self.team.stopping), raise_server_exceptions=False)

    def send(self, method: str, path: str, body: Any = None, **claims: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.issuer.token(**claims)}"}
        return self.client.request(method, JOBS + path, json=body, headers=headers)


@pytest.fixture
def house() -> Iterator[House]:
    made = House()
    with made.client:
        yield made


def song(space: MemoryBackend, **labels: str) -> None:
    job = space.put("song", state="Failed")
    job["metadata"]["labels"] = labels


def test_a_members_job_carries_the_members_name(house: House) -> None:
    made = house.send("POST", "", {"pipeline": "download", "name": "mine"})
    assert made.status_code == 201, made.text
    assert house.team.objects["mine"]["metadata"]["labels"] == ANN
    assert house.team.asked == [], "RBAC knows nothing of members"


@pytest.mark.parametrize(("call", "method", "path", "body"), ROUTES, ids=[f"{m} {p}" for _, m, p, _ in ROUTES])
def test_a_viewer_reads_and_changes_nothing(house: House, call: Call, method: str, path: str, body: Any) -> None:
    song(house.team, **ANN)
    answer = house.send(method, path, body, groups=["fans"])
    assert answer.status_code == READ.get(call, 403), answer.text
    assert set(house.team.objects) == {"song"}


def test_a_submitter_changes_own_jobs_and_an_operator_all(house: House) -> None:
    for labels, groups, status in (
        (ANN, ["band"], 202),
        ({LABEL_USER: "bob"}, ["band"], 403),
        ({}, ["band"], 403),
        ({LABEL_USER: "bob"}, ["crew"], 202),
    ):
        song(house.team, **labels)
        house.team.objects["song"]["status"]["state"] = "Running"
        assert house.send("POST", "/song/suspend", groups=groups).status_code == status, (labels, groups)
    assert house.send("POST", "/nothing/suspend").status_code == 404


@pytest.mark.parametrize(("call", "method", "path", "body"), ROUTES, ids=[f"{m} {p}" for _, m, p, _ in ROUTES])
def test_a_tenant_who_guesses_learns_nothing(house: House, call: Call, method: str, path: str, body: Any) -> None:
    """The same answer for another's job, for another's namespace, and for what does not exist."""
    song(house.film)
    before = dict(house.film.objects)
    foreign = house.send(method, f"{path}?namespace=film", body, groups=["crew"])
    nowhere = house.send(method, f"{path}?namespace=elsewhere", body, groups=["crew"])
    assert foreign.status_code == nowhere.status_code == 404
    assert foreign.text.replace("film", "X") == nowhere.text.replace("elsewhere", "X")
    if "/song" in path:
        unknown = house.send(method, path, body, groups=["crew"])
        assert unknown.status_code == 404, "in one's own namespace there is none of this name"
    assert house.film.objects == before


def test_who_has_two_namespaces_names_one(house: House) -> None:
    both = {"groups": ["band"], "org": {"name": "film"}}
    answer = house.send("GET", "", **both)
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/namespace-needed")
    assert "film, team" in answer.json()["detail"]
    assert house.send("POST", "?namespace=film", {"pipeline": "x", "name": "reel"}, **both).status_code == 201
    assert (set(house.film.objects), set(house.team.objects)) == ({"reel"}, set())


def test_a_member_of_no_tenant_is_told_so(house: House) -> None:
    answer = house.send("GET", "", groups=["strangers"])
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/no-tenant")


@pytest.mark.parametrize("query", ["access_token", "token", "api_key", "Authorization"], ids=lambda name: f"?{name}=")
def test_a_token_in_the_address_is_refused_and_told_of(house: House, query: str) -> None:
    token = house.issuer.token()
    answer = house.client.get(JOBS, params={query: token})
    assert answer.status_code == 401
    assert "header" in answer.json()["detail"]
    assert token not in answer.text
    both = house.client.get(JOBS, params={query: token}, headers={"Authorization": f"Bearer {token}"})
    assert both.status_code == 401, "two credentials"


def test_a_kubernetes_account_with_a_members_name_is_refused(house: House) -> None:
    house.team.users |= {"twin": "oidc:corp:ann", "other": "oidc:elsewhere:ann"}
    statuses = [
        house.client.get(JOBS, headers={"Authorization": f"Bearer {token}"}).status_code for token in ("twin", "other")
    ]
    assert statuses == [401, 200]


def test_two_credentials_are_none(house: House) -> None:
    bearer = f"Bearer {house.issuer.token()}"
    two = [("Authorization", bearer), ("Authorization", bearer)]
    assert house.client.get(JOBS, headers=two).status_code == 401
    assert house.client.get(JOBS, headers={"Authorization": bearer, "X-API-Key": "aj_x_y"}).status_code == 401


def test_every_role_of_a_higher_kind_may_do_what_the_lower_may() -> None:
    tables = list(ROLES.values())
    assert all(lower.keys() <= higher.keys() for lower, higher in pairwise(tables))
