"""The client and the API's OpenAPI document have the same calls, parameters, bodies and answers; docs/client.md too."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import BaseModel
from tests.unit.api.fakes import MemoryBackend

import audiojob_client
from audiojob_api.app import create_app
from audiojob_api.files.uploads import UploadRequest
from audiojob_api.http.routes.bulk.asked import JobsToCancel, ManyJobs, Matching, NamedJobs
from audiojob_api.http.routes.keys import KeyRequest
from audiojob_api.http.routes.planning.estimates import EstimateRequest
from audiojob_api.jobs.request import JobChange, JobRequest, ReviewRequest
from audiojob_api.settings import ApiSettings
from audiojob_client import calls, models
from audiojob_client.asynchronous.client import AsyncClient
from audiojob_client.calls import Operation
from audiojob_client.filters import JobFilters, query_of
from audiojob_client.filters import Matching as Filters
from audiojob_client.synchronous.client import Client
from audiojob_types.resources.job import State

PAGE = (Path(__file__).parents[4] / "docs/client.md").read_text(encoding="utf-8")
LEFT_OUT = {
    ("DELETE", "/api/v1/jobs/{name}"): "the same as cancel",
    **{("GET", f"/api/v1/scores/{{name}}{each}"): "an output" for each in ("", "/pdf", "/preview", "/midi")},
    ("GET", "/api/v1/midi/{name}/{instrument}"): "an output",
    ("GET", "/livez"): "a probe of the kubelet",
    ("GET", "/readyz"): "a probe of the kubelet",
    ("GET", "/metrics"): "for Prometheus",
}
PARAMETERS_LEFT_OUT = {
    "format": "for clients of older services",
    "direct": "a redirect to the bucket's own server, for browsers and large files; the client streams through the API",
    "If-None-Match": "for caches; a file that is there is not asked for again",
}
ANSWERS: dict[type[BaseModel], str] = {
    models.Job: "JobView",
    models.JobPage: "JobPage",
    models.Count: "CountView",
    models.QueuePosition: "QueuePositionView",
    models.Outcome: "OutcomeView",
    models.OutcomeList: "OutcomeList",
    models.Refusal: "ProblemDocument",
    models.FieldRefusal: "FieldProblem",
    models.Estimate: "EstimateView",
    models.Step: "StepView",
    models.Media: "MediaView",
    models.Price: "PriceView",
    models.Upload: "UploadView",
    models.Output: "OutputView",
    models.OutputList: "OutputList",
    models.Score: "ScoreView",
    models.Key: "KeyView",
    models.KeyList: "KeyList",
    models.Group: "GroupView",
    models.Depth: "DepthView",
    models.Statistics: "StatisticsView",
    models.Part: "PartView",
    models.Health: "HealthView",
}
ALWAYS_SENT: dict[type[BaseModel], set[str]] = {
    models.Upload: {"partBytes"}
}  # for readers of older records it has a default
NOT_ANSWERED_TO_US = {"CompatView", "CompatPage", "CompatError", "CompatOutcomeList"}

ADD = (
    "add it to audiojob_client (calls.py, models.py, asynchronous/, then `make generate`) and to docs/client.md, "
    "or with a reason to what is left out here"
)

Schema = dict[str, Any]


@cache
def document() -> Schema:
    backend = MemoryBackend()
    return create_app(ApiSettings(namespace="team"), backend.backend(), backend.stopping).openapi()


def described() -> dict[tuple[str, str], Schema]:
    """The document's calls by method and path."""
    return {
        (method.upper(), path): call for path, calls_ in document()["paths"].items() for method, call in calls_.items()
    }


OPERATIONS = {name: each for name, each in vars(calls).items() if isinstance(each, Operation)}


def test_every_call_of_the_document_is_in_the_client_or_left_out_for_a_reason() -> None:
    known = {(each.method, each.path) for each in OPERATIONS.values()}
    assert known.isdisjoint(LEFT_OUT)
    assert known | set(LEFT_OUT) == set(described()), ADD


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS.keys())
def test_a_call_has_the_parameters_of_the_document(operation: Operation) -> None:
    parameters = described()[operation.method, operation.path].get("parameters", [])
    found = {
        where: {each["name"].lower() for each in parameters if each["in"] == where and each["name"] not in LEFT}
        for where in ("query", "header")
    }
    query = {*operation.query, *(["namespace"] if operation.placed else [])}
    assert {name.lower() for name in query} == found["query"], ADD
    assert {name.lower() for name in operation.headers} == found["header"], ADD


LEFT = frozenset(PARAMETERS_LEFT_OUT)


def test_the_filters_of_lists_are_those_of_the_document() -> None:
    filters: Any = dict.fromkeys(JobFilters.__annotations__, "x") | {"labels": {"a": "b"}}
    assert query_of({"state": [State.QUEUED, State.RUNNING]}) == {"state": "Queued,Running"}
    assert {*query_of(filters), "limit", "cursor", "count"} == set(calls.LIST_JOBS.query)


# ---------------------------------------------------------------- answers


def properties(schema: Schema) -> dict[str, Any]:
    return {name: sorted(values(each)) for name, each in schema.get("properties", {}).items()}


def values(field: Schema) -> Iterator[str]:
    """The types that a field may have, and the values of an enumeration; references are followed to neither."""
    if "$ref" in field:
        yield "object or enumeration"
    elif "anyOf" in field:
        for each in field["anyOf"]:
            yield from values(each)
    else:
        yield f"{field.get('type')} {field.get('format', '')} {field.get('const') or field.get('enum') or ''}"


@pytest.mark.parametrize(("model", "name"), ANSWERS.items(), ids=[model.__name__ for model in ANSWERS])
def test_an_answer_is_read_as_the_document_describes_it(model: type[BaseModel], name: str) -> None:
    ours, theirs = model.model_json_schema(), document()["components"]["schemas"][name]
    assert properties(ours) == properties(theirs)
    needed = set(ours.get("required", ())) - ALWAYS_SENT.get(model, set())
    assert needed <= set(theirs.get("required", ())), "the API may leave the others out"


def test_every_answer_of_the_document_is_read() -> None:
    named = set(re.findall(r"schemas/(\w+(?:View|List|Page|Document))\b", json.dumps(document()["paths"])))
    assert named <= set(ANSWERS.values()) | NOT_ANSWERED_TO_US


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (models.By, "By"),
        (models.Scope, "Scope"),
        (models.Basis, "Basis"),
        (models.Condition, "audiojob_api__jobs__statistics__health__Condition"),
    ],
    ids=["what statistics are by", "scopes of keys", "what a length is known from", "how a part is"],
)
def test_enumerations_are_the_same(model: Any, name: str) -> None:
    assert [each.value for each in model] == document()["components"]["schemas"][name]["enum"]


# ---------------------------------------------------------------- requests


def fields(schema: Schema) -> dict[str, Any]:
    """Names of a schema's fields, also of nested ones."""

    def of(each: Schema) -> Any:
        for member in (each, *each.get("anyOf", ())):
            if "$ref" in member:
                return of(schema["$defs"][member["$ref"].rpartition("/")[2]])
            if "properties" in member:
                return {name: of(field) for name, field in member["properties"].items()}
            if "items" in member:
                return [of(member["items"])]
        return None

    found: dict[str, Any] = of(schema)
    return found


def test_a_new_job_has_the_fields_of_the_api() -> None:
    assert fields(models.NewJob.model_json_schema()) == fields(JobRequest.model_json_schema())
    job = models.NewJob(pipeline="separate", priority="high", source=models.NewSource(upload="up-" + "0" * 32))
    body = calls.request(calls.CREATE_JOB, body=job).content
    assert body is not None
    assert JobRequest.model_validate_json(body).priority == 10


def test_an_estimate_asks_for_a_job_and_the_length_of_its_media() -> None:
    assert set(EstimateRequest.model_fields) - set(JobRequest.model_fields) == {"duration_seconds"}
    for job in ({"pipeline": "p"}, models.NewJob(pipeline="p")):
        sent = sent_by(lambda client, job=job: client.jobs.estimate(job, duration_seconds=3))  # type: ignore[misc]
        assert EstimateRequest.model_validate_json(sent).model_fields_set == {"pipeline", "duration_seconds"}


Sent = Callable[[Client], object]
BODIES: list[tuple[type[BaseModel], Sent]] = [
    (ManyJobs, lambda client: client.jobs.create_many([{"pipeline": "p"}, models.NewJob(pipeline="p")])),
    (NamedJobs, lambda client: client.jobs.retry_many(["song"])),
    (JobChange, lambda client: client.jobs.change("song", priority="low")),
    (
        ReviewRequest,
        lambda client: client.jobs.review(
            "song", "publish", approved=True, message="fine", inputs=[{"name": "lyrics", "text": "La"}]
        ),
    ),
    (KeyRequest, lambda client: client.keys.make("laptop", ["jobs:read"], expires_days=3)),
    (
        UploadRequest,
        lambda client: client.uploads.announce("a.flac", 3, media_type="audio/flac", sha256="0" * 64),
    ),
]


@pytest.mark.parametrize(("model", "send"), BODIES, ids=[model.__name__ for model, _ in BODIES])
def test_a_body_has_every_field_of_the_api(model: type[BaseModel], send: Sent) -> None:
    assert model.model_validate_json(sent_by(send)).model_fields_set == set(model.model_fields)


def test_jobs_to_cancel_are_named_or_match() -> None:
    named = JobsToCancel.model_validate_json(sent_by(lambda client: client.jobs.cancel_many(["song"])))
    assert named.names == ["song"]
    fields = dict.fromkeys(("pipeline", "queue", "user", "batch"), "x")
    matching: Any = {"state": "Running", **fields}
    sent = sent_by(lambda client: client.jobs.cancel_matching(cursor="c", **matching))
    found = JobsToCancel.model_validate_json(sent)
    assert (found.matching, found.cursor) == (Matching(**matching), "c")
    assert set(matching) == set(Matching.model_fields) == set(Filters.__annotations__)


def sent_by(send: Sent) -> bytes:
    """The body that a client sends, to an API whose answer cannot be read."""
    bodies: list[bytes] = []

    def keep(request: httpx2.Request) -> httpx2.Response:
        bodies.append(request.read())
        return httpx2.Response(200, json={})

    with httpx2.Client(transport=httpx2.MockTransport(keep)) as http, pytest.raises(audiojob_client.BadAnswer):
        send(Client("http://api", "token", http=http))
    return bodies[0]


# ---------------------------------------------------------------- both forms, and the page


def methods(client: type) -> dict[str, list[str]]:
    """Public methods of a client and its groups, with the parameters that they take."""
    made = client("http://api", "token", http=object())
    groups = {"": made, **{name: each for name, each in vars(made).items() if not name.startswith("_")}}
    return {
        f"{group}.{name}".strip("."): list(inspect.signature(method).parameters)
        for group, each in groups.items()
        for name, method in inspect.getmembers(each, callable)
        if not name.startswith("_") and name not in groups
    }


def test_both_forms_have_the_same_methods() -> None:
    assert methods(Client) == methods(AsyncClient)


def test_the_page_names_every_method_and_every_call() -> None:
    table = PAGE[PAGE.index("## Methods") :]
    rows = re.findall(r"^\| (`client[^|]*`) \| ([^|]*) \|", table, re.MULTILINE)
    listed = {name for cell, _ in rows for name in re.findall(r"`(?:client\.)?([\w.]+)\(", cell)}
    assert listed == set(methods(Client)) - {"close"}
    named = {(method, path) for _, cell in rows for method, path in re.findall(r"`(\w+) (/[^`]*)`", cell)}
    short = {(each.method, each.path.removeprefix("/api/v1")) for each in OPERATIONS.values()}
    assert {(method, re.sub(r"[A-Z]+", "{}", path)) for method, path in named} == {
        (method, re.sub(r"{\w+}", "{}", path)) for method, path in short
    }


def test_times_are_written_with_their_zone() -> None:
    moment = datetime(2026, 11, 29, 14, tzinfo=UTC)
    assert calls.request(calls.STATISTICS, query={"from": moment}).query == {"from": "2026-11-29T14:00:00Z"}
    with pytest.raises(ValueError, match="no time zone"):
        calls.request(calls.STATISTICS, query={"from": datetime(2026, 11, 29, 14)})  # noqa: DTZ001 - is refused
