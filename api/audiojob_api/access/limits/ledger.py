"""Reservations in the database: one row for each job that was asked for, from which all use of limits is counted.

Exact whatever the number of replicas: whoever reserves first takes its turn, a row for the user and one for the address
that is locked until the transaction ends. No counter can go astray, since there is none.
Calls raise DatabaseUnavailable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Select, and_, bindparam, case, delete, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from audiojob_api.sql.database import Database
from audiojob_api.sql.tables.access import RESERVATIONS, TURNS

HOUR: Final = 3_600_000
DAY: Final = 24 * HOUR
_R = RESERVATIONS.c
_AT_ONCE: Final = 4
_MOST_OPEN: Final = 10_000


@dataclass(frozen=True, slots=True)
class Wish:
    """A job that somebody asks for."""

    namespace: str
    name: str
    user: str
    address: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most of each; None for no limit."""

    day: int | None = None
    hour: int | None = None
    at_once: int | None = None
    address_hour: int | None = None


@dataclass(frozen=True, slots=True)
class Exceeded:
    """The limit that a wish would break; ``ends`` is when there will be room again, where time alone makes it."""

    limit: str
    most: int
    ends: int | None


@dataclass(frozen=True, slots=True)
class Open:
    """A reservation whose job has not ended, as far as is known."""

    namespace: str
    name: str
    created: int


class Ledger:
    """All reservations."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # Many that come at once wait here, and not for a connection, which others need too.
        self._at_once = asyncio.Semaphore(_AT_ONCE)

    async def reserve(self, wish: Wish, bounds: Bounds, now: int) -> bool | Exceeded:
        """True for a new reservation; False where the job of this name has one already, which counts once."""
        async with self._at_once, self._database.write() as connection:
            if not self._database.is_sqlite:  # there one transaction writes at a time anyway
                await _take_turn(connection, wish, bounds, now)
            used = await _used(connection, wish, now)
            if used.named:
                return False
            exceeded = exceeded_by(used, bounds, now)
            if exceeded is None:
                await connection.execute(_INSERT, _row(wish, now))
            return exceeded or True

    async def release(self, wish: Wish) -> None:
        """The job was refused: it does not count."""
        async with self._database.write() as connection:
            await connection.execute(delete(RESERVATIONS).where(_is_open(wish)))

    async def record(self, wish: Wish, now: int) -> None:
        """The job was made without a reservation of its own: it counts, whatever the limit."""
        async with self._database.write() as connection:
            statement: Any = _insert(connection)(RESERVATIONS).values(_row(wish, now))
            await connection.execute(statement.on_conflict_do_nothing())

    async def open(self, before: int, user: str | None = None) -> Sequence[Open]:
        """Reservations older than this that are still open, the oldest first."""
        query = select(_R.namespace, _R.name, _R.created).where(_R.ended.is_(None), _R.created < before)
        if user is not None:
            query = query.where(_R.user == user)
        async with self._database.read() as connection:
            rows = await connection.execute(query.order_by(_R.created).limit(_MOST_OPEN))
            return [Open(*row) for row in rows]

    async def settle(self, ended: Sequence[Open], never_made: Sequence[Open], now: int) -> None:
        """Their jobs have ended, or never came to be."""
        async with self._database.write() as connection:
            for each in ended:
                await connection.execute(update(RESERVATIONS).where(_is(each)).values(ended=now))
            for each in never_made:
                await connection.execute(delete(RESERVATIONS).where(_is(each)))

    async def prune(self, now: int) -> None:
        """Forget what no limit counts any more."""
        async with self._database.write() as connection:
            await connection.execute(delete(RESERVATIONS).where(_R.ended < now - 2 * DAY))
            await connection.execute(delete(TURNS).where(TURNS.c.at < now - 2 * DAY))


def _row(wish: Wish, now: int) -> dict[str, Any]:
    return {
        "namespace": wish.namespace, "name": wish.name, "created": now, "user": wish.user, "address": wish.address,
    }  # fmt: skip


def _is_open(wish: Wish) -> Any:
    return and_(_R.namespace == wish.namespace, _R.name == wish.name, _R.ended.is_(None))


def _is(row: Open) -> Any:
    return and_(_R.namespace == row.namespace, _R.name == row.name, _R.created == row.created, _R.ended.is_(None))


async def _take_turn(connection: AsyncConnection, wish: Wish, bounds: Bounds, now: int) -> None:
    whose = [f"user:{wish.user}"]
    if bounds.address_hour is not None:
        whose.append(f"address:{wish.address}")
    await take_turns(connection, whose, now)


async def take_turns(connection: AsyncConnection, whose: Sequence[str], now: int) -> None:
    """Wait until no other transaction has one of these, and keep them until this one ends."""
    rows = [{"whose": each, "at": now} for each in sorted(whose)]  # in one order, so that no two wait for each other
    statement: Any = _insert(connection)(TURNS).values(rows)
    await connection.execute(statement.on_conflict_do_update(index_elements=["whose"], set_={"at": now}))


def _insert(connection: AsyncConnection) -> Any:
    return sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert


@dataclass(frozen=True, slots=True)
class Used:
    """What is used of each limit; ``named`` counts open reservations of the very job."""

    named: int
    day: int
    hour: int
    at_once: int
    oldest: int | None
    address_hour: int
    address_oldest: int | None


def _count(condition: Any) -> Any:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def _oldest(condition: Any) -> Any:
    return func.min(case((condition, _R.created), else_=None))


def _query() -> Select[Any]:
    """In one statement, since each is a way to the database and back; built once, since that takes as long."""
    own, here = _R.user == bindparam("user"), _R.address == bindparam("address")
    lately, is_open = _R.created > bindparam("hour"), _R.ended.is_(None)
    named = and_(_R.namespace == bindparam("namespace"), _R.name == bindparam("name"), is_open)
    return select(
        _count(named),
        _count(and_(own, _R.created >= bindparam("day"))),
        _count(and_(own, lately)),
        _count(and_(own, is_open)),
        _oldest(and_(own, lately)),
        _count(and_(here, lately)),
        _oldest(and_(here, lately)),
    ).where(or_(and_(own, _R.created >= bindparam("since")), and_(own, is_open), and_(here, lately), named))


_USED: Final = _query()
_INSERT: Final = insert(RESERVATIONS)


async def _used(connection: AsyncConnection, wish: Wish, now: int) -> Used:
    day, hour = now - now % DAY, now - HOUR
    values = {**_row(wish, now), "day": day, "hour": hour, "since": min(day, hour)}
    del values["created"]
    return Used(*(await connection.execute(_USED, values)).one())


def exceeded_by(used: Used, bounds: Bounds, now: int) -> Exceeded | None:
    """The first limit that one more job would break."""
    day_ends, hour_ends = now - now % DAY + DAY, (used.oldest or now) + HOUR
    address_ends = (used.address_oldest or now) + HOUR
    for what, most, so_far, ends in (
        ("jobs a day", bounds.day, used.day, day_ends),
        ("jobs an hour", bounds.hour, used.hour, hour_ends),
        ("jobs at once", bounds.at_once, used.at_once, None),
        ("jobs an hour from one address", bounds.address_hour, used.address_hour, address_ends),
    ):
        if most is not None and so_far >= most:
            return Exceeded(what, most, ends)
    return None
