"""The one way to the database: connections for reading and for writing, whether it answers, and in which state it is.

SQLite: one connection that writes, others that cannot. PostgreSQL: one pool. A block is a transaction, which an error
ends.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from audiojob_api.sql.direct import Direct
from audiojob_api.sql.errors import DatabaseError, DatabaseUnavailable, in_words
from audiojob_api.sql.filesystem import require_local
from audiojob_api.sql.idle import ping_idle
from audiojob_api.sql.schema import Standing, standing, upgrade
from audiojob_api.sql.url import DatabaseUrl

_log = logging.getLogger(__name__)

_READERS: Final = 4
_CONNECTIONS: Final = 10
_WAIT_SECONDS: Final = 5.0
_STATEMENT_SECONDS: Final = 20
_CHECK_SECONDS: Final = 10.0
_OPENED_WITHIN: Final = 20.0
"""Seconds, but where a migration takes longer: with many rows that can be minutes."""


class State(StrEnum):
    """How far the database can be used."""

    OPENING = "Opening"
    READY = "Ready"
    READ_ONLY = "ReadOnly"  # its schema is newer than this release
    AWAY = "Away"


class Database:
    """Connections to one database. `open` it before use, or let `run` do it; `close` it at the end."""

    def __init__(
        self,
        url: DatabaseUrl,
        *,
        check_seconds: float = _CHECK_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = url
        self._clock = clock
        self._made = clock()
        self.state = State.OPENING
        self.detail = "The database is being opened."
        self._check_seconds = check_seconds
        self._opened = asyncio.Event()
        file = url.file
        if file is None:
            self._writer = self._reader = _postgresql(url)
        else:
            self._writer = _sqlite(url, size=1, start="BEGIN IMMEDIATE", pragmas=_WRITER_PRAGMAS)
            self._reader = _sqlite(url, size=_READERS, start="BEGIN", pragmas=_READER_PRAGMAS)

        self._direct = Direct(self._writer)

    @property
    def is_sqlite(self) -> bool:
        """Whether it is SQLite, which one process alone may write."""
        return self.url.file is not None

    @property
    def opens_soon(self) -> bool:
        """Whether it is being opened, as at every start, and this takes no longer than usual."""
        return self.state is State.OPENING and self._clock() - self._made < _OPENED_WITHIN

    # ---------------------------------------------------------------- life

    async def open(self) -> None:
        """Bring the schema up to date. Raises DatabaseError for what will not pass, else DatabaseUnavailable."""
        if (file := self.url.file) is not None:
            if not file.parent.is_dir():
                raise DatabaseError(f"database.url: the folder {file.parent} does not exist")
            require_local(file)
        try:
            with in_words():
                async with self._writer.begin() as connection:
                    found = await connection.run_sync(standing)
                    if found is Standing.OLDER:
                        await connection.run_sync(upgrade)
        except DatabaseUnavailable as error:
            self._is(State.AWAY, str(error))
            raise
        if found is Standing.NEWER:
            self._is(State.READ_ONLY, "The database has the schema of a newer release; this one only reads it.")
        else:
            self._is(State.READY, "")
        self._opened.set()

    async def run(self) -> None:
        """Open it, whenever that becomes possible, and look after it until cancelled."""
        while True:
            try:
                if self._opened.is_set():
                    async with self.read() as connection:
                        await connection.execute(text("SELECT 1"))
                else:
                    await self.open()
            except DatabaseUnavailable:
                pass  # said already
            except Exception as error:  # noqa: BLE001 - live jobs are served without it
                self._is(State.AWAY, str(error) if isinstance(error, DatabaseError) else repr(error))
            await asyncio.sleep(self._check_seconds if self._opened.is_set() else min(1.0, self._check_seconds))

    async def opened(self) -> None:
        """Wait until it has been opened once."""
        await self._opened.wait()

    async def close(self) -> None:
        """Close every connection."""
        await self._direct.close()
        await self._writer.dispose()
        await self._reader.dispose()

    # ---------------------------------------------------------------- use

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection for reading, at one moment of the data. Raises DatabaseUnavailable."""
        async with self._connection(self._reader) as connection:
            yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction, committed at the end of the block and rolled back by an error. Raises DatabaseUnavailable."""
        async with self._writing(self._writer) as connection:
            yield connection

    async def call(self, statement: str, *values: Any) -> Sequence[Any]:
        """The rows of a statement of PostgreSQL, which is committed at its end. Raises DatabaseUnavailable."""
        self._require_writable()
        self._require_opened()
        with self._noticed():
            return await self._direct.rows(statement, *values)

    @asynccontextmanager
    async def _writing(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        self._require_writable()
        async with self._connection(engine) as connection:
            yield connection

    def _require_writable(self) -> None:
        if self.state is State.READ_ONLY:
            raise DatabaseUnavailable(self.detail)

    def _require_opened(self) -> None:
        if not self._opened.is_set():
            raise DatabaseUnavailable(self.detail)

    @asynccontextmanager
    async def _connection(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        self._require_opened()
        with self._noticed():
            async with engine.begin() as connection:
                yield connection

    @contextmanager
    def _noticed(self) -> Iterator[None]:
        """Whether it answers shows in its state."""
        try:
            with in_words():
                yield
        except DatabaseUnavailable as error:
            if self.state is State.READY:
                self._is(State.AWAY, str(error))
            raise
        if self.state is State.AWAY:
            self._is(State.READY, "")

    def _is(self, state: State, detail: str) -> None:
        if (state, detail) != (self.state, self.detail):
            level = logging.INFO if state is State.READY else logging.WARNING
            _log.log(level, "database %s: %s %s", self.url, state, detail)
        self.state, self.detail = state, detail


# ---------------------------------------------------------------- engines

_WRITER_PRAGMAS: Final = (
    "journal_mode=WAL",
    "synchronous=NORMAL",  # a power cut may take the last commits, which are written again from the cluster
    "busy_timeout=5000",
    "journal_size_limit=67108864",
    "foreign_keys=ON",
    "cache_size=-32768",
)
_READER_PRAGMAS: Final = ("query_only=ON", "busy_timeout=5000", "cache_size=-16384")


class _SqliteConnection(sqlite3.Connection):
    """One that ends its transaction when it is closed, whatever still refers to a cursor of it.

    A connection whose task was cancelled is closed. SQLite keeps it, and with it the lock for writing, until the last
    of its statements is gone; one of them lives as long as the traceback of the cancellation does.
    """

    def close(self) -> None:
        with suppress(sqlite3.ProgrammingError):  # it is closed already
            self.rollback()
        super().close()


def _sqlite(url: DatabaseUrl, *, size: int, start: str, pragmas: tuple[str, ...]) -> AsyncEngine:
    engine = create_async_engine(
        url.url,
        pool_size=size,
        max_overflow=0,
        pool_timeout=_WAIT_SECONDS,
        connect_args={"isolation_level": None, "timeout": _WAIT_SECONDS, "factory": _SqliteConnection},
    )
    _on(engine, "connect", _execute_each(pragmas))
    _on(engine, "begin", lambda connection: connection.exec_driver_sql(start))
    return engine


def _execute_each(pragmas: tuple[str, ...]) -> Callable[[Any, ConnectionPoolEntry], None]:
    def execute(connection: Any, _: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return execute


def _postgresql(url: DatabaseUrl) -> AsyncEngine:
    engine = create_async_engine(
        url.url,
        pool_size=_CONNECTIONS,
        max_overflow=0,
        pool_timeout=_WAIT_SECONDS,
        pool_use_lifo=True,  # a connection that was just used knows its statements
        pool_recycle=1_800,
        connect_args={
            "timeout": _WAIT_SECONDS,
            # Two connections behind a pooler must not take each other's statements for their own.
            "prepared_statement_name_func": lambda: f"s_{uuid.uuid4().hex}",
            "server_settings": {
                "application_name": "audiojob-api",
                "statement_timeout": str(_STATEMENT_SECONDS * 1_000),
                "lock_timeout": str(int(_WAIT_SECONDS * 1_000)),
                "idle_in_transaction_session_timeout": "60000",
                "timezone": "UTC",
            },
        },
    )
    ping_idle(engine.sync_engine)
    return engine


def _on(engine: AsyncEngine, name: str, listener: Callable[..., Any]) -> None:
    event.listen(engine.sync_engine, name, listener)
