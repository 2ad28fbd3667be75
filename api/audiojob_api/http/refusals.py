"""What a refusal of the API server, or of the body's model, means to the caller."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from functools import cache
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel

from audiojob_api.problems import RETRY_SECONDS, FieldProblem, Problem, pointer, unavailable
from audiojob_kube.errors import (
    AlreadyExists,
    ApiError,
    BadRequest,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    TooManyRequests,
    TransportError,
)
from audiojob_types.explain import FieldError, explain


def from_kubernetes(error: ApiError | TransportError) -> Problem:
    """The problem that a failed call to the API server is."""
    if isinstance(error, TransportError):
        return unavailable("The Kubernetes API server does not answer.")
    if isinstance(error, Invalid):
        return Problem(422, "invalid-job", _own_words(error.message), tuple(_causes(error)))
    if isinstance(error, TooManyRequests):
        wait = str(max(1, math.ceil(error.retry_after or RETRY_SECONDS)))
        return Problem(429, "too-many-requests", "The Kubernetes API server is busy.", headers={"Retry-After": wait})
    for kind, status, name, detail in _REFUSALS:
        if isinstance(error, kind):
            return Problem(status, name, detail or error.message)
    return unavailable("The Kubernetes API server refused the call; the API's log has the details.")


# Kind of error, status, stable name, and the sentence where the server's own would not help. First match wins.
_REFUSALS: tuple[tuple[type[ApiError], int, str, str], ...] = (
    (AlreadyExists, 409, "name-taken", "A job with this name exists; choose another name."),
    (BadRequest, 422, "invalid-job", ""),
    (NotFound, 404, "not-found", "There is no such job."),
    (Forbidden, 403, "refused", ""),  # our own rights are in order: a quota or an admission policy
    (Conflict, 409, "conflict", ""),
)

# How the API server introduces what an admission policy says.
_DENIED = " denied request: "
# A policy can name the field that it means only in its sentence, as ours do.
_NAMED_FIELD = re.compile(r"((?:spec|metadata)(?:\.\w+|\[\w+\])+): (.+)", re.DOTALL)


def _own_words(message: str) -> str:
    """What an admission policy says, without the names of policy and binding; any other message as it is."""
    return message.partition(_DENIED)[2] or message


def _causes(error: Invalid) -> Iterable[FieldProblem]:
    for cause in error.causes:
        field, detail = cause.field, _own_words(cause.message)
        if not field and (named := _NAMED_FIELD.fullmatch(detail)):
            field, detail = named.groups()
        parts = field.replace("[", ".").replace("]", "").split(".")
        body = parts[1:] if parts[:1] in (["spec"], ["metadata"]) else parts
        yield FieldProblem(pointer=pointer(body), detail=detail)


def from_validation(error: RequestValidationError, body: type[BaseModel] | None) -> Problem:
    """400 for what is not JSON, 422 for JSON that does not fit, each field with its pointer, misspelt ones first.

    ``body`` is the model of the route's body, if it has one: it says which fields there are.
    """
    found = error.errors()
    if any(one["type"] == "json_invalid" for one in found):
        return Problem(400, "invalid-json", "The body is not valid JSON.")
    within = [{**one, "loc": one["loc"][1:]} for one in found]  # the first part says: body, query, path or header
    errors = explain(within, _schema(body) if body else {})
    where = _dotted(errors[0]) or str(found[0]["loc"][0])
    problems = tuple(FieldProblem(pointer=pointer(each.path), detail=each.message) for each in errors)
    return Problem(422, "invalid-request", f"{where}: {errors[0].message}", problems)


@cache
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


def _dotted(error: FieldError) -> str:
    return ".".join(str(part) for part in error.path)
