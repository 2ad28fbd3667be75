"""From what a list asks for to SQL: where an index leads to, in the list's order, and what is asked of each row then.

Values are always bound parameters, never text of a statement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, Select, String, Table, and_, exists, func, literal, select, tuple_

from audiojob_api.jobs.listing.query import EVER, Filter, Order, Place, Query, Span
from audiojob_api.sql.tables.archive import JOBS, LABELS

Columns = Mapping[str, ColumnElement[Any]]
Test = Callable[[Columns], ColumnElement[bool]]

# What an index leads with, the most telling first; of the first two a namespace has few rows each.
_LEADING: Final = ("user", "batch", "queue", "pipeline", "state")
_SELECTIVE: Final = ("user", "batch")
_READ: Final = ("uid", "name", "priority", "created", "finished")

COVERED: Final = 5_000
"""Rows that one search looks at where the index itself has all that is asked: some milliseconds."""
LOOKED_UP: Final = 1_000
"""Where each row or label is a look-up of its own."""


@dataclass(frozen=True, slots=True)
class Scan:
    """``places`` come by an index and in order; the jobs there are wanted that pass every one of ``tests``."""

    places: Select[Any]
    columns: tuple[str, ...]
    """What is read of each job, where the index has no more than its place."""
    tests: tuple[Test, ...]
    order: Order
    most: int
    """Rows that one search looks at."""
    few: Few | None = None
    """Another way, for where an index leads to few rows in another order."""

    def page(self, most: int) -> Select[Any]:
        """So many wanted rows at most, in order: of a search, those among the first that it looks at."""
        looked_at = self.places.limit(self.most if self.tests else most)
        if self.columns:
            looked_at = _joined(looked_at, self.columns)
        return _narrowed(looked_at, self.tests, self.order).limit(most)

    def place(self, offset: int) -> Select[Any]:
        """The place that is so far behind."""
        return self.places.with_only_columns(*(self._ordered(name) for name in by(self.order))).offset(offset).limit(1)

    def counted(self, most: int) -> Select[Any]:
        """How many places there are, whatever the tests say, to that bound."""
        places = self.places.with_only_columns(self._ordered("uid")).order_by(None).limit(most).subquery()
        return select(func.count()).select_from(places)

    def _ordered(self, name: str) -> ColumnElement[Any]:
        found: ColumnElement[Any] = self.places.selected_columns[name]
        return found


@dataclass(frozen=True, slots=True)
class Few:
    """Places in no order. Where there are no more than `LOOKED_UP`, all of these jobs are tested and sorted."""

    places: Select[Any]
    columns: tuple[str, ...]
    tests: tuple[Test, ...]
    order: Order

    def counted(self) -> Select[Any]:
        """How many there are, to a bound."""
        return select(func.count()).select_from(self.places.limit(LOOKED_UP + 1).subquery())

    def narrowed(self) -> Select[Any]:
        """The wanted rows, in order."""
        return _narrowed(_joined(self.places.limit(LOOKED_UP), self.columns), self.tests, self.order)


def _joined(places: Select[Any], columns: tuple[str, ...]) -> Select[Any]:
    """The jobs there. ``places`` has a bound, so that no database without statistics begins with the jobs."""
    marked = places.subquery()
    read = [JOBS.c[name] for name in columns if name not in marked.c]
    return select(*marked.c, *read).join_from(marked, JOBS, JOBS.c.uid == marked.c.uid)


def _narrowed(rows: Select[Any], tests: tuple[Test, ...], order: Order) -> Select[Any]:
    scanned = rows.subquery()
    columns = dict(scanned.c)
    return select(scanned).where(*(test(columns) for test in tests)).order_by(*descending(order, columns))


def scan_of(query: Query, namespace: str) -> Scan:
    """The scan of a query's list, from the place on that its cursor names."""
    wanted, order = query.wanted, query.order
    equal = {name: value for name in _LEADING if (value := getattr(wanted, name)) is not None}
    labels, table, read = list(wanted.labels), JOBS, _read(wanted, equal)
    led_elsewhere = True
    if order is Order.CREATED and equal and (next(iter(equal)) in _SELECTIVE or not _has_others(wanted, equal)):
        name = next(iter(equal))
        places = _places(JOBS, namespace).where(JOBS.c[name] == equal.pop(name))
    elif order is Order.CREATED and labels:
        key, value = labels.pop(0)
        table = LABELS
        places = _places(LABELS, namespace).where(LABELS.c.key == key, LABELS.c.value == value)
    else:
        places = select(*(JOBS.c[name] for name in read)).where(JOBS.c.namespace == namespace)
        led_elsewhere = False
    led = {Order.CREATED: "created", Order.FINISHED: "finished"}.get(order)
    spans = {"created": wanted.created, "finished": wanted.finished}
    if led is not None:
        places = places.where(*_within(table.c[led], spans.pop(led)))
    if query.after is not None:
        places = places.where(_behind(order, dict(table.c), query.after))
    return Scan(
        places.order_by(*descending(order, dict(table.c))),
        read if led_elsewhere else (),
        tuple(_tests(wanted, equal, labels, spans, namespace)),
        order,
        LOOKED_UP if led_elsewhere or labels else COVERED,
        _few_of(query, namespace),
    )


def _few_of(query: Query, namespace: str) -> Few | None:
    """Of a user or a batch, where the list's order is not that of their index."""
    wanted, order = query.wanted, query.order
    equal = {name: value for name in _LEADING if (value := getattr(wanted, name)) is not None}
    name = next(iter(equal), "")
    if order is Order.CREATED or name not in _SELECTIVE:
        return None
    read = _read(wanted, equal)
    places = _places(JOBS, namespace).where(JOBS.c[name] == equal.pop(name))
    spans = {"created": wanted.created, "finished": wanted.finished}
    tests = list(_tests(wanted, equal, list(wanted.labels), spans, namespace))
    if (after := query.after) is not None:
        tests.append(lambda columns: _behind(order, columns, after))
    return Few(places, read, tuple(tests), order)


def _read(wanted: Filter, equal: Mapping[str, str]) -> tuple[str, ...]:
    return (*_READ, *equal, *(["state"] if wanted.states else []))


def _places(table: Table, namespace: str) -> Select[Any]:
    return select(table.c.created, table.c.uid).where(table.c.namespace == namespace)


def _has_others(wanted: Filter, equal: Mapping[str, str]) -> bool:
    """Whether more is asked than the one that an index would lead with."""
    return len(equal) > 1 or bool(wanted.labels or wanted.states) or wanted.text is not None or wanted.finished != EVER


def _tests(
    wanted: Filter, equal: Mapping[str, str], labels: list[tuple[str, str]], spans: Mapping[str, Span], namespace: str
) -> Iterator[Test]:
    for name, value in equal.items():
        yield lambda columns, name=name, value=value: columns[name] == value  # type: ignore[misc]
    for name, span in spans.items():
        if span != EVER:
            yield lambda columns, name=name, span=span: and_(*_within(columns[name], span))  # type: ignore[misc]
    if states := wanted.states:
        yield lambda columns: columns["state"].in_(states)
    if (text := wanted.text) is not None:
        yield lambda columns: columns["name"].contains(text, autoescape=True)
    for key, value in labels:
        yield lambda columns, key=key, value=value: exists().where(  # type: ignore[misc]
            LABELS.c.namespace == namespace,
            LABELS.c.key == key,
            LABELS.c.value == value,
            LABELS.c.created == columns["created"],
            LABELS.c.uid == columns["uid"],
        )


def descending(order: Order, columns: Columns) -> list[ColumnElement[Any]]:
    """The list's order, as its index has it."""
    return [columns[name].desc() for name in by(order)]


def _behind(order: Order, columns: Columns, after: Place) -> ColumnElement[bool]:
    names = by(order)
    bound = [literal(value, String if name == "uid" else BigInteger) for name, value in zip(names, after, strict=True)]
    return tuple_(*(columns[name] for name in names)) < tuple_(*bound)


def by(order: Order) -> tuple[str, ...]:
    """What a place is made of."""
    return {
        Order.CREATED: ("created", "uid"),
        Order.FINISHED: ("finished", "uid"),
        Order.PRIORITY: ("priority", "created", "uid"),
    }[order]


def _within(column: ColumnElement[Any], span: Span) -> Iterator[ColumnElement[bool]]:
    if span.begin is not None:
        yield column >= span.begin
    if span.end is not None:
        yield column < span.end
