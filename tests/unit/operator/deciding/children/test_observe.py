"""What Kubernetes says of an attempt, and what it means."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from audiojob_operator.deciding.children.observe import observe_job
from audiojob_operator.records.observation import Failed, Running, Succeeded
from audiojob_types.contract import Device, FailureClass

T = "2026-03-01T12:00:00Z"
GOOD = json.dumps(
    {
        "outcome": "Succeeded",
        "manifest": {"key": "music/u/only/1-abcd1234/manifest.json", "sha256": "a" * 64, "count": 1},
        "peakMemoryBytes": 123,
    }
)


def failed_result(**more: Any) -> str:
    return json.dumps({"outcome": "Failed", **more})


def job(*conditions: tuple[str, str], **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "song-only-1-0a1b2c3d",
            "uid": "job-uid",
            "creationTimestamp": T,
            "labels": {"audiojobs.dev/phase": "only", "audiojobs.dev/attempt": "1"},
            "annotations": {"audiojobs.dev/revision": "pair-1", "audiojobs.dev/device": "GPU"},
            **metadata,
        },
        "spec": {},
        "status": {
            "conditions": [
                {"type": kind, "status": "True", "reason": reason, "lastTransitionTime": T}
                for kind, reason in conditions
            ]
        },
    }


def pod(name: str = "song-only-1-0a1b2c3d-x1y2z", **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "uid": "abcd1234-e", "creationTimestamp": T},
        "spec": {"nodeName": "node-1"},
        "status": {"phase": "Running", "startTime": T, **status},
    }


def ended(code: int, message: str = "", reason: str = "", **status: Any) -> dict[str, Any]:
    state = {"exitCode": code, "finishedAt": T, "message": message, "reason": reason}
    return pod(
        **({"phase": "Succeeded" if code == 0 else "Failed"} | status),
        containerStatuses=[{"state": {"terminated": state}}],
    )


def failure(*pods: dict[str, Any], of: dict[str, Any] | None = None) -> Failed:
    outcome = observe_job(of or job(), pods).outcome
    assert isinstance(outcome, Failed)
    return outcome


def test_a_job_is_read_by_its_labels_and_annotations() -> None:
    seen = observe_job(job(), [])
    assert (seen.phase, seen.attempt, seen.revision, seen.device) == ("only", 1, "pair-1", Device.GPU)
    assert seen.created == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert (seen.outcome, seen.pod, seen.finished, seen.deleting) == (Running(), None, False, False)


@pytest.mark.parametrize("missing", ["audiojobs.dev/phase", "audiojobs.dev/attempt"])
def test_a_job_without_our_labels_is_refused(missing: str) -> None:
    foreign = job()
    del foreign["metadata"]["labels"][missing]
    with pytest.raises(KeyError, match=missing):
        observe_job(foreign, [])


def test_exit_0_with_a_valid_result_is_success_before_the_job_is_complete() -> None:
    seen = observe_job(job(), [ended(0, GOOD, phase="Running")])
    assert isinstance(seen.outcome, Succeeded)
    assert seen.outcome.result.peak_memory_bytes == 123
    assert seen.finished
    assert seen.pod is not None
    assert seen.pod.node_name == "node-1"


def test_an_outcome_that_is_not_known_here_is_what_the_exit_code_says() -> None:
    partly = GOOD.replace("Succeeded", "Partly")
    assert isinstance(observe_job(job(), [ended(0, partly)]).outcome, Succeeded)
    newer = json.dumps({"outcome": "Partly", "reason": "HalfDone", "message": "Half of it."})
    outcome = failure(ended(75, newer))
    assert (outcome.reason, outcome.message, outcome.failure_class) == ("HalfDone", "Half of it.", FailureClass.RETRY)


@pytest.mark.parametrize(
    "message",
    [
        pytest.param("", id="nothing"),
        pytest.param("Segmentation fault", id="no JSON"),
        pytest.param(GOOD[:-10], id="cut JSON"),
        pytest.param("[" * 3_000, id="deeply nested JSON"),
        pytest.param('"Succeeded"', id="JSON of another kind"),
        pytest.param('{"outcome": "Succeeded"}', id="a success without a manifest"),
        pytest.param('{"outcome": "Failed", "reason": "NotMedia"}', id="a failure with exit code 0"),
        pytest.param(GOOD.replace("a" * 64, "a" * 63), id="a broken checksum"),
        pytest.param('{"outcome": "Partly"}', id="an outcome of a newer runner without a manifest"),
    ],
)
def test_exit_0_without_a_valid_result_is_no_result_and_tried_once_more(message: str) -> None:
    outcome = failure(ended(0, message))
    assert (outcome.reason, outcome.failure_class, outcome.most) == ("NoResult", FailureClass.RETRY, 2)


@pytest.mark.parametrize(
    ("code", "failure_class", "reason"),
    [
        (64, FailureClass.PERMANENT, "InvalidSpec"),
        (65, FailureClass.PERMANENT, "NotMedia"),
        (66, FailureClass.PERMANENT, "SourceUnavailable"),
        (69, FailureClass.PERMANENT, "BlockedAddress"),
        (75, FailureClass.RETRY, "TemporaryFailure"),
        (77, FailureClass.PERMANENT, "CredentialsRefused"),
        (78, FailureClass.RETRY, "DiskFull"),
        (79, FailureClass.DEVICE, "GpuError"),
        (143, FailureClass.RETRY, "Stopped"),
        (137, FailureClass.RETRY, "Stopped"),
        (1, FailureClass.RETRY, "TemporaryFailure"),
        (255, FailureClass.RETRY, "TemporaryFailure"),
    ],
)
def test_an_exit_code_alone_tells_class_and_reason(code: int, failure_class: FailureClass, reason: str) -> None:
    outcome = failure(ended(code))
    assert (outcome.failure_class, outcome.reason) == (failure_class, reason)
    assert str(code) in outcome.message
    assert outcome.suggestion
    assert not outcome.disrupted


def test_the_runners_own_words_win_and_its_log_is_named() -> None:
    message = failed_result(
        reason="ModelMissing", message="There is no mdx.", suggestion="Ask Ada.", logKey="music/u/only/log/0001"
    )
    outcome = failure(ended(64, message))
    assert (outcome.reason, outcome.message) == ("ModelMissing", "There is no mdx.")
    assert (outcome.suggestion, outcome.log_key) == ("Ask Ada.", "music/u/only/log/0001")
    assert outcome.failure_class is FailureClass.PERMANENT


def test_a_known_reason_without_a_suggestion_gets_the_documented_one() -> None:
    assert "models volume" in failure(ended(64, failed_result(reason="ModelMissing"))).suggestion


@pytest.mark.parametrize("reason", ["", "not a word", "lower", "A\nB", "x" * 63])
def test_a_reason_that_is_no_reason_gives_way_to_the_exit_codes(reason: str) -> None:
    assert failure(ended(65, failed_result(reason=reason))).reason == "NotMedia"


def test_a_program_that_could_not_start_shows_the_runtimes_words() -> None:
    outcome = failure(ended(128, "exec: python: not found", "StartError"))
    assert "python: not found" in outcome.message


def test_an_oom_kill_is_out_of_memory_whatever_the_code() -> None:
    assert failure(ended(1, reason="OOMKilled")).reason == "OutOfMemory"


DISRUPTED = [{"type": "DisruptionTarget", "status": "True", "message": "Preempted by a system pod."}]


def test_a_disrupted_pod_is_a_disruption_in_the_clusters_words() -> None:
    outcome = failure(ended(143, failed_result(reason="Stopped"), conditions=DISRUPTED))
    assert (outcome.reason, outcome.disrupted, outcome.message) == (
        "Disrupted",
        True,
        "Preempted by a system pod.",
    )


def test_a_pod_that_finished_before_its_disruption_has_succeeded() -> None:
    assert isinstance(observe_job(job(), [ended(0, GOOD, conditions=DISRUPTED)]).outcome, Succeeded)


@pytest.mark.parametrize(
    ("status", "reason", "disrupted"),
    [
        pytest.param({"reason": "Evicted", "message": "full"}, "DiskFull", False, id="evicted for its disk"),
        pytest.param({"reason": "DeadlineExceeded"}, "DeadlineExceeded", False, id="longer than its hard limit"),
        pytest.param({"reason": "OutOfcpu"}, "Disrupted", True, id="refused by its node for CPU"),
        pytest.param({"reason": "UnexpectedAdmissionError"}, "Disrupted", True, id="refused by a device plugin"),
        pytest.param({"reason": "NodeShutdown"}, "Disrupted", True, id="ended with its node"),
        pytest.param({}, "PodLost", False, id="failed without a word"),
    ],
)
def test_a_pod_that_failed_as_a_whole(status: dict[str, str], reason: str, disrupted: bool) -> None:
    outcome = failure(pod(phase="Failed", **status))
    assert (outcome.reason, outcome.disrupted) == (reason, disrupted)
    assert outcome.failure_class is FailureClass.RETRY
    assert outcome.message


@pytest.mark.parametrize(
    ("condition", "reason", "disrupted"),
    [
        pytest.param(("Complete", ""), "ChildLost", True, id="it had succeeded"),
        pytest.param(("Failed", "PodFailurePolicy"), "Disrupted", True, id="it was disrupted"),
        pytest.param(("Failed", "BackoffLimitExceeded"), "PodLost", False, id="it had failed"),
    ],
)
def test_a_finished_job_whose_pod_is_gone(condition: tuple[str, str], reason: str, disrupted: bool) -> None:
    outcome = failure(of=job(condition))
    assert (outcome.reason, outcome.disrupted) == (reason, disrupted)
    assert observe_job(job(condition), []).finished


def test_a_failed_job_whose_pod_still_winds_down_is_waited_for() -> None:
    assert observe_job(job(("Failed", "BackoffLimitExceeded")), [pod()]).outcome == Running()


def test_of_two_pods_the_one_that_succeeded_tells() -> None:
    seen = observe_job(job(), [ended(0, GOOD), pod("another-x1y2z")])
    assert isinstance(seen.outcome, Succeeded)
    assert not seen.finished


def test_of_a_failed_and_a_living_pod_the_living_one_tells() -> None:
    assert observe_job(job(), [ended(75), pod("another-x1y2z")]).outcome == Running()


def test_a_pod_being_deleted_tells_when_its_grace_ends() -> None:
    dying = pod()
    dying["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:30Z"
    seen = observe_job(job(), [dying])
    assert seen.pod is not None
    assert seen.pod.terminating_until == datetime(2026, 3, 1, 12, tzinfo=UTC) + timedelta(seconds=30)


def test_a_long_message_is_cut_to_what_status_may_hold() -> None:
    assert len(failure(pod(phase="Failed", reason="Evicted", message="x" * 10_000)).message) <= 1_024


# ---------------------------------------------------------------- Container phases


def stages(program: dict[str, Any], report: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    """A pod whose program's container is in this state."""
    done = {"terminated": {"exitCode": 0, "finishedAt": "2026-03-01T12:00:05Z"}}
    return pod(
        **{"phase": "Pending"} | status,
        initContainerStatuses=[
            {"name": "fetch", "state": done},
            {"name": "report", "state": {"running": {}}} | (report or {}),
            {"name": "program", "state": program},
        ],
        containerStatuses=[{"name": "runner", "state": {"waiting": {"reason": "PodInitializing"}}}],
    )


def program_ended(code: int, message: str = "", reason: str = "Error", **status: Any) -> dict[str, Any]:
    terminated = {"exitCode": code, "message": message, "reason": reason, "finishedAt": T}
    return stages({"terminated": terminated}, **{"phase": "Failed"} | status)


CONTRACT = {"audiojobs.dev/exit-codes": "Contract"}


@pytest.mark.parametrize(
    ("code", "contract", "failure_class", "reason"),
    [
        pytest.param(1, False, FailureClass.RETRY, "ProgramFailed", id="any code"),
        pytest.param(65, False, FailureClass.RETRY, "ProgramFailed", id="65, which means nothing by itself"),
        pytest.param(65, True, FailureClass.PERMANENT, "NotMedia", id="65 by the contract"),
        pytest.param(64, True, FailureClass.PERMANENT, "InvalidSpec", id="64 by the contract"),
        pytest.param(75, True, FailureClass.RETRY, "TemporaryFailure", id="75 by the contract"),
        pytest.param(79, True, FailureClass.DEVICE, "GpuError", id="79 by the contract"),
        pytest.param(3, True, FailureClass.RETRY, "ProgramFailed", id="a code that the contract does not know"),
        pytest.param(137, True, FailureClass.RETRY, "Stopped", id="killed"),
        pytest.param(143, False, FailureClass.RETRY, "Stopped", id="told to stop"),
    ],
)
def test_the_exit_code_of_a_program(code: int, contract: bool, failure_class: FailureClass, reason: str) -> None:
    of = job(annotations=CONTRACT if contract else {})
    outcome = failure(program_ended(code, "It broke."), of=of)
    assert (outcome.failure_class, outcome.reason) == (failure_class, reason)
    assert str(code) in outcome.message
    assert outcome.suggestion


def test_a_program_out_of_memory_gets_more_as_any_phase() -> None:
    outcome = failure(program_ended(137, reason="OOMKilled"))
    assert (outcome.failure_class, outcome.reason) == (FailureClass.MEMORY, "OutOfMemory")


def test_a_program_cannot_pass_its_words_for_a_result() -> None:
    forged = failed_result(reason="ModelMissing", message="forged", logKey="other/log/0000")
    outcome = failure(program_ended(64, forged), of=job(annotations=CONTRACT))
    assert (outcome.reason, outcome.log_key) == ("InvalidSpec", None)
    assert isinstance(observe_job(job(), [stages({"terminated": {"exitCode": 0, "message": GOOD}})]).outcome, Running)


def test_the_end_of_a_long_log_is_kept_and_control_characters_are_not() -> None:
    outcome = failure(program_ended(1, "x" * 5_000 + "\x1b[31m the cause\n"))
    assert outcome.message.endswith("[31m the cause")
    assert "\x1b" not in outcome.message
    assert len(outcome.message) < 1_024


def test_fetch_that_fails_says_so_itself() -> None:
    pod_ = stages({"waiting": {"reason": "PodInitializing"}}, phase="Failed")
    message = failed_result(reason="InputMissing", message="It is gone.", logKey="music/u/log/fetch/0000")
    terminated = {"exitCode": 66, "message": message}
    pod_["status"]["initContainerStatuses"][0]["state"] = {"terminated": terminated}
    outcome = failure(pod_)
    assert (outcome.reason, outcome.failure_class) == ("InputMissing", FailureClass.PERMANENT)
    assert outcome.log_key == "music/u/log/fetch/0000"


@pytest.mark.parametrize(
    "state",
    [
        pytest.param({"running": {}}, id="it runs"),
        pytest.param({"terminated": {"exitCode": 0}}, id="it has ended well, and publishing begins"),
        pytest.param({"waiting": {"reason": "PodInitializing"}}, id="its image is on its way"),
    ],
)
def test_a_program_under_way_is_no_failure(state: dict[str, Any]) -> None:
    seen = observe_job(job(), [stages(state)])
    assert seen.outcome == Running()
    assert not seen.finished
    assert seen.pod is not None
    assert seen.pod.waiting is None


def slow(reason: str, code: int = 75) -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "message": failed_result(reason=reason, message="Too slow.")}}


@pytest.mark.parametrize(
    "report",
    [
        pytest.param({"state": slow("Stalled")}, id="it has just ended"),
        pytest.param({"lastState": slow("Stalled")}, id="it was started again"),
        pytest.param(
            {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": slow("Stalled")}, id="between the two"
        ),
    ],
)
def test_the_reporters_word_ends_an_attempt_whose_pod_still_runs(report: dict[str, Any]) -> None:
    pod_ = stages({"running": {}}, report)
    outcome = failure(pod_)
    assert (outcome.reason, outcome.message) == ("Stalled", "Too slow.")
    assert not observe_job(job(), [pod_]).finished, "its Job is still to be deleted"


@pytest.mark.parametrize(
    "report",
    [
        pytest.param({"state": {"terminated": {"exitCode": 0}}}, id="it ended well"),
        pytest.param({"lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}, id="it was killed"),
        pytest.param({"lastState": slow("NotMedia", 65)}, id="it says what is not its to say"),
        pytest.param({"lastState": {"terminated": {"exitCode": 75, "message": "no JSON"}}}, id="it says nothing"),
        pytest.param({"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {}}},
                     id="it cannot run"),
    ],
)  # fmt: skip
def test_a_reporter_that_fails_does_not_fail_the_work(report: dict[str, Any]) -> None:
    assert observe_job(job(), [stages({"running": {}}, report)]).outcome == Running()


def test_what_was_published_counts_whatever_the_reporter_said() -> None:
    pod_ = stages({"terminated": {"exitCode": 0}}, {"lastState": slow("Stalled")}, phase="Succeeded")
    pod_["status"]["containerStatuses"] = [
        {"name": "runner", "state": {"terminated": {"exitCode": 0, "message": GOOD}}}
    ]
    assert isinstance(observe_job(job(), [pod_]).outcome, Succeeded)


def test_the_time_to_start_counts_from_the_end_of_the_container_before() -> None:
    seen = observe_job(job(), [stages({"waiting": {"reason": "ErrImagePull"}})])
    assert seen.pod is not None
    assert seen.pod.start_time == datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)
    assert seen.pod.waiting is not None
    assert seen.pod.waiting.reason == "ImagePullFailed"
