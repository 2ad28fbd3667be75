"""Finished work: thin rows that lists read, documents apart, sums and depths of queues by the hour, the writer."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Double, Index, Integer, LargeBinary, String, Table, text

from audiojob_api.sql.tables.base import METADATA

BUCKETS: Final = 24
"""Of a rollup: bucket n counts times up to 0.5 s × 1.7ⁿ that are in none before, the last all others (above 16 h)."""

MEDIA: Final = ("minutes", "squares", "seconds", "products")
"""Of a rollup: minutes of media, minutes by minutes, seconds of work, minutes by seconds, each added up."""

# Thin, so that a scan of thousands of rows stays in the cache; its documents would be fifty times as much.
JOBS: Final = Table(
    "job",
    METADATA,
    Column("uid", String(64), primary_key=True),
    Column("kind", String(63), nullable=False),
    Column("namespace", String(63), nullable=False),
    Column("name", String(253), nullable=False),
    Column("state", String(32), nullable=False),
    Column("pipeline", String(253), nullable=False),
    Column("queue", String(253), nullable=False),
    Column("user", String(253)),
    Column("batch", String(253)),
    Column("priority", Integer, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("started", BigInteger),
    Column("finished", BigInteger, nullable=False),
    Column("archived", BigInteger, nullable=False),
)

_JOB = JOBS.c


def _newest_first(name: str, *columns: str, partial: str | None = None) -> Index:
    where = None if partial is None else text(partial)
    order = [_JOB.created.desc(), _JOB.uid.desc()]
    parts = [_JOB.namespace, *(_JOB[column] for column in columns), *order]
    return Index(f"ix_job_{name}", *parts, sqlite_where=where, postgresql_where=where)


COVERED: Final = ("name", "state", "pipeline", "queue", "user", "batch", "priority", "finished", "created")
"""What searches ask of each row: indexes in the order of a list have all of it, so that no row is looked up."""


def _searched(name: str, *order: str) -> Index:
    covered = (_JOB[column] for column in COVERED if column not in order)
    return Index(f"ix_job_{name}", _JOB.namespace, *(_JOB[column].desc() for column in (*order, "uid")), *covered)


INDEXES: Final = (
    _newest_first("state", "state"),
    _newest_first("pipeline", "pipeline"),
    _newest_first("queue", "queue"),
    _newest_first("user", "user", partial='"user" IS NOT NULL'),
    _newest_first("batch", "batch", partial="batch IS NOT NULL"),
    _searched("by_created", "created"),
    _searched("by_finished", "finished"),
    _searched("by_priority", "priority", "created"),
    Index("ix_job_name", _JOB.namespace, _JOB.name, _JOB.created.desc()),
    Index("ix_job_retention", _JOB.finished),
)

DOCUMENTS: Final = Table(
    "document",
    METADATA,
    Column("uid", String(64), primary_key=True),
    Column("doc", LargeBinary, nullable=False),  # JSON as the read model keeps it, through zlib
)

# Of declared label keys only.
LABELS: Final = Table(
    "job_label",
    METADATA,
    Column("namespace", String(63), primary_key=True),
    Column("key", String(317), primary_key=True),
    Column("value", String(63), primary_key=True),
    Column("created", BigInteger, primary_key=True),
    Column("uid", String(64), primary_key=True),
    Index("ix_job_label_uid", "uid"),
)

# Phase "" is the whole job, with state "Created" by the hour of creation, else by the hour of its end.
ROLLUPS: Final = Table(
    "rollup",
    METADATA,
    Column("namespace", String(63), primary_key=True),
    Column("hour", BigInteger, primary_key=True),
    Column("pipeline", String(253), primary_key=True),
    Column("phase", String(63), primary_key=True),
    Column("device", String(16), primary_key=True),
    Column("state", String(32), primary_key=True),
    Column("reason", String(64), primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("sum_ms", BigInteger, nullable=False),
    Column("waited_ms", BigInteger, nullable=False),
    *(Column(f"b{number:02d}", BigInteger, nullable=False) for number in range(BUCKETS)),
    # Of runs that worked on media of known length: what a line of time over length is drawn from.
    Column("media_count", BigInteger, nullable=False, server_default=text("0")),
    *(Column(f"media_{name}", Double, nullable=False, server_default=text("0")) for name in MEDIA),
)

# Of a look each minute: queue "" is all of them together, and others have a row where a job waited or ran.
DEPTHS: Final = Table(
    "depth",
    METADATA,
    Column("namespace", String(63), primary_key=True),
    Column("hour", BigInteger, primary_key=True),
    Column("queue", String(253), primary_key=True),
    Column("samples", BigInteger, nullable=False),
    Column("waiting", BigInteger, nullable=False),
    Column("most_waiting", BigInteger, nullable=False),
    Column("running", BigInteger, nullable=False),
    Column("most_running", BigInteger, nullable=False),
    Column("longest_ms", BigInteger, nullable=False),
)

WRITER: Final = Table(
    "writer",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, nullable=False),
    Column("holder", String(253), nullable=False),
    Column("renewed", BigInteger, nullable=False),
)
