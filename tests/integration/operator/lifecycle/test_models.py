"""Models that are fetched ahead, with one operator process: who waits, what is said, and what starts then."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.operator.conftest import Object, Space, make_space, working
from tests.integration.operator.lifecycle.test_waiting_and_failing import children, submitted
from tests.support.faults.proxy import FaultProxy
from tests.support.podrunner import succeed

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.rest import MERGE_PATCH, RestError
from audiojob_types.constants import API_VERSION, MODELS_CONFIGMAP
from audiojob_types.models import WANTED_KEY


@pytest.fixture(scope="module")
def here(controllers: LocalApiServer, proxy: FaultProxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Space]:
    """A namespace whose operator lets one job run at a time."""
    space, folder = make_space(controllers), tmp_path_factory.mktemp("models")
    settings = {"AUDIOJOB_CAPACITY__MAX_RUNNING": "1", "AUDIOJOB_MODELS_CLAIM": "true"}
    with working(space, proxy, folder, succeed, **settings):
        yield space


@pytest.fixture
def stems(here: Space) -> str:
    """A pipeline that begins with Separate: nothing else stands before the model."""
    name = f"stems-{uuid.uuid4().hex[:6]}"
    body = {
        "apiVersion": API_VERSION,
        "kind": "AudioPipeline",
        "metadata": {"name": name},
        "spec": {"phases": [{"name": "first", "task": "Simulate"}, {"name": "separate", "task": "Separate"}]},
    }
    here.rest.request("POST", f"/apis/{API_VERSION}/audiopipelines", body)
    return name


class Record:
    """The ConfigMap that the chart makes and the prefetch Job fills."""

    def __init__(self, space: Space) -> None:
        self._rest = space.rest
        self._folder = f"/api/v1/namespaces/{space.namespace}/configmaps"

    def create(self, *wanted: str) -> None:
        body = {"metadata": {"name": MODELS_CONFIGMAP}, "data": {WANTED_KEY: json.dumps(wanted)}}
        self._rest.request("POST", self._folder, body)

    def say(self, model: str, **record: Any) -> None:
        change = {"data": {model: json.dumps(record)}}
        self._rest.request("PATCH", f"{self._folder}/{MODELS_CONFIGMAP}", change, content_type=MERGE_PATCH)

    def delete(self) -> None:
        try:
            self._rest.request("DELETE", f"{self._folder}/{MODELS_CONFIGMAP}")
        except RestError as error:
            if error.status != 404:
                raise


@pytest.fixture
def record(here: Space) -> Iterator[Record]:
    found = Record(here)
    yield found
    found.delete()


def waits(text: str) -> Any:
    return lambda status: status.get("state") == "Queued" and text in status.get("message", "")


def separations(space: Space, name: str) -> list[Object]:
    return [job for job in children(space, name) if job["metadata"]["labels"]["audiojobs.dev/phase"] == "separate"]


def test_a_phase_waits_for_its_model_says_how_far_it_is_and_starts(here: Space, stems: str, record: Record) -> None:
    record.create("htdemucs")
    with submitted(here, "song", pipeline=stems) as name:
        here.until(name, waits("htdemucs (prefetch has not begun)"), "a reason to wait")
        record.say("htdemucs", state="Fetching", percent=43)
        status = here.until(name, waits("htdemucs (prefetch 43 %)"), "how far it is")["status"]
        assert {one["reason"] for one in status["conditions"] if one["type"] == "Progressing"} == {"ModelMissing"}
        assert [phase["state"] for phase in status["phases"]] == ["Succeeded", "Waiting"]
        assert not separations(here, name)
        with submitted(here, "other") as other:
            assert here.finished(other)["status"]["state"] == "Succeeded", "the only slot is free meanwhile"
        record.say("htdemucs", state="Failed", message="The models volume is full.", suggestion="Enlarge it.")
        here.until(name, waits("prefetch failed: The models volume is full"), "what went wrong")
        record.say("htdemucs", state="Ready", percent=100)
        assert here.finished(name)["status"]["state"] == "Succeeded"
        assert len(separations(here, name)) == 1
        events = [event["reason"] for event in here.events() if event["involvedObject"]["name"] == name]
        assert events.count("ModelMissing") == 1


def test_without_a_record_nobody_waits(here: Space, stems: str) -> None:
    with submitted(here, "song", pipeline=stems) as name:
        assert here.finished(name)["status"]["state"] == "Succeeded"


def test_without_a_models_volume_a_job_is_refused_before_its_first_phase(
    controllers: LocalApiServer, proxy: FaultProxy, tmp_path: Path, stems: str
) -> None:
    space = make_space(controllers)
    with working(space, proxy, tmp_path, succeed), submitted(space, "song", pipeline=stems) as name:
        error = space.finished(name)["status"]["error"]
        assert (error["reason"], children(space, name)) == ("ModelMissing", [])
        assert "models.enabled" in error["suggestion"]


def test_a_record_that_goes_away_lets_those_that_wait_go_on(here: Space, stems: str, record: Record) -> None:
    record.create("htdemucs")
    with submitted(here, "song", pipeline=stems) as name:
        here.until(name, waits("htdemucs"), "a reason to wait")
        record.delete()
        assert here.finished(name)["status"]["state"] == "Succeeded"


def test_a_model_that_needs_no_files_is_not_waited_for(here: Space, stems: str, record: Record) -> None:
    record.create("htdemucs")
    untrained = {"separate": {"model": "demucs_unittest"}}
    with submitted(here, "song", pipeline=stems, parameters=untrained) as name:
        assert here.finished(name)["status"]["state"] == "Succeeded"
