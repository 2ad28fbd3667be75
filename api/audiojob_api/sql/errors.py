"""What a call of the database can fail with, in words, and what the drivers' errors mean."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

# Of PostgreSQL's SQLSTATE. The classes: connection, operator intervention, resources, system.
_AWAY_CLASSES: Final = frozenset({"08", "57", "53", "58"})
_PASSING: Final = frozenset({"40001", "40P01", "55P03"})  # serialization, deadlock, lock not available
_FULL: Final = "53100"
_READ_ONLY: Final = frozenset({"25006"})


class DatabaseError(Exception):
    """The database cannot be used as configured; the message says why and what to do."""


class DatabaseUnavailable(Exception):  # noqa: N818 - a state, which passes
    """The database did not answer, is locked or full, or may not be written at the moment. Try again later."""


@contextmanager
def in_words() -> Iterator[None]:
    """Turns what the drivers raise into :class:`DatabaseUnavailable`, where trying again later may help.

    What the program did wrong (a constraint, a statement) stays what it is.
    """
    try:
        yield
    except PoolTimeout:
        raise DatabaseUnavailable("The database is busy: no connection was free in time.") from None
    except (OperationalError, InterfaceError, DBAPIError) as error:
        if (words := words_of(error)) is None:
            raise
        raise DatabaseUnavailable(words) from error
    except (OSError, TimeoutError) as error:  # asyncpg, while it connects
        words = str(error) or "no answer in time"
        raise DatabaseUnavailable(f"The database cannot be reached: {words}") from error


def words_of(error: DBAPIError) -> str | None:
    """A sentence for an error that passes; None for one that does not."""
    original = error.orig
    if isinstance(original, sqlite3.Error):
        return _of_sqlite(original)
    return words_of_postgresql(original, is_broken=error.connection_invalidated)


def words_of_postgresql(original: BaseException | None, *, is_broken: bool = False) -> str | None:
    """The same for an error of PostgreSQL's driver."""
    state = str(getattr(original, "sqlstate", None) or "")
    if state == _FULL:
        return "The database's disk is full: give it more room."
    if state in _READ_ONLY:
        return "The database is read-only: it may be a standby."
    if state in _PASSING:
        return "The database's rows are locked by another session; try again."
    if is_broken or state[:2] in _AWAY_CLASSES or not state:
        return f"The database is away: {_first_line(original)}"
    return None


def _of_sqlite(error: sqlite3.Error) -> str | None:
    name = getattr(error, "sqlite_errorname", "") or ""
    for prefix, words in (
        ("SQLITE_BUSY", "The database is locked by another process; only one may write an SQLite file."),
        ("SQLITE_LOCKED", "The database is locked; try again."),
        ("SQLITE_FULL", "The disk of the database is full: give its claim more room."),
        ("SQLITE_READONLY", "The database's file cannot be written: look at the claim's rights."),
        ("SQLITE_CANTOPEN", "The database's file cannot be opened: look at the claim and its rights."),
        ("SQLITE_IOERR", "The database's disk gives errors."),
        ("SQLITE_CORRUPT", "The database's file is damaged: put back a copy, or move it away to begin anew."),
        ("SQLITE_NOTADB", "The database's file is no SQLite database: is the path right?"),
    ):
        if name.startswith(prefix):
            return words
    return None


def _first_line(error: BaseException | None) -> str:
    return (str(error).splitlines() or [""])[0][:200] or type(error).__name__
