"""The schema's version: forward only. A newer one than this release knows is never touched."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.engine import Connection

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
    scripts = ScriptDirectory.from_config(config())
    known = {script.revision for script in scripts.walk_revisions()}
    found = set(MigrationContext.configure(connection).get_current_heads())
    if not found <= known:
        return Standing.NEWER
    return Standing.CURRENT if found == set(scripts.get_heads()) else Standing.OLDER


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Bring the schema forward, within the connection's transaction, however long that takes with many rows."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL statement_timeout = 0"))
    settings = config()
    settings.attributes["connection"] = connection
    command.upgrade(settings, revision)


def config() -> Config:
    """Alembic's configuration; there is no alembic.ini."""
    made = Config()
    made.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    return made
