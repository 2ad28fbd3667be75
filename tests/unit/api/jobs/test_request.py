"""The body that creates a job is the AudioJob's spec: nothing of it is copied by hand, nothing is missing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from starlette.testclient import TestClient
from tests.unit.api.fakes import MemoryBackend

from audiojob_api.jobs.request import JobRequest, fingerprint_of
from audiojob_types.resources.job import AudioJobSpec

JOBS = "/api/v1/jobs"
SCHEMA = JobRequest.model_json_schema()
SPEC_SCHEMA = AudioJobSpec.model_json_schema()
# Where a request says more than the spec: words for a priority, uploads as sources, the rule of a time as a pattern.
# Everything else must be equal.
WIDER = {("priority",), ("source",), ("startTime",)}
MORE = {("name",), ("source", "upload")}

Path = tuple[str, ...]


def fields(schema: dict[str, Any], root: dict[str, Any], at: Path = ()) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every field of a schema by its path, also of nested models; ``*`` stands for the items of a list."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    for member in schema.get("anyOf", ()):
        yield from fields(member, root, at)
    if "items" in schema:
        yield from fields(schema["items"], root, (*at, "*"))
    for name, field in schema.get("properties", {}).items():
        yield (*at, name), field
        yield from fields(field, root, (*at, name))


def rules(field: dict[str, Any]) -> dict[str, Any]:
    """A field without its words."""
    return {name: value for name, value in field.items() if name not in ("description", "title")}


SPEC_FIELDS = dict(fields(SPEC_SCHEMA, SPEC_SCHEMA))
REQUEST_FIELDS = dict(fields(SCHEMA, SCHEMA))

# A spec that sets every field of its own and of nested models that may stand together.
FULL: dict[str, Any] = {
    "pipeline": "separate",
    "source": {"jobRef": {"name": "mix", "output": "vocals"}},
    "inputs": [{"name": "script", "text": "Good evening."}, {"name": "names", "object": {"key": "a/b.txt"}}],
    "destination": {"library": "music", "layout": "ArtistAlbum"},
    "parameters": {"separate": {"model": "htdemucs"}},
    "queueName": "night",
    "priority": 7,
    "device": "GPU",
    "startTime": "2026-01-31T08:00:00Z",
    "activeDeadlineSeconds": 60,
    "queueTimeoutSeconds": 61,
    "ttlSecondsAfterFinished": 0,
    "suspend": True,
    "cancel": False,
    "retry": {"limit": 2, "baseSeconds": 1, "capSeconds": 9},
    "retryOf": "before",
    "reuse": "Never",
    "reviews": [{"phase": "publish", "approved": True, "message": "fine"}],
}
SOURCES: dict[str, dict[str, Any]] = {
    "url": {"url": "https://example.org/song.flac"},
    "object": {"object": {"key": "a/song.flac"}},
    "library": {"library": {"name": "music", "path": "Artist/Song.flac"}},
    "jobRef": FULL["source"],
}


def test_a_request_has_every_field_of_the_spec_and_a_name() -> None:
    assert set(REQUEST_FIELDS) == set(SPEC_FIELDS) | MORE
    assert set(SCHEMA["required"]) == set(SPEC_SCHEMA["required"])


@pytest.mark.parametrize("path", [path for path in SPEC_FIELDS if path not in WIDER], ids=".".join)
def test_a_field_has_the_same_rules_in_both(path: Path) -> None:
    assert rules(REQUEST_FIELDS[path]) == rules(SPEC_FIELDS[path])


def test_the_openapi_document_has_every_field_of_the_spec(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    body = document["paths"][JOBS]["post"]["requestBody"]["content"]["application/json"]["schema"]
    described = dict(fields(body, {"$defs": schemas}))
    assert set(described) == set(SPEC_FIELDS) | MORE


def test_the_full_spec_above_is_full() -> None:
    given = set(FULL)
    known = {field.alias or name for name, field in AudioJobSpec.model_fields.items()}
    assert given == known
    sources = {path[1] for path in SPEC_FIELDS if path[0] == "source" and len(path) == 2}
    assert set(SOURCES) == sources


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES.keys())
def test_everything_that_a_request_sets_is_stored_as_it_was_set(
    client: TestClient, backend: MemoryBackend, source: dict[str, Any]
) -> None:
    spec = {**FULL, "source": source}
    answer = client.post(JOBS, json={**spec, "name": "song"})
    assert answer.status_code == 201, answer.text
    assert backend.objects["song"]["spec"] == spec
    assert AudioJobSpec.model_validate(spec).to_wire() == spec


def test_what_a_request_leaves_out_or_sets_to_null_is_left_to_the_api_server(
    client: TestClient, backend: MemoryBackend
) -> None:
    nulls = dict.fromkeys(name for name in FULL if name != "pipeline")
    answer = client.post(JOBS, json={**nulls, "name": "song", "pipeline": "separate", "retry": {"limit": 2}})
    assert answer.status_code == 201, answer.text
    assert backend.objects["song"]["spec"] == {"pipeline": "separate", "retry": {"limit": 2}}


def kinds(field: dict[str, Any]) -> set[str]:
    """The JSON types that a field may have."""
    return {each["type"] for each in (field, *field.get("anyOf", ())) if "type" in each}


def wrapped(model: type[BaseModel], path: Path, value: object) -> dict[str, Any]:
    """A body of the full spec with this value at this path."""
    body: Any = value
    for step in reversed(path[1:]):
        body = [body] if step == "*" else {step: body}
    return {**FULL, path[0]: body}


NUMBERS_AND_BOOLEANS = [
    pytest.param(path, value, id=f"{'.'.join(path)} as {value!r}")
    for path, field in REQUEST_FIELDS.items()
    if path[0] != "parameters"
    for kind, values in (("integer", ("5", True, 5.5)), ("boolean", ("true", 1)))
    if kind in kinds(field)
    for value in values
]


@pytest.mark.parametrize(("path", "value"), NUMBERS_AND_BOOLEANS)
@pytest.mark.parametrize("model", [JobRequest, AudioJobSpec])
def test_numbers_and_booleans_are_not_taken_from_text_as_the_api_server_does_not(
    model: type[BaseModel], path: Path, value: object
) -> None:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(wrapped(model, path, value))
    wanted = tuple(0 if step == "*" else step for step in path)
    assert wanted in {error["loc"] for error in caught.value.errors()}


def test_equal_requests_have_equal_fingerprints_and_others_do_not() -> None:
    def fingerprint(**body: Any) -> str:
        return fingerprint_of(JobRequest.model_validate({"pipeline": "separate", **body}).given())

    assert fingerprint(priority="high", device="CPU") == fingerprint(device="CPU", priority=10, source=None)
    assert fingerprint(destination={"library": "music"}) != fingerprint(destination={"library": "films"})
