"""What a list asks for: filters, an order, and the place to go on from. Every order is total and descending."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import astuple, dataclass, field
from enum import StrEnum
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

    def matches(self, row: Listed) -> bool:
        """Whether ``row`` is wanted. The cheapest and the most telling first: there may be very many rows."""
        return (
            (self.state is None or row.state == self.state)
            and (self.pipeline is None or row.pipeline == self.pipeline)
            and (self.queue is None or row.queue == self.queue)
            and (self.user is None or row.user == self.user)
            and (self.batch is None or row.batch == self.batch)
            and (self.text is None or self.text in row.name)
            and (not self.labels or all(each in row.labels for each in self.labels))
            and (self.created is EVER or self.created.holds(row.created))
            and (self.finished is EVER or self.finished.holds(row.finished))
        )

    @property
    def may_have_ended(self) -> bool:
        """Whether a job that has ended can match."""
        return self.state is None or self.state in FINISHED_STATES


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
        text = repr((astuple(self.wanted), str(self.order), str(self.where)))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def wants(self, row: Listed) -> bool:
        """Whether the row belongs to the list, on whichever page."""
        return self.wanted.matches(row) and (self.order is not Order.FINISHED or row.finished is not None)
