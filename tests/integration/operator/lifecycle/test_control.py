"""What users and administrators do while jobs run, with one operator process for all tests."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from tests.integration.operator.conftest import Object, Space, make_pipeline, make_space, working
from tests.support.faults.proxy import FaultProxy
from tests.support.podrunner import ended, running, succeed, waiting

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.rest import MERGE_PATCH, RestError, wait_until
from audiojob_types.constants import API_VERSION, GPU_RESOURCE
from audiojob_types.contract import ExitCode, Outcome, PhaseInput, PhaseResult

PIPELINES = f"/apis/{API_VERSION}/audiopipelines"


def play(phase: PhaseInput, pod: Object) -> Object:
    """What becomes of a pod is in its job's name: ``kind-…``."""
    kind = phase.job.split("-")[0]
    if kind == "stays":
        return running()
    if kind == "imageless":
        return waiting("ImagePullBackOff", "Back-off pulling image")
    if kind == "silent":
        return ended(0, None)
    if kind == "gpu" and phase.device == "GPU":
        return ended(ExitCode.GPU, PhaseResult(outcome=Outcome.FAILED, reason="GpuError", message="Xid 79"))
    if kind == "once" and phase.attempt == 1:
        return ended(ExitCode.TEMPORARY, PhaseResult(outcome=Outcome.FAILED, message="try again"))
    return succeed(phase, pod)


@pytest.fixture(scope="module")
def here(controllers: LocalApiServer, proxy: FaultProxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Space]:
    """A namespace with an operator and somebody who plays the pods."""
    space, folder = make_space(controllers, startTimeoutSeconds=6), tmp_path_factory.mktemp("control")
    with working(space, proxy, folder, play, AUDIOJOB_SWEEP__FINISHED_SECONDS="1"):
        yield space


def unique(kind: str) -> str:
    return f"{kind}-{uuid.uuid4().hex[:6]}"


def children(space: Space, name: str) -> list[Object]:
    return [job for job in space.batch_jobs() if job["metadata"]["name"].startswith(name[:30])]


def has_started(status: Object) -> bool:
    return bool(status.get("state") == "Running")


def test_a_temporary_failure_is_tried_again(here: Space) -> None:
    name = unique("once")
    here.submit(name)
    job = here.finished(name)
    assert job["status"]["state"] == "Succeeded"
    assert [phase["attempt"] for phase in job["status"]["phases"]] == [2, 2]


def test_a_deleted_job_that_a_finalizer_keeps_does_not_go_on_without_its_slot(here: Space) -> None:
    name = unique("stays")
    here.submit(name)
    here.until(name, has_started, "its start")
    path = f"{here.jobs_path}/{name}"
    here.rest.request("PATCH", path, {"metadata": {"finalizers": ["example.org/stay"]}}, content_type=MERGE_PATCH)
    here.rest.request("DELETE", path)
    wait_until("no live Job", lambda: not children(here, name), seconds=60)
    here.rest.request("PATCH", path, {"metadata": {"finalizers": None}}, content_type=MERGE_PATCH)


def test_an_end_without_a_result_is_tried_once_more(here: Space) -> None:
    name = unique("silent")
    here.submit(name)
    status = here.finished(name)["status"]
    assert (status["error"]["reason"], status["phases"][0]["attempt"]) == ("NoResult", 2)


def test_a_missing_image_ends_the_job_in_time(here: Space) -> None:
    name = unique("imageless")
    here.submit(name)
    here.until(name, lambda status: "cannot start" in status.get("message", ""), "a line about the start")
    status = here.finished(name)["status"]
    assert status["error"]["reason"] == "ImagePullFailed"
    wait_until("no live Job", lambda: not children(here, name), seconds=60)


def test_cancel_ends_the_job_and_deletes_its_child(here: Space) -> None:
    name = unique("stays")
    here.submit(name)
    here.until(name, has_started, "its start")
    here.patch(name, {"cancel": True})
    status = here.finished(name)["status"]
    assert status["state"] == "Cancelled"
    assert status["phases"][0]["state"] == "Cancelled"
    wait_until("its Job's end", lambda: not children(here, name), seconds=60)


def test_suspend_gives_up_the_child_and_resume_makes_the_next(here: Space) -> None:
    name = unique("stays")
    here.submit(name)
    here.until(name, has_started, "its start")
    here.patch(name, {"suspend": True})
    here.until(name, lambda status: status.get("state") == "Suspended", "suspension")
    wait_until("its Job's end", lambda: not children(here, name), seconds=60)
    here.patch(name, {"suspend": False})
    status = here.until(name, has_started, "its second start")["status"]
    assert status["phases"][0]["attempt"] == 2
    assert status["phases"][0].get("failures", 0) == 0
    here.patch(name, {"cancel": True})


def test_a_name_can_be_used_again_at_once(here: Space) -> None:
    name = unique("stays")
    first = here.submit(name)
    here.until(name, has_started, "its start")
    here.rest.request("DELETE", f"{here.jobs_path}/{name}", {"propagationPolicy": "Background"})
    second = here.submit(name)
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    here.until(name, has_started, "the second one's start")

    def only_its_own() -> bool:
        owners = {job["metadata"]["ownerReferences"][0]["uid"] for job in children(here, name)}
        return owners == {second["metadata"]["uid"]}

    wait_until("only Jobs of the second one", only_its_own, seconds=60)
    here.patch(name, {"cancel": True})


def test_a_finished_job_goes_when_its_time_is_over(here: Space) -> None:
    name = unique("short")
    here.submit(name, ttlSecondsAfterFinished=0)

    def gone() -> bool:
        try:
            here.job(name)
        except RestError as error:
            return error.status == 404
        return False

    wait_until("its deletion", gone, seconds=60)


def test_a_running_job_keeps_its_pipeline(here: Space, controllers: LocalApiServer) -> None:
    pipeline = unique("kept")
    make_pipeline(controllers, pipeline)
    name = unique("stays")
    here.submit(name, pipeline=pipeline)
    revision = here.until(name, has_started, "its start")["status"]["pipelineRevision"]
    change = {"spec": {"phases": [{"name": "other", "task": "Simulate"}]}}
    here.rest.request("PATCH", f"{PIPELINES}/{pipeline}", change, content_type=MERGE_PATCH)
    here.rest.request("DELETE", f"{PIPELINES}/{pipeline}")
    pod = next(pod for pod in here.pods() if pod["metadata"]["labels"]["audiojobs.dev/job"] == name)
    finish(here, pod)
    status = here.until(name, lambda status: status.get("phase") == "two", "the second phase")["status"]
    assert status["pipelineRevision"] == revision
    assert [phase["name"] for phase in status["phases"]] == ["one", "two"]
    here.patch(name, {"cancel": True})


def finish(space: Space, pod: Object) -> None:
    """Let a running pod succeed."""
    phase = PhaseInput.model_validate_json(pod["metadata"]["annotations"]["audiojobs.dev/phase"])
    path = f"/api/v1/namespaces/{space.namespace}/pods/{pod['metadata']['name']}/status"
    space.rest.request("PATCH", path, {"status": succeed(phase, pod)}, content_type=MERGE_PATCH)


def test_a_job_in_an_unprepared_namespace_waits_with_the_command(here: Space, controllers: LocalApiServer) -> None:
    elsewhere = make_space(controllers)
    elsewhere.submit("stray")
    status = elsewhere.until("stray", lambda status: status.get("state") == "Queued", "a reason to wait")["status"]
    assert "helm upgrade" in status["message"]
    assert not elsewhere.batch_jobs()
    assert not elsewhere.events()


@pytest.mark.parametrize("resource", [GPU_RESOURCE, "nvidia.com/mig-1g.10gb"])
def test_a_gpu_is_taken_where_a_node_offers_one_and_left_when_it_fails(
    here: Space, controllers: LocalApiServer, resource: str
) -> None:
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"gpu-{here.namespace}"}}
    here.rest.request("POST", "/api/v1/nodes", node)
    resources = {resource: "1", "cpu": "8", "memory": "32Gi", "pods": "110"}
    ready = {"type": "Ready", "status": "True", "reason": "Test", "message": ""}
    status: dict[str, Any] = {"capacity": resources, "allocatable": resources, "conditions": [ready]}
    path = f"/api/v1/nodes/{node['metadata']['name']}"  # type: ignore[index]
    here.rest.request("PATCH", f"{path}/status", {"status": status}, content_type=MERGE_PATCH)
    try:
        pipeline = unique("auto")
        own = {"gpu": {"resourceName": resource}} if resource != GPU_RESOURCE else {}
        make_pipeline(controllers, pipeline, device="Auto", **own)
        name = unique("gpu")
        here.submit(name, pipeline=pipeline)
        job = here.finished(name)
        first = next(child for child in children(here, name) if "-one-1-" in child["metadata"]["name"])
        limits = first["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
        assert limits[resource] == "1"
        phase = job["status"]["phases"][0]
        assert job["status"]["state"] == "Succeeded"
        assert (phase["attempt"], phase["device"], phase.get("failures", 0)) == (2, "CPU", 0)
    finally:
        here.rest.request("DELETE", path)
