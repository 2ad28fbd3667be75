"""Changes of records that go into status: checked where they are made, not by the API server."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, TypeVar

from pydantic import BaseModel

from audiojob_types.outside.redaction import redact

M = TypeVar("M", bound=BaseModel)

MAX_MESSAGE = 1_024

clean: Final = lru_cache(maxsize=2_048)(redact)  # the same few messages are made again and again


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
    """A message as it may stand in a status or an event: without secrets, and at most ``most`` characters long.

    Pods, programs and the API server quote addresses; what they say goes into messages unchanged but for this.
    """
    text = clean(text)
    return text if len(text) <= most else f"{text[: most - 1]}…"
