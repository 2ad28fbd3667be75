"""Bytes of uploads in the database: one row for each upload that was announced, of which all that is stored is the sum.

Exact whatever the number of replicas, as the ledger of jobs is: whoever reserves takes its turn first. Calls raise
DatabaseUnavailable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import and_, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from audiojob_api.access.limits.turns import take_turns
from audiojob_api.sql.database import Database
from audiojob_api.sql.tables.uploads import UPLOADS

_U = UPLOADS.c
_AT_ONCE: Final = 4


@dataclass(frozen=True, slots=True)
class Kept:
    """An upload that counts. ``bytes`` is what it has, or the most that it may have."""

    namespace: str
    id: str
    user: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Room:
    """The most that a user's uploads, and all of the namespace, may have together; None for no limit."""

    user: int | None = None
    namespace: int | None = None


@dataclass(frozen=True, slots=True)
class Full:
    """Whose room does not hold an upload, how much that is in all, and how much of it is taken."""

    whose: str
    most: int
    taken: int


class StoredBytes:
    """All uploads that count."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._at_once = asyncio.Semaphore(_AT_ONCE)  # as in the ledger of jobs

    async def reserve(self, upload: Kept, room: Room, now: int) -> Full | None:
        """Count an upload, if there is room; one of the same id is counted anew. None where it is counted."""
        async with self._at_once, self._database.write() as connection:
            if not self._database.is_sqlite:
                whose = [f"bytes:{upload.user}", f"namespace-bytes:{upload.namespace}"]
                await take_turns(connection, whose, now)
            for whose_room, most, here in (
                ("user", room.user, _U.user == upload.user),
                ("namespace", room.namespace, _U.namespace == upload.namespace),
            ):
                taken = await _taken(connection, here, upload) if most is not None else 0
                if most is not None and taken + upload.bytes > most:
                    return Full(whose_room, most, taken)
            await connection.execute(delete(UPLOADS).where(_is(upload)))
            await connection.execute(
                insert(UPLOADS).values(
                    namespace=upload.namespace, id=upload.id, user=upload.user, bytes=upload.bytes, seen=now
                )
            )
        return None

    async def release(self, upload: Kept) -> None:
        """It is not stored, or no more."""
        async with self._database.write() as connection:
            await connection.execute(delete(UPLOADS).where(_is(upload)))

    async def found(self, upload: Kept, now: int) -> None:
        """It is stored, with so many bytes."""
        async with self._database.write() as connection:
            await connection.execute(update(UPLOADS).where(_is(upload)).values(bytes=upload.bytes, seen=now))

    async def unseen(self, before: int, most: int, user: str | None = None) -> Sequence[Kept]:
        """Uploads that were not looked for since then, those of longest ago first."""
        query = select(_U.namespace, _U.id, _U.user, _U.bytes).where(_U.seen < before)
        if user is not None:
            query = query.where(_U.user == user)
        async with self._database.read() as connection:
            rows = await connection.execute(query.order_by(_U.seen).limit(most))
            return [Kept(*row) for row in rows]


async def _taken(connection: AsyncConnection, here: Any, upload: Kept) -> int:
    """Bytes of the others."""
    others = select(func.coalesce(func.sum(_U.bytes), 0)).where(here, ~_is(upload))
    return int((await connection.execute(others)).scalar_one())


def _is(upload: Kept) -> Any:
    return and_(_U.namespace == upload.namespace, _U.id == upload.id)
