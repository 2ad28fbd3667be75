from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.integration.kube.scripted.scripted_server import ScriptedServer, serve

from audiojob_kube.client import AiohttpKubeClient, KubeClient, Timeouts, connect
from audiojob_kube.config import Connection, StaticToken

QUICK = Timeouts(connect=2.0, call=2.0, watch_silence=2.0)


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with serve() as running:
        yield running


def client_of(server: ScriptedServer, *, limit: int = 4, timeouts: Timeouts = QUICK) -> AiohttpKubeClient:
    return connect(
        Connection(server.url, token=StaticToken("secret")),
        user_agent="audiojob-test",
        field_manager="audiojob-tester",
        limit=limit,
        timeouts=timeouts,
    )


@pytest.fixture
async def client(server: ScriptedServer) -> AsyncIterator[KubeClient]:
    made = client_of(server)
    yield made
    await made.aclose()
