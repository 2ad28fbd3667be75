"""Indexes in the order of lists have all that searches ask of a row."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_COVERED = ("name", "state", "pipeline", "queue", "user", "batch", "priority", "finished", "created")
_ORDERS = {"created": ("created",), "finished": ("finished",), "priority": ("priority", "created")}


def upgrade() -> None:
    for name, order in _ORDERS.items():
        parts: list[str | sa.TextClause] = ["namespace", *(sa.text(f"{each} DESC") for each in (*order, "uid"))]
        parts += [each for each in _COVERED if each not in order]
        op.create_index(f"ix_job_by_{name}", "job", parts)
    for name in _ORDERS:  # last: from here to the end PostgreSQL lets nobody read
        op.drop_index(f"ix_job_{name}", "job")
