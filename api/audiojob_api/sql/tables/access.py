"""Accounts and limits: API keys, and what users have reserved of their limits."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Double, Index, LargeBinary, String, Table, Text

from audiojob_api.sql.tables.base import METADATA

# Times are milliseconds since 1970, UTC.
KEYS: Final = Table(
    "api_key",
    METADATA,
    Column("id", String(16), primary_key=True),
    Column("sha256", LargeBinary(32), nullable=False),  # of the secret: 32 random bytes need no salt and no slow hash
    Column("name", String(100), nullable=False),
    Column("owner", String(320), nullable=False),
    Column("account", Text, nullable=False),  # JSON: from what the owner's rights are found anew at each use
    Column("scopes", String(200), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("used", BigInteger),
    Column("revoked", BigInteger),
    Index("ix_api_key_owner", "owner"),
)

# One row for each job that was asked for. What is used of a limit is counted from these rows alone.
RESERVATIONS: Final = Table(
    "reservation",
    METADATA,
    Column("namespace", String(63), primary_key=True),
    Column("name", String(253), primary_key=True),
    Column("created", BigInteger, primary_key=True),  # a name may be used again once its job is deleted
    Column("user", String(320), nullable=False),
    Column("address", String(64), nullable=False),
    Column("ended", BigInteger),
    Column("minutes", Double),  # of audio that the job works on, as measured; NULL while that is not known
    Column("token", String(32), nullable=False, server_default=""),  # of the request that reserved: it alone releases
    Index("ix_reservation_user", "user", "created"),
    Index("ix_reservation_address", "address", "created"),
    Index("ix_reservation_ended", "ended"),
)

# Whoever reserves for a user or an address first writes its row here: so all replicas do it one after the other.
TURNS: Final = Table(
    "reservation_turn",
    METADATA,
    Column("whose", String(330), primary_key=True),
    Column("at", BigInteger, nullable=False),
)
