"""Every error leaves as RFC 9457 ``application/problem+json``: what went wrong, where, and what to do."""

from __future__ import annotations

import http
import logging
from typing import Any, get_type_hints

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from audiojob_api.http.refusals import from_kubernetes, from_validation
from audiojob_api.problems import FieldProblem, Problem, unavailable
from audiojob_api.sql.errors import DatabaseUnavailable
from audiojob_kube.errors import ApiError, TransportError

_log = logging.getLogger(__name__)

MOST_ERRORS = 100  # a body may have very many fields; nobody mends more at once
MEDIA_TYPE = "application/problem+json"


class ProblemDocument(BaseModel):
    """The body of every error."""

    type: str = Field(description="Stable name of the kind of problem, relative to the API's documentation.")
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] = Field(default_factory=list, max_length=MOST_ERRORS, description="The first of them.")


def document(problem: Problem) -> ProblemDocument:
    """The body of a problem's answer."""
    return ProblemDocument(
        type=f"/problems/{problem.kind}",
        title=http.HTTPStatus(problem.status).phrase,
        status=problem.status,
        detail=_printable(problem.detail),
        errors=[
            FieldProblem(pointer=_printable(one.pointer), detail=_printable(one.detail))
            for one in problem.errors[:MOST_ERRORS]
        ],
    )


def answer(problem: Problem) -> JSONResponse:
    """The HTTP answer of a problem."""
    return JSONResponse(
        document(problem).model_dump(),
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers=dict(problem.headers),
    )


def problem_of(error: Exception) -> Problem:
    """What a failure means to the caller; one of ours says no more than that the log has it."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, ApiError | TransportError):
        return from_kubernetes(error)
    if isinstance(error, DatabaseUnavailable):
        return unavailable("The database cannot be used at the moment; the API's log has the details.")
    return Problem(500, "internal", "The API failed; its log has the details.")


def _printable(text: str) -> str:
    # JSON can name lone surrogates, which UTF-8 cannot carry back.
    return text.encode("utf-8", "backslashreplace").decode()


def responses(*codes: int) -> dict[int | str, dict[str, Any]]:
    """FastAPI's ``responses`` for a route that answers with these problems."""
    return {code: {"model": ProblemDocument} for code in codes}


NOTHING_HERE = "There is nothing at this path; /docs lists what there is."
# What to say where Starlette only repeats the status.
_SENTENCES = {
    404: NOTHING_HERE,
    405: "This path does not take this method; /docs lists what it takes.",
}


def install_handlers(app: FastAPI) -> None:
    """Every error of the app leaves as a problem document."""

    @app.exception_handler(Problem)
    async def _problem(_: Request, problem: Problem) -> JSONResponse:
        return answer(problem)

    @app.exception_handler(ApiError)
    @app.exception_handler(TransportError)
    async def _kubernetes(request: Request, error: ApiError | TransportError) -> JSONResponse:
        problem = problem_of(error)
        if problem.status >= 500:
            _log.warning("%s %s: %s", request.method, request.url.path, error)
        return answer(problem)

    @app.exception_handler(DatabaseUnavailable)
    async def _database(request: Request, error: DatabaseUnavailable) -> JSONResponse:
        _log.warning("%s %s: %s", request.method, request.url.path, error)
        return answer(problem_of(error))

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return answer(from_validation(error, _body_model(request)))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        return _from_http(request, error)

    @app.exception_handler(Exception)
    async def _unexpected(request: Request, error: Exception) -> JSONResponse:
        _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return answer(problem_of(error))


def _from_http(request: Request, error: HTTPException) -> Response:
    status, headers = error.status_code, dict(error.headers or {})
    if status < http.HTTPStatus.BAD_REQUEST:
        return Response(status_code=status, headers=headers)
    if status == http.HTTPStatus.BAD_REQUEST:  # what FastAPI raises where its JSON parser gives up
        return answer(Problem(400, "invalid-json", "The body is not valid JSON, or nested too deeply."))
    phrase = http.HTTPStatus(status).phrase
    detail = _SENTENCES.get(status) if error.detail == phrase else None
    if status == http.HTTPStatus.METHOD_NOT_ALLOWED:
        headers.update(_allow(request))
    kind = phrase.lower().replace(" ", "-")
    return answer(Problem(status, kind, detail or str(error.detail), headers=headers))


def _body_model(request: Request) -> type[BaseModel] | None:
    """The model of the route's parameter ``body``; None for a route without one."""
    endpoint = getattr(request.scope.get("route"), "endpoint", None)
    return get_type_hints(endpoint).get("body") if endpoint else None


def _allow(request: Request) -> dict[str, str]:
    # Starlette names the methods of the first route that fits; others at the same path may take more.
    path = getattr(request.scope.get("route"), "path", "")
    methods = {method.upper() for method in request.app.openapi()["paths"].get(path, {})}
    if "GET" in methods:
        methods.add("HEAD")
    return {"Allow": ", ".join(sorted(methods))} if methods else {}
