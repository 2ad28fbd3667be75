"""Cursors: the place of the last row of a page, and of which list. What they hold is no secret and no right.

The namespace is never in one: it is that of the caller.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import replace
from typing import Any, Final

from audiojob_api.jobs.listing.query import Order, Place, Query
from audiojob_api.problems import FieldProblem, Problem

_VERSION: Final = 1
_NUMBERS: Final = {Order.CREATED: 1, Order.FINISHED: 1, Order.PRIORITY: 2}
_GREATEST: Final = 2**53


def encode(query: Query, last: Place) -> str:
    """The cursor of the page after the one that ends there."""
    text = json.dumps({"v": _VERSION, "q": query.digest, "p": list(last)}, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def at(query: Query, cursor: str | None) -> Query:
    """The query from that place on. Raises a 400 :class:`Problem` for what is not a cursor of this list."""
    if cursor is None:
        return query
    read = _read(cursor)
    if read is None or read.get("v") != _VERSION or not _is_place(read.get("p"), query.order):
        raise _invalid("this API did not issue it; leave it out to start at the first page")
    if read.get("q") != query.digest:
        raise _invalid("it belongs to a list with other filters or another order; repeat those, or leave it out")
    return replace(query, after=tuple(read["p"]))


def _read(cursor: str) -> dict[str, Any] | None:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        read = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, RecursionError, binascii.Error):
        return None
    return read if isinstance(read, dict) else None


def _is_place(value: object, order: Order) -> bool:
    if not isinstance(value, list) or len(value) != _NUMBERS[order] + 1:
        return False
    *numbers, uid = value
    return (
        all(type(number) is int and abs(number) < _GREATEST for number in numbers)
        and isinstance(uid, str)
        and len(uid) <= 64
        and uid.isascii()
        and uid.isprintable()
    )


def _invalid(why: str) -> Problem:
    detail = f"cursor: {why}"
    return Problem(400, "invalid-cursor", detail, (FieldProblem(pointer="/cursor", detail=detail),))
