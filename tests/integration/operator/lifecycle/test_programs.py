"""Container phases: one operator process on a real API server, with somebody who plays their pods."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from tests.integration.operator.conftest import Object, Space, make_space, working
from tests.support.faults.proxy import FaultProxy
from tests.support.podrunner import succeed

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.paths import repository
from audiojob_dev.rest import wait_until
from audiojob_types.base import format_time
from audiojob_types.constants import API_VERSION
from audiojob_types.contract import Outcome, PhaseInput, PhaseResult

pytestmark = pytest.mark.integration

EXAMPLE = "examples/custom-task.yaml"


def one_container(name: str, **status: Any) -> Object:
    return {"name": name, "image": "test", "imageID": "", "ready": False, "restartCount": 0, **status}


def over(code: int, message: str = "") -> Object:
    now = format_time(datetime.now(UTC))
    ended: Object = {"exitCode": code, "reason": "Completed" if code == 0 else "Error", "message": message}
    return {"terminated": {**ended, "startedAt": now, "finishedAt": now}}


def stages(program: Object, report: Object | None = None, **status: Any) -> Object:
    """The status of a pod whose program is in this state."""
    running = {"running": {"startedAt": format_time(datetime.now(UTC))}}
    return {
        "phase": "Pending",
        "startTime": format_time(datetime.now(UTC)),
        "initContainerStatuses": [
            one_container("fetch", state=over(0), ready=True),
            one_container("report", **{"state": running, "started": True} | (report or {})),
            one_container("program", state=program),
        ],
        "containerStatuses": [one_container("runner", state={"waiting": {"reason": "PodInitializing"}})],
        **status,
    }


def silent() -> Object:
    """A program at work whose reporter has found it standing still, and was started again."""
    said = PhaseResult(outcome=Outcome.FAILED, reason="Stalled", message="The phase made no progress for 60 seconds.")
    running = {"running": {"startedAt": format_time(datetime.now(UTC))}}
    return stages(running, {"lastState": over(75, json.dumps(said.to_wire())), "restartCount": 1})


def play(phase: PhaseInput, pod: Object) -> Object:
    """What becomes of a pod is in its job's name: ``kind-…``."""
    match phase.job.split("-")[0], phase.attempt:
        case "breaks", _:
            return stages(over(3, "one\ntwo: no such voice\n"), phase="Failed")
        case "refuses", _:
            return stages(over(64, "speed must be a number"), phase="Failed")
        case "stalls", 1:
            return silent()
    return succeed(phase, pod)


@pytest.fixture(scope="module")
def here(controllers: LocalApiServer, proxy: FaultProxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Space]:
    """A namespace with an operator, the pipeline of the example, and somebody who plays the pods."""
    space, folder = make_space(controllers), tmp_path_factory.mktemp("programs")
    with working(space, proxy, folder, play):
        yield space


@pytest.fixture(scope="module")
def example(here: Space) -> dict[str, Object]:
    """The example's pipeline, with quick retries and a name of its own, and its job."""
    documents = yaml.safe_load_all((repository() / EXAMPLE).read_text(encoding="utf-8"))
    pipeline, job = documents
    pipeline["metadata"]["name"] = f"speak-{uuid.uuid4().hex[:6]}"
    pipeline["spec"]["retry"] = {"limit": 2, "baseSeconds": 0, "capSeconds": 1}
    here.rest.request("POST", f"/apis/{API_VERSION}/audiopipelines?fieldValidation=Strict", pipeline)
    job["spec"]["pipeline"] = pipeline["metadata"]["name"]
    return {"pipeline": pipeline, "job": job}


def submit(here: Space, example: dict[str, Object], kind: str, **spec: Any) -> str:
    name = f"{kind}-{uuid.uuid4().hex[:6]}"
    body = {**example["job"], "metadata": {"name": name}, "spec": {**example["job"]["spec"], **spec}}
    here.rest.request("POST", f"{here.jobs_path}?fieldValidation=Strict", body)
    return name


def test_the_example_runs_to_its_end_with_the_words_and_values_of_its_job(
    here: Space, example: dict[str, Object]
) -> None:
    name = submit(here, example, "speaks")
    status = here.finished(name)["status"]
    assert status["state"] == "Succeeded"
    pod = next(pod for pod in here.pods() if pod["metadata"]["name"].startswith(f"{name}-speak-1-"))
    given = PhaseInput.model_validate_json(pod["metadata"]["annotations"]["audiojobs.dev/phase"])
    assert given.parameters["values"] == {"voice": "en+f3", "speed": "160", "pitch": "50", "pause": "400"}
    assert [(each.name, each.text) for each in given.inputs] == [
        ("script", example["job"]["spec"]["inputs"][0]["text"])
    ]
    program = next(each for each in pod["spec"]["initContainers"] if each["name"] == "program")
    assert program["image"] == "registry.example.org/speak:1"
    assert [mount["name"] for mount in program["volumeMounts"]] == ["work", "work"]


@pytest.mark.parametrize(
    ("kind", "reason", "attempts", "words"),
    [
        pytest.param("breaks", "ProgramFailed", 2, "exit code 3: one two: no such voice", id="any code is tried again"),
        pytest.param("refuses", "InvalidSpec", 1, "speed must be a number", id="64 is final by the contract"),
    ],
)
def test_a_program_that_fails(
    here: Space, example: dict[str, Object], kind: str, reason: str, attempts: int, words: str
) -> None:
    status = here.finished(submit(here, example, kind))["status"]
    assert (status["state"], status["error"]["reason"], status["phases"][0]["attempt"]) == ("Failed", reason, attempts)
    assert words in status["error"]["message"]
    assert status["error"]["suggestion"]


def test_a_program_that_stands_still_is_deleted_while_it_runs_and_tried_again(
    here: Space, example: dict[str, Object]
) -> None:
    name = submit(here, example, "stalls")
    status = here.finished(name)["status"]
    assert (status["state"], status["phases"][0]["attempt"], status["phases"][0]["failures"]) == ("Succeeded", 2, 1)

    def first_is_gone() -> bool:
        return not any(job["metadata"]["name"].startswith(f"{name}-speak-1-") for job in here.batch_jobs())

    wait_until("the end of the first attempt's Job", first_is_gone, seconds=60)
    told = [event["message"] for event in here.events() if event["involvedObject"]["name"] == name]
    assert any("no progress for 60 seconds" in message for message in told), told


def test_a_value_that_the_pipeline_does_not_know_ends_the_job_before_any_pod(
    here: Space, example: dict[str, Object]
) -> None:
    name = submit(here, example, "speaks", parameters={"container": {"values": {"volume": "11"}}})
    status = here.finished(name)["status"]
    assert status["error"]["reason"] == "InvalidSpec"
    assert "it knows pause, pitch, speed, voice" in status["error"]["message"]
    assert not any(job["metadata"]["name"].startswith(f"{name}-") for job in here.batch_jobs())
