"""What a list asks for, from the query of a request. What is not known is refused, not passed over."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final

from fastapi import Depends, Query
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from audiojob_api.http.deps import Settings
from audiojob_api.jobs.listing.cursor import at
from audiojob_api.jobs.listing.query import EVER, Filter, Order, Span, Where
from audiojob_api.jobs.listing.query import Query as JobQuery
from audiojob_api.numbers import DIGITS
from audiojob_api.problems import invalid_parameter
from audiojob_types.base import TIME_MESSAGE, TIME_PATTERN, ObjectName, is_time
from audiojob_types.resources.job import State

_ONE_LABEL: Final = re.compile(r"(?P<key>[A-Za-z0-9][-_./A-Za-z0-9]{0,316})=(?P<value>[-_.A-Za-z0-9]{0,63})")
_LABEL_VALUE: Final = r"^[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?$"


def _written(value: object) -> object:
    """pydantic would take numbers too, and dates alone."""
    if isinstance(value, str) and is_time(value):
        return value
    raise ValueError(TIME_MESSAGE)


_STATES: Final = ", ".join(State)
_ONE_STATE: Final = f"({'|'.join(State)})"
_STATES_PATTERN: Final = f"^{_ONE_STATE}(,{_ONE_STATE}){{0,{len(State) - 1}}}$"


def _states(value: object) -> object:
    """Raises ValueError for what is no state, and for one that is named twice."""
    parts = str(value).split(",")
    if unknown := [part for part in parts if part not in frozenset(State)]:
        raise ValueError(f"{unknown[0][:40]} is no state; those are {_STATES}")
    if len(set(parts)) < len(parts):
        raise ValueError("names a state twice")
    return value


QueryTime = Annotated[
    AwareDatetime,
    BeforeValidator(_written),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": TIME_PATTERN}),
]
"""A moment in a query. Clients write `+` as `%2B`."""
Moment = Annotated[
    QueryTime | None, Field(description="RFC 3339 with a time zone: `2026-11-29T14:00:00Z`. Belongs to the span.")
]
End = Annotated[QueryTime | None, Field(description="RFC 3339 with a time zone; no more belongs to the span.")]


class ListParameters(BaseModel):
    """The query of a list of jobs."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)

    state: Annotated[
        str | None,
        BeforeValidator(_states),
        WithJsonSchema({"type": "string", "pattern": _STATES_PATTERN}),
        Field(description=f"Only jobs in this state, or one of several with commas: {_STATES}."),
    ] = None
    pipeline: Annotated[ObjectName | None, Field(description="Only jobs of this pipeline.")] = None
    queue: Annotated[ObjectName | None, Field(description="Only jobs of this queue.")] = None
    user: Annotated[
        str | None,
        Field(max_length=63, pattern=_LABEL_VALUE, description="Only jobs with this label audiojobs.dev/user."),
    ] = None
    batch: Annotated[ObjectName | None, Field(description="Only jobs of this batch.")] = None
    labels: Annotated[
        str | None,
        Field(
            max_length=3_200,
            description="Only jobs with these labels: `key=value,…`, at most eight, of those that the API's setting "
            "`archive.labels` declares.",
        ),
    ] = None
    name: Annotated[
        str | None,
        Field(
            max_length=63,
            pattern="^[-a-z0-9]+$",
            description="Only jobs with this text in their name. May give short pages.",
        ),
    ] = None
    created_from: Moment = None
    created_to: End = None
    finished_from: Moment = None
    finished_to: End = None
    where: Annotated[
        Where,
        Field(description="Jobs in the cluster (`live`), in the archive (`archived`), or both as one list (`all`)."),
    ] = Where.ALL
    sort: Annotated[Order, Field(description="The greatest first. By `finished`: only jobs that have ended.")] = (
        Order.CREATED
    )
    limit: Annotated[int, Field(ge=1, le=200, description="Most jobs of one page."), DIGITS] = 50
    cursor: Annotated[
        str | None, Field(min_length=1, max_length=1_024, description="From the page before, with the same filters.")
    ] = None
    count: Annotated[bool, Field(description="Also count all that match, up to 10,000.")] = False


@dataclass(frozen=True, slots=True)
class List:
    """The page that a request asks for, and whether all that matches is to be counted."""

    query: JobQuery
    count: bool


async def _list(asked: Annotated[ListParameters, Query()], settings: Settings) -> List:
    states = tuple(sorted(asked.state.split(","))) if asked.state is not None else ()
    wanted = Filter(
        state=states[0] if len(states) == 1 else None,
        pipeline=asked.pipeline,
        queue=asked.queue,
        user=asked.user,
        batch=asked.batch,
        labels=labels_of(asked.labels, settings.archive.labels),
        created=span("created", asked.created_from, asked.created_to),
        finished=span("finished", asked.finished_from, asked.finished_to),
        text=asked.name,
        states=states if len(states) > 1 else (),
    )
    return List(at(JobQuery(wanted, asked.sort, asked.where, asked.limit), asked.cursor), asked.count)


Asked = Annotated[List, Depends(_list)]
"""The list that a request asks for. Raises a 400 :class:`Problem` for a cursor that is not one of it, 422 else."""


def span(name: str, begin: datetime | None, end: datetime | None) -> Span:
    """The times from one moment to another. Raises a 422 :class:`Problem` where they are in the wrong order."""
    if begin is None and end is None:
        return EVER
    if begin is not None and end is not None and begin >= end:
        raise invalid_parameter(f"{name}To", f"is not later than {name}From; exchange them")
    return Span(*(None if each is None else round(each.timestamp() * 1_000) for each in (begin, end)))


def labels_of(text: str | None, declared: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """The labels that a list asks for. Raises a 422 :class:`Problem` for what is none, or is not declared."""
    found: dict[str, str] = {}
    for part in text.split(",") if text else ():
        match = _ONE_LABEL.fullmatch(part)
        if match is None:
            raise invalid_parameter("labels", "write key=value, with commas between several")
        if match["key"] not in declared:
            known = ", ".join(declared) or "none"
            raise invalid_parameter("labels", f"{match['key'][:100]} is not declared; lists can ask for: {known}")
        if match["key"] in found:
            raise invalid_parameter("labels", f"{match['key'][:100]} is given twice")
        found[match["key"]] = match["value"]
    return tuple(sorted(found.items()))
