"""The FastAPI application class: its OpenAPI document describes errors under their own media type."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, Final

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel

from audiojob_api.files.one_shot import FILE_PART, JOB_PART
from audiojob_api.http.errors import MEDIA_TYPE, ProblemDocument

_FORM: Final[dict[str, Any]] = {
    "schema": {
        "type": "object",
        "required": [JOB_PART, FILE_PART],
        "additionalProperties": False,
        "properties": {
            JOB_PART: {"$ref": "#/components/schemas/JobRequest"},
            FILE_PART: {"type": "string", "format": "binary"},
        },
    },
    "encoding": {JOB_PART: {"contentType": "application/json"}},
}
JOB_AND_FILE: Final[dict[str, Any]] = {"requestBody": {"content": {"multipart/form-data": _FORM}}}
"""The other body of the route that creates jobs, which has a route of its own."""


class DescribedApp(FastAPI):
    """FastAPI describes an error under the media type of the route's success; here it has its own."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._describing = threading.Lock()
        self._described: dict[str, Any] | None = None

    def openapi(self) -> dict[str, Any]:
        """The document, computed once, whichever thread asks first."""
        with self._describing:
            if self._described is None:
                self._described = _with_media_type(super().openapi())
            return self._described


_NAMES: dict[tuple[str, frozenset[str]], frozenset[str]] = {}


def query_names(route: APIRoute) -> frozenset[str]:
    """The parameters that a route's query may have; found once for each route."""
    key = (route.path, frozenset(route.methods or ()))
    if key not in _NAMES:
        _NAMES[key] = frozenset(_queried(route.dependant))
    return _NAMES[key]


def _queried(dependant: Dependant) -> Iterator[str]:
    for field in dependant.query_params:
        model = field.field_info.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            yield from (each.alias or name for name, each in model.model_fields.items())
        else:
            yield field.alias
    for each in dependant.dependencies:
        yield from _queried(each)


def _with_media_type(document: dict[str, Any]) -> dict[str, Any]:
    for path in document.get("paths", {}).values():
        for operation in path.values():
            for response in operation["responses"].values():
                content = response.get("content", {})
                for media_type, described in list(content.items()):
                    if described.get("schema", {}).get("$ref", "").endswith(f"/{ProblemDocument.__name__}"):
                        content[MEDIA_TYPE] = content.pop(media_type)
    return document
