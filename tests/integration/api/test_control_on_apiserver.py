"""Control of jobs by the API's process on a real API server: what it writes is what the server's own rules take."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.integration.api.conftest import JOBS, Api

from audiojob_api.cluster.jobs import KubeJobs
from audiojob_api.jobs.control import CANCEL, turn
from audiojob_api.problems import Problem
from audiojob_dev.rest import wait_until
from audiojob_kube.client import connect
from audiojob_kube.config import load_connection
from audiojob_kube.errors import Conflict, Invalid, NotFound
from audiojob_types.base import format_time
from audiojob_types.constants import API_AUDIENCE, API_VERSION

pytestmark = pytest.mark.integration

PHASES = [
    {"name": "separate", "state": "Succeeded", "attempt": 1},
    {"name": "publish", "state": "Waiting", "attempt": 0},
    {"name": "export", "state": "Waiting", "attempt": 0, "reviewTakes": ["lyrics"]},
]
APPROVE = {"phase": "publish", "approved": True, "message": "fine"}


def condition(reason: str) -> dict[str, Any]:
    return {
        "type": "Admitted", "status": "True" if reason == "Admitted" else "False", "observedGeneration": 1,
        "lastTransitionTime": format_time(datetime.now(UTC)), "reason": reason, "message": "",
    }  # fmt: skip


def made(api: Api, name: str, state: str = "Queued", **body: Any) -> str:
    """A job in this state, once the API knows it; its path."""
    assert api.create(name=name, **body)[0] == 201
    api.set_status(name, state=state, phases=PHASES)
    path = f"{JOBS}/{name}"
    wait_until(f"{name} is known", lambda: api.call("GET", path)[1]["status"]["state"] == state, seconds=60)
    return path


def test_suspend_and_resume(api: Api) -> None:
    path = made(api, "halted")
    assert api.call("POST", f"{path}/resume")[0] == 202
    generation = api.stored("halted")["metadata"]["generation"]
    for verb, want in (("suspend", True), ("suspend", True), ("resume", False)):
        status, answer = api.call("POST", f"{path}/{verb}")
        assert (status, answer["spec"]["suspend"]) == (202, want)
        assert api.stored("halted")["spec"]["suspend"] is want
    assert api.stored("halted")["metadata"]["generation"] == generation + 2


def test_the_priority_of_a_waiting_job(api: Api) -> None:
    path = made(api, "hurried")
    status, answer = api.call("PATCH", path, {"priority": "high"})
    assert (status, answer["spec"]["priority"]) == (200, 10)
    assert api.stored("hurried")["spec"]["priority"] == 10
    assert api.call("PATCH", path, {"priority": 11})[0] == 422


def test_reviews_are_added_and_the_first_of_a_phase_counts(api: Api) -> None:
    path = made(api, "gated", "Suspended")
    status, answer = api.call("POST", f"{path}/reviews", APPROVE)
    assert status == 201, answer
    assert api.call("POST", f"{path}/reviews", {"phase": "export", "approved": False})[0] == 201
    stored = api.stored("gated")["spec"]["reviews"]
    assert stored == [APPROVE, {"phase": "export", "approved": False, "message": ""}]
    status, problem = api.call("POST", f"{path}/reviews", {**APPROVE, "approved": False})
    assert (status, problem["type"]) == (409, "/problems/already-reviewed")
    status, problem = api.call("POST", f"{path}/reviews", {**APPROVE, "phase": "mix"})
    assert (status, problem["errors"][0]["pointer"]) == (422, "/phase")


def test_a_review_hands_inputs_in_once(api: Api) -> None:
    path = made(api, "corrected", "Suspended")
    body = {"phase": "export", "approved": True, "message": "", "inputs": [{"name": "lyrics", "text": "La la la"}]}
    assert api.call("POST", f"{path}/reviews", APPROVE)[0] == 201
    assert api.call("POST", f"{path}/reviews", body)[0] == 201
    assert api.stored("corrected")["spec"]["reviews"] == [APPROVE, body]
    for again in (body, {**body, "inputs": [{"name": "lyrics", "text": "Lo"}]}):
        assert api.call("POST", f"{path}/reviews", again)[1]["type"] == "/problems/already-reviewed"
    other = made(api, "uncorrected", "Suspended")
    wrong = {**body, "inputs": [{"name": "lyrics", "object": {"key": "../x"}}]}
    status, problem = api.call("POST", f"{other}/reviews", wrong)
    assert (status, problem["errors"][0]["pointer"]) == (422, "/inputs/0/object/key")
    assert "reviews" not in api.stored("uncorrected")["spec"]


def test_of_concurrent_reviews_one_is_stored_and_the_others_are_refused(api: Api) -> None:
    path = made(api, "crowded", "Suspended")
    answers: list[tuple[int, Any]] = []

    def review(number: int) -> None:
        answers.append(api.call("POST", f"{path}/reviews", {**APPROVE, "message": f"reviewer {number}"}))

    threads = [threading.Thread(target=review, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(status for status, _ in answers) == [201] + [409] * 7
    assert len(api.stored("crowded")["spec"]["reviews"]) == 1


def test_a_retry_is_a_new_job_that_names_the_old_one(api: Api) -> None:
    path = made(api, "tried", "Running", priority=2, parameters={"download": {"maxBytes": 5}})
    status, problem = api.call("POST", f"{path}/retry")
    assert (status, problem["type"]) == (409, "/problems/not-finished")
    api.call("POST", f"{path}/cancel")
    api.set_status("tried", state="Cancelled")
    wait_until("it has ended", lambda: api.call("POST", f"{path}/retry")[0] == 201, seconds=60)
    names = [item["name"] for item in api.call("GET", JOBS)[1]["items"] if item["name"].startswith("tried-retry-")]
    assert len(names) == 1
    old, new = api.stored("tried")["spec"], api.stored(names[0])["spec"]
    assert new == {**old, "cancel": False, "retryOf": "tried"}


def test_jobs_may_name_other_jobs(api: Api) -> None:
    status, answer = api.create(name="second", source={"jobRef": {"name": "first", "output": "vocals"}}, retryOf="zero")
    assert status == 201, answer
    spec = api.stored("second")["spec"]
    assert (spec["source"], spec["retryOf"]) == ({"jobRef": {"name": "first", "output": "vocals"}}, "zero")
    assert api.create(name="own", source={"jobRef": {"name": "own"}})[0] == 422


def test_a_queued_job_shows_its_position(api: Api) -> None:
    for name in ("position-1", "position-2"):
        made(api, name, queueName="places")
        api.set_status(name, conditions=[condition("QueueFull")])
    path = f"{JOBS}/position-2"
    wait_until("the position", lambda: api.call("GET", path)[1].get("queue") == {"position": 2, "ahead": 1}, seconds=60)
    with api.events("position-2") as response:
        data = next(line for line in response if line.startswith(b"data:"))
    assert json.loads(data[5:])["queue"] == {"position": 2, "ahead": 1}
    assert api.call("PATCH", path, {"priority": 10})[0] == 200
    wait_until("the first position", lambda: api.call("GET", path)[1]["queue"]["position"] == 1, seconds=60)
    api.set_status("position-2", state="Running", conditions=[condition("Admitted")])
    wait_until("no position any more", lambda: "queue" not in api.call("GET", path)[1], seconds=60)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/suspend", None),
        ("POST", "/resume", None),
        ("PATCH", "", {"priority": 1}),
        ("POST", "/reviews", APPROVE),
        ("POST", "/retry", None),
    ],
    ids=["suspend", "resume", "priority", "review", "retry"],
)
def test_a_reader_may_not(api: Api, method: str, path: str, body: Any) -> None:
    token = api.server.service_account_token(api.namespace, "reader", audiences=(API_AUDIENCE,))
    assert api.call(method, f"{JOBS}/whatever{path}", body, token=token)[0] == 403


@pytest.fixture
async def jobs(api: Api) -> AsyncIterator[KubeJobs]:
    """What the process writes with, by itself: it writes whatever has become of the job meanwhile."""
    client = connect(load_connection(api.kubeconfig), user_agent="audiojob-test", field_manager="audiojob-test")
    try:
        yield KubeJobs(client, api.namespace)
    finally:
        await client.aclose()


def expect(path: str, value: Any) -> dict[str, Any]:
    return {"op": "test", "path": path, "value": value}


PRIORITY = {"op": "add", "path": "/spec/priority", "value": 9}
REVIEW = {"op": "add", "path": "/spec/reviews", "value": [APPROVE]}


@pytest.mark.parametrize(
    ("operations", "taken"),
    [
        pytest.param([PRIORITY], True, id="nothing is tested but the uid"),
        pytest.param([expect("/status/state", "Queued"), PRIORITY], True, id="its state is as it was"),
        pytest.param([expect("/status/state", "Running"), PRIORITY], False, id="its state is another by now"),
        pytest.param([expect("/spec/reviews", None), REVIEW], True, id="nobody has reviewed it"),
        pytest.param([expect("/spec/reviews", [APPROVE]), REVIEW], False, id="the reviews are others by now"),
    ],
)
async def test_a_write_is_refused_where_the_job_is_not_as_it_was_seen(
    api: Api, jobs: KubeJobs, operations: list[dict[str, Any]], taken: bool
) -> None:
    name = f"seen-{uuid.uuid4().hex[:8]}"
    made(api, name)
    before = api.stored(name)
    if taken:
        changed = await jobs.change(name, before["metadata"]["uid"], operations)
        assert changed["metadata"]["generation"] == 2
    else:
        with pytest.raises(Conflict, match="changed meanwhile"):
            await jobs.change(name, before["metadata"]["uid"], operations)
        assert api.stored(name) == before


async def test_a_job_is_cancelled_only_in_the_state_in_which_it_was_read(api: Api, jobs: KubeJobs) -> None:
    assert api.create(name="matched")[0] == 201
    seen = api.stored("matched")
    api.set_status("matched", state="Running", phases=PHASES)
    with pytest.raises(Problem, match="The job is Running by now, no more Pending"):
        await turn(seen, CANCEL, jobs, only_as_read=True)
    assert api.stored("matched")["spec"]["cancel"] is False
    turned = await turn(api.stored("matched"), CANCEL, jobs, only_as_read=True)
    assert turned["spec"]["cancel"] is True


async def test_a_review_that_comes_second_is_refused(api: Api, jobs: KubeJobs) -> None:
    made(api, "second-review")
    uid = api.stored("second-review")["metadata"]["uid"]
    await jobs.change("second-review", uid, [expect("/spec/reviews", None), REVIEW])
    with pytest.raises(Conflict, match="changed meanwhile"):
        await jobs.change("second-review", uid, [expect("/spec/reviews", None), REVIEW])


async def test_a_write_does_not_reach_a_later_job_of_the_same_name(api: Api, jobs: KubeJobs) -> None:
    made(api, "reborn")
    uid = api.stored("reborn")["metadata"]["uid"]
    namespaced = f"/apis/{API_VERSION}/namespaces/{api.namespace}/audiojobs"
    api.server.rest.request("DELETE", f"{namespaced}/reborn")
    with pytest.raises(NotFound):
        await jobs.change("reborn", uid, [PRIORITY])
    body = {"apiVersion": API_VERSION, "kind": "AudioJob", "metadata": {"name": "reborn"}}
    api.server.rest.request("POST", namespaced, body | {"spec": {"pipeline": "separate"}})
    with pytest.raises(Conflict):
        await jobs.change("reborn", uid, [PRIORITY])
    assert "priority" not in api.stored("reborn")["spec"]


async def test_what_the_servers_own_rules_refuse_keeps_their_words(api: Api, jobs: KubeJobs) -> None:
    made(api, "ruled")
    uid = api.stored("ruled")["metadata"]["uid"]
    with pytest.raises(Invalid, match="cannot be changed after creation"):
        await jobs.change("ruled", uid, [{"op": "add", "path": "/spec/pipeline", "value": "other"}])
