"""Statistics of a span of time, from the sums of its hours: no job is read for them."""

from __future__ import annotations

import time
from typing import Any, Final

from sqlalchemy import ColumnElement, func, literal_column, select

from audiojob_api.archive.writer import ArchiveWriter
from audiojob_api.jobs.statistics.depth import ALL_QUEUES, MOST_DEPTHS, Depths, over_time
from audiojob_api.jobs.statistics.groups import MOST_GROUPS, By, Group, fold
from audiojob_api.jobs.statistics.sums import ADDED, HOUR, WHOLE
from audiojob_api.jobs.statistics.work import Works, works_of_rows
from audiojob_api.sql.tables.archive import DEPTHS, ROLLUPS
from audiojob_types.resources.job import PhaseState

_MOST_ROWS: Final = 50_000
_LATELY: Final = 30 * 24 * HOUR
# As text of the statement: PostgreSQL takes two parameters for different ones, also where they are equal.
_DAY: Final[ColumnElement[int]] = literal_column(str(24 * HOUR))
_WHOLE: Final[ColumnElement[str]] = literal_column("''")
_ALL: Final[ColumnElement[str]] = literal_column("lower('all')")  # GROUP BY takes no bare constant


class Statistics:
    """The statistics of one namespace. Raises DatabaseUnavailable."""

    def __init__(self, writer: ArchiveWriter, namespace: str) -> None:
        self._writer = writer
        self._namespace = namespace

    @property
    def unarchived(self) -> int:
        """Of all namespaces."""
        return self._writer.pending

    async def groups(self, begin: int, end: int, by: By) -> list[tuple[str, Group]]:
        """The groups of the whole hours from ``begin`` to ``end``, by name; at most ``MOST_GROUPS``."""
        group = _name_of(by).label("name")
        parts = (ROLLUPS.c.phase == _WHOLE).label("whole")
        keys = [group, parts, ROLLUPS.c.state, ROLLUPS.c.device, ROLLUPS.c.reason]
        added = [func.sum(ROLLUPS.c[name]).label(name) for name in ADDED]
        span = (ROLLUPS.c.hour >= begin - begin % HOUR, ROLLUPS.c.hour < end, ROLLUPS.c.namespace == self._namespace)
        statement = select(*keys, *added).where(*span).group_by(*keys).order_by(group).limit(_MOST_ROWS)
        async with self._writer.database.read() as connection:
            rows = (await connection.execute(statement)).all()
        return list(fold(rows, by).items())[:MOST_GROUPS]

    async def depths(self, begin: int, end: int, by: By, queue: str | None = None) -> Depths:
        """How deep the queues were in these hours, in all and each; by name. The newest ``MOST_DEPTHS``."""
        hour, read = DEPTHS.c.hour, DEPTHS.c
        group = (_hours(by, hour) if by in (By.HOUR, By.DAY) else _ALL).label("name")
        where = [hour >= begin - begin % HOUR, hour < end, read.namespace == self._namespace]
        if queue is not None:
            where.append(read.queue.in_((ALL_QUEUES, queue)))
        summed = [func.sum(read[name]).label(name) for name in ("samples", "waiting", "running")]
        greatest = [func.max(read[name]).label(name) for name in ("most_waiting", "most_running", "longest_ms")]
        statement = select(group, read.queue, *summed, *greatest).where(*where).group_by(group, read.queue)
        newest = statement.order_by(group.desc(), read.queue).limit(MOST_DEPTHS + 1)
        async with self._writer.database.read() as connection:
            rows = (await connection.execute(newest)).all()
        in_order = sorted(rows[:MOST_DEPTHS], key=lambda row: (row.name, row.queue))
        wanted = [each for each in over_time(in_order) if queue is None or each.queue == queue]
        return Depths(wanted, truncated=len(rows) > MOST_DEPTHS)

    async def works(self, pipeline: str) -> Works:
        """How long the phases of a pipeline took in the last weeks."""
        key = [ROLLUPS.c.phase, ROLLUPS.c.device]
        added = [func.sum(ROLLUPS.c[name]).label(name) for name in ADDED if not name.startswith("b")]
        where = (
            ROLLUPS.c.namespace == self._namespace, ROLLUPS.c.pipeline == pipeline, ROLLUPS.c.phase != WHOLE,
            ROLLUPS.c.state == PhaseState.SUCCEEDED, ROLLUPS.c.hour >= round(time.time() * 1_000) - _LATELY,
        )  # fmt: skip
        statement = select(*key, *added).where(*where).group_by(*key).limit(_MOST_ROWS)
        async with self._writer.database.read() as connection:
            return works_of_rows((await connection.execute(statement)).all())


def _name_of(by: By) -> ColumnElement[Any]:
    if by is By.PIPELINE:
        return ROLLUPS.c.pipeline
    if by is By.PHASE:
        return ROLLUPS.c.phase
    return _hours(by, ROLLUPS.c.hour) if by in (By.HOUR, By.DAY) else _ALL


def _hours(by: By, hour: ColumnElement[int]) -> ColumnElement[int]:
    return hour if by is By.HOUR else hour - hour % _DAY
