from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.unit.kube.scripted_server import ScriptedServer, serve


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with serve() as running:
        yield running
