"""Lists of archived jobs: keyset pages by index, scans and counts with a bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.engine import Row

from audiojob_api.archive.scan import scan_of
from audiojob_api.archive.store import unpacked
from audiojob_api.jobs.listing.paging import MOST_COUNTED, Count, Found
from audiojob_api.jobs.listing.query import Filter, Query
from audiojob_api.sql.database import Database
from audiojob_api.sql.tables.archive import DOCUMENTS, JOBS

Object = dict[str, Any]

SCANNED: Final = 5_000
"""Rows that one search looks at where no index leads it: some tens of milliseconds."""


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
            if not scan.tests:
                return Found([_row(each) for each in (await connection.execute(scan.rows.limit(most))).all()])
            narrowed = scan.narrowed(query.order, SCANNED).limit(most)
            found = [_row(each) for each in (await connection.execute(narrowed)).all()]
            last = None
            if len(found) < most:
                last = (await connection.execute(scan.rows.offset(SCANNED - 1).limit(1))).one_or_none()
        return Found(found, query.order.place(_row(last)) if last is not None else None)

    async def documents(self, uids: Sequence[str]) -> Mapping[str, Object]:
        """The jobs of these rows, by uid."""
        if not uids:
            return {}
        async with self._database.read() as connection:
            found = await connection.execute(select(DOCUMENTS).where(DOCUMENTS.c.uid.in_(uids)))
            return {uid: unpacked(doc) for uid, doc in found.all()}

    async def count(self, wanted: Filter) -> Count:
        """How many match, counted to a bound; of a scan that was given up, those that it has found."""
        query = Query(wanted)
        scan = scan_of(query, self._namespace)
        async with self._database.read() as connection:
            if not scan.tests:
                capped = scan.rows.limit(MOST_COUNTED + 1).subquery()
                number = (await connection.execute(select(func.count()).select_from(capped))).scalar_one()
                return Count(min(number, MOST_COUNTED), number > MOST_COUNTED)
            capped = scan.narrowed(query.order, SCANNED).order_by(None).limit(MOST_COUNTED + 1).subquery()
            number = (await connection.execute(select(func.count()).select_from(capped))).scalar_one()
            more = (await connection.execute(scan.rows.offset(SCANNED).limit(1))).one_or_none()
        return Count(min(number, MOST_COUNTED), number > MOST_COUNTED or more is not None)


def _row(found: Row[Any]) -> ArchivedRow:
    return ArchivedRow(found.uid, found.priority, found.created, found.finished)
