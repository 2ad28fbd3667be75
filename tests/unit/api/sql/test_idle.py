"""Connections that nobody has used for a while are tried before their use."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import QueuePool, create_engine, text

from audiojob_api.sql.idle import ping_idle


@pytest.mark.parametrize(
    ("idle", "answers", "pings", "same"),
    [
        pytest.param(1.0, False, 0, True, id="one that was just used is taken as it is"),
        pytest.param(60.0, True, 1, True, id="one that answers after a minute is kept"),
        pytest.param(60.0, False, 1, False, id="one that does not is replaced"),
    ],
)
def test_a_connection_is_tried(
    idle: float, answers: bool, pings: int, same: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, tried = [0.0], 0
    engine = create_engine(f"sqlite:///{tmp_path}/a.db", poolclass=QueuePool, pool_size=1)

    def ping(_: object) -> bool:
        nonlocal tried
        tried += 1
        if not answers:
            raise sqlite3.OperationalError("the server has gone")
        return True

    monkeypatch.setattr(engine.dialect, "do_ping", ping)
    ping_idle(engine, clock=lambda: now[0])
    with engine.connect() as connection:
        first = connection.connection.dbapi_connection
    now[0] = idle
    with engine.connect() as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1
        assert (connection.connection.dbapi_connection is first) == same
    assert tried == pings
    engine.dispose()
