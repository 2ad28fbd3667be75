"""Both databases, real: SQLite in a file, and a PostgreSQL server of this run."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.databases.postgres import Postgres

from audiojob_api.sql.database import Database
from audiojob_api.sql.url import parse


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'audiojob.db'}"
    server: Postgres = request.getfixturevalue("postgres")
    return server.create(f"t{uuid.uuid4().hex}")


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """An empty database of each kind, opened."""
    opened = Database(parse(url))
    await opened.open()
    yield opened
    await opened.close()
