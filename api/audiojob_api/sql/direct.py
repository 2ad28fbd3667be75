"""Statements that are asked for all the time, straight through PostgreSQL's driver.

SQLAlchemy's way to it, six switches of stacks and a look into its pool, takes longer than a short call of the database.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from audiojob_api.sql.errors import DatabaseUnavailable, words_of_postgresql

_TRUSTED_SECONDS: Final = 2.0
"""After so long the pool tries the connection before it is used again."""


class Direct:
    """One connection out of the pool of ``engine``, for one statement at a time, each a transaction of its own."""

    def __init__(self, engine: AsyncEngine, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._clock = clock
        self._turn = asyncio.Lock()
        self._held: AsyncConnection | None = None
        self._driver: Any = None
        self._prepared: dict[str, Any] = {}
        self._used = 0.0

    async def rows(self, statement: str, *values: Any) -> Sequence[Any]:
        """The rows of the statement. Raises :class:`DatabaseUnavailable`, and what the pool and the program may."""
        async with self._turn:
            try:
                prepared = await self._ready(statement)
                rows: Sequence[Any] = await prepared.fetch(*values)
            except BaseException as error:
                await self._drop()
                if (words := self._in_words(error)) is not None:
                    raise DatabaseUnavailable(words) from error
                raise
            self._used = self._clock()
            return rows

    async def close(self) -> None:
        """Give the connection back."""
        held, self._held, self._driver, self._prepared = self._held, None, None, {}
        if held is not None:
            await held.close()

    async def _ready(self, statement: str) -> Any:
        if self._held is not None and (self._driver.is_closed() or self._clock() - self._used >= _TRUSTED_SECONDS):
            await self.close()
        if self._held is None:
            self._held = await self._engine.connect()
            self._driver = (await self._held.get_raw_connection()).driver_connection
        found = self._prepared.get(statement)
        if found is None:
            # Two connections behind a pooler must not take each other's statements for their own.
            found = await self._driver.prepare(statement, name=f"s_{uuid.uuid4().hex}")
            self._prepared[statement] = found
        return found

    async def _drop(self) -> None:
        """Nobody knows what state it is in."""
        if self._held is not None:
            await self._held.invalidate()
        await self.close()

    def _in_words(self, error: BaseException) -> str | None:
        driver = self._engine.dialect.loaded_dbapi.asyncpg  # loaded with the first connection
        # The last: it has heard that the server ends the connection, and not yet that it has.
        if not isinstance(error, driver.PostgresError | driver.InterfaceError | driver.InternalClientError):
            return None
        return words_of_postgresql(error)
