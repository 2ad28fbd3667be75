"""Lists of archived jobs: keyset pages by index, scans and counts with a bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from audiojob_api.archive.scan import LOOKED_UP, Few, scan_of
from audiojob_api.archive.store import unpacked
from audiojob_api.jobs.listing.paging import MOST_COUNTED, Count, Found
from audiojob_api.jobs.listing.query import Filter, Query
from audiojob_api.sql.database import Database
from audiojob_api.sql.tables.archive import DOCUMENTS, JOBS

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ArchivedRow:
    """As much of an archived job as an order looks at."""

    uid: str
    priority: int
    created: int
    finished: int


class ArchiveReader:
    """The archived jobs of one namespace. Every call raises DatabaseUnavailable."""

    def __init__(self, database: Database, namespace: str) -> None:
        self._database = database
        self._namespace = namespace

    async def find(self, name: str) -> Object | None:
        """The newest archived job of that name."""
        mine = select(JOBS.c.uid).where(JOBS.c.namespace == self._namespace, JOBS.c.name == name)
        newest = mine.order_by(JOBS.c.created.desc()).limit(1).scalar_subquery()
        async with self._database.read() as connection:
            doc = (await connection.execute(select(DOCUMENTS.c.doc).where(DOCUMENTS.c.uid == newest))).scalar()
        return unpacked(doc) if doc is not None else None

    async def rows(self, query: Query) -> Found[ArchivedRow]:
        """The rows of one page and one more, or as many as a bounded scan finds."""
        scan, most = scan_of(query, self._namespace), query.limit + 1
        async with self._database.read() as connection:
            if scan.tests and (few := scan.few) is not None and await _are_few(connection, few):
                return Found(await _rows(connection, few.narrowed().limit(most)))
            found = await _rows(connection, scan.page(most))
            if not scan.tests or len(found) == most:
                return Found(found)
            last = (await connection.execute(scan.place(scan.most - 1))).one_or_none()
        return Found(found, tuple(last) if last is not None else None)

    async def documents(self, uids: Sequence[str]) -> Mapping[str, bytes]:
        """The jobs of these rows by uid, as they are stored."""
        if not uids:
            return {}
        async with self._database.read() as connection:
            found = await connection.execute(select(DOCUMENTS).where(DOCUMENTS.c.uid.in_(uids)))
            return {uid: doc for uid, doc in found.all()}  # noqa: C416 - rows are no pairs to mypy

    async def count(self, wanted: Filter) -> Count:
        """How many match, counted to a bound; of a scan that was given up, those that it has found."""
        scan = scan_of(Query(wanted), self._namespace)
        async with self._database.read() as connection:
            if not scan.tests:
                number = (await connection.execute(scan.counted(MOST_COUNTED + 1))).scalar_one()
                return Count(min(number, MOST_COUNTED), number > MOST_COUNTED)
            passed = scan.page(scan.most).order_by(None).subquery()
            number = (await connection.execute(select(func.count()).select_from(passed))).scalar_one()
            more = (await connection.execute(scan.place(scan.most))).one_or_none()
        return Count(number, more is not None)


async def _are_few(connection: AsyncConnection, few: Few) -> bool:
    return bool((await connection.execute(few.counted())).scalar_one() <= LOOKED_UP)


async def _rows(connection: AsyncConnection, statement: Select[Any]) -> list[ArchivedRow]:
    return [_row(each) for each in (await connection.execute(statement)).all()]


def _row(found: Row[Any]) -> ArchivedRow:
    return ArchivedRow(found.uid, found.priority, found.created, found.finished)
