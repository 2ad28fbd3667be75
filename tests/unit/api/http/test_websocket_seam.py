"""The seams hold: a WebSocket route is a few lines over the same parts, and an archive is another reader."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import aclosing

import pytest
from fastapi import FastAPI, WebSocket
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from tests.unit.api.fakes import GOOD_TOKEN, MemoryBackend

from audiojob_api.access.rights import Call
from audiojob_api.app import create_app
from audiojob_api.http.deps import Stopping, authorize, recheck, space_of
from audiojob_api.jobs.following import Following
from audiojob_api.problems import Problem
from audiojob_api.settings import ApiSettings

PATH = "/ws/{name}"
GOOD = {"Authorization": f"Bearer {GOOD_TOKEN}"}


def serve_snapshots(app: FastAPI) -> None:
    """The toy: the same caller's rights, snapshots and services as the event stream."""

    @app.websocket(PATH)
    async def follow(socket: WebSocket, name: str, stopping: Stopping) -> None:
        try:
            await authorize(socket, Call.FOLLOW)
        except Problem:
            await socket.close(1008)
            return
        await socket.accept()
        space = space_of(socket)
        again = recheck(socket, Call.FOLLOW)
        following = Following(name, None, space.jobs.reader, space.jobs.live, stopping, again)
        async with aclosing(following.snapshots()) as snapshots:
            async for snapshot in snapshots:
                await socket.send_json(space.show(snapshot.job) if snapshot.job else {"gone": name})
        await socket.close()


@pytest.fixture
def sockets(backend: MemoryBackend) -> Iterator[TestClient]:
    app = create_app(ApiSettings(namespace="team"), backend.backend(), backend.stopping)
    serve_snapshots(app)
    with TestClient(app) as client:
        yield client


def counted(client: TestClient) -> list[str]:
    lines = client.get("/metrics").text.splitlines()
    return [line for line in lines if "request_seconds_count" in line and PATH in line]


def test_a_websocket_gets_the_snapshots_of_a_job(sockets: TestClient, backend: MemoryBackend) -> None:
    backend.put("song", state="Running")
    with sockets.websocket_connect("/ws/song", headers=GOOD) as socket:
        assert socket.receive_json()["status"]["state"] == "Running"
        backend.put("song", state="Succeeded")
        assert socket.receive_json()["status"]["state"] == "Succeeded"
        with pytest.raises(WebSocketDisconnect):
            socket.receive_json()
    assert backend.listeners("song") == 0
    assert [line.rsplit(" ", 1)[1] for line in counted(sockets)] == ["1.0"]
    assert 'method="WEBSOCKET"' in counted(sockets)[0]
    assert 'status="1xx"' in counted(sockets)[0]


def test_a_websocket_without_a_token_is_refused_and_counted(sockets: TestClient) -> None:
    with pytest.raises(WebSocketDisconnect), sockets.websocket_connect("/ws/song"):
        pass
    assert 'status="4xx"' in counted(sockets)[0]
