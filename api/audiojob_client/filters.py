"""What a list of jobs is narrowed to, as keyword arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, TypedDict

from pydantic.alias_generators import to_camel

from audiojob_client.calls import QueryValue
from audiojob_types.resources.job import State


class JobFilters(TypedDict, total=False):
    """All of those that are given must hold."""

    state: State | Sequence[State]
    """One, or any of several."""
    pipeline: str
    queue: str
    user: str
    batch: str
    labels: Mapping[str, str]
    name: str
    """A part of the name."""
    created_from: datetime
    created_to: datetime
    finished_from: datetime
    finished_to: datetime
    where: Literal["live", "archived", "all"]
    sort: Literal["created", "finished", "priority"]


class Matching(TypedDict, total=False):
    """Jobs that have not ended, of which all that is given must hold."""

    state: Literal["Pending", "Queued", "Running", "Suspended"]
    pipeline: str
    queue: str
    user: str
    batch: str


def query_of(filters: JobFilters) -> dict[str, QueryValue]:
    """Filters as the query writes them."""
    asked: dict[str, QueryValue] = {
        to_camel(name): value
        for name, value in filters.items()
        if name != "labels" and isinstance(value, str | datetime)
    }
    if (state := filters.get("state")) is not None and not isinstance(state, str):
        asked["state"] = ",".join(state)
    if "labels" in filters:
        asked["labels"] = ",".join(f"{key}={value}" for key, value in filters["labels"].items())
    return asked
