"""The API's process on a real API server, with the chart's rights and real tokens."""

from __future__ import annotations

import http.client
import json
import threading
from typing import Any

import pytest
from tests.integration.api.conftest import JOBS, URL, Api
from tests.integration.policy.addresses import enforced

from audiojob_dev.rest import wait_until
from audiojob_types.constants import API_AUDIENCE, LABEL_USER

pytestmark = pytest.mark.integration


def test_create_get_list_cancel(api: Api) -> None:
    status, created = api.create(name="song", priority="low")
    assert status == 201, created
    stored = api.stored("song")
    assert stored["spec"]["priority"] == 1
    assert stored["metadata"]["labels"][LABEL_USER] == f"system.serviceaccount.{api.namespace}.caller"
    assert api.call("GET", f"{JOBS}/song")[1]["uid"] == stored["metadata"]["uid"]
    assert "song" in {item["name"] for item in api.call("GET", JOBS)[1]["items"]}
    assert api.call("POST", f"{JOBS}/song/cancel")[0] == 202
    assert api.stored("song")["spec"]["cancel"] is True


def test_events_follow_a_job_to_its_end(api: Api) -> None:
    api.create(name="followed")
    states: list[str] = []
    first = threading.Event()

    def follow() -> None:
        with api.events("followed") as response:
            for line in response:
                if line.startswith(b"data:"):
                    states.append(json.loads(line[5:])["status"]["state"])
                    first.set()

    thread = threading.Thread(target=follow)
    thread.start()
    assert first.wait(60)
    api.set_status("followed", state="Running")
    api.set_status("followed", state="Succeeded", percent=100)
    thread.join(60)
    assert not thread.is_alive(), "the stream ends with the job"
    assert states[0] == "Pending"
    assert states[-1] == "Succeeded"
    ended = api.call("GET", f"{JOBS}/followed")[1]["resourceVersion"]
    with api.events("followed", **{"Last-Event-ID": ended}) as response:
        assert response.status == 204, "who has seen the end need not come back"


def test_a_client_that_goes_away_leaves_no_stream(api: Api) -> None:
    api.create(name="left")
    wait_until("no stream of another test to be open", lambda: api.open_streams() == 0, seconds=60)
    with api.events("left") as response:
        assert response.readline()
        assert api.open_streams() == 1
        response.close()
    wait_until("the stream is closed", lambda: api.open_streams() == 0, seconds=60)


@pytest.mark.parametrize(
    ("audiences", "want"),
    [((API_AUDIENCE,), 200), ((), 401), (("somebody-else",), 401)],
    ids=["a token for us", "a token for the API server", "a token for somebody else"],
)
def test_only_tokens_for_our_audience_are_accepted(api: Api, audiences: tuple[str, ...], want: int) -> None:
    token = api.server.service_account_token(api.namespace, "caller", audiences=audiences)
    assert api.call("GET", JOBS, token=token)[0] == want


@pytest.mark.parametrize("token", ["", "garbage", "a.b.c"], ids=["none", "garbage", "no real signature"])
def test_without_a_token_nothing_is_answered(api: Api, token: str) -> None:
    status, problem = api.call("GET", JOBS, token=token)
    assert status == 401
    assert problem["type"] == "/problems/unauthenticated"


def test_two_authorization_headers_are_refused(api: Api) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=30)
    connection.putrequest("GET", JOBS)
    for _ in range(2):
        connection.putheader("Authorization", f"Bearer {api.token}")
    connection.endheaders()
    assert connection.getresponse().status == 401
    connection.close()


def test_a_reader_may_look_and_nothing_else(api: Api) -> None:
    api.create(name="readable")
    token = api.server.service_account_token(api.namespace, "reader", audiences=(API_AUDIENCE,))
    assert api.call("GET", f"{JOBS}/readable", token=token)[0] == 200
    status, problem = api.call("POST", JOBS, {"pipeline": "download"}, token=token)
    assert status == 403
    assert "create audiojobs" in problem["detail"]
    assert api.call("POST", f"{JOBS}/readable/cancel", token=token)[0] == 403


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"source": {"url": "https://a.b/c", "object": {"key": "x"}}}, ["exactly one"], id="two sources"),
        pytest.param({"source": {}}, ["exactly one"], id="an empty source"),
        pytest.param({"source": {"url": "file:///etc/passwd"}}, ["url", "http"], id="a file URL"),
        pytest.param({"source": {"url": "http://me:pw@host/x"}}, ["user name or password"], id="credentials"),
        pytest.param({"image": "evil"}, ["image"], id="an unknown field"),
        pytest.param({"parameters": {"separate": {"model": "evil"}}}, ["parameters.separate.model"], id="a model"),
        pytest.param({"name": "n" * 64}, ["name"], id="a name of 64 characters"),
    ],
)
def test_bad_input_is_refused_in_words(api: Api, change: dict[str, Any], words: list[str]) -> None:
    status, problem = api.create(**change)
    assert status == 422, problem
    text = json.dumps(problem)
    for word in words:
        assert word in text


def test_an_address_that_the_policy_refuses_is_answered_with_its_field(api: Api) -> None:
    with enforced(api.server, ()):
        status, problem = api.create(source={"url": "http://10.9.9.9/song.flac"})
    assert (status, problem["type"]) == (422, "/problems/invalid-job")
    (error,) = problem["errors"]
    assert error["pointer"] == "/source/url"
    assert error["detail"].startswith("10.9.9.9 is not a public address.")
    assert "ValidatingAdmissionPolicy" not in problem["detail"]


def test_a_name_of_63_characters_works(api: Api) -> None:
    assert api.create(name="n" * 63)[0] == 201


def test_an_idempotency_key_makes_one_job_under_a_storm(api: Api) -> None:
    names: set[str] = set()

    def send() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=30)
        headers = {
            "Authorization": f"Bearer {api.token}",
            "Content-Type": "application/json",
            "Idempotency-Key": "storm",
        }
        connection.request("POST", JOBS, json.dumps({"pipeline": "download", "source": URL}), headers)
        response = connection.getresponse()
        names.add(json.loads(response.read())["name"])
        assert response.status in (200, 201)
        connection.close()

    threads = [threading.Thread(target=send) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names) == 1
