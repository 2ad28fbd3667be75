"""Reservations in the database: one row for each job that was asked for, from which all use of limits is counted.

Exact whatever the number of replicas: whoever reserves first takes its turn, a row for the user and one for the address
that is locked until the transaction ends. No counter can go astray, since there is none.
Calls raise DatabaseUnavailable.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

import orjson
from sqlalchemy import Double, Select, and_, bindparam, case, delete, func, insert, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from audiojob_api.sql.database import Database
from audiojob_api.sql.inserting import insert_into
from audiojob_api.sql.tables.access import RESERVATIONS, TURNS

HOUR: Final = 3_600_000
DAY: Final = 24 * HOUR
MINUTES: Final = "minutes of audio a day"
_R = RESERVATIONS.c
_TOGETHER: Final = 64
_MOST_OPEN: Final = 10_000


@dataclass(frozen=True, slots=True)
class Wish:
    """A job that somebody asks for."""

    namespace: str
    name: str
    user: str
    address: str
    minutes: float | None = None
    """Of audio, where somebody has measured it before."""
    token: str = field(default_factory=lambda: secrets.token_hex(8), compare=False)
    """Whose the place is: another request may ask for a job of the same name."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most of each; None for no limit. ``assumed``: minutes of audio of a job whose length nobody knows yet."""

    day: int | None = None
    hour: int | None = None
    at_once: int | None = None
    address_hour: int | None = None
    minutes: int | None = None
    assumed: float = 0.0

    def minutes_of(self, wish: Wish) -> float:
        """What a wish counts as. A day's limit below what is assumed lets one job of unknown length pass."""
        if wish.minutes is not None:
            return wish.minutes
        return self.assumed if self.minutes is None else min(self.assumed, self.minutes)


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
    minutes: float | None
    token: str


@dataclass(frozen=True, slots=True)
class Answer:
    """True for a new reservation; False where the job of this name has one already, which counts once."""

    answer: bool | Exceeded
    used: Used
    """With the new one."""


@dataclass(frozen=True, slots=True)
class _Asked:
    wish: Wish
    bounds: Bounds
    now: int
    anew: bool
    answer: asyncio.Future[Answer]


_Groups = Mapping[tuple[str, str], Sequence[int]]
"""Of the wishes of a batch those that the same user asks for from the same address."""


class Ledger:
    """All reservations."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[_Asked] = []
        self._answering: asyncio.Task[None] | None = None

    async def reserve(self, wish: Wish, bounds: Bounds, now: int) -> bool | Exceeded:
        """Reserve a place for the job, where no limit is broken by it."""
        return (await self.ask(wish, bounds, now)).answer

    async def ask(self, wish: Wish, bounds: Bounds, now: int, *, anew: bool = False) -> Answer:
        """Reserve a place for the job, where no limit is broken by it; and what is used then.

        ``anew``: one of its own, though the name may have one, as nobody has made a job of it or its job is gone.

        What is asked for while a transaction runs is decided in the next one, together: of all that a creation costs
        a transaction is the most, and those of one user would wait for each other.
        """
        asked = _Asked(wish, bounds, now, anew, asyncio.get_running_loop().create_future())
        self._waiting.append(asked)
        if self._answering is None or self._answering.done():
            self._answering = asyncio.create_task(self._answer(), name="reservations")
        return await asked.answer

    async def _answer(self) -> None:
        while self._waiting:
            batch = [each for each in self._waiting[:_TOGETHER] if not each.answer.done()]
            del self._waiting[:_TOGETHER]
            try:
                answers = await self._decide(batch) if batch else []
                gone = [each.wish for each, found in zip(batch, answers, strict=True) if _tell(each, found)]
                for wish in gone:  # last: the others have their places, whatever becomes of this
                    await self.release(wish)
            except Exception as error:  # noqa: BLE001 - theirs, whatever it is
                for asked in batch:
                    if not asked.answer.done():
                        asked.answer.set_exception(error)

    async def _decide(self, batch: Sequence[_Asked]) -> list[Answer]:
        """All or none are written."""
        newest, groups = max(each.now for each in batch), defaultdict[tuple[str, str], list[int]](list)
        for number, each in enumerate(batch):
            groups[each.wish.user, each.wish.address].append(number)
        decide = self._decide_here if self._database.is_sqlite else self._decide_there
        answers = await decide(batch, newest, groups)
        return [answers[number] for number in range(len(batch))]

    async def _decide_there(self, batch: Sequence[_Asked], newest: int, groups: _Groups) -> dict[int, Answer]:
        """In PostgreSQL, as :meth:`_decide_here` does: every way there and back takes as long as the decision."""
        order, wishes = list[int](), list[dict[str, Any]]()
        for members in groups.values():
            assumed = max(batch[number].bounds.assumed for number in members)
            order += members
            wishes += [_as_asked(batch[number], newest, assumed) for number in members]
        turns = sorted({turn for each in batch for turn in _turns(each)})
        rows = await self._database.call(_RESERVE, turns, newest, orjson.dumps(wishes).decode())
        answers = {}
        for number, (made, named, *counts) in zip(order, rows, strict=True):
            asked, used = batch[number], Used(*counts)
            exceeded = None if made or named else exceeded_by(used, asked.bounds, asked.wish, asked.now)
            if exceeded is None and not (made or named):
                raise RuntimeError("the database refused a job that breaks no limit")
            answers[number] = Answer(exceeded or made, used)
        return answers

    async def _decide_here(self, batch: Sequence[_Asked], latest: int, groups: _Groups) -> dict[int, Answer]:
        """In SQLite, where one transaction writes at a time, so that nobody need take turns."""
        answers: dict[int, Answer] = {}
        async with self._database.write() as connection:
            named = await _named(connection, [each.wish for each in batch])
            for (user, address), members in groups.items():
                assumed = max(batch[number].bounds.assumed for number in members)
                used, rows = await _used(connection, user, address, (latest, assumed)), []
                for number in members:
                    asked = batch[number]
                    job = (asked.wish.namespace, asked.wish.name)
                    newest, is_open = named.get(job, (-1, False))
                    has_one = is_open and not asked.anew
                    exceeded = None if has_one else exceeded_by(used, asked.bounds, asked.wish, asked.now)
                    is_new = exceeded is None and not has_one
                    if is_new:
                        used = used.and_one(asked.now, asked.bounds.minutes_of(asked.wish))
                        rows.append(_row(asked.wish, max(asked.now, newest + 1)))
                        named[job] = (rows[-1]["created"], True)
                    answers[number] = Answer(exceeded or is_new, used)
                if rows:
                    await connection.execute(_INSERT, rows)
        return answers

    async def look(self, wish: Wish, bounds: Bounds, now: int) -> Answer:
        """What :meth:`ask` would say to a new job; nothing is reserved."""
        async with self._database.read() as connection:
            used = await _used(connection, wish.user, wish.address, (now, bounds.assumed))
        return Answer(exceeded_by(used, bounds, wish, now) or True, used)

    async def release(self, wish: Wish) -> None:
        """The job was refused: the place of this very wish does not count."""
        async with self._database.write() as connection:
            mine = and_(_R.namespace == wish.namespace, _R.name == wish.name, _R.token == wish.token)
            await connection.execute(delete(RESERVATIONS).where(mine))

    async def record(self, wish: Wish, now: int) -> None:
        """The job was made without a reservation of its own: it counts, whatever the limit."""
        async with self._database.write() as connection:
            newest, _ = (await _named(connection, [wish])).get((wish.namespace, wish.name), (-1, False))
            for created in count(max(now, newest + 1)):  # another replica may write of this name at the same moment
                row = insert_into(connection, RESERVATIONS).values(_row(wish, created)).on_conflict_do_nothing()
                if (await connection.execute(row)).rowcount:
                    break

    async def open(self, before: int, user: str | None = None) -> Sequence[Open]:
        """Reservations older than this that are still open, the oldest first."""
        query = select(_R.namespace, _R.name, _R.created, _R.minutes, _R.token).where(
            _R.ended.is_(None), _R.created < before
        )
        if user is not None:
            query = query.where(_R.user == user)
        async with self._database.read() as connection:
            rows = await connection.execute(query.order_by(_R.created).limit(_MOST_OPEN))
            return [Open(*row) for row in rows]

    async def settle(
        self, ended: Sequence[Open], never_made: Sequence[Open], now: int, measured: Sequence[tuple[Open, float]] = ()
    ) -> None:
        """Their jobs have ended, or never came to be; the audio of some was measured."""
        async with self._database.write() as connection:
            for each, minutes in measured:
                await connection.execute(update(RESERVATIONS).where(_is(each)).values(minutes=minutes))
            for each in ended:
                await connection.execute(update(RESERVATIONS).where(_is(each)).values(ended=now))
            for each in never_made:
                await connection.execute(delete(RESERVATIONS).where(_is(each)))

    async def prune(self, now: int) -> None:
        """Forget what no limit counts any more."""
        async with self._database.write() as connection:
            await connection.execute(delete(RESERVATIONS).where(_R.ended < now - 2 * DAY))
            await connection.execute(delete(TURNS).where(TURNS.c.at < now - 2 * DAY))


def _tell(asked: _Asked, answer: Answer) -> bool:
    """Whether there is nobody to tell of a new place: whoever asked has gone, and makes no job."""
    if asked.answer.done():
        return answer.answer is True
    asked.answer.set_result(answer)
    return False


def _row(wish: Wish, now: int) -> dict[str, Any]:
    return {
        "namespace": wish.namespace, "name": wish.name, "created": now, "user": wish.user, "address": wish.address,
        "minutes": wish.minutes, "token": wish.token,
    }  # fmt: skip


def _as_asked(asked: _Asked, newest: int, assumed: float) -> dict[str, Any]:
    """A wish as the function of migration 0009 reads it."""
    bounds, day, hour = asked.bounds, newest - newest % DAY, newest - HOUR
    return {
        **_row(asked.wish, asked.now), "anew": asked.anew,
        "counts_as": bounds.minutes_of(asked.wish), "assumed": assumed,
        "day_began": day, "hour_ago": hour, "most_day": bounds.day, "most_hour": bounds.hour,
        "most_at_once": bounds.at_once, "most_address_hour": bounds.address_hour, "most_minutes": bounds.minutes,
    }  # fmt: skip


def _is(row: Open) -> Any:
    return and_(_R.namespace == row.namespace, _R.name == row.name, _R.created == row.created, _R.ended.is_(None))


def _turns(asked: _Asked) -> list[str]:
    address = [f"address:{asked.wish.address}"] if asked.bounds.address_hour is not None else []
    return [f"user:{asked.wish.user}", *address]


@dataclass(frozen=True, slots=True)
class Used:
    """What is used of each limit."""

    day: int
    hour: int
    at_once: int
    oldest: int | None
    address_hour: int
    address_oldest: int | None
    minutes: float = 0.0

    def and_one(self, now: int, minutes: float = 0.0) -> Used:
        """With one more job."""
        return Used(
            self.day + 1,
            self.hour + 1,
            self.at_once + 1,
            self.oldest or now,
            self.address_hour + 1,
            self.address_oldest or now,
            self.minutes + minutes,
        )


def _count(condition: Any) -> Any:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def _oldest(condition: Any) -> Any:
    return func.min(case((condition, _R.created), else_=None))


def _query() -> Select[Any]:
    """In one statement, since each is a way to the database and back; built once, since that takes as long."""
    own, here = _R.user == bindparam("user"), _R.address == bindparam("address")
    lately, is_open = _R.created > bindparam("hour"), _R.ended.is_(None)
    today = and_(own, _R.created >= bindparam("day"))
    minutes = func.coalesce(_R.minutes, bindparam("assumed", type_=Double))
    return select(
        _count(today),
        _count(and_(own, lately)),
        _count(and_(own, is_open)),
        _oldest(and_(own, lately)),
        _count(and_(here, lately)),
        _oldest(and_(here, lately)),
        func.coalesce(func.sum(case((today, minutes), else_=0.0)), 0.0),
    ).where(or_(and_(own, _R.created >= bindparam("since")), and_(own, is_open), and_(here, lately)))


_USED: Final = _query()
_RESERVE: Final = (
    "SELECT made, named, day, hour, at_once, oldest, address_hour, address_oldest, minutes "
    "FROM audiojob_reserve($1::text[], $2::bigint, $3::jsonb)"
)
_INSERT: Final = insert(RESERVATIONS)
_NAMED: Final = (
    select(_R.namespace, _R.name, func.max(_R.created), func.count() - func.count(_R.ended))
    .where(tuple_(_R.namespace, _R.name).in_(bindparam("jobs", expanding=True)))
    .group_by(_R.namespace, _R.name)
)


async def _used(connection: AsyncConnection, user: str, address: str, at: tuple[int, float]) -> Used:
    """``at`` that moment, with so many minutes of a job whose length is not known."""
    now, assumed = at
    day, hour = now - now % DAY, now - HOUR
    values = {"user": user, "address": address, "day": day, "hour": hour, "since": min(day, hour), "assumed": assumed}
    return Used(*(await connection.execute(_USED, values)).one())


async def _named(connection: AsyncConnection, wishes: Sequence[Wish]) -> dict[tuple[str, str], tuple[int, bool]]:
    """Of the jobs among them that have reservations when the newest was made, and whether any is open."""
    jobs = sorted({(wish.namespace, wish.name) for wish in wishes})
    jobs += jobs[-1:] * ((1 << (len(jobs) - 1).bit_length()) - len(jobs))  # few sizes: each is a statement of its own
    rows = await connection.execute(_NAMED, {"jobs": jobs})
    return {(namespace, name): (newest, count > 0) for namespace, name, newest, count in rows}


def exceeded_by(used: Used, bounds: Bounds, wish: Wish, now: int) -> Exceeded | None:
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
    most_minutes = bounds.minutes
    if most_minutes is not None and (
        used.minutes >= most_minutes or used.minutes + bounds.minutes_of(wish) > most_minutes
    ):
        return Exceeded(MINUTES, most_minutes, day_ends)
    return None
