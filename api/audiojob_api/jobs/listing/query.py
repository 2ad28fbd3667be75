"""What a list asks for: filters, an order, and the place to go on from. Every order is total and descending."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass, field
from enum import StrEnum
from itertools import compress, repeat
from operator import attrgetter, eq
from typing import Any, Final, Protocol, TypeVar

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


R = TypeVar("R", bound=Listed)


class Sieve(Protocol):
    """Leaves of some rows those that have what it asks."""

    def __call__(self, rows: list[R], /) -> list[R]: ...


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
        return bool(sifted(self.sieves(), [row]))

    def sieves(self) -> list[Sieve]:
        """One for each thing that is asked: what they leave of some rows, one after the other, is wanted.

        There may be very many rows: a call for each row and thing would take ten times as long.
        """
        named = ((name, getattr(self, name)) for name in _EQUAL)
        found = [_equal(name, value) for name, value in named if value is not None]
        if self.states:
            found.append(_one_of(frozenset(self.states)))
        if (text := self.text) is not None:
            found.append(_those(lambda row: text in row.name))
        if labels := self.labels:
            found += [_those(lambda row, each=each: each in row.labels) for each in labels]  # type: ignore[misc]
        if self.created != EVER:
            found.append(_within("created", self.created))
        if self.finished != EVER:
            found.append(_within("finished", self.finished))
        return found

    @property
    def may_have_ended(self) -> bool:
        """Whether a job that has ended can match."""
        asked = self.states if self.state is None else (self.state,)
        return not asked or not FINISHED_STATES.isdisjoint(asked)


def sifted(sieves: Iterable[Sieve], rows: list[R]) -> list[R]:
    """The rows that all of them leave, in their order."""
    for sieve in sieves:
        rows = sieve(rows)
    return rows


def _equal(name: str, value: str) -> Sieve:
    read = attrgetter(name)

    def sieve(rows: list[R]) -> list[R]:
        return list(compress(rows, map(eq, map(read, rows), repeat(value))))

    return sieve


def _one_of(states: frozenset[str]) -> Sieve:
    read = attrgetter("state")

    def sieve(rows: list[R]) -> list[R]:
        return list(compress(rows, map(states.__contains__, map(read, rows))))

    return sieve


def _within(name: str, span: Span) -> Sieve:
    read = attrgetter(name)
    begin = -math.inf if span.begin is None else span.begin
    end = math.inf if span.end is None else span.end

    def sieve(rows: list[R]) -> list[R]:
        moments = zip(rows, map(read, rows), strict=True)
        return [row for row, when in moments if when is not None and begin <= when < end]

    return sieve


def _those(test: Callable[[Listed], bool]) -> Sieve:
    def sieve(rows: list[R]) -> list[R]:
        return list(filter(test, rows))

    return sieve


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
        return bool(sifted(self.sieves(), [row]))

    def sieves(self) -> list[Sieve]:
        """As `Filter.sieves`, for the rows that the order has."""
        found = self.wanted.sieves()
        if self.order is Order.FINISHED:
            found.append(_within("finished", EVER))
        return found
