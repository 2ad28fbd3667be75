"""What only a sweep finds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from audiojob_kube.objects import ObjectList
from audiojob_operator.caches import Caches
from audiojob_operator.metrics import Metrics
from audiojob_operator.settings import Sweep
from audiojob_operator.sweep import Sweeper

KEY = ("team", "song")


class Listing:
    """An API server that only lists."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []

    async def pages(self, *_: Any, **__: Any) -> AsyncIterator[ObjectList]:
        yield ObjectList(items=self.items, resource_version="9")


def audiojob(version: str) -> dict[str, Any]:
    metadata = {"namespace": KEY[0], "name": KEY[1], "uid": "u", "resourceVersion": version}
    return {"metadata": metadata, "spec": {"pipeline": "p"}, "status": {"state": "Queued"}}


def sweeper(server: Listing, woken: list[Any]) -> tuple[Sweeper, Caches]:
    caches = Caches(server, (), woken.append)  # type: ignore[arg-type]  # only pages is called
    return Sweeper(server, caches, woken.append, Metrics(), Sweep()), caches  # type: ignore[arg-type]


async def test_a_job_that_was_deleted_unseen_is_forgotten_and_looked_at() -> None:
    woken: list[Any] = []
    sweep, caches = sweeper(Listing(), woken)
    caches.audiojobs.put(audiojob("1"))
    woken.clear()
    await sweep.active()
    assert caches.audiojobs.get(KEY) is None
    assert woken == [KEY]


async def test_a_job_that_no_watch_brought_is_taken_over_and_counted() -> None:
    woken: list[Any] = []
    server = Listing()
    server.items = [audiojob("5")]
    sweep, caches = sweeper(server, woken)
    await sweep.active()
    assert caches.audiojobs.get(KEY) is not None
    assert woken == [KEY]


async def test_a_job_that_is_known_as_it_is_causes_nothing() -> None:
    woken: list[Any] = []
    server = Listing()
    server.items = [audiojob("5")]
    sweep, caches = sweeper(server, woken)
    caches.audiojobs.put(audiojob("5"))
    woken.clear()
    await sweep.active()
    assert woken == []
