"""Waiting for a state, in tests that run an event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


async def eventually(check: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Waits until `check` holds, else fails naming `what`."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.005)
