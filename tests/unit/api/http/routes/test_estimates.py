"""An estimate makes nothing, and says from what it knows what it says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.unit.api.fakes import GOOD_TOKEN, MemoryBackend

from audiojob_api.app import create_app
from audiojob_api.jobs.estimates.estimator import Estimator
from audiojob_api.jobs.ports import NamespaceJobs
from audiojob_api.settings import ApiSettings, PriceSettings
from audiojob_types.resources.pipeline import AudioPipelineSpec

ESTIMATE = "/api/v1/estimate"
URL = {"url": "https://example.org/a"}


@pytest.fixture
def client(backend: MemoryBackend) -> Iterator[TestClient]:
    """Three jobs have run, of one, two and four minutes."""
    backend.pipelines.put(
        "separate", {"name": "split", "task": "Separate", "device": "Auto", "resources": {"cpu": "2"}}
    )
    for number, (minutes, seconds) in enumerate(((1, 20), (2, 30), (4, 50))):
        phase = {
            "name": "split", "state": "Succeeded", "device": "GPU", "startTime": "2026-01-01T00:00:00Z",
            "completionTime": f"2026-01-01T00:00:{seconds}Z", "reuseKey": "k", "manifest": {"key": "m"},
        }  # fmt: skip
        backend.store({
            "metadata": {"name": f"old-{number}"},
            "spec": {"pipeline": "separate", "source": {"url": f"https://example.org/{number}"}},
            "status": {
                "state": "Succeeded", "phases": [phase], "startTime": "2026-01-01T00:00:00Z",
                "completionTime": f"2026-01-01T00:00:{seconds}Z",
                "outputs": [{"name": "vocals", "durationMilliseconds": minutes * 60_000}],
            },
        })  # fmt: skip
    prices = PriceSettings(unit="EUR", cpu_second=0.001, gpu_second=0.01)
    app = create_app(
        ApiSettings(namespace="team", prices=prices, ageing_seconds=0), backend.backend(), backend.stopping
    )
    with TestClient(app) as found:
        found.headers["Authorization"] = f"Bearer {GOOD_TOKEN}"
        yield found


def test_an_estimate_makes_nothing(client: TestClient, backend: MemoryBackend) -> None:
    before = dict(backend.objects)
    answer = client.post(ESTIMATE, json={"pipeline": "separate", "source": URL, "durationSeconds": 600})
    assert (answer.status_code, backend.objects) == (200, before)
    found = answer.json()
    assert found["queue"].pop("estimatedStartTime")
    assert found == {
        "pipeline": "separate", "seconds": 110.0, "cpuSeconds": 220.0, "gpuSeconds": 110.0,
        "price": {"amount": 1.32, "unit": "EUR"}, "media": {"basis": "Told", "seconds": 600},
        "queue": {"position": 1, "ahead": 0},
        "phases": [{"name": "split", "device": "GPU", "runs": 3, "seconds": 110.0}],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "basis", "seconds"),
    [
        pytest.param({"source": URL}, "Typical", 33.3, id="nothing is known of the length"),
        pytest.param(
            {"source": {"url": "https://example.org/2"}, "durationSeconds": 1}, "Measured", 0, id="done before"
        ),
        pytest.param({"source": {"url": "https://example.org/2"}, "reuse": "Never"}, "Measured", 50, id="to do again"),
        pytest.param({"source": {"jobRef": {"name": "old-1"}}, "durationSeconds": 1}, "Measured", 30, id="its output"),
        pytest.param({"source": {"jobRef": {"name": "none"}}, "durationSeconds": 60}, "Told", 20, id="of no job"),
        pytest.param(
            {"retryOf": "old-0", "source": {"url": "https://example.org/0"}}, "Measured", 0, id="all of it is finished"
        ),
        pytest.param({"retryOf": "old-0", "source": URL}, "Typical", 33.3, id="a retry with another source"),
    ],
)
def test_where_the_length_comes_from(client: TestClient, body: dict[str, Any], basis: str, seconds: float) -> None:
    found = client.post(ESTIMATE, json={"pipeline": "separate", **body}).json()
    assert (found["media"]["basis"], found["seconds"]) == (basis, seconds), found


@pytest.mark.parametrize(
    ("spec", "minutes"),
    [
        pytest.param({"source": {"jobRef": {"name": "old-2"}}}, 4, id="the output of another job"),
        pytest.param({"retryOf": "old-0", "source": {"url": "https://example.org/0"}}, 1, id="a retry"),
        pytest.param({"retryOf": "old-0", "source": {"url": "https://example.org/9"}}, None, id="of another source"),
        pytest.param(
            {"retryOf": "old-0", "source": {"jobRef": {"name": "old-2"}}}, None, id="a retry of a job that read others"
        ),
        pytest.param(
            {"retryOf": "old-0", "source": {"url": "https://example.org/0"}, "inputs": [{"name": "b", "text": "x"}]},
            None,
            id="with other inputs",
        ),
    ],
)
async def test_minutes_that_count_are_those_of_the_same_media(
    client: TestClient, backend: MemoryBackend, spec: dict[str, Any], minutes: float | None
) -> None:
    estimator = Estimator(NamespaceJobs(backend, backend, backend), backend.pipelines)
    assert await estimator.measured_minutes({"pipeline": "separate", **spec}) == minutes


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"pipeline": "separate", "durationSeconds": 0}, "/durationSeconds"),
        ({"pipeline": "separate", "durationSeconds": 1e9}, "/durationSeconds"),
        ({"pipeline": "separate", "durationSeconds": "60"}, "/durationSeconds"),
        ({"pipeline": "separate", "durationSeconds": True}, "/durationSeconds"),
        ({"pipeline": "separate", "parameters": {"nothing": {}}}, "/parameters/nothing"),
        ({"pipeline": "separate", "lenght": 3}, "/lenght"),
    ],
)
def test_what_cannot_be_estimated_names_the_field(client: TestClient, body: dict[str, Any], pointer: str) -> None:
    answer = client.post(ESTIMATE, json=body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer), answer.text


def test_an_unknown_pipeline_is_said(client: TestClient) -> None:
    answer = client.post(ESTIMATE, json={"pipeline": "none"})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (404, "/pipeline"), answer.text


def test_who_comes_waits_behind_those_of_its_priority(client: TestClient, backend: MemoryBackend) -> None:
    waiting = {"type": "Admitted", "status": "False", "reason": "QueueFull"}
    for name in ("a", "b"):
        backend.put(name, state="Queued", conditions=[waiting])
    for priority, ahead in (("low", 2), ("default", 2), ("high", 0)):
        found = client.post(ESTIMATE, json={"pipeline": "separate", "priority": priority}).json()
        assert found["queue"]["ahead"] == ahead, priority


def test_a_new_job_tells_how_long_it_may_take(client: TestClient, backend: MemoryBackend) -> None:
    made = client.post("/api/v1/jobs?format=v1-compat", json={"pipeline": "separate", "source": URL}).json()
    assert made["estimated_duration"] == 33.3
    body = {"name": "b", "pipeline": "separate", "source": {"jobRef": {"name": "old-2"}}}
    assert client.post("/api/v1/jobs", json=body).json()["estimatedDuration"] == 50
    assert "estimatedDuration" not in client.get("/api/v1/jobs/b").json()
    unknown = client.post("/api/v1/jobs", json={"pipeline": "none", "source": URL})
    assert (unknown.status_code, "estimatedDuration" in unknown.json()) == (201, False)


def test_a_new_job_waits_for_no_estimate(
    client: TestClient, backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(name: str) -> None:
        raise RuntimeError(name)

    monkeypatch.setattr(backend.pipelines, "find", fails)
    answer = client.post("/api/v1/jobs", json={"pipeline": "separate", "source": URL})
    assert (answer.status_code, "estimatedDuration" in answer.json()) == (201, False)
    assert "was not estimated" in caplog.text


async def test_the_same_is_not_estimated_again_for_a_moment(
    client: TestClient, backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    estimator, asked = Estimator(NamespaceJobs(backend, backend, backend), backend.pipelines), []
    find = backend.pipelines.find

    async def counted(name: str) -> AudioPipelineSpec | None:
        asked.append(name)
        return await find(name)

    monkeypatch.setattr(backend.pipelines, "find", counted)

    async def seconds(**spec: Any) -> float | None:
        told = await estimator.told({"metadata": {"name": "a"}, "spec": {"pipeline": "separate", **spec}})
        return told.get("estimatedDuration")

    assert [await seconds(source=URL) for _ in range(2)] == [33.3, 33.3]
    assert asked == ["separate"]
    assert await seconds(source={"jobRef": {"name": "old-2"}}) == 50, "what another job has measured is looked up"
    assert [await seconds(pipeline="none"), await seconds(pipeline="none")] == [None, None]
    assert asked == ["separate", "separate", "none"]
