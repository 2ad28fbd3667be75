"""The archive: finished work, its documents and labels, sums by the hour, the writer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_BUCKETS = 24


def upgrade() -> None:
    op.create_table(
        "job",
        sa.Column("uid", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(63), nullable=False),
        sa.Column("namespace", sa.String(63), nullable=False),
        sa.Column("name", sa.String(253), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("pipeline", sa.String(253), nullable=False),
        sa.Column("queue", sa.String(253), nullable=False),
        sa.Column("user", sa.String(253)),
        sa.Column("batch", sa.String(253)),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("started", sa.BigInteger()),
        sa.Column("finished", sa.BigInteger(), nullable=False),
        sa.Column("archived", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("uid", name="pk_job"),
    )
    _index("created", ["namespace"], ["created", "uid"])
    for column in ("state", "pipeline", "queue"):
        _index(column, ["namespace", column], ["created", "uid"])
    for column, filled in (("user", '"user" IS NOT NULL'), ("batch", "batch IS NOT NULL")):
        _index(column, ["namespace", column], ["created", "uid"], filled)
    _index("name", ["namespace", "name"], ["created"])
    _index("finished", ["namespace"], ["finished", "uid"])
    _index("priority", ["namespace"], ["priority", "created", "uid"])
    _index("retention", ["finished"], [])
    op.create_table(
        "document",
        sa.Column("uid", sa.String(64), nullable=False),
        sa.Column("doc", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("uid", name="pk_document"),
    )
    op.create_table(
        "job_label",
        sa.Column("namespace", sa.String(63), nullable=False),
        sa.Column("key", sa.String(317), nullable=False),
        sa.Column("value", sa.String(63), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("uid", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("namespace", "key", "value", "created", "uid", name="pk_job_label"),
    )
    op.create_index("ix_job_label_uid", "job_label", ["uid"])
    _create_sums()


def _index(name: str, columns: list[str], descending: list[str], filled: str | None = None) -> None:
    where = None if filled is None else sa.text(filled)
    parts: list[str | sa.TextClause] = [*columns, *(sa.text(f"{each} DESC") for each in descending)]
    op.create_index(f"ix_job_{name}", "job", parts, sqlite_where=where, postgresql_where=where)


def _create_sums() -> None:
    op.create_table(
        "rollup",
        sa.Column("namespace", sa.String(63), nullable=False),
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("pipeline", sa.String(253), nullable=False),
        sa.Column("phase", sa.String(63), nullable=False),
        sa.Column("device", sa.String(16), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("sum_ms", sa.BigInteger(), nullable=False),
        sa.Column("waited_ms", sa.BigInteger(), nullable=False),
        *(sa.Column(f"b{number:02d}", sa.BigInteger(), nullable=False) for number in range(_BUCKETS)),
        sa.PrimaryKeyConstraint(
            "namespace", "hour", "pipeline", "phase", "device", "state", "reason", name="pk_rollup"
        ),
    )
    op.create_table(
        "writer",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.String(253), nullable=False),
        sa.Column("renewed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_writer"),
    )
