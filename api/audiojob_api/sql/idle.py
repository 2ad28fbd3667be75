"""Connections of a pool are tried before their use where nobody has used them for a while.

SQLAlchemy's own ``pool_pre_ping`` does so each time: three ways to PostgreSQL and back, half as many as a reservation
takes by itself. One that its server has ended is known without asking; what breaks within the moment is found by the
call itself, which says that the database is away.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import Engine, event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry

_TRUSTED_SECONDS: Final = 2.0
_USED: Final = "used"


def ping_idle(engine: Engine, clock: Callable[[], float] = time.monotonic) -> None:
    """Look after the connections of this engine's pool."""

    def used(_: Any, entry: ConnectionPoolEntry) -> None:
        entry.info[_USED] = clock()

    def tried(connection: Any, entry: ConnectionPoolEntry, _: Any) -> None:
        if _is_closed(entry):
            raise DisconnectionError
        if clock() - entry.info[_USED] < _TRUSTED_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise DisconnectionError from error  # the pool makes another

    event.listen(engine, "connect", used)
    event.listen(engine, "checkin", used)
    event.listen(engine, "checkout", tried)


def _is_closed(entry: ConnectionPoolEntry) -> bool:
    """Whether the driver has seen the end of the connection: so it is where the database has just crashed."""
    closed = getattr(entry.driver_connection, "is_closed", None)
    return closed is not None and bool(closed())
