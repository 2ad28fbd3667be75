"""A controller of a toy kind: numbers that are counted down to zero, and everything that can go wrong with them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from tests.support.polling import eventually

from audiojob_kube.backoff import Backoff
from audiojob_kube.errors import ServerError, TooManyRequests, TransportError
from audiojob_operator.reconciling.controller import Controller
from audiojob_operator.reconciling.errors import ReconcileError, StaleError, UnreadableError
from audiojob_operator.reconciling.workqueue import WorkQueue

QUICK = Backoff(first_seconds=0.01, cap_seconds=0.02)


class Countdown:
    """The toy kind: each reconcile brings a number one step down; ``trouble`` is raised once for each key in it."""

    def __init__(self, **numbers: int) -> None:
        self.numbers = numbers
        self.trouble: dict[str, Exception] = {}
        self.newer: bool | Exception = True
        self.park: float | None = None
        self.faults: Counter[str] = Counter()
        self.refreshed: Counter[str] = Counter()
        self.at_work: Counter[str] = Counter()
        self.most_at_work = 0

    async def reconcile(self, key: str, /) -> float | None:
        self.at_work[key] += 1
        self.most_at_work = max(self.most_at_work, self.at_work[key])
        try:
            await asyncio.sleep(0)
            if (error := self.trouble.pop(key, None)) is not None:
                raise error
            self.numbers[key] -= 1
            return 0.0 if self.numbers[key] else None
        finally:
            self.at_work[key] -= 1

    async def refresh(self, key: str, /) -> bool:
        self.refreshed[key] += 1
        if isinstance(self.newer, Exception):
            raise self.newer
        return self.newer

    def failed(self, key: str, error: Exception, /) -> float | None:
        self.faults[key] += 1
        return self.park


@asynccontextmanager
async def controlling(kind: Countdown, workers: int = 2) -> AsyncIterator[Counter[str]]:
    """A controller at work on all numbers of the kind. Yields how often each result came."""
    results: Counter[str] = Counter()
    queue: WorkQueue[str] = WorkQueue(QUICK)
    count: Callable[[str, float], None] = lambda result, _seconds: results.update([result])  # noqa: E731
    for key in kind.numbers:
        queue.add(key)
    task = asyncio.create_task(Controller(queue, kind, count).run(workers))
    try:
        yield results
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_each_object_is_brought_to_its_end_by_one_worker_at_a_time() -> None:
    kind = Countdown(a=5, b=3, c=1)
    async with controlling(kind, workers=3) as results:
        await eventually(lambda: not any(kind.numbers.values()), "all to reach zero")
        await eventually(lambda: results == {"ok": 9}, "each reconcile to be measured")
    assert kind.most_at_work == 1


@pytest.mark.parametrize(
    ("error", "result"),
    [
        pytest.param(StaleError("moved on"), "stale", id="the object has moved on"),
        pytest.param(ReconcileError("later"), "failed", id="a kind's own error"),
        pytest.param(ServerError(500, "InternalError", "oops"), "refused", id="the API server refuses"),
        pytest.param(TransportError("no route"), "transport", id="the API server is not reached"),
        pytest.param(UnreadableError("spec: ?"), "unreadable", id="the object cannot be read"),
        pytest.param(KeyError("bug"), "fault", id="a fault of ours"),
    ],
)
async def test_an_error_delays_its_object_and_no_other(error: Exception, result: str) -> None:
    kind = Countdown(bad=1, good=1)
    kind.trouble["bad"] = error
    async with controlling(kind) as results:
        await eventually(lambda: not any(kind.numbers.values()), "both to reach zero")
        await eventually(lambda: results == {result: 1, "ok": 2}, "each reconcile to be measured")


@pytest.mark.parametrize("newer", [True, False], ids=["at once if it is newer", "after a backoff if it is not"])
async def test_a_stale_object_is_read_again_and_decided_again(newer: bool) -> None:
    kind = Countdown(a=1)
    kind.newer = newer
    kind.trouble["a"] = StaleError("moved on")
    async with controlling(kind):
        await eventually(lambda: kind.numbers["a"] == 0, "it to reach zero")
    assert kind.refreshed == {"a": 1}


async def test_a_fault_while_an_object_is_read_again_delays_it_as_well() -> None:
    kind = Countdown(a=1, b=1)
    kind.newer = KeyError("bug")
    kind.trouble["a"] = StaleError("moved on")
    async with controlling(kind):
        await eventually(lambda: not any(kind.numbers.values()), "both to reach zero")
    assert kind.faults == {"a": 1}


async def test_an_object_on_which_the_operator_fails_is_left_alone_for_as_long_as_its_kind_says() -> None:
    kind = Countdown(a=1, b=1)
    kind.trouble["a"], kind.park = KeyError("bug"), 3_600.0
    async with controlling(kind) as results:
        await eventually(lambda: results == {"fault": 1, "ok": 1}, "both to be tried")
    assert kind.numbers == {"a": 1, "b": 0}


async def test_an_api_server_that_asks_for_time_gets_it() -> None:
    kind = Countdown(a=1, b=1)
    kind.trouble["a"] = TooManyRequests(429, "TooManyRequests", "slow down", retry_after=3_600.0)
    async with controlling(kind) as results:
        await eventually(lambda: results == {"refused": 1, "ok": 1}, "both to be tried")
    assert kind.numbers == {"a": 1, "b": 0}
