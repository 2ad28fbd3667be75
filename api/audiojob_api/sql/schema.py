"""The schema's version: forward only. A newer one than this release knows is never touched.

Alembic is imported where a schema is made or changed alone: it takes 9 MB, and a process that finds its schema as it
should be never needs it.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import text
from sqlalchemy.engine import Connection

if TYPE_CHECKING:
    from alembic.config import Config

_VERSION_TABLE: Final = "alembic_version"
_FOLDER: Final = Path(__file__).parent / "migrations"
# Any number, the same in every release: replicas that start together bring the schema up one after the other.
_LOCK: Final = 7_305_117_201


class Standing(StrEnum):
    """The schema as it is found, against the one that this release writes."""

    CURRENT = "Current"
    OLDER = "Older"  # or none yet
    NEWER = "Newer"


def standing(connection: Connection) -> Standing:
    """Compare the two. On PostgreSQL others that ask wait until this transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    known, found = revisions(), set[str]()
    if connection.dialect.has_table(connection, _VERSION_TABLE):
        found = set(connection.execute(text(f"SELECT version_num FROM {_VERSION_TABLE}")).scalars())  # noqa: S608 - ours
    if not found <= set(known):
        return Standing.NEWER
    return Standing.CURRENT if found == {known[-1]} else Standing.OLDER


def revisions() -> list[str]:
    """All that this release knows, the oldest first, from the names of their files: one line without branches."""
    return sorted(file.name[1:5] for file in (_FOLDER / "versions").glob("v[0-9][0-9][0-9][0-9]_*.py"))


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Bring the schema forward, within the connection's transaction, however long that takes with many rows."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL statement_timeout = 0"))
    from alembic import command  # noqa: PLC0415

    settings = config()
    settings.attributes["connection"] = connection
    command.upgrade(settings, revision)


def config() -> Config:
    """Alembic's configuration; there is no alembic.ini."""
    from alembic.config import Config  # noqa: PLC0415

    made = Config()
    made.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    return made
