"""Live and archived jobs as one list: each once, in one order. A live job stands for its archived self."""

from __future__ import annotations

import logging
from typing import Any, Protocol

from audiojob_api.archive.reader import ArchiveReader
from audiojob_api.archive.store import unpacked
from audiojob_api.jobs.listing.paging import Count, Found, LiveIndex, Page, joined, unpacking
from audiojob_api.jobs.listing.query import Filter, Query, Where
from audiojob_api.jobs.listing.rows import JobRow
from audiojob_api.jobs.listing.steps import in_turns
from audiojob_api.problems import unavailable
from audiojob_api.sql.errors import DatabaseUnavailable

_log = logging.getLogger(__name__)

Object = dict[str, Any]


class Live(Protocol):
    """The live jobs of a namespace."""

    @property
    def index(self) -> LiveIndex:
        """All of them."""

    async def find(self, name: str) -> Object | None:
        """The job. Raises a 503 Problem while that is not known yet."""

    def require_synced(self) -> None:
        """Raises a 503 Problem before the first list is complete."""


class JoinedReader:
    """The `JobReader` of a namespace with an archive."""

    def __init__(self, live: Live, archive: ArchiveReader) -> None:
        self._live = live
        self._archive = archive

    async def find(self, name: str) -> Object | None:
        """The live job of that name, else the newest archived one. Raises a 503 Problem where nobody can tell."""
        job = await self._live.find(name)
        if job is not None:
            return job
        try:
            return await self._archive.find(name)
        except DatabaseUnavailable as error:
            _log.warning("archive: %s", error)
            raise unavailable("No live job has this name, and the archive cannot be asked at the moment.") from None

    async def page(self, query: Query) -> Page:
        """One page. Without the archive the live jobs alone, and said so; where only it is asked, a 503 Problem."""
        self._live.require_synced()
        live: Found[JobRow] = Found([])
        archived: Found[Any] = Found([])
        if query.where is not Where.ARCHIVED:
            live = await in_turns(self._live.index.finding(query))
        missing = False
        if query.where is not Where.LIVE and query.wanted.may_have_ended:
            try:
                archived = await self._archive.rows(query)
            except DatabaseUnavailable as error:
                if query.where is Where.ARCHIVED:
                    raise
                _log.warning("archive: %s", error)
                missing = True
        rows, cursor = joined(query, live, archived)
        documents = await self._archive.documents([row.uid for row in rows if not isinstance(row, JobRow)])

        def unpack(row: Any) -> Object | None:
            if isinstance(row, JobRow):
                return row.unpack()
            # One that retention took meanwhile is not there any more.
            return unpacked(document) if (document := documents.get(row.uid)) is not None else None

        return Page(await in_turns(unpacking(rows, unpack)), cursor, history_missing=missing)

    async def count(self, wanted: Filter, where: Where) -> Count:
        """How many match. Raises DatabaseUnavailable where the archive is asked and does not answer."""
        self._live.require_synced()
        total = Count(0)
        if where is not Where.ARCHIVED:
            # One that is in both is counted where it is archived, once its mark has come.
            archived_too = where is Where.ALL
            counting = self._live.index.counting(wanted, lambda row: not (archived_too and row.archived))
            total += await in_turns(counting)
        if where is not Where.LIVE and wanted.may_have_ended:
            total += await self._archive.count(wanted)
        return total
