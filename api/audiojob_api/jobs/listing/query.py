"""What a list asks for: filters, an order, and the place to go on from. Every order is total and descending."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import astuple, dataclass, field
from enum import StrEnum
from operator import attrgetter
from typing import Any, Final, Protocol

from audiojob_types.resources.job import FINISHED_STATES

Place = tuple[Any, ...]
"""What a row is ordered by: numbers, and its uid last."""


class Placed(Protocol):
    """What orders read of a job, wherever it is kept."""

    @property
    def uid(self) -> str: ...
    @property
    def priority(self) -> int: ...
    @property
    def created(self) -> int: ...
    @property
    def finished(self) -> int | None: ...


class Listed(Placed, Protocol):
    """What filters read of a job, beside that."""

    @property
    def name(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def pipeline(self) -> str: ...
    @property
    def queue(self) -> str: ...
    @property
    def user(self) -> str | None: ...
    @property
    def batch(self) -> str | None: ...
    @property
    def labels(self) -> tuple[tuple[str, str], ...]: ...


class Order(StrEnum):
    """By what a list is ordered, the greatest first. A list by `finished` has only jobs that have ended."""

    CREATED = "created"
    FINISHED = "finished"
    PRIORITY = "priority"

    def place(self, row: Placed) -> Place:
        """Where the row stands."""
        return _PLACES[self](row)


_PLACES: Final[dict[Order, Callable[[Placed], Place]]] = {
    Order.CREATED: lambda row: (row.created, row.uid),
    Order.FINISHED: lambda row: (row.finished or 0, row.uid),
    Order.PRIORITY: lambda row: (row.priority, row.created, row.uid),
}


class Where(StrEnum):
    """Which jobs a list is about: those in the cluster, those in the archive, or both as one list."""

    ALL = "all"
    LIVE = "live"
    ARCHIVED = "archived"


@dataclass(frozen=True, slots=True)
class Span:
    """From a moment, which belongs to it, to another, which does not; milliseconds, None for no bound."""

    begin: int | None = None
    end: int | None = None

    def holds(self, when: int | None) -> bool:
        """Whether the moment lies in it; no moment lies only in a span without bounds."""
        if when is None:
            return self.begin is None and self.end is None
        return (self.begin is None or self.begin <= when) and (self.end is None or when < self.end)


EVER: Final = Span()
# The most telling first.
_EQUAL: Final = ("user", "batch", "state", "queue", "pipeline")


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list is narrowed to; None matches everything."""

    state: str | None = None
    pipeline: str | None = None
    queue: str | None = None
    user: str | None = None
    batch: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    created: Span = EVER
    finished: Span = EVER
    text: str | None = None
    """A part of the name, in lower case."""
    states: tuple[str, ...] = ()
    """Any of several; one alone is ``state``, which an index leads to."""

    def matches(self, row: Listed) -> bool:
        """Whether ``row`` is wanted."""
        test = self.matcher()
        return test is None or test(row)

    def matcher(self) -> Callable[[Listed], bool] | None:
        """What is asked of each row, and nothing more: there may be very many. None where every row is wanted."""
        named = ((name, getattr(self, name)) for name in _EQUAL)
        tests = [_equals(attrgetter(name), value) for name, value in named if value is not None]
        if states := frozenset(self.states):
            tests.append(lambda row: row.state in states)
        if (text := self.text) is not None:
            tests.append(lambda row: text in row.name)
        if labels := self.labels:
            tests.append(lambda row: all(each in row.labels for each in labels))
        if (created := self.created) != EVER:
            tests.append(lambda row: created.holds(row.created))
        if (finished := self.finished) != EVER:
            tests.append(lambda row: finished.holds(row.finished))
        return _all(tests)

    @property
    def may_have_ended(self) -> bool:
        """Whether a job that has ended can match."""
        asked = self.states if self.state is None else (self.state,)
        return not asked or not FINISHED_STATES.isdisjoint(asked)


def _equals(read: Callable[[Listed], Any], value: str) -> Callable[[Listed], bool]:
    return lambda row: read(row) == value


def _all(tests: list[Callable[[Listed], bool]]) -> Callable[[Listed], bool] | None:
    if len(tests) < 2:
        return tests[0] if tests else None
    return lambda row: all(test(row) for test in tests)


@dataclass(frozen=True, slots=True)
class Query:
    """One page of a list."""

    wanted: Filter = field(default_factory=Filter)
    order: Order = Order.CREATED
    where: Where = Where.ALL
    limit: int = 50
    after: Place | None = None
    """The place of the last row of the page before."""

    @property
    def digest(self) -> str:
        """Names the list, whichever page of it: a cursor of one is no cursor of another."""
        asked = astuple(self.wanted)
        asked = asked if self.wanted.states else asked[:-1]  # as before there were several: cursors outlive an upgrade
        text = repr((asked, str(self.order), str(self.where)))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def wants(self, row: Listed) -> bool:
        """Whether the row belongs to the list, on whichever page."""
        test = self.matcher()
        return test is None or test(row)

    def matcher(self) -> Callable[[Listed], bool] | None:
        """As `Filter.matcher`, for the rows that the order has."""
        test = self.wanted.matcher()
        if self.order is not Order.FINISHED:
            return test
        ended: list[Callable[[Listed], bool]] = [lambda row: row.finished is not None]
        return _all(ended + ([test] if test is not None else []))
