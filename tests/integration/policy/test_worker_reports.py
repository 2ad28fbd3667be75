"""What the pod of a worker may write: that it began the attempt it was told, and once how that ended."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.policy.space import Namespace

from audiojob_types.contract import Outcome, PhaseResult
from audiojob_types.progress import MAX_REPORTED_BYTES
from audiojob_types.workers.order import ReportedEnd

pytestmark = pytest.mark.integration

WORKER = "gpu-w-0a1b2c3d"
POD = f"{WORKER}-x7k2p"
OWN = "song-sep-2-bbbbbbbb"
OWN_POD = f"{OWN}-x7k2p"
OTHERS_UID = "00000000-0000-4000-8000-000000000000"


def ended(attempt: int, message: str = "It failed.") -> str:
    """How an attempt ended, as a worker reports it."""
    result = PhaseResult(outcome=Outcome.FAILED, message=message)
    return ReportedEnd(attempt=attempt, exit_code=1, result=result).to_text()


def entry(attempt: int = 2, **others: Any) -> dict[str, Any]:
    return {"progress": {"separate": {"attempt": attempt, "percent": 50, **others}}}


class Worker:
    """A worker's pod, and its token."""

    def __init__(self, space: Namespace) -> None:
        self.space = space
        self.token = space.pod(POD)
        path = f"/api/v1/namespaces/{space.name}/pods/{POD}"
        self.uid: str = space.server.rest.request("GET", path)["metadata"]["uid"]

    def told(self, progress: dict[str, Any] | None = None, **fields: Any) -> str:
        """An AudioJob whose phase separate is bound to this pod, if ``fields`` do not say otherwise."""
        phase = {"name": "separate", "state": "Running", "attempt": 2, "jobName": WORKER, "podUID": self.uid, **fields}
        phase = {field: value for field, value in phase.items() if value is not None}
        before = {"progress": {"separate": progress}} if progress else {}
        return self.space.audiojob({"state": "Running", "phases": [phase], **before})


@pytest.fixture
def worker(space: Namespace) -> Worker:
    return Worker(space)


def test_a_worker_begins_reports_progress_and_says_how_the_attempt_ended(worker: Worker) -> None:
    space, job = worker.space, worker.told()
    for report in (entry(begun=True), entry(message="chunk 1"), entry(result=ended(2)), entry(result=ended(2))):
        answer = space.report(worker.token, job, report)
        assert answer.status == 200, answer.message
    assert space.read(job)["status"]["progress"]["separate"] == {
        "attempt": 2, "percent": 50, "message": "chunk 1", "begun": True, "result": ended(2),
    }  # fmt: skip
    refused = {
        "a second result": entry(result=ended(2, "It was well.")),
        "no result any more": entry(result=None),
        "an empty result": entry(result=""),
        "not begun any more": entry(begun=None),
        "begun taken back": entry(begun=False),
        "no entry any more": {"progress": {"separate": None}},
    }
    for what, report in refused.items():
        answer = space.report(worker.token, job, report)
        assert (answer.status, "progress" in answer.message) == (403, True), f"{what}: {answer}"


def test_what_an_earlier_attempt_left_does_not_keep_a_worker_from_its_result(worker: Worker) -> None:
    job = worker.told({"attempt": 1, "percent": 90, "begun": True, "result": ended(1)})
    for report in (entry(begun=True), entry(result=ended(1)), entry(result=ended(2))):
        answer = worker.space.report(worker.token, job, report)
        assert answer.status == 200, answer.message
    assert worker.space.report(worker.token, job, entry(result=ended(1))).status == 403


REFUSED = {
    "a result of the attempt before": entry(result=ended(1)),
    "a result of the attempt to come": entry(result=ended(3)),
    "a result of an attempt that begins alike": entry(result=ended(22)),
    "a result that is no such text": entry(result="It was well."),
    "a report of the attempt before": entry(1, begun=True, result=ended(1)),
    "begun: false": entry(begun=False),
}


@pytest.mark.parametrize("report", REFUSED.values(), ids=REFUSED.keys())
def test_a_worker_may_not_report(worker: Worker, report: dict[str, Any]) -> None:
    answer = worker.space.report(worker.token, worker.told(), report)
    assert (answer.status, "progress" in answer.message) == (403, True), answer


def test_a_result_that_is_too_long_is_unprocessable(worker: Worker) -> None:
    long = ended(2) + " " * MAX_REPORTED_BYTES
    assert worker.space.report(worker.token, worker.told(), entry(result=long)).status == 422


AHEAD: dict[str, Any] = {"state": "Waiting", "reason": "ToldToWorker"}
NOT_BEGUN = {
    "progress before it has begun": entry(message="chunk 1"),
    "how it ended before it has begun": entry(result=ended(2)),
    "both in one": entry(percent=0, begun=True, result=ended(2)),
    "begun halfway": entry(begun=True),
    "begun with words": entry(percent=0, begun=True, message="chunk 1"),
    "begun and the job's percent": {**entry(percent=0, begun=True), "percent": 50},
    "begun: false": entry(percent=0, begun=False),
    "the attempt to come": entry(3, percent=0, begun=True),
}


def test_of_a_phase_told_ahead_a_worker_first_says_that_it_has_begun(worker: Worker) -> None:
    space, left = worker.space, {"attempt": 1, "percent": 90, "begun": True, "message": "chunk 9", "result": ended(1)}
    for before in ({}, left):
        job = worker.told(before, **AHEAD)
        for what, report in NOT_BEGUN.items():
            answer = space.report(worker.token, job, report)
            assert (answer.status, "progress" in answer.message or "begun" in answer.message) == (403, True), what
        for report in (entry(percent=0, begun=True), entry(message="chunk 1"), entry(result=ended(2))):
            answer = space.report(worker.token, job, report)
            assert answer.status == 200, answer.message


FOREIGN: dict[str, dict[str, Any]] = {
    "told ahead to another worker": {**AHEAD, "podUID": OTHERS_UID},
    "told ahead to no pod": {**AHEAD, "podUID": None},
    "told ahead and taken back": {**AHEAD, "reason": None},
    "of a pod of the right name with another uid": {"podUID": OTHERS_UID},
    "of no pod": {"podUID": ""},
    "that was taken back": {"state": "Waiting"},
    "that ended": {"state": "Succeeded"},
    "of another worker": {"jobName": "gpu-w-99999999"},
}


@pytest.mark.parametrize("fields", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_worker_may_not_begin_a_phase(worker: Worker, fields: dict[str, Any]) -> None:
    job = worker.told(**fields)
    for report in (entry(begun=True), entry(), entry(result=ended(2))):
        answer = worker.space.report(worker.token, job, report)
        assert (answer.status, "bound to that pod" in answer.message) == (403, True), answer


@pytest.mark.parametrize("second", [{}, AHEAD], ids=["at work", "told ahead"])
def test_two_phases_of_a_job_are_never_one_workers(worker: Worker, second: dict[str, Any]) -> None:
    phases = [
        {"name": name, "state": "Running", "attempt": 2, "jobName": WORKER, "podUID": worker.uid, **more}
        for name, more in (("separate", {}), ("analyze", second))
    ]
    job = worker.space.audiojob({"state": "Running", "phases": phases})
    assert worker.space.report(worker.token, job, entry(begun=True)).status == 403


def test_an_ordinary_pod_reports_progress_alone_and_leaves_what_is_there(space: Namespace) -> None:
    token = space.pod(OWN_POD)
    phase = {"name": "separate", "state": "Running", "attempt": 2, "jobName": OWN}
    left = {"attempt": 1, "percent": 90, "begun": True, "result": ended(1)}
    job = space.audiojob({"state": "Running", "phases": [phase], "progress": {"separate": left}})
    assert space.report(token, job, entry(message="chunk 1")).status == 200
    for report in (entry(result=ended(2)), entry(begun=False), entry(result=None), entry(begun=None)):
        answer = space.report(token, job, report)
        assert (answer.status, "only a worker may" in answer.message) == (403, True), answer
    fresh = space.audiojob({"state": "Running", "phases": [phase]})
    for report in (entry(result=ended(2)), entry(begun=True)):
        assert space.report(token, fresh, report).status == 403


def test_an_ordinary_pod_of_the_phases_name_is_not_the_worker_that_has_it(space: Namespace) -> None:
    token = space.pod(OWN_POD)
    phase = {"name": "separate", "state": "Running", "attempt": 2, "jobName": OWN, "podUID": OTHERS_UID}
    assert space.report(token, space.audiojob({"state": "Running", "phases": [phase]}), entry()).status == 403
