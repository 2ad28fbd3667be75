"""Rows of the fault table (docs/faults.md) about calls that fail, children that vanish and pods that cannot start.

One operator over a namespace for each row; every row's job is submitted before the first row is looked at.
"""

# ruff: noqa: N802 - row ids as the table writes them

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from tests.integration.operator.conftest import Object, Space, make_pipeline
from tests.support.faults.plan import Answer, Expire, Freeze, Lose, Rule, Verb, on
from tests.support.faults.rows import Rows, make_spaces, operating
from tests.support.manypods import delete_job, delete_pod, finish_pod

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.paths import repository
from audiojob_dev.rest import MERGE_PATCH, RestError, wait_until

ROWS = ("F12", "F13", "F14", "F14-news", "F18", "F20", "F24", "F31", "F31-quota", "F32", "F37-pod", "F37-job")
CROWD = 12
RETRY_AFTER = 3
PATCH = (Verb.PATCH, "audiojobs")
# What the operator does not see in these rows until they are set.
F12_SEES, F18_SEES = threading.Event(), threading.Event()


def rules(spaces: dict[str, Space]) -> list[Rule]:
    """The faults, each in its row's namespace only."""
    f12, f13, f14, news, f18 = (spaces[row].namespace for row in ("F12", "F13", "F14", "F14-news", "F18"))
    wait = Answer(429, RETRY_AFTER)
    blind = [on(Verb.WATCH, resource=resource, namespace=f18) for resource in ("jobs", "pods")]
    return [
        Rule(on(Verb.CREATE, resource="jobs", namespace=f12), Lose(), count=1),
        Rule(on(Verb.WATCH, resource="jobs", namespace=f12), Freeze(0, F12_SEES), count=1),
        Rule(on(Verb.PATCH, resource="audiojobs", namespace=f13, subresource="status"), Answer(409), every=2),
        Rule(on(Verb.CREATE, resource="jobs", namespace=f14), wait, count=1),
        Rule(on(Verb.PATCH, resource="audiojobs", namespace=news, subresource="status"), wait, count=1),
        *(Rule(match, Freeze(0, F18_SEES), count=1) for match in blind),
        *(Rule(match, Expire(), count=1) for match in blind),  # and then a list, which lacks what came and went
    ]


@pytest.fixture(scope="module")
def rows(controllers: LocalApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rows]:
    """The operator, with every row under way."""
    spaces = make_spaces(controllers, ROWS, startTimeoutSeconds=3)
    forbid_jobs(spaces["F31-quota"])
    make_pipeline(controllers, f"{spaces['F31'].namespace}-gpu", device="GPU")
    with operating(controllers, tmp_path_factory.mktemp("calls"), spaces, rules(spaces)) as running:
        spaces["F31-quota"].submit("song")
        spaces["F31"].submit("roomless", pipeline=f"{spaces['F31'].namespace}-gpu", device="GPU", queueTimeoutSeconds=5)
        for name in ("imageless", "secretless"):
            spaces["F32"].submit(name)
        for row in ("F12", "F14", "F18"):
            spaces[row].submit("song")
        for row in ("F13", "F20", "F37-pod", "F37-job"):
            spaces[row].submit("stays")
        for number in range(CROWD):
            spaces["F24"].submit(f"stays-{number}")
        spaces["F14-news"].submit("stays")
        delete_the_namespace_of_f24(running)
        yield running


def delete_the_namespace_of_f24(rows: Rows) -> None:
    """Ask for its end once all of its jobs run; it takes a while, in which the other rows are looked at."""
    for number in range(CROWD):
        rows.until_running("F24", f"stays-{number}")
    rows.notes["writes before"] = rows.writes("F24")
    rows["F24"].rest.request("DELETE", f"/api/v1/namespaces/{rows['F24'].namespace}")


def forbid_jobs(space: Space) -> None:
    """A quota of no Jobs, in force at once: its status is written here, before its controller does."""
    path = f"/api/v1/namespaces/{space.namespace}/resourcequotas"
    hard = {"count/jobs.batch": "0"}
    space.rest.request("POST", path, {"metadata": {"name": "none"}, "spec": {"hard": hard}})
    status = {"status": {"hard": hard, "used": hard}}
    space.rest.request("PATCH", f"{path}/none/status", status, content_type=MERGE_PATCH)


def only_job(space: Space, phase: str, attempt: int) -> Object:
    return next(job for job in space.batch_jobs() if f"-{phase}-{attempt}-" in job["metadata"]["name"])


def test_F12_a_create_whose_answer_is_lost_makes_one_job(rows: Rows) -> None:
    mark = f"{rows['F12'].namespace}/jobs"

    def answers() -> list[int]:
        return [write.status for write in rows.proxy.record.writes if write.path.endswith(mark)]

    wait_until("the next phase's create", lambda: len(answers()) > 1, seconds=60)
    assert answers()[:2] == [201, 201], "the Job is looked up, since the watch does not show it yet: none is made twice"
    F12_SEES.set()
    status = rows.finished("F12", "song")
    assert status["state"] == "Succeeded", rows.story()
    assert [phase["attempt"] for phase in status["phases"]] == [1, 1]
    assert set(rows.jobs_created("F12").values()) == {1}


def test_F13_conflicts_on_every_second_status_patch_lose_no_field(rows: Rows) -> None:
    rows.until_running("F13", "stays")
    report = {"status": {"progress": {"one": {"attempt": 1, "percent": 40, "message": "half"}}, "percent": 20}}
    path = f"{rows['F13'].jobs_path}/stays/status"
    rows["F13"].rest.request("PATCH", path, report, content_type=MERGE_PATCH)
    for phase in ("one", "two"):
        finish_pod(rows["F13"].rest, rows.pod_of("F13", "stays", phase))
    status = rows.finished("F13", "stays")
    assert (status["state"], status["percent"]) == ("Succeeded", 100), rows.story()
    assert status["progress"]["one"]["message"] == "half", "JSON Patch of the operator's own keys leaves the runner's"
    assert [phase["attempt"] for phase in status["phases"]] == [1, 1]


def test_F14_the_servers_wish_to_wait_is_kept(rows: Rows) -> None:
    assert rows.finished("F14", "song")["state"] == "Succeeded", rows.story()
    times = [when for when, call in rows.calls("F14") if (call.verb, call.resource) == (Verb.CREATE, "jobs")]
    assert times[1] - times[0] >= RETRY_AFTER, rows.story()
    assert rows.writes("F14") < 40


def test_F14_news_of_the_job_does_not_cut_the_servers_wish_short(rows: Rows) -> None:
    def patches() -> list[float]:
        return [when for when, call in rows.calls("F14-news") if (call.verb, call.resource) == PATCH]

    wait_until("the first status patch", lambda: bool(patches()), seconds=60)
    rows["F14-news"].patch("stays", {"priority": 7})
    wait_until("the second status patch", lambda: len(patches()) > 1, seconds=60)
    first, second = patches()[:2]
    assert second - first >= RETRY_AFTER, rows.story()


def test_F18_a_job_that_came_and_went_unseen_is_done_once_more(rows: Rows) -> None:
    space = rows["F18"]
    rows.until_running("F18", "song")
    wait_until("its pod to have succeeded", lambda: ("song", "one", 1) in rows.attempts("F18"), seconds=60)
    delete_job(space.rest, only_job(space, "one", 1))
    wait_until("the Job to be gone", lambda: not space.batch_jobs() and not space.pods(), seconds=60)
    F18_SEES.set()
    status = rows.finished("F18", "song")
    assert status["state"] == "Succeeded", rows.story()
    first = status["phases"][0]
    assert (first["attempt"], first.get("failures", 0), first.get("disruptions", 0)) == (2, 0, 1)
    assert set(rows.attempts("F18").values()) == {1}


def test_F20_a_name_that_is_used_again_at_once_is_another_job(rows: Rows) -> None:
    space = rows["F20"]
    before = rows.until_running("F20", "stays")
    space.rest.request("DELETE", f"{space.jobs_path}/stays", {"propagationPolicy": "Background"})
    successor = space.submit("stays")
    after = rows.until_running("F20", "stays")
    assert after["outputPrefix"] != before["outputPrefix"]
    assert after["outputPrefix"].endswith(successor["metadata"]["uid"])

    def only_its_own() -> bool:
        owners = {job["metadata"]["ownerReferences"][0]["uid"] for job in space.batch_jobs()}
        return owners == {successor["metadata"]["uid"]}

    wait_until("the end of the first one's children", only_its_own, seconds=60)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("imageless", "ImagePullFailed", id="the image cannot be had"),
        pytest.param("secretless", "VolumeMissing", id="a Secret is missing"),
    ],
)
def test_F32_a_pod_that_cannot_start_ends_its_job_in_time(rows: Rows, name: str, reason: str) -> None:
    status = rows.finished("F32", name)
    assert (status["state"], status["error"]["reason"]) == ("Failed", reason), rows.story()
    assert status["error"]["suggestion"]


def test_F37_a_pod_deleted_by_force_is_counted_once(rows: Rows) -> None:
    rows.until_running("F37-pod", "stays")
    delete_pod(rows["F37-pod"].rest, rows.pod_of("F37-pod", "stays"))
    second = rows["F37-pod"].until(
        "stays", lambda status: status["phases"][0]["attempt"] == 2, "the next attempt", story=rows.story
    )
    phase = second["status"]["phases"][0]
    assert phase.get("failures", 0) + phase.get("disruptions", 0) == 1, phase
    for name in ("one", "two"):
        finish_pod(rows["F37-pod"].rest, rows.pod_of("F37-pod", "stays", name))
    assert rows.finished("F37-pod", "stays")["state"] == "Succeeded"
    assert set(rows.attempts("F37-pod").values()) == {1}


def test_F37_a_job_deleted_by_hand_is_made_once_more(rows: Rows) -> None:
    space = rows["F37-job"]
    rows.until_running("F37-job", "stays")
    rows.pod_of("F37-job", "stays")
    delete_job(space.rest, only_job(space, "one", 1))
    space.until("stays", lambda status: status["phases"][0]["attempt"] == 2, "the next attempt", story=rows.story)
    for name in ("one", "two"):
        finish_pod(space.rest, rows.pod_of("F37-job", "stays", name))
    status = rows.finished("F37-job", "stays")
    phase = status["phases"][0]
    assert (status["state"], phase["attempt"], phase.get("failures", 0)) == ("Succeeded", 2, 0), phase
    assert set(rows.attempts("F37-job").values()) == {1}


def test_F31_a_job_for_a_gpu_that_nobody_has_says_so_at_once_and_ends_at_its_deadline(rows: Rows) -> None:
    events = [event["message"] for event in rows["F31"].events()]
    status = rows.finished("F31", "roomless", seconds=60)
    assert (status["state"], status["error"]["reason"]) == ("Failed", "QueueTimeout"), rows.story()
    assert "gpu" in status["error"]["message"].lower(), (status, events)
    assert not status["error"].get("retryable") or status["error"]["suggestion"]


def test_F24_a_namespace_that_goes_away_with_running_jobs_causes_no_storm(rows: Rows) -> None:
    space = rows["F24"]

    def gone() -> bool:
        try:
            space.rest.request("GET", f"/api/v1/namespaces/{space.namespace}")
        except RestError as error:
            return error.status == 404
        return False

    wait_until("the namespace to be gone", gone, seconds=60)
    rows.notes["gone"] = time.monotonic()
    assert rows.writes("F24") - rows.notes["writes before"] < 20 * CROWD, rows.story()


def test_F31_a_job_held_up_by_a_quota_starts_when_there_is_room(rows: Rows) -> None:
    space = rows["F31-quota"]
    held = space.until("song", lambda status: status.get("state") == "Queued", "a reason", story=rows.story)["status"]
    assert "quota" in held["message"], held
    space.rest.request("DELETE", f"/api/v1/namespaces/{space.namespace}/resourcequotas/none")
    status = rows.finished("F31-quota", "song", seconds=40)
    assert status["state"] == "Succeeded", rows.story()


def test_F24_after_the_namespace_is_gone_there_is_quiet(rows: Rows) -> None:
    """As long as the row before took."""
    late = [call for when, call in rows.calls("F24") if when > rows.notes["gone"] + 1]
    assert len(late) <= CROWD, late


def test_F21_there_is_no_webhook_that_could_be_down() -> None:
    files = [*(repository() / "charts").rglob("*.yaml"), *(repository() / "crds").rglob("*.yaml")]
    assert files
    for file in files:
        text = file.read_text()
        assert "WebhookConfiguration" not in text, file
        assert "strategy: Webhook" not in text, file
