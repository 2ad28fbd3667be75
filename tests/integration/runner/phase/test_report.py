"""Progress reports of a real phase process to a real API server, under the admission policy for runners."""

from __future__ import annotations

import json
import socket
import urllib.parse
from collections.abc import Iterator

import pytest
from tests.integration.policy.conftest import enforced, space
from tests.integration.policy.space import Namespace
from tests.integration.runner.pods import PodFolder, eventually
from tests.support.auditlog import whole_lines

from audiojob_types.contract import ExitCode

__all__ = ["enforced", "space"]  # fixtures

pytestmark = pytest.mark.integration

POD = "song-work-1-abcdef01-xyz12"
RECORDED = {
    "state": "Running",
    "percent": 20,
    "phases": [
        {"name": "before", "state": "Succeeded", "attempt": 1},
        {"name": "work", "state": "Running", "attempt": 1, "jobName": POD[:-6]},
    ],
}
PROGRESS = {"weights": {"before": 20, "work": 80}, "done": ["before"], "minIntervalMilliseconds": 1000}


def connect(pod: PodFolder, space: Namespace, job: str) -> None:
    """Give the pod what the kubelet mounts, and a phase of that AudioJob."""
    folder = pod.root / "var/run/secrets/kubernetes.io/serviceaccount"
    folder.mkdir(parents=True)
    (folder / "token").write_text(space.pod(POD), encoding="ascii")
    (folder / "ca.crt").write_bytes(space.server.authority.read_bytes())
    parts = urllib.parse.urlsplit(space.server.url)
    pod.environ |= {"KUBERNETES_SERVICE_HOST": parts.hostname or "", "KUBERNETES_SERVICE_PORT": str(parts.port)}
    pod.write_phase(
        job=job,
        namespace=space.name,
        parameters={"durationMilliseconds": 5_000, "progressSteps": 500},
        progress=PROGRESS,
    )


def writes(space: Namespace, job: str) -> list[dict[str, object]]:
    """The runner's writes to that AudioJob, as the API server logged them."""
    events = [json.loads(line) for line in whole_lines(space.server.audit_log) if "audiojob-runner" in line]
    return [event for event in events if (event.get("objectRef") or {}).get("name") == job]


def test_progress_reaches_the_status_at_a_bounded_pace_and_the_last_report_always(
    folder_pod: PodFolder, space: Namespace
) -> None:
    job = space.audiojob(RECORDED)
    connect(folder_pod, space, job)

    running = folder_pod.start()
    halfway = eventually(
        lambda: space.read(job)["status"].get("progress", {}).get("work"), "a first report while the phase runs"
    )
    ended = running.wait()

    assert ended.code == ExitCode.OK, ended.stderr
    assert 0 < halfway["percent"] < 100
    status = space.read(job)["status"]
    assert status["progress"].keys() == {"work"}
    report = status["progress"]["work"]
    assert (report["attempt"], report["percent"], report["message"]) == (1, 100, "Done")
    assert report["reportTime"]
    assert "etaSeconds" not in report
    assert status["percent"] == 99
    assert status["phases"] == space.read(job)["status"]["phases"]
    sent = writes(space, job)
    assert 2 <= len(sent) <= ended.seconds + 1, "one a second at most, and the last"
    assert all(event["userAgent"] == "audiojob-runner" for event in sent)


def test_reports_wait_for_the_operator_to_record_the_pod(folder_pod: PodFolder, space: Namespace) -> None:
    job = space.audiojob({"state": "Queued"})
    connect(folder_pod, space, job)

    running = folder_pod.start()
    eventually(lambda: writes(space, job), "a first report, which is refused")
    assert "progress" not in space.read(job)["status"]
    space.operator_patch(job, RECORDED)
    ended = running.wait()

    assert ended.code == ExitCode.OK, ended.stderr
    assert space.read(job)["status"]["progress"]["work"]["percent"] == 100


def test_reports_that_stay_refused_do_not_fail_the_phase(folder_pod: PodFolder, space: Namespace) -> None:
    job = space.audiojob({"state": "Queued"})
    connect(folder_pod, space, job)

    ended = folder_pod.run()

    assert ended.code == ExitCode.OK, ended.stderr
    assert "progress" not in space.read(job)["status"]


@pytest.fixture
def silent_server() -> Iterator[int]:
    """The port of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("kind", ["silent", "closed"])
def test_an_api_server_that_is_gone_neither_fails_nor_holds_up_the_phase(
    folder_pod: PodFolder, space: Namespace, silent_server: int, kind: str
) -> None:
    connect(folder_pod, space, space.audiojob(RECORDED))
    folder_pod.environ |= {
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": str(silent_server) if kind == "silent" else "9",
    }
    folder_pod.write_phase(parameters={"durationMilliseconds": 1_500})

    ended = folder_pod.run()

    assert ended.code == ExitCode.OK, ended.stderr
    assert ended.seconds < 30
