"""Pages of the live jobs, and one page from two sources. Jobs that come or go meanwhile move no page."""

from __future__ import annotations

import heapq
import itertools
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from audiojob_api.jobs.idempotency import digest_in
from audiojob_api.jobs.listing.cursor import encode
from audiojob_api.jobs.listing.query import Filter, Order, Place, Placed, Query, sifted
from audiojob_api.jobs.listing.rows import JobRow
from audiojob_api.jobs.listing.steps import Steps, at_once, portions

Object = dict[str, Any]
S = TypeVar("S")
T = TypeVar("T", bound=Placed)

MOST_COUNTED: Final = 10_000
_LOOKED_AT: Final = 2_000
_UNPACKED: Final = 50


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
    """The live jobs, and the places of all of them in every order that was asked for.

    A job that changes moves in these lists. To make one sorts all jobs, which takes some tens of milliseconds:
    `make_order` does that before there are clients.
    """

    def __init__(self) -> None:
        self._rows: dict[str, JobRow] = {}
        self._keys = Counter[int]()  # hashes alone: a third of the memory
        self._orders: dict[Order, list[Place]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self) -> Collection[JobRow]:
        """All of them, in no order: a live view."""
        return self._rows.values()

    def change(self, old: JobRow | None, new: JobRow | None) -> None:
        """A job is new, changed or gone."""
        if old is not None and (new is None or new.uid != old.uid):
            self._rows.pop(old.uid, None)
        if new is not None:
            self._rows[new.uid] = new
        self._count_keys(old, new)
        for order, places in self._orders.items():
            before = order.place(old) if old is not None else None
            after = order.place(new) if new is not None else None
            if before == after:
                continue
            if before is not None:
                index = bisect_left(places, before)
                if index < len(places) and places[index] == before:
                    del places[index]
            if after is not None:
                insort(places, after)

    def _count_keys(self, old: JobRow | None, new: JobRow | None) -> None:
        if old is not None and new is not None and old.request == new.request:
            return
        if new is not None and (key := digest_in(new.request)):
            self._keys[hash(key)] += 1
        if old is not None and (key := digest_in(old.request)):
            self._keys[hash(key)] -= 1
            if not self._keys[hash(key)]:
                del self._keys[hash(key)]

    def may_have_key(self, digest: str) -> bool:
        """False where no job was made with this idempotency key, so that none need be looked through."""
        return hash(digest) in self._keys

    def find(self, query: Query) -> Found[JobRow]:
        """The rows of one page and one more."""
        return at_once(self.finding(query))

    def finding(self, query: Query) -> Steps[Found[JobRow]]:
        """:meth:`find` in steps: what is rare is looked for among all."""
        places, rows, sieves = self.make_order(query.order), self._rows, query.sieves()
        end = len(places) if query.after is None else bisect_left(places, query.after)
        in_order = (rows[places[index][-1]] for index in range(end - 1, -1, -1))
        if not sieves:
            return Found(list(itertools.islice(in_order, query.limit + 1)))
        found = sifted(sieves, list(itertools.islice(in_order, _LOOKED_AT)))[: query.limit + 1]
        if len(found) > query.limit or end <= _LOOKED_AT:
            return Found(found)
        # What is rare is found five times faster in no order.
        place, after = query.order.place, query.after
        best: list[JobRow] = []
        for portion in portions(rows.values()):
            yield
            rest = (row for row in sifted(sieves, portion) if after is None or place(row) < after)
            best = heapq.nlargest(query.limit + 1, itertools.chain(best, rest), key=place)
        return Found(best)

    def count(self, wanted: Filter, also: Callable[[JobRow], bool] | None = None) -> Count:
        """How many match."""
        return at_once(self.counting(wanted, also))

    def counting(self, wanted: Filter, also: Callable[[JobRow], bool] | None = None) -> Steps[Count]:
        """:meth:`count` in steps."""
        sieves, number = wanted.sieves(), 0
        for portion in portions(self._rows.values()):
            yield
            left = sifted(sieves, portion)
            number += len(left) if also is None else sum(map(also, left))
        return Count(min(number, MOST_COUNTED), number > MOST_COUNTED)

    def make_order(self, order: Order) -> Sequence[Place]:
        """The places of all jobs in that order, which is kept from now on."""
        if order not in self._orders:
            self._orders[order] = sorted(map(order.place, self._rows.values()))
        return self._orders[order]


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


def paging(query: Query, live: Found[JobRow]) -> Steps[Page]:
    """A page of live jobs alone."""
    rows, cursor = joined(query, live)
    return Page((yield from unpacking(rows, JobRow.unpack)), cursor)


def unpacking(rows: Sequence[S], unpack: Callable[[S], Object | None]) -> Steps[list[Object]]:
    """The jobs of these rows, without those for which there is none: 200 at once would stop all clients for 10 ms or
    more.
    """
    found: list[Object] = []
    for start in range(0, len(rows), _UNPACKED):
        if start:
            yield
        found += [job for row in rows[start : start + _UNPACKED] if (job := unpack(row)) is not None]
    return found
