"""Errors as RFC 9457 ``application/problem+json``: what went wrong, where, and what to do."""

from __future__ import annotations

import http
import logging
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

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

_log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 5


class FieldProblem(BaseModel):
    """One field of the request and what is wrong with it. ``pointer`` is a JSON Pointer into the body."""

    pointer: str
    detail: str


class ProblemDocument(BaseModel):
    """The body of every error."""

    type: str = Field(description="Stable name of the kind of problem, relative to the API's documentation.")
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] = Field(default_factory=list)


@dataclass(eq=False)  # exceptions are compared and hashed by identity
class Problem(Exception):  # noqa: N818 - named as the RFC does
    """Raise to answer with a problem document. ``kind`` is its stable name."""

    status: int
    kind: str
    detail: str
    errors: tuple[FieldProblem, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> JSONResponse:
        """The HTTP answer."""
        body = ProblemDocument(
            type=f"/problems/{self.kind}",
            title=http.HTTPStatus(self.status).phrase,
            status=self.status,
            detail=_printable(self.detail),
            errors=[
                FieldProblem(pointer=_printable(one.pointer), detail=_printable(one.detail)) for one in self.errors
            ],
        )
        return JSONResponse(
            body.model_dump(), status_code=self.status, media_type=MEDIA_TYPE, headers=dict(self.headers)
        )


def _printable(text: str) -> str:
    # JSON can name lone surrogates, which UTF-8 cannot carry back.
    return text.encode("utf-8", "backslashreplace").decode()


def from_kubernetes(error: ApiError | TransportError) -> Problem:
    """What a refusal of the API server means to our caller."""
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
    return unavailable("The Kubernetes API server refused the call; the log has the details.")


# Kind of error, status, stable name, and the sentence where the server's own would not help. First match wins.
_REFUSALS: tuple[tuple[type[ApiError], int, str, str], ...] = (
    (AlreadyExists, 409, "name-taken", "A job with this name exists; choose another name."),
    (BadRequest, 422, "invalid-job", ""),
    (NotFound, 404, "not-found", "No such job."),
    (Forbidden, 403, "refused", ""),  # our own rights are in order: a quota or an admission policy
    (Conflict, 409, "conflict", ""),
)


# What to say where Starlette only repeats the status.
_SENTENCES = {
    404: "There is nothing at this path; /docs lists what there is.",
    405: "This path does not take this method; /docs lists what it takes.",
}


def _allow(request: Request) -> dict[str, str]:
    # Starlette names the methods of the first route that fits; others at the same path may take more.
    path = getattr(request.scope.get("route"), "path", "")
    methods = request.app.openapi()["paths"].get(path, {})
    return {"Allow": ", ".join(sorted(method.upper() for method in methods))} if methods else {}


def responses(*codes: int) -> dict[int | str, dict[str, Any]]:
    """FastAPI's ``responses`` for a route that answers with these problems."""
    return {code: {"model": ProblemDocument} for code in codes}


def with_media_type(document: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI document with every problem under its own media type; FastAPI takes that of the route's success."""
    for path in document.get("paths", {}).values():
        for operation in path.values():
            for response in operation["responses"].values():
                content = response.get("content", {})
                for media_type, described in list(content.items()):
                    if described.get("schema", {}).get("$ref", "").endswith(f"/{ProblemDocument.__name__}"):
                        content[MEDIA_TYPE] = content.pop(media_type)
    return document


# How the API server introduces what an admission policy says.
_DENIED = " denied request: "
# A policy cannot say which field it means but in its sentence, as ours do.
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


def pointer(parts: Iterable[Any]) -> str:
    """A JSON Pointer (RFC 6901) from path parts."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts if str(part))


def unavailable(detail: str) -> Problem:
    """503 with a time to try again."""
    return Problem(503, "unavailable", detail, headers={"Retry-After": str(RETRY_SECONDS)})


def install_handlers(app: FastAPI) -> None:
    """Every error of the app leaves as a problem document."""

    @app.exception_handler(Problem)
    async def _problem(_: Request, problem: Problem) -> JSONResponse:
        return problem.response()

    @app.exception_handler(ApiError)
    @app.exception_handler(TransportError)
    async def _kubernetes(request: Request, error: ApiError | TransportError) -> JSONResponse:
        problem = from_kubernetes(error)
        if problem.status >= 500:
            _log.warning("%s %s: %s", request.method, request.url.path, error)
        return problem.response()

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        return invalid_request(error).response()

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        status, headers = error.status_code, dict(error.headers or {})
        if status < http.HTTPStatus.BAD_REQUEST:
            return Response(status_code=status, headers=headers)
        if status == http.HTTPStatus.BAD_REQUEST:  # FastAPI's word for what its JSON parser gives up on
            return Problem(400, "invalid-json", "The body is not valid JSON, or nested too deeply.").response()
        phrase = http.HTTPStatus(status).phrase
        detail = _SENTENCES.get(status) if error.detail == phrase else None
        if status == http.HTTPStatus.METHOD_NOT_ALLOWED:
            headers.update(_allow(request))
        return Problem(
            status, phrase.lower().replace(" ", "-"), detail or str(error.detail), headers=headers
        ).response()

    @app.exception_handler(Exception)
    async def _unexpected(request: Request, error: Exception) -> JSONResponse:
        _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return Problem(500, "internal", "Something went wrong here; the log has the details.").response()


def invalid_request(error: RequestValidationError) -> Problem:
    """400 for what is not JSON, 422 for JSON that does not fit, each field with its pointer."""
    found = error.errors()
    if any(one["type"] == "json_invalid" for one in found):
        return Problem(400, "invalid-json", "The body is not valid JSON.")
    errors = tuple(
        FieldProblem(pointer=pointer(one["loc"][1:]), detail=str(one["msg"]).removeprefix("Value error, "))
        for one in found
    )
    first = errors[0]
    where = first.pointer.lstrip("/").replace("/", ".") or str(found[0]["loc"][0])
    return Problem(422, "invalid-request", f"{where}: {first.detail}", errors)
