"""The reporter beside a program, to a real API server under the admission policy for runners."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.policy.conftest import enforced, space
from tests.integration.policy.space import Namespace
from tests.integration.runner.phase.test_report import RECORDED, connect
from tests.integration.runner.pods import PodFolder, eventually

from audiojob_types.contract import ExitCode

__all__ = ["enforced", "space"]  # fixtures

pytestmark = pytest.mark.integration


def write_phase(pod: PodFolder, job: str = "song", namespace: str = "demo", **fields: Any) -> None:
    pod.write_phase(
        "Container",
        job=job,
        namespace=namespace,
        program={"image": "x:1", "sha256": "0" * 64},
        progress={"weights": {"before": 20, "work": 80}, "done": ["before"], "minIntervalMilliseconds": 1000},
        **fields,
    )
    (pod.root / "work/progress").touch()


def test_what_a_program_says_of_itself_reaches_the_status(folder_pod: PodFolder, space: Namespace) -> None:
    job = space.audiojob(RECORDED)
    connect(folder_pod, space, job)
    write_phase(folder_pod, job, space.name)

    def report() -> dict[str, Any]:
        found: dict[str, Any] = space.read(job)["status"].get("progress", {}).get("work", {})
        return found

    running = folder_pod.start(entry="watch")
    eventually(lambda: report().get("message") == "The program starts", "a first report")
    (folder_pod.root / "work/progress").write_text("50 Half of it is spoken\n")
    eventually(lambda: report().get("message") == "Half of it is spoken", "the program's own words")
    assert (report()["attempt"], report()["percent"]) == (1, 49)
    (folder_pod.root / "run/audiojob/publishing").touch()
    eventually(lambda: report().get("message") == "Publishing the outputs", "the end of the program")
    running.stop()
    ended = running.wait()

    assert (ended.code, ended.message) == (ExitCode.OK, None), ended.stderr
    assert space.read(job)["status"]["percent"] == 98 * 80 // 100 + 20


def test_a_program_that_falls_silent_is_told_of_and_one_that_never_spoke_is_not(folder_pod: PodFolder) -> None:
    write_phase(folder_pod, limits={"stallSeconds": 1})
    running = folder_pod.start(entry="watch")
    with pytest.raises(AssertionError, match="did not end"):
        running.wait(3)
    (folder_pod.root / "work/progress").write_text("50 half\n")

    ended = folder_pod.run(entry="watch")

    assert (ended.code, ended.result.reason) == (ExitCode.TEMPORARY, "Stalled"), ended.stderr
    assert ended.seconds >= 1


def test_a_program_that_takes_longer_than_its_soft_limit_is_told_of(folder_pod: PodFolder) -> None:
    write_phase(folder_pod, limits={"softSeconds": 1})
    ended = folder_pod.run(entry="watch")
    assert (ended.code, ended.result.reason) == (ExitCode.TEMPORARY, "SoftLimitExceeded"), ended.stderr


def test_publishing_has_limits_of_its_own(folder_pod: PodFolder) -> None:
    write_phase(folder_pod, limits={"softSeconds": 1, "stallSeconds": 1})
    (folder_pod.root / "run/audiojob/publishing").touch()
    running = folder_pod.start(entry="watch")
    with pytest.raises(AssertionError, match="did not end"):
        running.wait(3)


def test_a_reporter_that_cannot_work_waits_for_its_end_and_keeps_nobody_from_working(folder_pod: PodFolder) -> None:
    running = folder_pod.start(entry="watch")  # there is no phase file
    with pytest.raises(AssertionError, match="did not end"):
        running.wait(2)
