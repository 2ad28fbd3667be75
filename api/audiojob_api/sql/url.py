"""Where the database is: one address, checked before anything is opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from audiojob_api.sql.errors import DatabaseError

_DRIVERS: Final = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
_FORMS: Final = "sqlite:////data/audiojob.db or postgresql://USER:PASSWORD@HOST/DATABASE"


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """A checked address, with the driver that we use."""

    url: URL

    @property
    def file(self) -> Path | None:
        """SQLite's file; None for PostgreSQL."""
        return Path(self.url.database or "") if self.url.get_backend_name() == "sqlite" else None

    def __str__(self) -> str:
        return self.url.render_as_string(hide_password=True)


def parse(text: str) -> DatabaseUrl:
    """The address of a setting. Raises DatabaseError, which never repeats a password."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise DatabaseError(f"database.url: is no address of a database; write {_FORMS}") from None
    backend = url.get_backend_name()
    if backend not in _DRIVERS:
        raise DatabaseError(f"database.url: {backend[:40]!r} is not supported; write {_FORMS}")
    url = url.set(drivername=_DRIVERS[backend])
    if backend == "sqlite":
        file = url.database or ""
        if not file.startswith("/") or url.query:
            raise DatabaseError("database.url: SQLite needs the absolute path of a file: sqlite:////data/audiojob.db")
    elif not url.database or not (url.host or url.query.get("host")):
        raise DatabaseError(f"database.url: host and database are missing; write {_FORMS}")
    return DatabaseUrl(url)
