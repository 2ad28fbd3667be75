"""Files of a folder store, reached as `trees` says: no link is followed."""

from __future__ import annotations

import asyncio
import os
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from aiohttp import web

from audiojob_files.serving.contents import Source
from audiojob_files.serving.sending import Answer, Slice, opened
from audiojob_store import trees
from audiojob_store.layout import LOG_FOLDER

_READ_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class FolderSource:
    """An open file of a folder."""

    file: BinaryIO
    size: int

    async def send(self, request: web.Request, answer: Answer, offset: int, length: int) -> None:
        """By the kernel."""
        await answer.send_file(request, Slice(self.file, offset, length))

    async def crc32(self) -> int:
        """Read in a thread."""
        return await asyncio.to_thread(self._crc32)

    async def read(self, most: int) -> bytes:
        """Read in a thread."""
        return await asyncio.to_thread(self.file.read, most)

    def _crc32(self) -> int:
        crc32 = 0
        while piece := self.file.read(_READ_BYTES):
            crc32 = zlib.crc32(piece, crc32)
        return crc32


@dataclass(frozen=True, slots=True)
class FolderContents:
    """The files below ``root``."""

    root: Path

    @asynccontextmanager
    async def opened(self, key: str, size: int | None) -> AsyncIterator[Source]:
        """As `Contents` has it."""
        with opened(self.root, key, size) as file:
            yield FolderSource(file, os.fstat(file.fileno()).st_size)

    async def attempts(self, above: str, start: str) -> list[tuple[float, str]]:
        """As `Contents` has it."""
        return await asyncio.to_thread(self._attempts, above, start)

    async def pieces(self, folder: str) -> list[str]:
        """As `Contents` has it."""
        return await asyncio.to_thread(self._pieces, folder)

    def _attempts(self, above: str, start: str) -> list[tuple[float, str]]:
        names = [name for name in trees.subfolders(self.root, above) if name.startswith(start)]
        folders = [f"{above}/{name}/{LOG_FOLDER}" for name in names]
        statuses = [(folder, trees.lookup(self.root, folder)) for folder in folders]
        return [(status.st_mtime, folder) for folder, status in statuses if status is not None]

    def _pieces(self, folder: str) -> list[str]:
        with trees.folder(self.root, folder) as descriptor, os.scandir(descriptor) as entries:
            return [entry.name for entry in entries]
