"""The reflector against a real kube-apiserver, killed and restarted included."""

from __future__ import annotations

import asyncio
import urllib.parse
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from tests.integration.kube.audio_jobs import audio_job
from tests.integration.kube.relay import relay_to
from tests.support.polling import eventually

from audiojob_dev.cluster import controlplane
from audiojob_dev.cluster.apiserver import LocalApiServer, fresh_apiserver
from audiojob_kube.client import AiohttpKubeClient, connect
from audiojob_kube.config import load_connection
from audiojob_kube.objects import Key
from audiojob_kube.reflector import Pace, Reflector, Selection
from audiojob_kube.resources import AUDIOJOBS

pytestmark = pytest.mark.integration

Changes = list[tuple[str, str | None, str | None]]


@asynccontextmanager
async def following(
    client: AiohttpKubeClient, namespace: str, **options: Any
) -> AsyncIterator[tuple[Reflector[str], Changes]]:
    """A reflector of AudioJobs reduced to their states, and its changes by name."""
    changes: Changes = []

    def on_change(key: Key, old: str | None, new: str | None) -> None:
        changes.append((key[1], old, new))

    reflector: Reflector[str] = Reflector(
        client,
        Selection(AUDIOJOBS, namespace, **options),
        project=lambda obj: str(obj["status"]["state"]),
        on_change=on_change,
        pace=Pace(page_size=2),
    )
    task = asyncio.create_task(reflector.run())
    await asyncio.wait_for(reflector.synced.wait(), 60)
    try:
        yield reflector, changes
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def to_state(state: str) -> list[dict[str, Any]]:
    return [{"op": "replace", "path": "/status/state", "value": state}]


async def test_list_watch_and_the_same_name_again(client: AiohttpKubeClient, namespace: str) -> None:
    for number in range(3):
        await client.create(AUDIOJOBS, audio_job(f"song-{number}"), namespace)
    async with following(client, namespace) as (reflector, changes):
        assert {key[1]: state for key, state in reflector.items()} == dict.fromkeys(
            ("song-0", "song-1", "song-2"), "Pending"
        )
        changes.clear()
        await client.delete(AUDIOJOBS, "song-0", namespace)
        await client.create(AUDIOJOBS, audio_job("song-0"), namespace)
        await client.patch_json(AUDIOJOBS, "song-0", to_state("Queued"), namespace, subresource="status")
        await eventually(lambda: reflector.get((namespace, "song-0")) == "Queued", "all events are in")
        assert changes == [("song-0", "Pending", None), ("song-0", None, "Pending"), ("song-0", "Pending", "Queued")]


async def test_what_leaves_the_selection_is_gone(client: AiohttpKubeClient, namespace: str) -> None:
    await client.create(AUDIOJOBS, audio_job("song"), namespace)
    async with following(client, namespace, field_selector="status.state!=Failed") as (reflector, _):
        answer = await client.patch_json(AUDIOJOBS, "song", to_state("Failed"), namespace, subresource="status")
        assert answer["status"]["state"] == "Failed"
        await eventually(lambda: reflector.get((namespace, "song")) is None, "the finished job is forgotten")


async def test_own_writes_are_seen_at_once_and_once(client: AiohttpKubeClient, namespace: str) -> None:
    async with following(client, namespace) as (reflector, changes):
        reflector.put(await client.create(AUDIOJOBS, audio_job("song"), namespace))
        assert reflector.get((namespace, "song")) == "Pending"
        uid = (await client.get(AUDIOJOBS, "song", namespace))["metadata"]["uid"]
        await client.delete(AUDIOJOBS, "song", namespace, uid=uid)
        reflector.forget((namespace, "song"), uid)
        assert reflector.get((namespace, "song")) is None
        await client.create(AUDIOJOBS, audio_job("last"), namespace)
        await eventually(lambda: reflector.get((namespace, "last")) is not None, "all events are in")
        assert changes == [("song", None, "Pending"), ("song", "Pending", None), ("last", None, "Pending")]


@pytest.fixture
def private_server() -> Iterator[LocalApiServer]:
    """An API server of this test's own, to be killed."""
    with fresh_apiserver("killed") as server:
        server.create_namespace("music")
        yield server


async def test_what_was_deleted_while_the_server_was_killed_is_reported(private_server: LocalApiServer) -> None:
    connection = load_connection(private_server.kubeconfig)
    direct = connect(connection, user_agent="audiojob-test", field_manager="audiojob-test")
    port = urllib.parse.urlsplit(private_server.url).port
    assert port is not None
    async with relay_to(port) as relay:
        relayed = replace(connection, host=f"https://127.0.0.1:{relay.port}")
        client = connect(relayed, user_agent="audiojob-test", field_manager="audiojob-test")
        for name in ("stays", "goes"):
            await direct.create(AUDIOJOBS, audio_job(name), "music")
        async with following(client, "music") as (reflector, changes):
            relay.cut()
            await asyncio.to_thread(kill_and_restart, private_server)
            await direct.delete(AUDIOJOBS, "goes", "music")
            await direct.create(AUDIOJOBS, audio_job("comes"), "music")
            changes.clear()
            assert reflector.get(("music", "goes")) is not None, "it cannot know yet"
            relay.mend()
            await eventually(lambda: len(changes) == 2, "the new list is in", seconds=60)
            assert set(changes) == {("goes", "Pending", None), ("comes", None, "Pending")}
            await direct.create(AUDIOJOBS, audio_job("later"), "music")
            await eventually(lambda: reflector.get(("music", "later")) is not None, "it watches again")
        await client.aclose()
    await direct.aclose()


def kill_and_restart(server: LocalApiServer) -> None:
    process = server._running.pop("kube-apiserver")
    process.kill()
    process.wait()
    server._spawn(controlplane.api_server(server._plane))
    server._wait("the API server", server._ready)
