"""Run by Alembic: within the connection that `sql.schema.upgrade` hands over."""

from __future__ import annotations

from alembic import context

from audiojob_api.sql.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,  # SQLite changes a column by copying the table
    transaction_per_migration=False,
)
context.run_migrations()
