"""Every call of the API: where it goes, and what its query and headers may have. A test compares this with OpenAPI."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Final
from urllib.parse import quote

from pydantic import BaseModel

from audiojob_types.base import format_time

QueryValue = str | int | bool | datetime | Enum | None


@dataclass(frozen=True, slots=True)
class Operation:
    """One call. ``safe``: to send it twice does no more than to send it once."""

    method: str
    path: str
    query: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    safe: bool = True
    placed: bool = True
    """Whether it is about a namespace."""


@dataclass(frozen=True, slots=True)
class Request:
    """A call with all that it carries, ready to be sent, and sent again."""

    operation: Operation
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    safe: bool = True


JOBS: Final = "/api/v1/jobs"
BULK: Final = "/api/v1/bulk"
UPLOADS: Final = "/api/v1/uploads"
KEYS: Final = "/api/v1/keys"
KEY_HEADER: Final = "Idempotency-Key"
LAST_EVENT: Final = "Last-Event-ID"
DIGEST: Final = "Content-Digest"
_LIST: Final = (
    "state", "pipeline", "queue", "user", "batch", "labels", "name", "createdFrom", "createdTo", "finishedFrom",
    "finishedTo", "where", "sort", "limit", "cursor", "count",
)  # fmt: skip

CREATE_JOB = Operation("POST", JOBS, headers=(KEY_HEADER,), safe=False)
ESTIMATE_JOB = Operation("POST", "/api/v1/estimate")
LIST_JOBS = Operation("GET", JOBS, query=_LIST)
GET_JOB = Operation("GET", f"{JOBS}/{{name}}")
WATCH_JOB = Operation("GET", f"{JOBS}/{{name}}/events", headers=(LAST_EVENT,))
CANCEL_JOB = Operation("POST", f"{JOBS}/{{name}}/cancel")
SUSPEND_JOB = Operation("POST", f"{JOBS}/{{name}}/suspend")
RESUME_JOB = Operation("POST", f"{JOBS}/{{name}}/resume")
CHANGE_JOB = Operation("PATCH", f"{JOBS}/{{name}}")
REVIEW_JOB = Operation("POST", f"{JOBS}/{{name}}/reviews", safe=False)
RETRY_JOB = Operation("POST", f"{JOBS}/{{name}}/retry", headers=(KEY_HEADER,), safe=False)
CREATE_JOBS = Operation("POST", f"{BULK}/create", headers=(KEY_HEADER,), safe=False)
CANCEL_JOBS = Operation("POST", f"{BULK}/cancel")
RETRY_JOBS = Operation("POST", f"{BULK}/retry", headers=(KEY_HEADER,), safe=False)
LIST_OUTPUTS = Operation("GET", f"{JOBS}/{{name}}/outputs")
GET_OUTPUT = Operation("GET", f"{JOBS}/{{name}}/outputs/{{output}}", query=("phase",), headers=("Range", "If-Range"))
GET_ZIP = Operation("GET", f"{JOBS}/{{name}}/outputs.zip", query=("phase",), headers=("Range", "If-Range"))
GET_SCORE = Operation("GET", "/api/v1/scores/{name}/metadata")
GET_LOG = Operation("GET", f"{JOBS}/{{name}}/logs", query=("phase", "attempt", "tail", "follow"), headers=(LAST_EVENT,))
ANNOUNCE_UPLOAD = Operation("POST", UPLOADS, safe=False)
SEND_PART = Operation("PUT", f"{UPLOADS}/{{upload}}/parts/{{part}}", headers=(DIGEST,))
COMPLETE_UPLOAD = Operation("POST", f"{UPLOADS}/{{upload}}/complete")
GET_UPLOAD = Operation("GET", f"{UPLOADS}/{{upload}}")
REMOVE_UPLOAD = Operation("DELETE", f"{UPLOADS}/{{upload}}")
MAKE_KEY = Operation("POST", KEYS, safe=False, placed=False)
LIST_KEYS = Operation("GET", KEYS, query=("everybody",), placed=False)
REVOKE_KEY = Operation("DELETE", f"{KEYS}/{{id}}", placed=False)
STATISTICS = Operation("GET", "/api/v1/stats", query=("from", "to", "by", "queue"))
HEALTH = Operation("GET", "/api/v1/health")


def request(
    operation: Operation,
    names: Mapping[str, str | int] | None = None,
    query: Mapping[str, QueryValue] | None = None,
    headers: Mapping[str, str | None] | None = None,
    body: BaseModel | Mapping[str, Any] | bytes | None = None,
) -> Request:
    """A request of this call. What is None is left out; names are written so that none can leave its place."""
    path = operation.path.format_map({key: _segment(value) for key, value in (names or {}).items()})
    given = {key: value for key, value in (headers or {}).items() if value is not None}
    content = body if isinstance(body, bytes) else _json(body)
    if content is not None:
        given["Content-Type"] = "application/octet-stream" if isinstance(body, bytes) else "application/json"
    asked = {key: _text(value) for key, value in (query or {}).items() if value is not None}
    # A key of idempotency makes one job, however often it is sent.
    return Request(operation, path, asked, given, content, operation.safe or KEY_HEADER in given)


def body_of(given: BaseModel | Mapping[str, Any]) -> dict[str, Any]:
    """What has been set of a model, as JSON has it."""
    if isinstance(given, BaseModel):
        return given.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return dict(given)


def _segment(value: str | int) -> str:
    text = quote(str(value), safe="")
    if text in ("", ".", ".."):
        raise ValueError(f"{value!r} is no name")
    return text


def _text(value: QueryValue) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case Enum():
            return str(value.value)
        case datetime():
            if value.tzinfo is None:
                raise ValueError(f"{value.isoformat()} has no time zone")
            return format_time(value)
    return str(value)


def _json(body: BaseModel | Mapping[str, Any] | bytes | None) -> bytes | None:
    if body is None or isinstance(body, bytes):
        return None
    return json.dumps(body_of(body), allow_nan=False).encode()
