"""Which namespace a request is about, and that a foreign one is as good as none."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient
from tests.unit.api.fakes import MemoryBackend

from audiojob_api.access.authorizer import Grant, Identity, Role
from audiojob_api.access.places import Places
from audiojob_api.problems import Problem

PLACES = Places({"music", "film"}, "music")
JOBS = "/api/v1/jobs"


def member(*namespaces: str) -> Identity:
    return Identity("ann", grants=tuple(Grant(name, name, Role.VIEWER) for name in namespaces))


@pytest.mark.parametrize(
    ("identity", "named", "want"),
    [
        (Identity("ann"), [], "music"),
        (Identity("ann"), ["film"], "film"),
        (Identity("ann"), ["elsewhere"], "elsewhere"),
        (Identity("ann"), ["film", "film"], 400),
        (Identity("ann"), ["Film/.."], 404),
        (Identity("ann"), [""], 404),
        (member("film"), [], "film"),
        (member("film"), ["film"], "film"),
        (member("film"), ["music"], 404),
        (member("film"), ["elsewhere"], 404),
        (member("film", "music"), ["music"], "music"),
        (member("film", "music"), [], 400),
    ],
    ids=[
        "a Kubernetes token alone means the API's own",
        "a Kubernetes token and a name",
        "the API server knows the rights elsewhere",
        "two names",
        "no name that a namespace can have",
        "an empty name",
        "the only one that a member has",
        "and by its name",
        "a member of another tenant",
        "a member, of one that is not served",
        "one of several",
        "several and no name",
    ],
)
def test_the_namespace(identity: Identity, named: list[str], want: str | int) -> None:
    if isinstance(want, str):
        assert PLACES.wanted(identity, named) == want
        return
    with pytest.raises(Problem) as raised:
        PLACES.wanted(identity, named)
    assert raised.value.status == want


def test_rights_in_a_namespace_are_asked_before_it_is_said_whether_it_is_served(
    client: TestClient, backend: MemoryBackend
) -> None:
    def answers(namespace: str) -> tuple[int, str]:
        answer = client.get(JOBS, params={"namespace": namespace})
        return answer.status_code, answer.text

    assert answers("team")[0] == 200
    assert answers("foreign") == answers("nowhere")
    assert answers("foreign")[0] == 403
    backend.reachable.add("unserved")
    assert answers("unserved")[0] == 404


def test_a_created_job_is_found_where_its_location_says(client: TestClient) -> None:
    made = client.post(JOBS, params={"namespace": "team"}, json={"pipeline": "x", "name": "song"})
    assert made.headers["location"] == f"{JOBS}/song?namespace=team"
    assert client.get(made.headers["location"]).json()["name"] == "song"
