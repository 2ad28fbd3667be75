"""A refusal as RFC 9457 has it: its stable kind, its status, a sentence, and the fields that are meant.

Raised by every part of the API and rendered by `http.errors`. Knows no transport and imports nothing of the API.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import BaseModel

RETRY_SECONDS = 5
_SERVER_ERRORS, _NO_ROOM = 500, 507
_SHOWN = 100  # characters of a name that a caller has chosen


class FieldProblem(BaseModel):
    """One field of the request and what is wrong with it. ``pointer`` is a JSON Pointer into the body."""

    pointer: str
    detail: str


@dataclass(eq=False)  # exceptions are compared and hashed by identity
class Problem(Exception):  # noqa: N818 - named as the RFC does
    """Raise to answer with a problem document. ``kind`` is its stable name."""

    status: int
    kind: str
    detail: str
    errors: tuple[FieldProblem, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


def invalid_field(name: str, message: str) -> Problem:
    """422 for one field of the body, named with dots."""
    found = FieldProblem(pointer=pointer(name.split(".")), detail=message)
    return Problem(422, "invalid-request", f"{name}: {message}", (found,))


def invalid_parameter(name: str, message: str) -> Problem:
    """422 for one parameter of the query."""
    shown = name[:_SHOWN]
    found = FieldProblem(pointer=pointer([shown]), detail=message)
    return Problem(422, "invalid-request", f"{shown}: {message}", (found,))


def within(problem: Problem, *place: str | int) -> Problem:
    """The same about a part of the body: each field is below that place."""
    where = ".".join(str(part) for part in place)
    errors = tuple(one.model_copy(update={"pointer": pointer(place) + one.pointer}) for one in problem.errors)
    return replace(problem, detail=f"{where}.{problem.detail}", errors=errors)


def repeated(name: str) -> Problem:
    """400 for a field or parameter that a request gives twice: two readers may take different ones."""
    shown = name[:_SHOWN]
    detail = f"{shown}: given twice; send it once."
    return Problem(400, "repeated-field", detail, (FieldProblem(pointer=pointer([shown]), detail=detail),))


def unavailable(detail: str) -> Problem:
    """503 with a time to try again."""
    return Problem(503, "unavailable", detail, headers={"Retry-After": str(RETRY_SECONDS)})


def is_unclear(problem: Problem) -> bool:
    """Whether what was asked for may have been done all the same."""
    return problem.status >= _SERVER_ERRORS and problem.status != _NO_ROOM


def pointer(parts: Iterable[Any]) -> str:
    """A JSON Pointer (RFC 6901) from path parts."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts if str(part))
