"""What an administrator does with the archive: look whether it is whole, make its sums anew, take all of it out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import delete, func, select

from audiojob_api.archive.store import ArchiveStore, Superseded, add_sums, unpacked
from audiojob_api.jobs.listing.rows import JobRow, row_of
from audiojob_api.jobs.statistics.sums import CREATED, WHOLE, sums_of
from audiojob_api.sql.database import Database
from audiojob_api.sql.tables.archive import DOCUMENTS, JOBS, ROLLUPS

Object = dict[str, Any]

_BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class Found:
    """What is in the archive, and what does not fit."""

    jobs: int
    without_document: int
    documents_alone: int
    summed: int
    """Jobs as the sums have them."""

    @property
    def faults(self) -> list[str]:
        """A sentence for each thing that is wrong."""
        said = []
        if self.without_document:
            said.append(f"{self.without_document} jobs have no document: lists leave them out.")
        if self.documents_alone:
            said.append(f"{self.documents_alone} documents belong to no job.")
        if self.summed != self.jobs:
            said.append(f"The sums count {self.summed} jobs, of which there are {self.jobs}: run rebuild.")
        return said


async def check(database: Database) -> Found:
    """Look at everything once."""
    have, known = select(DOCUMENTS.c.uid), select(JOBS.c.uid)
    ended = (ROLLUPS.c.phase == WHOLE) & (ROLLUPS.c.state != CREATED)
    questions = (
        select(func.count()).select_from(JOBS),
        select(func.count()).select_from(JOBS).where(JOBS.c.uid.not_in(have)),
        select(func.count()).select_from(DOCUMENTS).where(DOCUMENTS.c.uid.not_in(known)),
        select(func.coalesce(func.sum(ROLLUPS.c.count), 0)).where(ended),
    )
    async with database.read() as connection:
        return Found(*[int((await connection.execute(each)).scalar_one()) for each in questions])


async def rebuild(database: Database, holder: str) -> int:
    """Make all sums anew from the jobs, as the writer meanwhile: no replica writes until it is done. Returns how many.

    Raises Superseded where another process takes over meanwhile; then it must be run again.
    """
    store = ArchiveStore(database, holder, expires_seconds=0)
    epoch = await store.take()
    if epoch is None:
        raise Superseded
    async with database.write() as connection:
        await connection.execute(delete(ROLLUPS))
    count = 0
    async for rows in _batches(database):
        await store.renew(epoch)
        async with database.write() as connection:
            for namespace in sorted({row.namespace for row, _ in rows}):
                mine = [(row, job) for row, job in rows if row.namespace == namespace]
                await add_sums(connection, namespace, sums_of(mine))
        count += len(rows)
    await store.release(epoch)
    return count


async def export(database: Database) -> AsyncIterator[Object]:
    """Every job, in the order of their uids."""
    async for rows in _batches(database):
        for _, job in rows:
            yield job


async def _batches(database: Database) -> AsyncIterator[list[tuple[JobRow, Object]]]:
    """All jobs, some at a time: no reader is open for long, which would keep SQLite from clearing its log."""
    last = ""
    while True:
        statement = select(DOCUMENTS).join(JOBS, JOBS.c.uid == DOCUMENTS.c.uid).where(DOCUMENTS.c.uid > last)
        async with database.read() as connection:
            found = (await connection.execute(statement.order_by(DOCUMENTS.c.uid).limit(_BATCH))).all()
        if not found:
            return
        jobs = [unpacked(doc) for _, doc in found]
        yield [(row_of(job, pack=False), job) for job in jobs]
        last = found[-1].uid
