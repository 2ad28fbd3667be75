"""Files of a bucket, block by block: the next one is on its way while one is sent."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import web

from audiojob_files.bucket import Bucket
from audiojob_files.refusals import Refusal, gone
from audiojob_files.serving.contents import Source
from audiojob_files.serving.sending import Answer
from audiojob_store.layout import LOG_FOLDER

if TYPE_CHECKING:
    from obstore import ObjectMeta

BLOCK_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ObjectSource:
    """An object as it was found; one that is written anew meanwhile is not read on."""

    bucket: Bucket
    found: ObjectMeta

    @property
    def size(self) -> int:
        """Its bytes."""
        return self.found["size"]

    async def send(self, request: web.Request, answer: Answer, offset: int, length: int) -> None:
        """As `Source` has it."""
        try:
            async with aclosing(self._blocks(offset, offset + length)) as blocks:
                async for block in blocks:
                    if request.transport is None or request.transport.is_closing():
                        raise ConnectionResetError("The client has gone")
                    await answer.write(block)
        except Refusal as refusal:  # the head was sent: the connection is all that can end
            raise ConnectionAbortedError(refusal.detail) from refusal

    async def crc32(self) -> int:
        """As `Source` has it."""
        crc32 = 0
        async with aclosing(self._blocks(0, self.size)) as blocks:
            async for block in blocks:
                crc32 = zlib.crc32(block, crc32)
        return crc32

    async def read(self, most: int) -> bytes:
        """As `Source` has it."""
        return await self.bucket.block_soon(self.found, 0, min(most, self.size)) if self.size else b""

    async def _blocks(self, start: int, end: int) -> AsyncGenerator[bytes, None]:
        coming: asyncio.Task[bytes] | None = None
        try:
            while start < end or coming is not None:
                ready, coming = coming, None
                if start < end:
                    stop = min(start + BLOCK_BYTES, end)
                    coming = asyncio.create_task(self._block(start, stop))
                    start = stop
                if ready is not None:
                    yield await ready
        finally:
            if coming is not None:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)

    async def _block(self, start: int, end: int) -> bytes:
        block = await self.bucket.block_soon(self.found, start, end)
        if len(block) != end - start:
            raise gone("such file")
        return block


@dataclass(frozen=True, slots=True)
class ObjectContents:
    """The files of a bucket."""

    bucket: Bucket

    @asynccontextmanager
    async def opened(self, key: str, size: int | None) -> AsyncIterator[Source]:
        """As `Contents` has it."""
        found = await self.bucket.head_soon(key)
        if found is None:
            raise Refusal(404, "no-such-file", "There is no such file in the store.")
        if size is not None and found["size"] != size:
            raise Refusal(404, "changed-file", "The file in the store has another size than when it was published.")
        yield ObjectSource(self.bucket, found)

    async def attempts(self, above: str, start: str) -> list[tuple[float, str]]:
        """As `Contents` has it."""
        folders, _ = await self.bucket.folder_soon(above)
        found = []
        for folder in (f"{each}/{LOG_FOLDER}" for each in folders if each.rpartition("/")[2].startswith(start)):
            _, objects = await self.bucket.folder_soon(folder)
            if objects:
                found.append((max(each["last_modified"].timestamp() for each in objects), folder))
        return found

    async def pieces(self, folder: str) -> list[str]:
        """As `Contents` has it."""
        _, objects = await self.bucket.folder_soon(folder)
        return [each["path"].rpartition("/")[2] for each in objects]
