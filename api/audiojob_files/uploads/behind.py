"""Work in a thread, behind the loop that receives: neither waits for the other while there is something to do."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable


class Behind:
    """Does ``work`` on each piece, one after the other. At most ``most`` bytes wait for it, and one piece.

    A thread begins once a quarter of that waits, and who waits for room goes on once half is free: to wake each other
    for every piece would take as long as the work.
    """

    def __init__(self, work: Callable[[bytes], None], most: int) -> None:
        self._work = work
        self._most = most
        self._lock = threading.Lock()
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._is_at_work = False
        self._task: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Event()

    async def put(self, piece: bytes) -> None:
        """Add a piece; wait for room. Raises what the work on an earlier one raised."""
        with self._lock:
            self._waiting.append(piece)
            self._bytes += len(piece)
            begins = not self._is_at_work and self._bytes >= self._most // 4
            self._is_at_work |= begins
            is_full = self._bytes > self._most
            if is_full:
                self._room.clear()
        if begins:
            await self._begin()
        if is_full:
            await self._room.wait()

    async def end(self) -> None:
        """Wait until all is done. Raises what the work raised."""
        if self._task is not None:
            await self._task
        with self._lock:
            self._is_at_work = bool(self._waiting)
        if self._is_at_work:
            await (await self._begin())

    async def drop(self) -> None:
        """Leave what waits, and wait for the piece at work, which holds what the caller would close."""
        with self._lock:
            self._waiting.clear()
        while self._task is not None and not self._task.done():
            await asyncio.wait([self._task])

    async def _begin(self) -> asyncio.Task[None]:
        """The work in a thread. Raises what the work on an earlier piece raised."""
        if self._task is not None:
            await self._task
        self._task = asyncio.create_task(asyncio.to_thread(self._drain))
        return self._task

    def _drain(self) -> None:
        try:
            while (piece := self._next()) is not None:
                self._work(piece)
                self._is_done(len(piece))
        except BaseException:
            with self._lock:
                self._waiting.clear()
                self._is_at_work = False
            self._loop.call_soon_threadsafe(self._room.set)
            raise

    def _next(self) -> bytes | None:
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._is_at_work = False
            return None

    def _is_done(self, size: int) -> None:
        with self._lock:
            was, self._bytes = self._bytes, self._bytes - size
            has_room = self._bytes <= self._most // 2 < was
        if has_room:
            self._loop.call_soon_threadsafe(self._room.set)
