"""Pages of the live jobs, and one page from two sources. Jobs that come or go meanwhile move no page."""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from audiojob_api.jobs.listing.cursor import encode
from audiojob_api.jobs.listing.query import Filter, Order, Place, Placed, Query
from audiojob_api.jobs.listing.rows import JobRow

Object = dict[str, Any]
T = TypeVar("T", bound=Placed)

MOST_COUNTED: Final = 10_000


@dataclass(frozen=True, slots=True)
class Count:
    """How many there are; ``at_least``: that many were counted, and then no more."""

    count: int
    at_least: bool = False

    def __add__(self, other: Count) -> Count:
        total, more = self.count + other.count, self.at_least or other.at_least
        return Count(min(total, MOST_COUNTED), more or total > MOST_COUNTED)


@dataclass(frozen=True, slots=True)
class Page:
    """The jobs of one page; ``cursor`` gets the next one, None on the last."""

    items: list[Object]
    cursor: str | None = None
    history_missing: bool = False
    """The archive could not be asked: jobs that are there only are missing here."""


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """Rows of one source in order, one more than a page holds where there are as many.

    ``scanned_to``: the search was given up there, and what comes behind was not looked at.
    """

    rows: Sequence[T]
    scanned_to: Place | None = None


class LiveIndex:
    """The live jobs in every order that was asked for. Sorted when it is read: very many may come at once."""

    def __init__(self) -> None:
        self._rows: dict[str, JobRow] = {}
        self._orders: dict[Order, list[Place]] = {}
        self._dirty: set[Order] = set()

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self) -> Collection[JobRow]:
        """All of them, in no order: a live view."""
        return self._rows.values()

    def change(self, old: JobRow | None, new: JobRow | None) -> None:
        """A job is new, changed or gone."""
        if old is not None and (new is None or new.uid != old.uid):
            self._rows.pop(old.uid, None)
        if new is None:
            return
        self._rows[new.uid] = new
        for order, places in self._orders.items():
            place = order.place(new)
            if old is None or old.uid != new.uid or order.place(old) != place:
                places.append(place)
                self._dirty.add(order)

    def find(self, query: Query) -> Found[JobRow]:
        """The rows of one page and one more."""
        wanted = (row for row in self._from(query.order, query.after) if query.wants(row))
        return Found(list(itertools.islice(wanted, query.limit + 1)))

    def count(self, wanted: Filter, also: Callable[[JobRow], bool] = lambda _: True) -> Count:
        """How many match."""
        number = sum(1 for row in self._rows.values() if wanted.matches(row) and also(row))
        return Count(min(number, MOST_COUNTED), number > MOST_COUNTED)

    def _from(self, order: Order, after: Place | None) -> Iterator[JobRow]:
        places = self._sorted(order)
        last: Place | None = None
        for index in range((len(places) if after is None else bisect_left(places, after)) - 1, -1, -1):
            place = places[index]
            row = self._rows.get(place[-1])
            # A place that a job has left, or that it took twice.
            if row is not None and place != last and order.place(row) == place:
                yield row
            last = place

    def _sorted(self, order: Order) -> list[Place]:
        places = self._orders.get(order)
        if places is None or len(places) > 2 * len(self._rows) + 1_000:
            places = self._orders[order] = [order.place(row) for row in self._rows.values()]
            self._dirty.add(order)
        if order in self._dirty:
            places.sort()
            self._dirty.discard(order)
        return places


def joined(query: Query, *sources: Found[Any]) -> tuple[list[Any], str | None]:
    """The rows of the page and its cursor. Of two rows with one uid that of the earlier source is taken."""
    place = query.order.place
    rows: dict[str, Any] = {}
    for source in sources:
        for row in source.rows:
            rows.setdefault(row.uid, row)
    ordered = sorted(rows.values(), key=place, reverse=True)
    # Behind the place where a search was given up, rows of the other source would come before rows not looked at.
    ends = [source.scanned_to for source in sources if source.scanned_to is not None]
    if ends:
        end = max(ends)
        ordered = [row for row in ordered if place(row) >= end]
        if len(ordered) <= query.limit:
            return ordered, encode(query, end)
    page = ordered[: query.limit]
    return page, encode(query, place(page[-1])) if len(ordered) > query.limit else None


def page_of(query: Query, live: Found[JobRow]) -> Page:
    """A page of live jobs alone."""
    rows, cursor = joined(query, live)
    return Page([row.unpack() for row in rows], cursor)
