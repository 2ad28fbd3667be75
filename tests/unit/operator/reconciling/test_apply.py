"""Carrying out plans: what is written, and what is not written twice."""

from __future__ import annotations

from typing import Any, cast

from tests.unit.operator.builders import NAMESPACE, audio_job
from tests.unit.operator.listening import Heard

from audiojob_kube.client import KubeClient
from audiojob_kube.errors import AlreadyExists, ApiError, ServerError
from audiojob_operator.metrics.registry import Metrics
from audiojob_operator.reconciling.apply import Applier
from audiojob_operator.records.plan import EventRecord, Plan
from audiojob_operator.state.caches import Caches
from audiojob_types.resources.job import AudioJob

JOB = AudioJob.model_validate(audio_job()).metadata
PLAN = Plan(events=(EventRecord("song.1", "Normal", "QueueFull", "4 of 4 jobs are running."),))


class Server:
    """Takes events, but for the first few."""

    def __init__(self, *answers: ApiError) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def create(self, resource: object, body: Any, namespace: str) -> Any:
        self.asked += 1
        if self.answers:
            raise self.answers.pop(0)
        return body


def applier(server: Server) -> Applier:
    client = cast("KubeClient", server)
    return Applier(client, Caches(client, (NAMESPACE,), Heard()), Metrics(), "test")


async def test_an_event_that_decisions_make_again_and_again_is_written_once() -> None:
    server = Server()
    writer = applier(server)
    for _ in range(3):
        await writer.apply(PLAN, JOB)
    assert server.asked == 1


async def test_an_event_from_before_a_restart_is_asked_for_once() -> None:
    server = Server(AlreadyExists(409, "AlreadyExists", "exists"))
    writer = applier(server)
    for _ in range(3):
        await writer.apply(PLAN, JOB)
    assert server.asked == 1


async def test_an_event_that_was_not_recorded_is_written_with_the_next_decision() -> None:
    server = Server(ServerError(500, "InternalError", "etcd"))
    writer = applier(server)
    for _ in range(3):
        await writer.apply(PLAN, JOB)
    assert server.asked == 2
