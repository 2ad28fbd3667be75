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
            ("POST", "/api/v1/estimate"), {**SEPARATE, "duration_seconds": 5},
            "duration_seconds: unknown field, did you mean durationSeconds?", ["/duration_seconds"],
            id="a name that only our own code has",
        ),
        pytest.param(
            ("POST", JOBS), {**SEPARATE, "source": {"job_ref": {"name": "a"}}},
            "source.job_ref: unknown field, did you mean jobRef?", ["/source/job_ref"],
            id="such a name further in",
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


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        pytest.param(f"{JOBS}?stat=Failed", "stat: unknown parameter, did you mean state?", id="of a list"),
        pytest.param(
            f"{JOBS}/song/logs?phse=fetch", "phse: unknown parameter, did you mean phase?", id="of a log"
        ),
        pytest.param("/api/v1/keys?all=true", "all: unknown parameter; known parameters are everybody", id="of keys"),
        pytest.param(
            f"{JOBS}/song/outputs.zip?x=1", "x: unknown parameter; known parameters are namespace, phase", id="of a zip"
        ),
    ],
)  # fmt: skip
def test_a_misspelt_parameter_is_refused_and_not_passed_over(
    client: TestClient, backend: MemoryBackend, path: str, detail: str
) -> None:
    backend.put("song")
    assert problem(client.get(path), 422)["detail"] == detail


def test_a_stranger_learns_no_parameters(anonymous: TestClient) -> None:
    assert anonymous.get(f"{JOBS}?stat=Failed").status_code == 401


def test_what_most_calls_take_is_passed_over_by_the_others(client: TestClient, backend: MemoryBackend) -> None:
    backend.put("song")
    assert client.get("/api/v1/health?format=v1-compat").status_code == 200


@pytest.mark.parametrize("moment", ["0.5", "1764424800", "2026-11-29", "2026-11-29T14:00:00", "2026-11-29t14:00:00z"])
def test_a_time_of_a_query_is_written_in_one_way(client: TestClient, moment: str) -> None:
    assert problem(client.get(f"{JOBS}?createdFrom={moment}"), 422)["detail"].startswith("createdFrom: must be a time")
