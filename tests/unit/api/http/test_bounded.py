"""Every list of an answer says how long it may be, and no answer is much longer than its request."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from starlette.testclient import TestClient
from tests.unit.api.fakes import MemoryBackend

from audiojob_api.http.errors import MOST_ERRORS


def unbounded(schema: Any, at: str = "") -> Iterator[str]:
    if isinstance(schema, dict):
        if schema.get("type") == "array" and "maxItems" not in schema:
            yield at
        for name, each in schema.items():
            yield from unbounded(each, f"{at}/{name}")
    elif isinstance(schema, list):
        for number, each in enumerate(schema):
            yield from unbounded(each, f"{at}/{number}")


def test_bounds_of_numbers_have_the_names_that_json_schema_gives_them(anonymous: TestClient) -> None:
    text = anonymous.get("/openapi.json").text
    assert [name for name in ("ge", "gt", "le", "lt") if re.search(rf'"{name}":\s*-?[0-9]', text)] == []


def test_every_list_of_the_document_has_a_bound(document: dict[str, Any]) -> None:
    assert list(unbounded({"schemas": document["components"]["schemas"], "paths": document["paths"]})) == []


def test_of_very_many_wrong_fields_the_first_are_named(client: TestClient, backend: MemoryBackend) -> None:
    answer = client.post("/api/v1/jobs", json={"pipeline": "x", **{f"f{number}": 1 for number in range(5_000)}})
    assert answer.status_code == 422
    assert len(answer.json()["errors"]) == MOST_ERRORS
    assert len(answer.content) < 20_000


def test_a_page_has_no_more_jobs_than_its_limit(client: TestClient, backend: MemoryBackend) -> None:
    for number in range(205):
        backend.put(f"job-{number}")
    assert client.get("/api/v1/jobs?limit=201").status_code == 422
    page = client.get("/api/v1/jobs?limit=200").json()
    assert (len(page["items"]), "cursor" in page) == (200, True)
