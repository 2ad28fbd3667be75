"""Whole numbers are whole however JSON writes them; nothing else changes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.unit.api.fakes import MemoryBackend

from audiojob_api.numbers import whole_numbers


@pytest.mark.parametrize(
    ("text", "read"),
    [
        pytest.param("[5.0, -3e2, 2.5]", [5, -300, 2.5], id="in a list"),
        pytest.param('{"a": {"b": 1.0}}', {"a": {"b": 1}}, id="in objects"),
        pytest.param("1e300", 1e300, id="one that no float tells apart from its neighbours"),
        pytest.param('["1.0", true, null]', ["1.0", True, None], id="what is no number"),
        pytest.param("[" * 20 + "1.0" + "]" * 20, json.loads("[" * 20 + "1.0" + "]" * 20), id="very deep"),
    ],
)
def test_numbers(text: str, read: Any) -> None:
    found = whole_numbers(json.loads(text))
    assert (found, json.dumps(found)) == (read, json.dumps(read))


def test_a_job_may_be_asked_for_with_them(client: TestClient, backend: MemoryBackend) -> None:
    body = {"name": "song", "pipeline": "x", "priority": 7.0, "ttlSecondsAfterFinished": 60.0}
    assert client.post("/api/v1/jobs", json=body).status_code == 201
    assert json.dumps(backend.objects["song"]["spec"]["ttlSecondsAfterFinished"]) == "60"
    assert client.post("/api/v1/jobs", json={**body, "priority": 7.5}).status_code == 422
