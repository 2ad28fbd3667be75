"""One watch through the fault proxy: its events doubled, out of order, frozen, or ended by 410."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from random import Random

import aiohttp
from aiohttp import web
from tests.support.faults.plan import Duplicate, Expire, Freeze, Reorder, StreamFault

_POLL_SECONDS = 0.02
_GONE = {
    "type": "ERROR",
    "object": {
        "apiVersion": "v1",
        "kind": "Status",
        "status": "Failure",
        "code": 410,
        "reason": "Expired",
        "message": "too old resource version: the fault proxy has compacted it",
    },
}


class FaultyStream:
    """Passes the lines of one watch on, each when and as often as the faults say."""

    def __init__(
        self, request: web.Request, upstream: aiohttp.ClientResponse, faults: Sequence[tuple[StreamFault, Random]]
    ) -> None:
        self._request = request
        self._upstream = upstream
        self._faults = faults
        self._response = web.StreamResponse(headers={"Content-Type": upstream.headers["Content-Type"]})
        self._events = 0
        self._held: bytes | None = None
        self._upcoming: asyncio.Future[bytes | None] | None = None

    async def pump(self) -> web.StreamResponse:
        """Serve the watch to its end."""
        reorder = next(((fault, random) for fault, random in self._faults if isinstance(fault, Reorder)), None)
        try:
            with contextlib.suppress(ConnectionError):  # nobody listens any more
                await self._serve(reorder)
        finally:
            if self._upcoming is not None:
                self._upcoming.cancel()
                await asyncio.gather(self._upcoming, return_exceptions=True)
        return self._response

    async def _serve(self, reorder: tuple[Reorder, Random] | None) -> None:
        await self._response.prepare(self._request)
        if await self._stops():
            return
        lines = self._lines()
        while (line := await self._next(lines, reorder)) is not None:
            await self._pass(line, reorder)
            if await self._stops():
                return
        await self._flush()
        await self._response.write_eof()

    async def _next(self, lines: AsyncIterator[bytes], reorder: tuple[Reorder, Random] | None) -> bytes | None:
        """The next line; while one is held back, only for as long as it may be late."""
        self._upcoming = upcoming = asyncio.ensure_future(anext(lines, None))
        if self._held is not None and reorder is not None:
            await asyncio.wait([upcoming], timeout=reorder[0].patience)
            if not upcoming.done():
                await self._flush()
        return await upcoming

    async def _pass(self, line: bytes, reorder: tuple[Reorder, Random] | None) -> None:
        if self._held is None and reorder is not None and reorder[1].random() < reorder[0].probability:
            self._held = line
            return
        await self._write(line)
        await self._flush()

    async def _flush(self) -> None:
        if self._held is not None:
            line, self._held = self._held, None
            await self._write(line)

    async def _write(self, line: bytes) -> None:
        twice = any(isinstance(f, Duplicate) and random.random() < f.probability for f, random in self._faults)
        await self._response.write(line * 2 if twice else line)
        self._events += 1

    async def _stops(self) -> bool:
        """Freeze or end the watch if it is time; True once it has ended."""
        for fault, _ in self._faults:
            if isinstance(fault, Freeze) and self._events >= fault.events:
                while fault.gate is None or not fault.gate.is_set():
                    transport = self._request.transport
                    if transport is None or transport.is_closing():
                        return True
                    await asyncio.sleep(_POLL_SECONDS)
            elif isinstance(fault, Expire) and self._events >= fault.events:
                await self._response.write(json.dumps(_GONE).encode() + b"\n")
                await self._response.write_eof()
                return True
        return False

    async def _lines(self) -> AsyncIterator[bytes]:
        rest = b""
        async for chunk in self._upstream.content.iter_any():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield line + b"\n"
