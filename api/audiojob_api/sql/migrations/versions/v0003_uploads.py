"""Bytes of uploads, by user and namespace."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "upload",
        sa.Column("namespace", sa.String(63), nullable=False),
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("user", sa.String(320), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("seen", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("namespace", "id", name="pk_upload"),
    )
    op.create_index("ix_upload_user", "upload", ["user"])
    op.create_index("ix_upload_seen", "upload", ["seen"])
