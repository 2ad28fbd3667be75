"""Writes of the archive: who may write, and jobs with their sums in one transaction."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import orjson
from sqlalchemy import BigInteger, ColumnElement, bindparam, case, delete, literal_column, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from audiojob_api.jobs.listing.rows import JobRow
from audiojob_api.jobs.statistics.depth import Depth
from audiojob_api.jobs.statistics.sums import ADDED, Key, Sum, sums_of
from audiojob_api.sql.database import Database
from audiojob_api.sql.inserting import insert_for, insert_into
from audiojob_api.sql.tables.archive import DEPTHS, DOCUMENTS, JOBS, LABELS, ROLLUPS, WRITER

Object = dict[str, Any]

KIND: Final = "AudioJob"
_ID: Final = 1


class Superseded(Exception):  # noqa: N818 - no error: another process goes on
    """Another writer has taken over: this one must not write."""


class ArchiveStore:
    """The archive, for the one process that may write it."""

    def __init__(self, database: Database, holder: str, expires_seconds: float = 6.0) -> None:
        self.database = database
        self._holder = holder
        self._expires = round(expires_seconds * 1_000)

    async def take(self) -> int | None:
        """Become the writer, where there is none that was heard of lately: the epoch to write with, else None.

        An epoch is higher than all before, and every transaction asks for it: a writer that was thought dead, and was
        only slow, writes nothing any more.
        """
        async with self.database.write() as connection:
            now = await _now(connection)
            first = {"id": _ID, "epoch": 0, "holder": "", "renewed": 0}
            await connection.execute(insert_into(connection, WRITER).values(first).on_conflict_do_nothing())
            row = (await connection.execute(select(WRITER).where(WRITER.c.id == _ID).with_for_update())).one()
            if row.holder != self._holder and now - row.renewed < self._expires:
                return None
            epoch = int(row.epoch) + 1
            await connection.execute(
                update(WRITER).where(WRITER.c.id == _ID).values(epoch=epoch, holder=self._holder, renewed=now)
            )
            return epoch

    async def renew(self, epoch: int) -> None:
        """Say that this writer lives. Raises Superseded."""
        async with self.database.write() as connection:
            await _renewed(connection, epoch)

    async def release(self, epoch: int) -> None:
        """Let a successor begin at once."""
        async with self.database.write() as connection:
            mine = (WRITER.c.id == _ID) & (WRITER.c.epoch == epoch)
            await connection.execute(update(WRITER).where(mine).values(renewed=0))

    async def put(self, epoch: int, rows: Sequence[JobRow]) -> int:
        """Write these finished jobs; what is there already is written again and counted no second time.

        Returns how many are new. Raises Superseded, or DatabaseUnavailable: then none was written.
        """
        jobs = {row.uid: (row, row.unpack()) for row in rows}
        async with self.database.write() as connection:
            now = await _renewed(connection, epoch)
            values = [_columns(row, now) for row, _ in jobs.values()]
            write = _writes(connection.dialect.name)
            new = [uid for (uid,) in (await connection.execute(write.job, values)).all()]
            await connection.execute(write.document, [{"uid": row.uid, "doc": row.packed} for row, _ in jobs.values()])
            if labels := [_label(row, key, value) for row, _ in jobs.values() for key, value in row.labels]:
                await connection.execute(write.label, labels)
            for namespace in sorted({jobs[uid][0].namespace for uid in new}):
                mine = [jobs[uid] for uid in new if jobs[uid][0].namespace == namespace]
                await add_sums(connection, namespace, sums_of(mine))
            return len(new)

    async def expire(self, epoch: int, before: int, most: int) -> int:
        """Delete the oldest jobs that ended before that moment, and their sums. Returns how many, at most ``most``."""
        async with self.database.write() as connection:
            await _renewed(connection, epoch)
            old = select(JOBS.c.uid).where(JOBS.c.finished < before).order_by(JOBS.c.finished).limit(most)
            uids = [uid for (uid,) in (await connection.execute(old)).all()]
            for table in (LABELS, DOCUMENTS, JOBS) if uids else ():
                await connection.execute(delete(table).where(table.c.uid.in_(uids)))
            if len(uids) < most:
                for sums in (ROLLUPS, DEPTHS):
                    await connection.execute(delete(sums).where(sums.c.hour < before))
            return len(uids)

    async def add_depths(self, epoch: int, hour: int, found: Mapping[str, Mapping[str, Depth]]) -> None:
        """Add a sample of each namespace to the hour, by queue. Raises Superseded, or DatabaseUnavailable."""
        key = ("namespace", "hour", "queue")
        values = [
            {"namespace": namespace, "hour": hour, "queue": queue, **depth.columns()}
            for namespace, depths in sorted(found.items())
            for queue, depth in sorted(depths.items())
        ]
        async with self.database.write() as connection:
            await _renewed(connection, epoch)
            statement = insert_into(connection, DEPTHS)
            merged = {}
            for column in DEPTHS.c:
                new = statement.excluded[column.name]
                if column.name in ("samples", "waiting", "running"):
                    merged[column.name] = column + new
                elif column.name not in key:
                    merged[column.name] = case((column > new, column), else_=new)
            await connection.execute(statement.on_conflict_do_update(index_elements=key, set_=merged), values)


async def add_sums(connection: AsyncConnection, namespace: str, sums: Mapping[Key, Sum]) -> None:
    """Add to the sums that are there."""
    # In one order, whoever writes: two that lock rows in different orders would wait for each other.
    values = [{"namespace": namespace, **key._asdict(), **sums[key].columns()} for key in sorted(sums)]
    await connection.execute(_writes(connection.dialect.name).sums, values)


def unpacked(doc: bytes) -> Object:
    """The job of a document, marked as one that is in the archive."""
    job: Object = orjson.loads(zlib.decompress(doc))
    return {**job, "archived": True}


def _columns(row: JobRow, now: int) -> Object:
    return {
        "uid": row.uid,
        "kind": KIND,
        "namespace": row.namespace,
        "name": row.name,
        "state": row.state,
        "pipeline": row.pipeline,
        "queue": row.queue,
        "user": row.user,
        "batch": row.batch,
        "priority": row.priority,
        "created": row.created,
        "started": row.started,
        "finished": row.finished or row.created,
        "archived": now,
    }


def _label(row: JobRow, key: str, value: str) -> Object:
    return {"namespace": row.namespace, "key": key, "value": value, "created": row.created, "uid": row.uid}


async def _renewed(connection: AsyncConnection, epoch: int) -> int:
    renewed = await connection.execute(_writes(connection.dialect.name).renewal, {"mine": epoch})
    now: int | None = renewed.scalar_one_or_none()
    if now is None:
        raise Superseded
    return now


async def _now(connection: AsyncConnection) -> int:
    """The time by the database's clock: those of two replicas may differ."""
    return int((await connection.execute(select(_clock(connection.dialect.name)))).scalar_one())


def _clock(dialect: str) -> ColumnElement[int]:
    """Milliseconds since 1970."""
    if dialect == "postgresql":
        return literal_column("(extract(epoch FROM clock_timestamp()) * 1000)::bigint", BigInteger)
    return literal_column("CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)", BigInteger)


@dataclass(frozen=True, slots=True)
class _Writes:
    """The statements for each job that ends: to make them anew took longer than the database."""

    renewal: Any
    job: Any
    document: Any
    label: Any
    sums: Any


@cache
def _writes(dialect: str) -> _Writes:
    documents, sums = insert_for(dialect, DOCUMENTS), insert_for(dialect, ROLLUPS)
    mine = (WRITER.c.id == _ID) & (WRITER.c.epoch == bindparam("mine"))
    total = {name: ROLLUPS.c[name] + sums.excluded[name] for name in ADDED}
    key = [each.name for each in ROLLUPS.primary_key]
    return _Writes(
        renewal=update(WRITER).where(mine).values(renewed=_clock(dialect)).returning(WRITER.c.renewed),
        job=insert_for(dialect, JOBS).on_conflict_do_nothing(index_elements=["uid"]).returning(JOBS.c.uid),
        document=documents.on_conflict_do_update(index_elements=["uid"], set_={"doc": documents.excluded.doc}),
        label=insert_for(dialect, LABELS).on_conflict_do_nothing(),
        sums=sums.on_conflict_do_update(index_elements=key, set_=total),
    )
