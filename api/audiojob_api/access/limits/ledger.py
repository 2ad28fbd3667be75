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

from sqlalchemy import and_, case, delete, func, insert, or_, select, update
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
            await _take_turn(connection, wish, bounds, now)
            if await connection.scalar(select(func.count()).where(_is_open(wish))):
                return False
            exceeded = await _exceeded(connection, wish, bounds, now)
            if exceeded is None:
                await connection.execute(insert(RESERVATIONS).values(_row(wish, now)))
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
    for each in sorted(whose):  # in one order, so that no two wait for each other
        statement: Any = _insert(connection)(TURNS).values(whose=each, at=now)
        await connection.execute(statement.on_conflict_do_update(index_elements=["whose"], set_={"at": now}))


def _insert(connection: AsyncConnection) -> Any:
    return sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert


async def _exceeded(connection: AsyncConnection, wish: Wish, bounds: Bounds, now: int) -> Exceeded | None:
    day, hour = now - now % DAY, now - HOUR
    since = min(day, hour)
    query = select(
        _count(_R.created >= day), _count(_R.created > hour), _count(_R.ended.is_(None)), _oldest(hour)
    ).where(_R.user == wish.user, or_(_R.created >= since, _R.ended.is_(None)))
    today, lately, now_open, oldest = (await connection.execute(query)).one()
    if bounds.day is not None and today >= bounds.day:
        return Exceeded("jobs a day", bounds.day, day + DAY)
    if bounds.hour is not None and lately >= bounds.hour:
        return Exceeded("jobs an hour", bounds.hour, (oldest or now) + HOUR)
    if bounds.at_once is not None and now_open >= bounds.at_once:
        return Exceeded("jobs at once", bounds.at_once, None)
    if bounds.address_hour is not None:
        asked = select(_count(_R.created > hour), _oldest(hour)).where(_R.address == wish.address, _R.created > hour)
        lately, oldest = (await connection.execute(asked)).one()
        if lately >= bounds.address_hour:
            return Exceeded("jobs an hour from one address", bounds.address_hour, (oldest or now) + HOUR)
    return None


def _count(condition: Any) -> Any:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def _oldest(since: int) -> Any:
    return func.min(case((_R.created > since, _R.created), else_=None))
