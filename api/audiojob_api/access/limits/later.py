"""Writes that may fail: a later comparison with what there is makes up for them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable

from audiojob_api.sql.errors import DatabaseUnavailable

_log = logging.getLogger(__name__)


async def or_log(write: Awaitable[None], otherwise: str) -> None:
    """Wait for it; where the database is away, the log says what is not right until the next comparison."""
    try:
        await write
    except DatabaseUnavailable as error:
        _log.warning("%s: %s", otherwise, error)
