"""Sums of work over the length of media, for estimates; those of older jobs are empty until they are rebuilt."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    zero = sa.text("0")
    op.add_column("rollup", sa.Column("media_count", sa.BigInteger(), nullable=False, server_default=zero))
    for name in ("minutes", "squares", "seconds", "products"):
        op.add_column("rollup", sa.Column(f"media_{name}", sa.Double(), nullable=False, server_default=zero))
