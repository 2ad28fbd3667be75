"""Model names in requests: refused with a pointer before anything is created."""
# ruff: noqa: N802 - row ids as the table writes them

from __future__ import annotations

import pytest
from starlette.testclient import TestClient
from tests.unit.api.fakes import MemoryBackend


@pytest.mark.parametrize("name", ["evil/x", "hf://a/b", "../m", "", "unknown", "mdx_q", None, 7])
def test_B28_a_model_that_is_not_in_the_list_is_answered_with_422(
    client: TestClient, backend: MemoryBackend, name: object
) -> None:
    body = {"pipeline": "separate", "parameters": {"separate": {"model": name}}}
    answer = client.post("/api/v1/jobs", json=body)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/parameters/separate/model"]
    assert not backend.objects
