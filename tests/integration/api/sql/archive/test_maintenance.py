"""What an administrator does with the archive, through the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from sqlalchemy import delete, insert, select, update
from tests.integration.api.sql.archive.jobs import finished

from audiojob_api.archive.maintenance import Found, check, rebuild
from audiojob_api.archive.store import ArchiveStore, Superseded
from audiojob_api.sql.database import Database
from audiojob_api.sql.tables.archive import DOCUMENTS, ROLLUPS


def history(url: str, command: str) -> subprocess.CompletedProcess[str]:
    run = [sys.executable, "-m", "audiojob_api.history", command]
    environment = {**os.environ, "AUDIOJOB_DATABASE__URL": url}
    return subprocess.run(run, capture_output=True, text=True, check=False, timeout=60, env=environment)


async def test_an_archive_is_looked_at_put_right_and_taken_out(database: Database, url: str) -> None:
    store = ArchiveStore(database, "one")
    epoch = await store.take()
    assert epoch is not None
    await store.put(epoch, [finished(number) for number in range(1_200)])
    async with database.read() as connection:
        before = (await connection.execute(select(ROLLUPS).order_by(*ROLLUPS.primary_key))).all()
    assert await check(database) == Found(1_200, 0, 0, 1_200)
    async with database.write() as connection:
        await connection.execute(update(ROLLUPS).values(count=7))
        await connection.execute(delete(DOCUMENTS).where(DOCUMENTS.c.uid == finished(9).uid))
    missing, counted = (await check(database)).faults
    assert "1 jobs have no document" in missing
    assert "run rebuild" in counted
    async with database.write() as connection:
        await connection.execute(insert(DOCUMENTS).values(uid=finished(9).uid, doc=finished(9).packed))
    assert await rebuild(database, "by hand") == 1_200
    with pytest.raises(Superseded):
        await store.put(epoch, [finished(2_000)])
    async with database.read() as connection:
        assert (await connection.execute(select(ROLLUPS).order_by(*ROLLUPS.primary_key))).all() == before
    names = [json.loads(line)["metadata"]["name"] for line in history(url, "export").stdout.splitlines()]
    assert names == [finished(number).name for number in range(1_200)]
