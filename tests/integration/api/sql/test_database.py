"""One base for both databases: schema, versions, faults. SQLite and PostgreSQL are the real ones."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import insert, select, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError
from tests.support.databases.postgres import Postgres

from audiojob_api.archive.reader import ArchiveReader
from audiojob_api.jobs.listing.query import Filter, Order, Query
from audiojob_api.sql.database import Database, State
from audiojob_api.sql.errors import DatabaseError, DatabaseUnavailable
from audiojob_api.sql.schema import config, revisions, upgrade
from audiojob_api.sql.tables import METADATA
from audiojob_api.sql.tables.archive import DOCUMENTS, JOBS, ROLLUPS, WRITER
from audiojob_api.sql.url import parse

LONG = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT 500000) SELECT sum(i) FROM n"
# What the release of the first version wrote.
OLD_JOB = {
    "uid": "u", "kind": "AudioJob", "namespace": "team", "name": "song", "state": "Failed", "pipeline": "p",
    "queue": "q", "user": "ann", "batch": None, "priority": 5, "created": 1_000, "started": 2_000, "finished": 3_000,
    "archived": 4_000,
}  # fmt: skip
OLD_SUM = (
    "INSERT INTO rollup (namespace, hour, pipeline, phase, device, state, reason, count, sum_ms, waited_ms, "
    + ", ".join(f"b{number:02}" for number in range(24))
    + ") VALUES ('team', 0, 'p', '', '', 'Failed', 'x', 1, 2000, 1000, 0, 1"
    + ", 0" * 22
    + ")"
)
ROW = {"id": 1, "epoch": 1, "holder": "one", "renewed": 0}


def differences(connection: Connection) -> list[Any]:
    return list(compare_metadata(MigrationContext.configure(connection), METADATA))


async def test_the_migrations_make_the_tables_from_each_earlier_version(database: Database, url: str) -> None:
    """From nothing in one go (the fixture), and from the first version forward with a row that stays."""
    async with database.read() as connection:
        assert await connection.run_sync(differences) == []
    walked = [each.revision for each in ScriptDirectory.from_config(config()).walk_revisions()]
    assert walked[-1] == "0001"
    assert revisions() == walked[::-1], "the names of the files say the same"
    assert len(ScriptDirectory.from_config(config()).get_heads()) == 1
    async with database.write() as connection:
        await connection.run_sync(METADATA.drop_all)
        await connection.execute(text("DROP TABLE alembic_version"))
        await connection.run_sync(upgrade, "0001")
        await connection.execute(insert(WRITER).values(ROW))
        await connection.execute(insert(JOBS).values(OLD_JOB))
        document = {"metadata": {"name": "song", "uid": "u"}, "status": {"state": "Failed"}}
        packed = zlib.compress(json.dumps(document).encode())
        await connection.execute(insert(DOCUMENTS).values(uid="u", doc=packed))
        await connection.execute(text(OLD_SUM))
    again = Database(parse(url))
    await again.open()
    async with again.read() as connection:
        assert await connection.run_sync(differences) == []
        assert (await connection.execute(select(WRITER))).mappings().one() == ROW
        sums = await connection.execute(select(ROLLUPS.c["count"], ROLLUPS.c.media_count, ROLLUPS.c.b01))
        assert sums.one() == (1, 0, 1)
    reader = ArchiveReader(again, "team")
    assert ((await reader.find("song")) or {}).get("status") == {"state": "Failed"}
    for query in (Query(), Query(Filter(state="Failed"), Order.PRIORITY), Query(Filter(user="ann", text="so"))):
        assert [row.uid for row in (await reader.rows(query)).rows] == ["u"]
    await again.close()


async def test_a_migration_of_many_rows_may_take_longer_than_a_statement(postgres: Postgres) -> None:
    opened = Database(parse(postgres.create("migrated")))
    await opened.open()
    shown = text("SHOW statement_timeout")
    async with opened.write() as connection:
        assert (await connection.execute(shown)).scalar_one() == "20s"
        await connection.run_sync(upgrade)
        assert (await connection.execute(shown)).scalar_one() == "0"
    async with opened.write() as connection:
        assert (await connection.execute(shown)).scalar_one() == "20s"
    await opened.close()


async def test_a_newer_schema_is_read_and_never_written(database: Database, url: str) -> None:
    async with database.write() as connection:
        await connection.execute(insert(WRITER).values(ROW))
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    older = Database(parse(url))
    await older.open()
    assert older.state is State.READ_ONLY
    async with older.read() as connection:
        assert (await connection.execute(select(WRITER.c.holder))).scalar_one() == "one"
    with pytest.raises(DatabaseUnavailable, match="newer release"):
        async with older.write():
            pass
    async with older.read() as connection:
        assert (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar_one() == "9999"
    await older.close()


async def test_replicas_that_start_together_make_one_schema(url: str) -> None:
    several = [Database(parse(url)) for _ in range(1 if url.startswith("sqlite") else 4)]
    await asyncio.gather(*(each.open() for each in several))
    assert {each.state for each in several} == {State.READY}
    for each in several:
        await each.close()


async def test_an_error_ends_the_transaction_and_is_no_outage(database: Database) -> None:
    async def twice() -> None:
        async with database.write() as connection:
            await connection.execute(insert(WRITER).values(ROW))
            await connection.execute(insert(WRITER).values(ROW))

    with pytest.raises(IntegrityError):
        await twice()
    async with database.read() as connection:
        assert (await connection.execute(select(WRITER))).all() == []
    assert database.state is State.READY


async def test_a_write_that_is_cancelled_leaves_no_lock_though_a_cursor_of_it_is_held(tmp_path: Path) -> None:
    database = Database(parse(f"sqlite:///{tmp_path / 'audiojob.db'}"))
    await database.open()
    held, began = [], asyncio.Event()

    async def write() -> None:
        async with database.write() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            assert driver is not None
            held.append(await driver.execute("SELECT 1 UNION SELECT 2"))
            began.set()
            await connection.execute(text(LONG))

    writing = asyncio.create_task(write())
    await began.wait()
    await asyncio.sleep(0)
    writing.cancel()
    await asyncio.wait({writing})
    async with database.write() as connection:
        await connection.execute(insert(WRITER).values(ROW))
    await database.close()


async def test_nothing_is_written_through_a_connection_for_reading(tmp_path: Path) -> None:
    database = Database(parse(f"sqlite:///{tmp_path / 'a.db'}"))
    await database.open()
    with pytest.raises(DatabaseUnavailable, match="cannot be written"):
        async with database.read() as connection:
            await connection.execute(insert(WRITER).values(ROW))
    async with database.read() as connection:
        assert (await connection.execute(text("PRAGMA journal_mode"))).scalar_one() == "wal"
    await database.close()


async def test_a_locked_file_is_said_and_passes(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    database = Database(parse(f"sqlite:///{file}"))
    await database.open()
    async with database.write() as connection:
        await connection.execute(text("PRAGMA busy_timeout=10"))
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseUnavailable, match="locked by another process"):
        async with database.write():
            pass
    assert database.state is State.AWAY
    async with database.read() as connection:  # readers go on
        await connection.execute(select(WRITER))
    other.execute("COMMIT")
    other.close()
    async with database.write() as connection:
        await connection.execute(insert(WRITER).values(ROW))
    assert (database.state, database.detail) == (State.READY, "")
    await database.close()


async def test_a_full_file_keeps_what_was_there(tmp_path: Path) -> None:
    database = Database(parse(f"sqlite:///{tmp_path / 'a.db'}"))
    await database.open()
    async with database.write() as connection:
        await connection.execute(text("PRAGMA max_page_count=1"))  # never less than it has now
        await connection.execute(insert(WRITER).values(ROW))
    with pytest.raises(DatabaseUnavailable, match="disk of the database is full"):
        async with database.write() as connection:
            await connection.execute(insert(WRITER).values({**ROW, "id": 2, "holder": "x" * 1_000_000}))
    async with database.read() as connection:
        assert len((await connection.execute(select(WRITER))).all()) == 1
    await database.close()


async def test_a_server_that_is_away_comes_back(postgres: Postgres) -> None:
    database = Database(parse(postgres.create("away")), check_seconds=0.05)
    postgres.stop()
    with pytest.raises(DatabaseUnavailable, match="database"):
        await database.open()
    running = asyncio.create_task(database.run())
    with pytest.raises(DatabaseUnavailable):
        async with database.read():
            pass
    postgres.start()
    await asyncio.wait_for(database.opened(), 20)
    async with database.write() as connection:
        await connection.execute(insert(WRITER).values(ROW))
    postgres.stop()
    with pytest.raises(DatabaseUnavailable):
        async with database.write() as connection:
            await connection.execute(select(WRITER))
    postgres.start()
    async with asyncio.timeout(20):
        while database.state is not State.READY:  # noqa: ASYNC110 - another process answers again
            await asyncio.sleep(0.02)
    async with database.read() as connection:
        assert (await connection.execute(select(WRITER.c.holder))).scalar_one() == "one"
    running.cancel()
    await asyncio.wait([running])
    postgres.stop(signal.SIGQUIT)  # a crash: the next call finds the connection that was just used to be dead
    postgres.start()
    await asyncio.sleep(0.02)  # what its server said last has come
    async with database.write() as connection:
        assert (await connection.execute(select(WRITER.c.holder))).scalar_one() == "one"
    await database.close()


async def test_a_damaged_file_and_a_missing_folder_say_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    file.write_bytes(b"no database" * 1_000)
    database = Database(parse(f"sqlite:///{file}"))
    with pytest.raises(DatabaseUnavailable, match="is no SQLite database"):
        await database.open()
    await database.close()
    with pytest.raises(DatabaseError, match="does not exist"):
        await Database(parse(f"sqlite:///{tmp_path / 'none' / 'a.db'}")).open()


async def test_a_call_past_the_pool_comes_back_after_whatever_ends_one(postgres: Postgres) -> None:
    database = Database(parse(postgres.create("direct")))
    with pytest.raises(DatabaseUnavailable):
        await database.call("SELECT 1")
    await database.open()

    async def process() -> int:
        [(found,)] = await database.call("SELECT pg_backend_pid()")
        return int(found)

    async def ask(statement: str, **values: Any) -> Any:
        async with database.write() as connection:
            return (await connection.execute(text(statement), values)).scalar()

    first = await process()
    assert await process() == first
    assert [tuple(row) for row in await database.call("SELECT $1::int, $2::jsonb", 1, "[]")] == [(1, [])]
    with pytest.raises(Exception, match="division by zero"):
        await database.call("SELECT 1 / $1::int", 0)
    second = await process()
    assert (second != first, database.state) == (True, State.READY), "what the program did wrong is no absence"
    calling = asyncio.create_task(database.call("SELECT pg_sleep(60)"))
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND state = 'active'"
    while not await ask(sleeping):
        pass
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    third = await process()
    assert await ask("SELECT pg_terminate_backend(:pid)", pid=third)
    with suppress(DatabaseUnavailable):  # unless the driver has heard of it
        await database.call("SELECT 1")
    assert await process() not in (first, second, third)
    assert database.state is State.READY
    await database.close()
