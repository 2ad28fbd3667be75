"""How many jobs waited and ran, by queue and hour."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "depth",
        sa.Column("namespace", sa.String(63), nullable=False),
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("queue", sa.String(253), nullable=False),
        *(
            sa.Column(name, sa.BigInteger(), nullable=False)
            for name in ("samples", "waiting", "most_waiting", "running", "most_running", "longest_ms")
        ),
        sa.PrimaryKeyConstraint("namespace", "hour", "queue", name="pk_depth"),
    )
