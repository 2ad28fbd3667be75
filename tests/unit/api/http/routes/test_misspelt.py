"""A misspelt field is named first, in every place where a request may have fields."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.unit.api.fakes import MemoryBackend
from tests.unit.api.http.routes.test_jobs import problem

JOBS = "/api/v1/jobs"
SEPARATE = {"pipeline": "separate"}


@pytest.mark.parametrize(
    ("call", "body", "detail", "pointers"),
    [
        pytest.param(
            ("POST", JOBS), {"pipelin": "separate"}, "pipelin: unknown field, did you mean pipeline?",
            ["/pipelin", "/pipeline"], id="the pipeline, before it is said to be missing",
        ),
        pytest.param(
            ("POST", JOBS), {**SEPARATE, "destinaton": {}}, "destinaton: unknown field, did you mean destination?",
            ["/destinaton"], id="an optional field",
        ),
        pytest.param(
            ("POST", JOBS), {**SEPARATE, "source": {"jobref": {"name": "a"}}},
            "source.jobref: unknown field, did you mean jobRef?", ["/source/jobref"], id="a kind of source",
        ),
        pytest.param(
            ("POST", JOBS), {**SEPARATE, "source": {"file": "a"}},
            "source.file: unknown field; known fields are jobRef, library, object, upload, url", ["/source/file"],
            id="a kind of source that there is not",
        ),
        pytest.param(
            ("POST", JOBS), {**SEPARATE, "destination": {"libary": "music"}},
            "destination.libary: unknown field, did you mean library?",
            ["/destination/libary", "/destination/library"], id="a required field of a nested model",
        ),
        pytest.param(
            ("POST", JOBS), {**SEPARATE, "parameters": {"separate": {"modell": "htdemucs"}}},
            "parameters.separate.modell: unknown field, did you mean model?", ["/parameters/separate/modell"],
            id="a parameter",
        ),
        pytest.param(
            ("POST", JOBS), {**SEPARATE, "parameters": {"seperate": {}}},
            "parameters.seperate: unknown task, did you mean separate?", ["/parameters/seperate"], id="a task",
        ),
        pytest.param(
            ("PATCH", f"{JOBS}/song"), {"prio": 5}, "prio: unknown field, did you mean priority?",
            ["/prio", "/priority"], id="a change",
        ),
        pytest.param(
            ("POST", f"{JOBS}/song/reviews"), {"phase": "a", "aproved": True},
            "aproved: unknown field, did you mean approved?", ["/aproved", "/approved"], id="a review",
        ),
    ],
)  # fmt: skip
def test_a_misspelt_field_is_named_first(
    client: TestClient, backend: MemoryBackend, call: tuple[str, str], body: Any, detail: str, pointers: list[str]
) -> None:
    backend.put("song", state="Queued")
    found = problem(client.request(*call, json=body), 422)
    assert found["detail"] == detail
    assert [error["pointer"] for error in found["errors"]] == pointers
