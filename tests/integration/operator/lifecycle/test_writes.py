"""How little an undisturbed job writes, and what is cleared away, on a real API server and Job controller."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tests.integration.operator.conftest import Object, Space, make_space, working
from tests.support.faults.proxy import FaultProxy
from tests.support.podrunner import ended, running, succeed

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.rest import MERGE_PATCH, wait_until
from audiojob_types.constants import API_VERSION
from audiojob_types.contract import PhaseInput


@pytest.mark.parametrize(
    ("phases", "status_writes", "events"),
    [
        pytest.param(("one",), 2, ["Completed", "PhaseStarted"], id="one phase"),
        pytest.param(("one", "two"), 3, ["Completed", "PhaseStarted"], id="two phases"),
        pytest.param(("one", "two", "three", "four"), 5, ["Completed", "PhaseStarted"], id="four phases"),
    ],
)
def test_a_job_without_trouble_writes_little(
    space: Space,
    proxy: FaultProxy,
    tmp_path: Path,
    phases: tuple[str, ...],
    status_writes: int,
    events: list[str],
) -> None:
    spec = {"phases": [{"name": name, "task": "Simulate"} for name in phases]}
    path = f"/apis/{API_VERSION}/audiopipelines/{space.pipeline}"
    space.rest.request("PATCH", path, {"spec": spec}, content_type=MERGE_PATCH)
    with working(space, proxy, tmp_path, succeed):
        space.submit("song")
        assert space.finished("song")["status"]["state"] == "Succeeded"
    ours = proxy.record.writes_to(space.namespace)
    assert Counter((write.method, write.path.rsplit("/", 1)[1]) for write in ours) == {
        ("POST", "controllerrevisions"): 1,
        ("POST", "jobs"): len(phases),
        ("POST", "events"): len(events),
        ("PATCH", "status"): status_writes,
    }
    assert sorted(event["reason"] for event in space.events()) == events


def has_begun_early(status: Object) -> bool:
    """The first status may come after the first pod."""
    return any("earlyAttempt" in phase for phase in status.get("phases", ()))


def test_two_long_phases_that_report_their_nodes_cost_four_writes(
    space: Space, proxy: FaultProxy, tmp_path: Path
) -> None:
    """One more than short ones: the second phase's pod began early."""

    def play(phase: PhaseInput, pod: Object) -> Object:
        """An hour on a node, of which the runner reports, with a successor's pod beside it; then the end."""
        node, name = f"node-of-{phase.phase}", pod["metadata"]["name"]
        path = f"/api/v1/namespaces/{space.namespace}/pods/{name}"
        target = {"metadata": {"name": name}, "target": {"kind": "Node", "name": node}}
        space.rest.request("POST", f"{path}/binding", target)
        began = {"status": {**running(), "startTime": "2026-01-01T00:00:00Z"}}
        space.rest.request("PATCH", f"{path}/status", began, content_type=MERGE_PATCH)
        report = {"progress": {phase.phase: {"attempt": 1, "percent": 50}}, "nodeName": node}
        space.rest.request(
            "PATCH", f"{space.jobs_path}/{phase.job}/status", {"status": report}, content_type=MERGE_PATCH
        )
        if phase.phase == "one":
            space.until("song", has_begun_early, "the second phase's early pod")
        return succeed(phase, pod)

    with working(space, proxy, tmp_path, play):
        space.submit("song")
        status = space.finished("song")["status"]
    assert [(each["nodeName"], each["attempt"]) for each in status["phases"]] == [
        ("node-of-one", 1),
        ("node-of-two", 1),
    ]
    assert status["nodeName"] == "node-of-two"
    ours = proxy.record.writes_to(space.namespace)
    assert sum(write.path.endswith("/status") for write in ours) == 4


def fails_once(phase: PhaseInput, pod: Object) -> Object:
    """The first attempt of the first phase fails."""
    return ended(75, None) if (phase.phase, phase.attempt) == ("one", 1) else succeed(phase, pod)


def test_failed_jobs_of_ended_audiojobs_go_also_after_a_restart(
    controllers: LocalApiServer, proxy: FaultProxy, tmp_path: Path
) -> None:
    space = make_space(controllers)
    with working(space, proxy, tmp_path, fails_once):
        space.submit("song")
        space.finished("song")
    wait_until("the Job controller to see the failure", lambda: len(failed_jobs(space)) == 1, seconds=60)
    (old,) = failed_jobs(space)
    assert len(space.batch_jobs()) == 3
    let_time_pass(space, old)
    with working(space, proxy, tmp_path, succeed, AUDIOJOB_SWEEP__FINISHED_SECONDS="0.5"):
        wait_until("the failed Job to go", lambda: len(space.batch_jobs()) == 2, seconds=60)
    assert old not in [job["metadata"]["name"] for job in space.batch_jobs()]
    assert space.job("song")["status"]["state"] == "Succeeded"


def failed_jobs(space: Space) -> list[str]:
    """Names of the Jobs that have failed."""
    return [
        job["metadata"]["name"]
        for job in space.batch_jobs()
        if any(each["type"] == "Failed" for each in job["status"].get("conditions", ()))
    ]


def let_time_pass(space: Space, name: str) -> None:
    """As if the Job had failed long ago."""
    path = f"/apis/batch/v1/namespaces/{space.namespace}/jobs/{name}"
    conditions = space.rest.request("GET", path)["status"]["conditions"]
    for condition in conditions:
        condition["lastTransitionTime"] = "2026-01-01T00:00:00Z"
    space.rest.request("PATCH", f"{path}/status", {"status": {"conditions": conditions}}, content_type=MERGE_PATCH)
