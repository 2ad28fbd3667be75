"""Turns: whoever counts what a user has, to add to it, does so while nobody else does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from audiojob_api.sql.inserting import insert_into
from audiojob_api.sql.tables.access import TURNS


async def take_turns(connection: AsyncConnection, whose: Sequence[str], now: int) -> None:
    """Wait until no other transaction has one of these, and keep them until this one ends."""
    if connection.dialect.name == "postgresql":
        await connection.execute(_TAKE_TURNS, {"whose": sorted(whose), "at": now})
        return
    statement = insert_into(connection, TURNS).values([{"whose": each, "at": now} for each in sorted(whose)])
    await connection.execute(statement.on_conflict_do_update(index_elements=["whose"], set_={"at": now}))


# In one order, so that no two wait for each other. As text: SQLAlchemy would put together an insert of several rows
# anew each time, which takes longer than the way to the database.
_TAKE_TURNS: Final = text(
    f"INSERT INTO {TURNS.name} (whose, at) "  # noqa: S608 - a name of our own
    "SELECT whose, CAST(:at AS bigint) FROM unnest(CAST(:whose AS text[])) AS asked (whose) ORDER BY whose "
    "ON CONFLICT (whose) DO UPDATE SET at = excluded.at"
)
