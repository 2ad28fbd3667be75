"""Uploads, as far as limits count them."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Index, String, Table

from audiojob_api.sql.tables.base import METADATA

# One row for each upload that was announced. What is stored of a user is the sum of these rows alone.
UPLOADS: Final = Table(
    "upload",
    METADATA,
    Column("namespace", String(63), primary_key=True),
    Column("id", String(40), primary_key=True),
    Column("user", String(320), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("seen", BigInteger, nullable=False),  # when it was announced, or last found in the store
    Index("ix_upload_user", "user"),
    Index("ix_upload_seen", "seen"),
)
