"""Carrying out plans: what is written, and what is not written twice."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, cast

import pytest
from tests.unit.operator.builders import NAMESPACE, audio_job
from tests.unit.operator.listening import Heard

from audiojob_kube.client import KubeClient
from audiojob_kube.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    ServerError,
    TooManyRequests,
    TransportError,
)
from audiojob_operator.metrics.registry import Metrics
from audiojob_operator.reconciling.apply import Applier
from audiojob_operator.records.plan import EventRecord, Plan, TellingAgain
from audiojob_operator.state.caches import Caches
from audiojob_types.resources.job import AudioJob

JOB = AudioJob.model_validate(audio_job()).metadata
PLAN = Plan(events=(EventRecord("song.1", "Normal", "QueueFull", "4 of 4 jobs are running."),))


class Server:
    """Takes events and statuses, but for the first few."""

    def __init__(self, *answers: Exception) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def create(self, resource: object, body: Any, namespace: str) -> Any:
        self.asked += 1
        if self.answers:
            raise self.answers.pop(0)
        return body

    async def patch_json(self, resource: object, name: str, operations: Any, namespace: str, **_: Any) -> Any:
        job = audio_job(name)
        job["metadata"] |= {"resourceVersion": "7"}
        return await self.create(resource, job, namespace)


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


@pytest.mark.parametrize(
    ("answer", "unanswered"),
    [
        pytest.param(None, False, id="it was written"),
        pytest.param(NotFound(404, "NotFound", "gone"), False, id="the AudioJob is gone"),
        pytest.param(Conflict(409, "Conflict", "changed"), False, id="it has changed"),
        pytest.param(Invalid(422, "Invalid", "status.phases: too many"), False, id="it is invalid"),
        pytest.param(Forbidden(403, "Forbidden", 'x is forbidden: User "u" cannot'), False, id="the right is missing"),
        pytest.param(TooManyRequests(429, "TooManyRequests", "later"), False, id="the server is busy"),
        pytest.param(ServerError(500, "InternalError", "request is too large"), False, id="it is too large"),
        pytest.param(ServerError(504, "Timeout", "etcd"), True, id="the server gave up waiting"),
        pytest.param(TransportError("reset"), True, id="no answer came"),
        pytest.param(ValueError("a fault of ours"), True, id="nobody knows what happened"),
    ],
)
async def test_whether_a_status_was_written_is_known_where_the_server_has_answered(
    answer: Exception | None, unanswered: bool
) -> None:
    writer = applier(Server(*([answer] if answer is not None else [])))
    with suppress(Exception):
        await writer.apply(Plan(status=({"op": "add", "path": "/status", "value": {}},)), JOB)
    assert writer.is_unanswered((NAMESPACE, JOB.name)) is unanswered
    await writer.apply(PLAN, JOB)
    assert not writer.is_unanswered((NAMESPACE, JOB.name)), "the job was looked at anew"


async def test_a_pod_that_may_not_be_told_again_is_asked_for_once() -> None:
    """Decisions ask for it at each look, as long as a policy of an earlier release refuses it."""
    server = Server(*(Forbidden(403, "Forbidden", "denied by the policy") for _ in range(2)))
    writer = applier(server)
    for pod, time in (("a", 1), ("a", 1), ("a", 2), ("b", 1)):
        await writer.apply(Plan(tell=(TellingAgain(f"pod-{pod}", pod, time),)), JOB)
    assert server.asked == 2, "once for each pod"
