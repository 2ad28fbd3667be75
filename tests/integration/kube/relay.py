"""A TCP relay in front of a server, whose link a test can cut and mend."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Relay:
    """Forwards connections of a loopback port to `target_port` while it is not cut."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._writers: set[asyncio.StreamWriter] = set()
        self._cut = asyncio.Event()
        self.port = 0

    def cut(self) -> None:
        """Drops all connections, and new ones at once."""
        self._cut.set()
        for writer in self._writers:
            writer.transport.abort()

    def mend(self) -> None:
        self._cut.clear()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if not self._cut.is_set():
                with suppress(OSError):
                    out_reader, out_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
                    self._writers.add(out_writer)
                    if self._cut.is_set():  # while it was opened
                        out_writer.transport.abort()
                    async with asyncio.TaskGroup() as group:
                        group.create_task(self._pump(reader, out_writer))
                        group.create_task(self._pump(out_reader, writer))
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):
                while chunk := await reader.read(65536):
                    writer.write(chunk)
                    await writer.drain()
        finally:
            self._writers.discard(writer)
            writer.transport.abort()


@asynccontextmanager
async def relay_to(port: int) -> AsyncIterator[Relay]:
    relay = Relay(port)
    server = await asyncio.start_server(relay.handle, "127.0.0.1", 0)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        relay.cut()
        server.close()
        await server.wait_closed()
