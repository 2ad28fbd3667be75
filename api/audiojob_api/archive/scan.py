"""From what a list asks for to SQL: where an index leads to, in the list's order, and what is asked of each row then.

Values are always bound parameters, never text of a statement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, Select, String, and_, exists, literal, select, tuple_

from audiojob_api.jobs.listing.query import EVER, Filter, Order, Place, Query, Span
from audiojob_api.sql.tables.archive import JOBS, LABELS

Columns = Mapping[str, ColumnElement[Any]]
Test = Callable[[Columns], ColumnElement[bool]]

# What an index leads with, the most telling first.
_LEADING: Final = ("user", "batch", "queue", "pipeline", "state")
_READ: Final = ("uid", "name", "priority", "created", "finished")


@dataclass(frozen=True, slots=True)
class Scan:
    """``rows`` come by an index and in order; those are wanted that pass every one of ``tests``."""

    rows: Select[Any]
    tests: tuple[Test, ...]

    def narrowed(self, order: Order, most: int) -> Select[Any]:
        """The wanted rows among the first ``most``, in order."""
        scanned = self.rows.limit(most).subquery()
        columns = dict(scanned.c)
        passed = select(scanned).where(*(test(columns) for test in self.tests))
        return passed.order_by(*descending(order, columns))


def scan_of(query: Query, namespace: str) -> Scan:
    """The scan of a query's list, from the place on that its cursor names."""
    wanted, order = query.wanted, query.order
    equal = {name: value for name in _LEADING if (value := getattr(wanted, name)) is not None}
    labels, columns = list(wanted.labels), dict(JOBS.c)
    statement = select(*(JOBS.c[name] for name in (*_READ, *equal))).where(JOBS.c.namespace == namespace)
    if order is Order.CREATED and equal:
        name = next(iter(equal))
        statement = statement.where(JOBS.c[name] == equal.pop(name))
    elif order is Order.CREATED and labels:
        key, value = labels.pop(0)
        marked = and_(LABELS.c.namespace == namespace, LABELS.c.key == key, LABELS.c.value == value)
        statement = statement.join(LABELS, LABELS.c.uid == JOBS.c.uid).where(marked)
        columns |= {"created": LABELS.c.created, "uid": LABELS.c.uid}  # equal, and in the label's index
    led = {Order.CREATED: "created", Order.FINISHED: "finished"}.get(order)
    spans = {"created": wanted.created, "finished": wanted.finished}
    if led is not None:
        statement = statement.where(*_within(columns[led], spans.pop(led)))
    if query.after is not None:
        statement = statement.where(_behind(order, columns, query.after))
    return Scan(statement.order_by(*descending(order, columns)), tuple(_tests(wanted, equal, labels, spans, namespace)))


def _tests(
    wanted: Filter, equal: Mapping[str, str], labels: list[tuple[str, str]], spans: Mapping[str, Span], namespace: str
) -> Iterator[Test]:
    for name, value in equal.items():
        yield lambda columns, name=name, value=value: columns[name] == value  # type: ignore[misc]
    for name, span in spans.items():
        if span != EVER:
            yield lambda columns, name=name, span=span: and_(*_within(columns[name], span))  # type: ignore[misc]
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
    return [columns[name].desc() for name in _by(order)]


def _behind(order: Order, columns: Columns, after: Place) -> ColumnElement[bool]:
    names = _by(order)
    bound = [literal(value, String if name == "uid" else BigInteger) for name, value in zip(names, after, strict=True)]
    return tuple_(*(columns[name] for name in names)) < tuple_(*bound)


def _by(order: Order) -> tuple[str, ...]:
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
