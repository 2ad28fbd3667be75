"""Every call of the API with every right missing in turn, on a real API server; and who its audit log says it was."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.integration.api.conftest import JOBS, Api, allow
from tests.support.auditlog import whole_lines
from tests.unit.api.access.test_rights import EACH_MISSING, ROUTES

from audiojob_api.access.rights import VERBS
from audiojob_dev.rest import wait_until
from audiojob_types.constants import API_AUDIENCE, API_VERSION

pytestmark = pytest.mark.integration

ALL = sorted({verb for verbs in VERBS.values() for verb in verbs})
NAME = "guarded"
SECRET = "https://example.org/song.flac?sig=s3cret"


@pytest.fixture(scope="module")
def tokens(api: Api) -> dict[str, str]:
    """For each right an account that lacks it and one that has nothing else; one whose rights are to one job."""
    accounts = {f"without-{verb}": [each for each in ALL if each != verb] for verb in ALL}
    accounts |= {f"only-{verb}": [verb] for verb in ALL}
    for account, verbs in accounts.items():
        allow(api.server, api.namespace, account, verbs)
    allow(api.server, api.namespace, "named", ["create"], named={"own": ["get", "update"]})
    names = [*accounts, "named"]
    api.create(name=NAME, source={"url": SECRET})
    api.create(name="own")
    api.set_status(NAME, state="Failed")
    wait_until("it has failed", lambda: api.call("GET", f"{JOBS}/{NAME}")[1]["status"]["state"] == "Failed", seconds=60)
    return {each: api.server.service_account_token(api.namespace, each, audiences=(API_AUDIENCE,)) for each in names}


def stored(api: Api) -> dict[str, Any]:
    """All jobs as they are stored, by name."""
    items = api.server.rest.request("GET", f"/apis/{API_VERSION}/namespaces/{api.namespace}/audiojobs")["items"]
    return {item["metadata"]["name"]: item for item in items}


def test_every_call_without_each_of_its_rights_is_403_and_has_no_effect(api: Api, tokens: dict[str, str]) -> None:
    before = stored(api)
    for call, method, path, body, missing in EACH_MISSING:
        for name in (NAME, "there-is-none"):
            where = JOBS + path.replace("song", name)
            for account in (f"without-{missing}", *(f"only-{verb}" for verb in ALL if {verb} != set(VERBS[call]))):
                status, answer = api.call(method, where, body, token=tokens[account])
                assert status == 403, (account, call, where, answer)
                assert "s3cret" not in json.dumps(answer)
    assert stored(api) == before


def test_a_call_with_its_rights_is_no_403(api: Api, tokens: dict[str, str]) -> None:
    for call, method, path, body in ROUTES:
        verbs = VERBS[call]
        account = f"only-{verbs[0]}" if len(verbs) == 1 else "without-list"
        if method == "POST" and not path:
            continue  # creates; the next test does
        status, answer = api.call(method, JOBS + path.replace("song", "there-is-none"), body, token=tokens[account])
        assert status == (200 if call == "list" else 404), (account, call, answer)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", f"/{NAME}", None),
        ("GET", f"/{NAME}/events", None),
        ("GET", "/there-is-none", None),
        ("POST", f"/{NAME}/retry", None),
        ("POST", f"/{NAME}/cancel", None),
        ("POST", "", {"pipeline": "download", "source": {"jobRef": {"name": NAME, "output": "song"}}}),
        ("POST", "", {"pipeline": "download", "retryOf": NAME}),
        ("GET", "", None),
    ],
    ids=["get", "events", "get of nothing", "retry", "cancel", "its output", "its phases", "list"],
)
def test_rights_to_one_job_open_no_other(api: Api, tokens: dict[str, str], method: str, path: str, body: Any) -> None:
    before = stored(api)
    status, answer = api.call(method, JOBS + path, body, token=tokens["named"])
    assert (status, stored(api)) == (403, before), answer


def test_rights_to_one_job_open_it(api: Api, tokens: dict[str, str]) -> None:
    assert api.call("GET", f"{JOBS}/own", token=tokens["named"])[0] == 200
    assert api.call("POST", f"{JOBS}/own/suspend", token=tokens["named"])[0] == 202
    body = {"pipeline": "download", "name": "after-own", "source": {"jobRef": {"name": "own", "output": "song"}}}
    assert api.call("POST", JOBS, body, token=tokens["named"])[0] == 201


def test_a_caller_that_may_only_create_creates(api: Api, tokens: dict[str, str]) -> None:
    status, answer = api.call("POST", JOBS, {"pipeline": "download", "name": "blind"}, token=tokens["only-create"])
    assert status == 201, answer


def test_a_forged_mark_does_not_give_the_victim_anothers_spec(api: Api) -> None:
    """The attacker writes with kubectl: the mark, the name and even the user label are its choice."""
    status, ours = api.call("POST", JOBS, {"pipeline": "download", "name": "marked"})
    assert status == 201
    original = stored(api)["marked"]
    forged = {
        "apiVersion": API_VERSION,
        "kind": "AudioJob",
        "metadata": {key: original["metadata"][key] for key in ("name", "labels", "annotations")},
        "spec": {"pipeline": "download", "source": {"url": "https://evil.example/song.flac"}},
    }
    path = f"/apis/{API_VERSION}/namespaces/{api.namespace}/audiojobs"
    api.server.rest.request("DELETE", f"{path}/marked")
    api.server.rest.request("POST", path, forged)
    status, answer = api.call("POST", JOBS, {"pipeline": "download", "name": "marked"})
    assert (status, answer["type"]) == (409, "/problems/name-taken")
    assert ours["name"] == "marked"


def test_the_api_servers_audit_log_shows_the_caller(api: Api) -> None:
    api.create(name="audited")
    assert api.call("POST", f"{JOBS}/audited/cancel")[0] == 202

    def agents() -> list[tuple[str, str]]:
        lines = whole_lines(api.server.audit_log)
        events = [json.loads(line) for line in lines if f'"{api.namespace}"' in line and '"audiojobs"' in line]
        return [(event["verb"], event["userAgent"]) for event in events if event["objectRef"].get("name") == "audited"]

    caller = f"system:serviceaccount:{api.namespace}:caller"
    wait_until("the write", lambda: ("patch", f"audiojob-api (cancel for {caller})") in agents(), seconds=60)
    assert f'"user": "{caller}"' in api.log.read_text()
