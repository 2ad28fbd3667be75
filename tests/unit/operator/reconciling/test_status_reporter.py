"""When the status of an AudioQueue or AudioPipeline is written, and when not."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, cast

import pytest
from tests.unit.operator.builders import phase, pipeline
from tests.unit.operator.listening import Heard

from audiojob_kube.client import KubeClient
from audiojob_kube.errors import ApiError, NotFound, ServerError
from audiojob_operator.deciding.pipeline_status import pipeline_status
from audiojob_operator.reconciling.status_reporter import StatusReporter
from audiojob_operator.records.objects import Key
from audiojob_operator.state.caches import Caches
from audiojob_types.resources.pipeline import AudioPipeline, AudioPipelineStatus


class Server:
    """Takes the status of one AudioPipeline, but for the first few times."""

    def __init__(self, obj: dict[str, Any], *answers: ApiError) -> None:
        self.obj = obj
        self.answers = list(answers)
        self.asked: list[tuple[str, str | None, str | None]] = []

    async def patch_merge(
        self, resource: object, name: str, body: Any, namespace: str | None, *, subresource: str
    ) -> dict[str, Any]:
        self.asked.append((name, namespace, subresource))
        if self.answers:
            raise self.answers.pop(0)
        self.obj = {**deepcopy(self.obj), **body}
        self.obj["metadata"]["resourceVersion"] = str(int(self.obj["metadata"]["resourceVersion"]) + 1)
        return self.obj


class Reported:
    """One AudioPipeline in the caches, and its reporter."""

    def __init__(self, *answers: ApiError) -> None:
        stored = pipeline(phase("download"), phase("normalize"), phase("separate"), name="vocals")
        stored["metadata"] = {**stored["metadata"], "uid": "uid", "generation": 4, "resourceVersion": "7"}
        self.server = Server(stored, *answers)
        client = cast("KubeClient", self.server)
        self.pipelines = Caches(client, (), Heard()).pipelines
        self.pipelines.put(stored)
        self.reporter = StatusReporter(client, self.pipelines, lambda _, each: pipeline_status(each))

    @property
    def known(self) -> AudioPipeline:
        found = self.pipelines.get(("", "vocals"))
        assert found is not None
        return found


async def test_all_phases_are_one_value_for_a_column() -> None:
    reported = Reported()
    assert await reported.reporter.report()
    assert reported.server.asked == [("vocals", None, "status")]
    assert reported.server.obj["status"] == {"observedGeneration": 4, "phases": "download, normalize, separate"}


async def test_what_is_written_already_is_not_written_again() -> None:
    reported = Reported()
    for _ in range(3):
        await reported.reporter.report()
    assert len(reported.server.asked) == 1
    assert reported.known.status.phases == "download, normalize, separate"


async def test_other_phases_are_written() -> None:
    reported = Reported()
    await reported.reporter.report()
    edited = deepcopy(reported.server.obj)
    edited["spec"]["phases"].pop()
    edited["metadata"] |= {"generation": 5, "resourceVersion": "9"}
    reported.server.obj = edited
    reported.pipelines.put(edited)
    await reported.reporter.report()
    assert (reported.known.status.observed_generation, reported.known.status.phases) == (5, "download, normalize")


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(NotFound(404, "NotFound", "gone"), id="a CRD of an earlier version has no status"),
        pytest.param(ServerError(500, "InternalError", "etcd"), id="the API server is in trouble"),
    ],
)
async def test_what_was_not_written_is_tried_again(answer: ApiError) -> None:
    reported = Reported(answer)
    assert not await reported.reporter.report()
    assert await reported.reporter.report()
    assert len(reported.server.asked) == 2


async def test_one_odd_object_keeps_no_other_from_its_status() -> None:
    reported = Reported()
    odd = pipeline(phase("download"), name="odd")
    odd["metadata"] = {**odd["metadata"], "uid": "uid-odd", "generation": 1, "resourceVersion": "3"}
    client = cast("KubeClient", reported.server)
    pipelines = Caches(client, (), Heard()).pipelines
    pipelines.put(odd)
    pipelines.put(reported.server.obj)

    def wanted(key: Key, each: AudioPipeline) -> AudioPipelineStatus:
        if key[1] == "odd":
            raise KeyError("bug")
        return pipeline_status(each)

    reporter = StatusReporter(client, pipelines, wanted)
    assert not await reporter.report(), "it is tried again, at longer and longer intervals"
    assert reported.server.asked == [("vocals", None, "status")]


async def test_numbers_that_change_all_the_time_are_written_now_and_then_and_the_newest_at_last() -> None:
    reported, now, phases = Reported(), 0.0, ""
    reporter = StatusReporter(
        cast("KubeClient", reported.server),
        reported.pipelines,
        lambda *_: AudioPipelineStatus(observed_generation=4, phases=phases),
        clock=lambda: now,
    )
    for number in range(60):
        now, phases = float(number), f"download {number}"
        assert await reporter.report()
    assert len(reported.server.asked) == 16, "five at once, and one each five seconds"
    now += 5
    await reporter.report()
    assert reported.known.status.phases == "download 59"
