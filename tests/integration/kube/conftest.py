from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_kube.client import AiohttpKubeClient, connect
from audiojob_kube.config import load_connection


@pytest.fixture
async def client(apiserver: LocalApiServer) -> AsyncIterator[AiohttpKubeClient]:
    made = connect(load_connection(apiserver.kubeconfig), user_agent="audiojob-test", field_manager="audiojob-test")
    yield made
    await made.aclose()
