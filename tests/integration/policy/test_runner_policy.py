"""What a runner's pod-bound token may write: the progress of its own phase, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.policy.space import Namespace
from tests.support.rights import until_allowed

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.rest import wait_until
from audiojob_operator.building.names import child_name
from audiojob_types.constants import GROUP, MAX_PHASE_NAME, RUNNER_SERVICE_ACCOUNT
from audiojob_types.generate.runner_policy import RUNNER_FIELDS, operator_fields
from audiojob_types.resources.job import AudioJobStatus

pytestmark = pytest.mark.integration

# One job with a finished, a running, a parallel running, a backing-off and an untouched phase.
DONE, SEPARATE, ANALYZE, WAITING = (
    "song-done-1-aaaaaaaa",
    "song-sep-2-bbbbbbbb",
    "song-an-1-cccccccc",
    "song-w-1-dddddddd",
)
STATUS: dict[str, Any] = {
    "state": "Running",
    "percent": 40,
    "message": "separate runs",
    "phase": "separate",
    "observedGeneration": 1,
    "startTime": "2026-01-01T00:00:00Z",
    "pipelineRevision": "separate-abc",
    "outputPrefix": "music/uid",
    "conditions": [
        {
            "type": "Progressing",
            "status": "True",
            "reason": "Running",
            "message": "separate runs",
            "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
    ],
    "phases": [
        {"name": "download", "state": "Succeeded", "attempt": 1, "jobName": DONE},
        {"name": "separate", "state": "Running", "attempt": 2, "jobName": SEPARATE},
        {"name": "analyze", "state": "Running", "attempt": 1, "jobName": ANALYZE},
        {"name": "publish", "state": "Waiting", "attempt": 1, "jobName": WAITING},
        {"name": "last", "state": "Waiting"},
    ],
    "progress": {
        "download": {"attempt": 1, "percent": 100, "message": "done"},
        "analyze": {"attempt": 1, "percent": 7},
    },
}
OWN_POD = f"{SEPARATE}-x7k2p"


def entry(phase: str = "separate", attempt: int = 2, percent: int = 50, **others: Any) -> dict[str, Any]:
    """A status patch with one progress entry."""
    return {"progress": {phase: {"attempt": attempt, "percent": percent, **others}}}


def test_a_runner_reports_its_own_progress(space: Namespace) -> None:
    job = space.audiojob(STATUS)
    token = space.pod(OWN_POD)
    report = {**entry(message="chunk 3 of 9", etaSeconds=40, reportTime="2026-01-01T00:01:00Z"), "percent": 45}

    answer = space.report(token, job, report)

    assert answer.status == 200, answer.message
    stored = answer.body["status"]
    assert stored["percent"] == 45
    assert stored["progress"]["separate"] == report["progress"]["separate"]
    assert stored["progress"]["download"] == STATUS["progress"]["download"]
    assert stored["phases"] == space.read(job)["status"]["phases"]


def test_a_runner_reports_the_node_of_its_pod_and_does_not_take_it_back(space: Namespace) -> None:
    job = space.audiojob({**STATUS, "nodeName": "node-of-the-phase-before"})
    token = space.pod(OWN_POD, node="node-7")
    assert space.report(token, job, {**entry(), "nodeName": "node-7"}).status == 200
    assert space.read(job)["status"]["nodeName"] == "node-7"
    assert space.report(token, job, {**entry(), "nodeName": None}).status == 403


def test_a_runner_reports_again_and_after_the_operator_wrote(space: Namespace) -> None:
    job = space.audiojob(STATUS)
    token = space.pod(OWN_POD)
    assert space.report(token, job, entry(percent=10)).status == 200
    space.operator_patch(job, {"message": "separate is slow", "percent": 60})
    assert space.report(token, job, {**entry(percent=20), "percent": 61}).status == 200
    assert space.report(token, job, entry(percent=30, message=None)).status == 200
    assert space.read(job)["status"]["progress"]["separate"] == {"attempt": 2, "percent": 30, "message": ""}


def test_the_first_report_of_a_job_needs_no_progress_before_it(space: Namespace) -> None:
    job = space.audiojob({**STATUS, "progress": {}})
    assert space.report(space.pod(OWN_POD), job, entry()).status == 200


REFUSED = {
    "another running phase": entry("analyze", 1),
    "a phase that waits": entry("last", 1),
    "a phase that does not exist": entry("ghost", 1),
    "own progress together with another phase's": {
        "progress": {**entry()["progress"], **entry("analyze", 1)["progress"]}
    },
    "own progress together with a new one": {"progress": {**entry()["progress"], **entry("last", 1)["progress"]}},
    "another phase's progress removed": {"progress": {**entry()["progress"], "download": None}},
    "all progress removed": {"progress": None},
    "own progress removed": {"progress": {"separate": None}},
    "an old attempt": entry(attempt=1),
    "an attempt to come": entry(attempt=3),
    "percent without progress of its own": {"percent": 50},
    "percent 100, which is the operator's": {**entry(), "percent": 100},
    "a node where its pod does not run": {**entry(), "nodeName": "node-8"},
    "a node without a name": {**entry(), "nodeName": ""},
}


@pytest.mark.parametrize("status", REFUSED.values(), ids=REFUSED.keys())
def test_a_runner_may_not_report(space: Namespace, status: dict[str, Any]) -> None:
    job = space.audiojob(STATUS)
    before = space.read(job)["status"]

    answer = space.report(space.pod(OWN_POD), job, status)

    assert answer.status == 403, answer
    assert space.read(job)["status"] == before


OPERATOR_WRITES: dict[str, Any] = {
    "observedGeneration": 2,
    "state": "Succeeded",
    "conditions": [],
    "startTime": "2026-02-02T00:00:00Z",
    "completionTime": "2026-02-02T00:00:00Z",
    "message": "all is well",
    "phase": "download",
    "pipelineRevision": "evil-1",
    "outputPrefix": "other/uid",
    "source": {"manifest": {"key": "other/uid/one/1-a/manifest.json", "sha256": "0" * 64, "count": 1}, "output": "a"},
    "phases": [{**phase, "failures": 1} for phase in STATUS["phases"]],
    "outputs": [{"name": "vocals", "phase": "separate", "mediaType": "audio/flac", "bytes": 1, "sha256": "0" * 64}],
    "error": {"reason": "NotMedia", "message": "no"},
    "waitingFor": "other",
    "waitStartTime": "2026-02-02T00:00:00Z",
    "warnings": [{"phase": "separate", "message": "no"}],
}


def test_every_status_field_is_in_the_table_above_or_the_runners() -> None:
    fields = {field.alias or name for name, field in AudioJobStatus.model_fields.items()}
    assert fields == OPERATOR_WRITES.keys() | RUNNER_FIELDS
    assert set(operator_fields()) == OPERATOR_WRITES.keys()


def test_a_runner_may_not_remove_the_whole_status(space: Namespace) -> None:
    job = space.audiojob(STATUS)
    before = space.read(job)["status"]
    # The schema refuses to lose phases before the policy is asked.
    assert space.report(space.pod(OWN_POD), job, None).status == 422
    assert space.read(job)["status"] == before


@pytest.mark.parametrize("name", OPERATOR_WRITES)
def test_a_runner_may_not_change_a_field_of_the_operator(space: Namespace, name: str) -> None:
    job = space.audiojob(STATUS)
    answer = space.report(space.pod(OWN_POD), job, {**entry(), name: OPERATOR_WRITES[name]})
    assert answer.status == 403
    assert f"status.{name}" in answer.message
    assert "separate" not in space.read(job)["status"]["progress"]


@pytest.mark.parametrize("name", ["state", "message", "phases", "conditions", "startTime"])
def test_a_runner_may_not_remove_a_field_of_the_operator(space: Namespace, name: str) -> None:
    job = space.audiojob(STATUS)
    answer = space.report(space.pod(OWN_POD), job, {**entry(), name: None})
    # The schema refuses to lose phases or a final state before the policy is asked.
    assert answer.status in ({403, 422} if name == "phases" else {403}), answer
    assert space.read(job)["status"][name] == STATUS[name] or name == "phases"


FOREIGN_PODS = {
    "another job's pod": "other-sep-2-eeeeeeee-x7k2p",
    "a pod of a finished phase": f"{DONE}-x7k2p",
    "a pod of a phase between two attempts": f"{WAITING}-x7k2p",
    "a pod whose name goes on after the Job's": f"{SEPARATE}-x7k2p-q4w8z",
    "a pod whose suffix is too short": f"{SEPARATE}-x7k",
    "a pod of a Job whose name begins alike": f"{SEPARATE}b-x7k2p",
    "a pod whose name is as long and has no dash there": f"{SEPARATE}bx7k2p",
    "a pod named as the Job": SEPARATE,
    "a pod of an earlier attempt": "song-sep-1-ffffffff-x7k2p",
}


@pytest.mark.parametrize("pod", FOREIGN_PODS.values(), ids=FOREIGN_PODS.keys())
def test_the_pod_must_be_the_phases_own(space: Namespace, pod: str) -> None:
    job = space.audiojob(STATUS)
    token = space.pod(pod)
    for report in (entry(), entry("download", 1), entry("publish", 1)):
        answer = space.report(token, job, report)
        assert answer.status == 403, answer
        assert "bound to that pod" in answer.message


def test_a_runner_of_one_job_may_not_report_about_another(space: Namespace) -> None:
    own = space.audiojob(STATUS)
    other = space.audiojob({"state": "Running", "phases": [phase_of("tune-sep-2-bbbbbbbb")]})
    token = space.pod(OWN_POD)
    assert space.report(token, other, entry()).status == 403
    assert space.report(token, own, entry()).status == 200


def test_a_runner_has_no_rights_in_another_namespace(space: Namespace, elsewhere: Namespace) -> None:
    job = elsewhere.audiojob(STATUS)
    assert elsewhere.report(space.pod(OWN_POD), job, entry()).status == 403


def test_rights_in_another_namespace_do_not_help_a_runner(space: Namespace, elsewhere: Namespace) -> None:
    job = elsewhere.audiojob(STATUS)
    elsewhere.server.kubectl(
        "-n", elsewhere.name, "create", "rolebinding", "wrong", "--role=audiojob-runner",
        f"--serviceaccount={space.name}:{RUNNER_SERVICE_ACCOUNT}",
    )  # fmt: skip
    asked = {"namespace": elsewhere.name, "subresource": "status"}
    until_allowed(space.server.rest, space.name, RUNNER_SERVICE_ACCOUNT, "patch", **asked)
    answer = elsewhere.report(space.pod(OWN_POD), job, entry())
    assert answer.status == 403
    assert "bound to that pod" in answer.message


def test_a_token_that_is_bound_to_no_pod_is_refused(space: Namespace) -> None:
    job = space.audiojob(STATUS)
    token = space.server.service_account_token(space.name, RUNNER_SERVICE_ACCOUNT)
    answer = space.report(token, job, entry())
    assert answer.status == 403
    assert "bound to that pod" in answer.message


def test_no_report_before_the_operator_recorded_the_phase(space: Namespace) -> None:
    job = space.audiojob({"state": "Queued"})
    assert space.report(space.pod(OWN_POD), job, entry()).status == 403


MALFORMED = {
    "percent 250 of the job": {**entry(), "percent": 250},
    "percent 250 of the phase": entry(percent=250),
    "a negative percent": entry(percent=-1),
    "a percent of the job below the one stored": {**entry(), "percent": 39},
    "the job's percent taken away": {**entry(), "percent": None},
    "attempt 0": entry(attempt=0),
    "a message of 300 characters": entry(message="x" * 300),
    "a percent that is text": {"progress": {"separate": {"attempt": 2, "percent": "50"}}},
}


@pytest.mark.parametrize("status", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_report_is_unprocessable(space: Namespace, status: dict[str, Any]) -> None:
    job = space.audiojob(STATUS)
    assert space.report(space.pod(OWN_POD), job, status).status == 422
    assert "separate" not in space.read(job)["status"]["progress"]


@pytest.mark.parametrize("mebibytes", [2, 4])
def test_a_huge_message_is_refused(space: Namespace, mebibytes: int) -> None:
    job = space.audiojob(STATUS)
    answer = space.report(space.pod(OWN_POD), job, entry(message="x" * (mebibytes << 20)))
    assert answer.status in {413, 422}
    assert len(str(space.read(job))) < 16_384


def test_spec_and_metadata_in_a_report_have_no_effect(space: Namespace) -> None:
    job = space.audiojob(STATUS)
    before = space.read(job)
    hostile = {"labels": {"a": "b"}, "annotations": {"a": "b"}, "finalizers": ["x.example.org/stay"]}
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"}

    answer = space.report(
        space.pod(OWN_POD), job, entry(), spec={"cancel": True}, metadata={**hostile, "ownerReferences": [owner]}
    )

    assert answer.status == 200
    after = space.read(job)
    assert after["spec"] == before["spec"]
    for key in ("labels", "annotations", "finalizers", "ownerReferences", "generation"):
        assert after["metadata"].get(key) == before["metadata"].get(key)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "audiojobs/{job}", {"spec": {"cancel": True}}),
        ("DELETE", "audiojobs/{job}", None),
        ("GET", "audiojobs/{job}", None),
        ("GET", "audiojobs", None),
        ("GET", "audiojobs/{job}/status", None),
    ],
    ids=["change the spec", "delete", "read", "list", "read the status"],
)
def test_a_runner_has_no_right_to(space: Namespace, method: str, path: str, body: dict[str, Any] | None) -> None:
    job = space.audiojob(STATUS)
    assert space.send(space.pod(OWN_POD), method, path.format(job=job), body).status == 403


def test_the_policy_holds_where_an_administrator_granted_too_much(space: Namespace) -> None:
    job = space.audiojob(STATUS)
    rights = {"apiGroups": [GROUP], "resources": ["audiojobs", "audiojobs/status"], "verbs": ["*"]}
    space.grant("too-much", [rights])
    token = space.pod(OWN_POD)
    new = {"metadata": {"name": "mine"}, "spec": {"pipeline": "separate"}}
    refusals = [
        space.send(token, "PATCH", f"audiojobs/{job}", {"spec": {"cancel": True}}),
        space.send(token, "DELETE", f"audiojobs/{job}"),
        space.send(
            token,
            "POST",
            "audiojobs",
            {"apiVersion": f"{GROUP}/v1alpha1", "kind": "AudioJob", **new},
            "application/json",
        ),
    ]
    assert [answer.status for answer in refusals] == [403, 403, 403], refusals
    assert all("may only update audiojobs/status" in answer.message for answer in refusals)
    whole = space.read(job)
    whole["status"]["state"] = "Failed"
    assert space.send(token, "PUT", f"audiojobs/{job}/status", whole, "application/json").status == 403
    operations = [{"op": "replace", "path": "/status/message", "value": "mine"}]
    assert (
        space.send(token, "PATCH", f"audiojobs/{job}/status", operations, "application/json-patch+json").status == 403
    )


def test_the_pod_of_a_real_job_with_the_longest_name_may_report(space: Namespace, controllers: LocalApiServer) -> None:
    """The Job controller chooses pods' names; it cuts long ones, which the policy would take for another's."""
    name = child_name("a" * 63, "uid", "b" * MAX_PHASE_NAME, 1000)
    pod = {"serviceAccountName": RUNNER_SERVICE_ACCOUNT, "restartPolicy": "Never"}
    template = {"spec": {**pod, "containers": [{"name": "phase", "image": "none"}]}}
    path = f"/namespaces/{space.name}"
    controllers.rest.request(
        "POST", f"/apis/batch/v1{path}/jobs", {"metadata": {"name": name}, "spec": {"template": template}}
    )
    pods: list[str] = []

    def started() -> bool:
        found = controllers.rest.request("GET", f"/api/v1{path}/pods?labelSelector=job-name%3D{name}")
        pods[:] = [item["metadata"]["name"] for item in found["items"]]
        return bool(pods)

    wait_until("the Job's pod", started, seconds=30)
    job = space.audiojob({"state": "Running", "phases": [phase_of(name)]})
    token = controllers.service_account_token(space.name, RUNNER_SERVICE_ACCOUNT, pod=pods[0])
    assert space.report(token, job, entry()).status == 200


def phase_of(job_name: str) -> dict[str, Any]:
    return {"name": "separate", "state": "Running", "attempt": 2, "jobName": job_name}


def test_other_service_accounts_are_not_limited(space: Namespace) -> None:
    job = space.audiojob(STATUS)
    space.server.ensure_service_account(space.name, "operator-like")
    space.server.kubectl(
        "-n", space.name, "create", "rolebinding", "operator-like", "--role=audiojob-runner",
        f"--serviceaccount={space.name}:operator-like",
    )  # fmt: skip
    until_allowed(space.server.rest, space.name, "operator-like", "patch", subresource="status")
    token = space.server.service_account_token(space.name, "operator-like")
    assert space.report(token, job, {"message": "written by another"}).status == 200
