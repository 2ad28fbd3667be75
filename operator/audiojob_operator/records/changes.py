"""Changes of records that go into status: checked where they are made, not by the API server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel

M = TypeVar("M", bound=BaseModel)

MAX_MESSAGE = 1_024


def updated(record: M, changes: Mapping[str, object]) -> M:
    """The record with these fields changed. Raises TypeError for a name that it lacks, ValidationError for a value.

    pydantic's ``model_copy(update=...)`` checks neither.
    """
    model = type(record)
    if unknown := changes.keys() - model.model_fields.keys():
        raise TypeError(f"{model.__name__} has no field {', '.join(sorted(unknown))}")
    kept = {name: getattr(record, name) for name in record.model_fields_set}
    return model.model_validate({**kept, **changes})


def clip(text: str, most: int = MAX_MESSAGE) -> str:
    """At most as long as a message in status may be, or ``most`` characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
