"""Watches of the API client: what is asked for, events that are cut anywhere, errors, and silence."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from tests.integration.kube.scripted.conftest import client_of
from tests.integration.kube.scripted.scripted_server import (
    Answer,
    Cut,
    Hold,
    ScriptedServer,
    bookmark,
    event,
    job,
    status_object,
    stream_error,
)
from tests.support.polling import eventually

from audiojob_kube.client import KubeClient, Timeouts
from audiojob_kube.errors import ApiError, Gone, TransportError
from audiojob_kube.objects import WatchEvent
from audiojob_kube.resources import AUDIOJOBS, PODS

# Watches


async def collect(client: KubeClient, **options: Any) -> list[tuple[str, str]]:
    return [_brief(each) async for each in client.watch(AUDIOJOBS, "music", resource_version="7", **options)]


def _brief(each: WatchEvent) -> tuple[str, str]:
    metadata = each.object["metadata"]
    return each.type, f"{metadata.get('name', '')}@{metadata['resourceVersion']}"


async def test_a_watch_asks_for_changes_and_bookmarks_since_its_version(
    server: ScriptedServer, client: KubeClient
) -> None:
    server.watches.append([event("ADDED", job("a", 8)), event("DELETED", job("a", 9)), bookmark(12)])
    assert await collect(client, label_selector="x=y", timeout_seconds=300) == [
        ("ADDED", "a@8"),
        ("DELETED", "a@9"),
        ("BOOKMARK", "@12"),
    ]
    [seen] = server.seen
    assert seen.query == {
        "watch": "1",
        "resourceVersion": "7",
        "allowWatchBookmarks": "true",
        "timeoutSeconds": "300",
        "labelSelector": "x=y",
    }


async def test_events_may_be_cut_anywhere(server: ScriptedServer, client: KubeClient) -> None:
    stream = event("ADDED", job("ä", 8)) + event("MODIFIED", job("ä", 9, annotations={"big": "x" * 300_000}))
    cuts = [0, 1, 40, 41, len(stream) // 2, len(stream) - 1, len(stream)]
    server.watches.append([stream[start:end] for start, end in itertools.pairwise(cuts)])
    assert await collect(client) == [("ADDED", "ä@8"), ("MODIFIED", "ä@9")]


async def test_an_event_arrives_before_the_stream_ends(server: ScriptedServer, client: KubeClient) -> None:
    server.watches.append([event("ADDED", job("a", 8)), Hold()])
    stream = client.watch(AUDIOJOBS, "music", resource_version="7")
    assert _brief(await asyncio.wait_for(anext(stream), 60)) == ("ADDED", "a@8")


@pytest.mark.parametrize(
    ("code", "reason", "want_kind"),
    [(410, "Expired", Gone), (500, "InternalError", ApiError), (504, "Timeout", ApiError)],
)
async def test_an_error_inside_the_stream_is_raised(
    server: ScriptedServer, client: KubeClient, code: int, reason: str, want_kind: type[ApiError]
) -> None:
    server.watches.append([event("ADDED", job("a", 8)), stream_error(code, "too old", reason), Hold()])
    stream = client.watch(AUDIOJOBS, "music", resource_version="7")
    assert _brief(await anext(stream)) == ("ADDED", "a@8")
    with pytest.raises(want_kind) as caught:
        await anext(stream)
    assert (caught.value.status, caught.value.in_stream) == (code, True)


async def test_a_refusal_before_the_stream_is_told_apart(server: ScriptedServer, client: KubeClient) -> None:
    server.watches.append(Answer(status_object(410, "too old", "Expired"), 410))
    with pytest.raises(Gone) as caught:
        await collect(client)
    assert caught.value.in_stream is False


async def test_a_connection_cut_in_the_middle_of_a_line(server: ScriptedServer, client: KubeClient) -> None:
    server.watches.append([event("ADDED", job("a", 8)), event("ADDED", job("b", 9))[:20], Cut()])
    stream = client.watch(AUDIOJOBS, "music", resource_version="7")
    assert _brief(await anext(stream)) == ("ADDED", "a@8")
    with pytest.raises(TransportError, match=r"WATCH .*audiojobs"):
        await anext(stream)


async def test_a_silent_socket_is_given_up(server: ScriptedServer) -> None:
    client = client_of(server, timeouts=Timeouts(watch_silence=0.2))
    server.watches.append([event("ADDED", job("a", 8)), Hold()])
    with pytest.raises(TransportError, match="timed out"):
        await collect(client)
    await client.aclose()


@pytest.mark.parametrize("line", [b"not json\n", b'{"type":"NEWS","object":{}}\n', b'{"type":"ADDED"}\n', b"[]\n"])
async def test_lines_of_another_protocol_are_a_transport_error(
    server: ScriptedServer, client: KubeClient, line: bytes
) -> None:
    server.watches.append([line])
    with pytest.raises(TransportError):
        await collect(client)


@pytest.mark.parametrize("version", ["", "0"])
async def test_a_watch_without_a_version_is_refused(server: ScriptedServer, client: KubeClient, version: str) -> None:
    with pytest.raises(ValueError, match="resourceVersion of a list"):
        await anext(client.watch(AUDIOJOBS, resource_version=version))
    assert server.seen == []


async def test_watches_do_not_take_slots_of_calls(server: ScriptedServer) -> None:
    client = client_of(server, limit=1)
    streams = [client.watch(AUDIOJOBS, "music", resource_version="7") for _ in range(3)]
    waiting = [asyncio.ensure_future(anext(stream)) for stream in streams]
    await eventually(lambda: server.open_watches == 3, "three watches are open")
    server.calls.append(Answer({"kind": "Pod"}))
    assert await client.get(PODS, "p", "music") == {"kind": "Pod"}
    await client.aclose()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(answer) for answer in answers] == [TransportError] * 3, "closing the client ends its watches"
