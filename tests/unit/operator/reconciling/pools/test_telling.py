"""When events on a pool of workers are written."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from tests.unit.operator.builders import NOW
from tests.unit.operator.deciding.pools.played import facts

from audiojob_kube.client import KubeClient
from audiojob_kube.errors import AlreadyExists, ApiError, Forbidden
from audiojob_operator.deciding.pools.telling import Ended, PoolReason
from audiojob_operator.reconciling.pools.telling import PoolTeller, Untold
from audiojob_operator.state.pace import BURST

ABOUT = facts().pool.metadata


class Server:
    def __init__(self, *answers: ApiError) -> None:
        self.answers = list(answers)
        self.events: list[dict[str, Any]] = []

    async def create(self, _resource: object, body: dict[str, Any], _namespace: str) -> None:
        self.events.append(body)
        if self.answers:
            raise self.answers.pop(0)

    def tell(self, untold: Untold, clock: float = 100.0) -> float | None:
        teller = PoolTeller(cast("KubeClient", self), "me")
        return asyncio.run(teller.tell(untold, ABOUT, clock, NOW))


def test_nothing_is_written_where_nothing_happened_and_what_happened_is_told_once() -> None:
    server, untold = Server(), Untold()
    assert server.tell(untold) is None
    assert server.events == []
    untold.started("a", "1 phase waits")
    untold.started("b", "2 phases wait")
    assert [server.tell(untold), server.tell(untold)] == [None, None]
    (event,) = server.events
    assert event["message"] == "Started 2 workers (a, b): 2 phases wait."
    assert (event["involvedObject"]["kind"], event["involvedObject"]["uid"]) == ("AudioWorkerPool", ABOUT.uid)


def test_many_workers_that_come_and_go_are_told_of_together() -> None:
    server, untold = Server(), Untold()
    later: float | None = None
    for number in range(BURST + 7):
        untold.ended(Ended(f"w{number}", 1, failed=False, why=""))
        later = server.tell(untold)
    assert len(server.events) == BURST
    assert later is not None
    assert server.tell(untold, 100.0 + later) is None
    assert server.events[-1]["message"].startswith("7 workers are gone.")


def test_a_trouble_is_told_once_an_hour_each_kind_for_itself() -> None:
    server, untold = Server(), Untold()
    for clock in (100.0, 130.0, 3_000.0, 3_700.0):
        untold.trouble(PoolReason.WORKERS_REFUSED, f"quota at {clock:.0f}", clock)
        server.tell(untold, clock)
    untold.trouble(PoolReason.WORKERS_FAIL, "no device", 3_700.0)
    server.tell(untold, 3_700.0)
    assert [event["message"] for event in server.events] == ["quota at 100", "quota at 3700", "no device"]


def test_work_does_not_wait_for_an_event_that_is_not_taken() -> None:
    server, untold = (
        Server(AlreadyExists(409, "AlreadyExists", "is there"), Forbidden(403, "Forbidden", "no")),
        Untold(),
    )
    untold.started("a", "1 phase waits")
    untold.ended(Ended("b", 1, failed=False, why=""))
    assert server.tell(untold) is None
    assert len(server.events) == 2
