from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.integration.kube.scripted.scripted_server import (
    Answer,
    Cut,
    Hold,
    ScriptedServer,
    bookmark,
    event,
    job,
    listing,
    status_object,
    stream_error,
)
from tests.support.polling import eventually

from audiojob_kube.backoff import Backoff
from audiojob_kube.client import Timeouts, connect
from audiojob_kube.config import Connection
from audiojob_kube.objects import Key, Object
from audiojob_kube.reflector import Pace, Reflector, Selection
from audiojob_kube.resources import AUDIOJOBS

QUICK = Pace(page_size=2, backoff=Backoff(first_seconds=0.01, cap_seconds=0.05))
A: Key = ("music", "a")
B: Key = ("music", "b")


class Follower:
    """A running reflector that keeps each object's version, and the changes that it told."""

    def __init__(self, server: ScriptedServer, **options: Any) -> None:
        self.changes: list[tuple[Key, str | None, str | None]] = []
        self.now = 1000.0
        self.client = connect(
            Connection(server.url), user_agent="t", field_manager="t", timeouts=Timeouts(watch_silence=0.3)
        )
        defaults: dict[str, Any] = {
            "project": lambda obj: str(obj["metadata"]["resourceVersion"]),
            "on_change": lambda key, old, new: self.changes.append((key, old, new)),
            "clock": lambda: self.now,
            "pace": QUICK,
        }
        selection = options.pop("selection", Selection(AUDIOJOBS))
        self.reflector: Reflector[str] = Reflector(self.client, selection, **(defaults | options))
        self.task = asyncio.create_task(self.reflector.run())

    def has(self, **versions: str) -> bool:
        return {key[1]: value for key, value in self.reflector.items()} == versions

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.client.aclose()


@pytest.fixture
async def follow(server: ScriptedServer) -> AsyncIterator[Any]:
    followers: list[Follower] = []

    def start(**options: Any) -> Follower:
        followers.append(Follower(server, **options))
        return followers[-1]

    yield start
    for follower in followers:
        ended = follower.task.done()
        await follower.stop()
        assert not ended, "a reflector ends only when cancelled"


async def test_pages_then_events(server: ScriptedServer, follow: Any) -> None:
    server.lists.extend([listing(7, job("a", 1), job("b", 2), more="t"), listing(7, job("c", 3))])
    server.watches.append([event("MODIFIED", job("a", 8)), event("DELETED", job("b", 9)), Hold()])
    follower = follow(
        selection=Selection(AUDIOJOBS, namespace="music", label_selector="x=y", field_selector="status.state!=Failed")
    )
    assert not follower.reflector.synced.is_set()
    await eventually(lambda: follower.has(a="8", c="3"), "list and events are in")
    assert follower.reflector.synced.is_set()
    assert follower.reflector.get(A) == "8"
    assert sorted(follower.reflector.values()) == ["3", "8"]
    assert follower.changes == [
        (A, None, "1"),
        (B, None, "2"),
        (("music", "c"), None, "3"),
        (A, "1", "8"),
        (B, "2", None),
    ]
    [watch] = server.requests(watch=True)
    assert watch.path.endswith("/namespaces/music/audiojobs")
    assert (watch.query["resourceVersion"], watch.query["labelSelector"]) == ("7", "x=y")
    assert watch.query["fieldSelector"] == "status.state!=Failed"
    assert 240 <= int(watch.query["timeoutSeconds"]) <= 360


async def test_nothing_is_synced_before_the_last_page(server: ScriptedServer, follow: Any) -> None:
    gate = asyncio.Event()
    last = listing(7, job("c", 3))
    server.lists.extend([listing(7, job("a", 1), more="t"), Answer(last.body, wait_for=gate)])
    follower = follow()
    await eventually(lambda: len(server.seen) == 2, "the second page is asked for")
    assert not follower.reflector.synced.is_set()
    assert follower.changes == []
    gate.set()
    await asyncio.wait_for(follower.reflector.synced.wait(), 60)
    assert follower.has(a="1", c="3")


async def test_objects_come_without_managed_fields(server: ScriptedServer, follow: Any) -> None:
    def project(obj: Object) -> str:
        assert "managedFields" not in obj["metadata"]
        return str(obj["metadata"]["resourceVersion"])

    server.lists.append(listing(7, job("a", 1)))
    server.watches.append([event("MODIFIED", job("a", 8)), Hold()])
    follower = follow(project=project)
    await eventually(lambda: follower.has(a="8"), "both are read")


async def test_a_watch_that_ends_is_continued_from_the_last_bookmark(server: ScriptedServer, follow: Any) -> None:
    server.lists.append(listing(7, job("a", 1)))
    server.watches.extend([[event("MODIFIED", job("a", 8)), bookmark(20)], [event("DELETED", job("a", 21)), Hold()]])
    follower = follow()
    await eventually(lambda: (A, "8", None) in follower.changes, "the second watch brings the deletion")
    assert [seen.query["resourceVersion"] for seen in server.requests(watch=True)] == ["7", "20"]
    assert follower.reflector.relists == 1


@pytest.mark.parametrize(
    "trouble",
    [
        [event("MODIFIED", job("a", 8)), event("MODIFIED", job("a", 9))[:30], Cut()],
        [event("MODIFIED", job("a", 8)), Hold()],
        [event("MODIFIED", job("a", 8)), b"garbage\n", Hold()],
    ],
    ids=[
        "a connection cut in the middle of a line",
        "a socket that falls silent",
        "a line that is no event",
    ],
)
async def test_a_broken_watch_is_continued_where_it_was(
    server: ScriptedServer, follow: Any, trouble: list[Any]
) -> None:
    server.lists.extend([listing(7, job("a", 1)), listing(8, job("a", 8))])
    server.watches.extend([trouble, [event("MODIFIED", job("a", 9)), Hold()]])
    follower = follow()
    await eventually(lambda: follower.has(a="9"), "the next watch goes on")
    assert [seen.query["resourceVersion"] for seen in server.requests(watch=True)][:2] == ["7", "8"]
    assert follower.reflector.relists == 1


async def test_silence_where_nothing_changes_is_healthy(server: ScriptedServer, follow: Any) -> None:
    server.lists.extend([listing(7, job("a", 1)), listing(80, job("a", 1))])
    server.watches.extend([[Hold()], [event("MODIFIED", job("a", 90)), Hold()]])
    follower = follow(selection=Selection(AUDIOJOBS, label_selector="x=y"))
    await asyncio.wait_for(follower.reflector.synced.wait(), 60)
    follower.now += 75
    await eventually(lambda: follower.reflector.age() == 0, "the server answers that it is there")
    await eventually(lambda: follower.has(a="90"), "the next watch works")
    assert server.requests(watch=False)[1].query == {"limit": "1"}, "one object is read, not all"
    assert [seen.query["resourceVersion"] for seen in server.requests(watch=True)][:2] == ["7", "7"]
    assert follower.reflector.relists == 1


async def test_after_silence_no_more_is_asked_for_than_what_is_followed(server: ScriptedServer, follow: Any) -> None:
    """A right to one object by its name does not reach further."""
    server.lists.extend([listing(7, job("a", 1)), listing(80, job("a", 1))])
    server.watches.extend([[Hold()], [event("MODIFIED", job("a", 90)), Hold()]])
    follower = follow(selection=Selection(AUDIOJOBS, field_selector="metadata.name=a"))
    await eventually(lambda: follower.has(a="90"), "the next watch works")
    assert {seen.query.get("fieldSelector") for seen in server.requests(watch=False)} == {"metadata.name=a"}


async def test_silence_of_a_server_put_back_to_an_earlier_state_means_a_new_list(
    server: ScriptedServer, follow: Any
) -> None:
    server.lists.extend([listing(70, job("a", 60)), listing(30, job("b", 20)), listing(30, job("b", 20))])
    server.watches.extend([[Hold()], [event("MODIFIED", job("b", 31)), Hold()]])
    follower = follow()
    await eventually(lambda: follower.has(b="31"), "the earlier state is taken over")
    assert [seen.query["resourceVersion"] for seen in server.requests(watch=True)][:2] == ["70", "30"]


async def test_silence_of_a_server_that_does_not_answer_either(server: ScriptedServer, follow: Any) -> None:
    busy = Answer(status_object(503, "starting"), 503)
    server.lists.extend([listing(7, job("a", 1)), busy, busy, listing(9, job("a", 1))])
    server.watches.extend([[Hold()], [Hold()], [Hold()], [event("MODIFIED", job("a", 8)), Hold()]])
    follower = follow()
    await eventually(lambda: follower.has(a="8"), "it goes on where it was")
    assert follower.reflector.relists == 1


@pytest.mark.parametrize(
    "trouble",
    [
        [stream_error(410, "too old resource version", "Expired"), Hold()],
        [stream_error(500, "RequestWatchProgress is disabled"), Hold()],
        [stream_error(504, "Too large resource version", "Timeout"), Hold()],
        Answer(status_object(410, "too old", "Expired"), 410),
        Answer(status_object(400, "invalid resource version", "BadRequest"), 400),
    ],
    ids=[
        "410 inside the stream",
        "500 inside the stream",
        "504 inside the stream",
        "410 before the stream",
        "400 before the stream",
    ],
)
async def test_a_refused_watch_means_a_new_list_and_what_it_lacks_is_gone(
    server: ScriptedServer, follow: Any, trouble: Any
) -> None:
    server.lists.extend([listing(7, job("a", 1), job("b", 2)), listing(30, job("b", 2), job("c", 29))])
    server.watches.append(trouble)
    follower = follow()
    await eventually(lambda: follower.has(b="2", c="29"), "the second list replaces the first")
    assert follower.changes == [(A, None, "1"), (B, None, "2"), (A, "1", None), (("music", "c"), None, "29")]
    await eventually(lambda: len(server.requests(watch=True)) == 2, "it watches again")
    assert server.requests(watch=True)[1].query["resourceVersion"] == "30"


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_an_overloaded_server_is_not_asked_for_a_list_again(
    server: ScriptedServer, follow: Any, status: int
) -> None:
    server.lists.append(listing(7, job("a", 1)))
    server.watches.extend([Answer(status_object(status, "busy"), status), [event("MODIFIED", job("a", 8)), Hold()]])
    follower = follow()
    await eventually(lambda: follower.has(a="8"), "the next watch works")
    assert follower.reflector.relists == 1


async def test_the_servers_wish_to_wait_is_kept(server: ScriptedServer, follow: Any) -> None:
    server.lists.append(listing(7))
    server.watches.append(Answer(status_object(429, "busy"), 429, {"Retry-After": "1"}))
    follow()
    await eventually(lambda: len(server.requests(watch=True)) == 2, "it watches again")
    first, second = server.requests(watch=True)
    assert second.time - first.time >= 1


@pytest.mark.parametrize(
    "trouble",
    [
        Answer(status_object(403, "forbidden", "Forbidden"), 403),
        Answer(status_object(404, "the CRD is not installed yet", "NotFound"), 404),
        Answer(status_object(500, "etcd is away"), 500),
        Answer(status_object(410, "continue token expired", "Expired"), 410),
        Answer("<html>"),
    ],
    ids=["forbidden", "no such type", "server error", "expired page", "not an API server"],
)
async def test_a_list_that_fails_is_tried_again(server: ScriptedServer, follow: Any, trouble: Answer) -> None:
    server.lists.extend([listing(5, job("stale", 1), more="t"), trouble, trouble, listing(7, job("a", 1))])
    follower = follow()
    await eventually(lambda: follower.has(a="1"), "the last list is in")
    assert follower.changes == [(A, None, "1")], "an unfinished list is not shown"


async def test_a_server_that_ends_every_watch_at_once_is_not_hammered(server: ScriptedServer, follow: Any) -> None:
    server.lists.append(listing(7))
    server.watches.extend([[]] * 1000)
    follow(pace=Pace(backoff=Backoff(first_seconds=0.05, cap_seconds=0.1)))
    await eventually(lambda: len(server.requests(watch=True)) >= 3, "it tries again")
    first = len(server.requests(watch=True))
    await asyncio.sleep(0.3)  # a rate is measured, not a state awaited
    assert len(server.requests(watch=True)) - first <= 8


async def test_an_event_older_than_what_is_known_is_ignored(server: ScriptedServer, follow: Any) -> None:
    server.lists.append(listing(7, job("a", 6)))
    server.watches.append([event("MODIFIED", job("a", 4)), event("DELETED", job("a", 5)), bookmark(9), Hold()])
    follower = follow()
    await eventually(lambda: len(server.requests(watch=True)) == 2, "the stream was read, then fell silent")
    assert follower.has(a="6")
    assert follower.changes == [(A, None, "6")]


async def test_put_shows_a_write_at_once_and_its_event_is_no_second_change(server: ScriptedServer, follow: Any) -> None:
    gate = asyncio.Event()
    server.lists.append(listing(7))
    server.watches.append([gate, event("ADDED", job("a", 8)), event("ADDED", job("b", 9)), Hold()])
    follower = follow()
    await eventually(lambda: server.open_watches == 1, "it watches")
    follower.reflector.put(job("a", 8))
    assert follower.reflector.get(A) == "8"
    gate.set()
    await eventually(lambda: follower.has(a="8", b="9"), "the events are in")
    assert follower.changes == [(A, None, "8"), (B, None, "9")]


async def test_forget_shows_a_deletion_at_once(server: ScriptedServer, follow: Any) -> None:
    gate = asyncio.Event()
    server.lists.append(listing(7, job("a", 1)))
    late = [event("MODIFIED", job("a", 8)), event("DELETED", job("a", 9)), event("ADDED", job("b", 10))]
    server.watches.append([gate, *late, Hold()])
    follower = follow()
    await eventually(lambda: server.open_watches == 1, "it watches")
    follower.reflector.forget(A, "uid-a")
    assert follower.reflector.get(A) is None
    gate.set()
    await eventually(lambda: follower.has(b="10"), "the late events are in")
    assert follower.changes == [(A, None, "1"), (A, "1", None), (B, None, "10")]


async def test_deleted_and_created_again_under_the_same_name(server: ScriptedServer, follow: Any) -> None:
    server.lists.extend([listing(7, job("a", 1, uid="first")), listing(30, job("a", 25, uid="second"))])
    server.watches.append([stream_error(410, "gone", "Expired")])
    follower = follow()
    await eventually(lambda: follower.has(a="25"), "the new one is known")
    assert follower.changes == [(A, None, "1"), (A, "1", None), (A, None, "25")]


async def test_a_failing_change_handler_stops_nothing(
    server: ScriptedServer, follow: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def on_change(_key: Key, _old: str | None, new: str | None) -> None:
        raise ArithmeticError(new)

    server.lists.append(listing(7, job("a", 1)))
    server.watches.append([event("MODIFIED", job("a", 8)), event("ADDED", job("b", 9)), Hold()])
    follower = follow(on_change=on_change)
    await eventually(lambda: follower.has(a="8", b="9"), "everything is in all the same")
    assert follower.reflector.relists == 1
    assert [record.exc_info is not None for record in caplog.records if record.levelno == logging.ERROR] == [True] * 3


async def test_an_object_that_cannot_be_read_keeps_its_former_value(server: ScriptedServer, follow: Any) -> None:
    def project(obj: Object) -> str:
        if obj["metadata"].get("annotations"):
            raise KeyError("spec")
        return str(obj["metadata"]["resourceVersion"])

    odd = job("a", 8, annotations={"odd": "yes"})
    server.lists.extend([listing(7, job("a", 1)), listing(20, odd, job("b", 15))])
    server.watches.append([event("MODIFIED", odd), event("ADDED", job("c", 9)), stream_error(410, "", "Expired")])
    follower = follow(project=project)
    await eventually(lambda: follower.has(a="1", b="15"), "the rest is followed, through event and list")
    assert (A, "1", None) not in follower.changes


async def test_age_counts_from_the_last_sign_of_life(server: ScriptedServer, follow: Any) -> None:
    gate = asyncio.Event()
    server.lists.append(listing(7))
    server.watches.append([gate, bookmark(9), Hold()])
    follower = follow()
    follower.now += 5
    assert follower.reflector.age() == 5, "before the first list it counts from the start"
    await eventually(lambda: server.open_watches == 1, "it watches")
    assert follower.reflector.age() == 0
    follower.now += 60
    assert follower.reflector.age() == 60
    gate.set()
    await eventually(lambda: follower.reflector.age() == 0, "the bookmark is a sign of life")


async def test_cancelling_closes_the_watch(server: ScriptedServer, follow: Any) -> None:
    server.lists.append(listing(7))
    follower = Follower(server)
    await eventually(lambda: server.open_watches == 1, "it watches")
    follower.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await follower.task
    await eventually(lambda: server.open_watches == 0, "the server sees the connection go")
    await follower.client.aclose()
