"""What is served, wherever it is stored: files by key, and the logs of attempts."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from aiohttp import web

from audiojob_files.serving.sending import Answer


class Source(Protocol):
    """A file that is open."""

    @property
    def size(self) -> int:
        """Its bytes."""

    async def send(self, request: web.Request, answer: Answer, offset: int, length: int) -> None:
        """Send a piece of it behind what was sent. Raises ConnectionError once that cannot go on."""

    async def crc32(self) -> int:
        """Of all of it."""

    async def read(self, most: int) -> bytes:
        """Its beginning."""


class Contents(Protocol):
    """All files of a namespace."""

    def opened(self, key: str, size: int | None) -> AbstractAsyncContextManager[Source]:
        """A file. Raises a 404 :class:`Refusal` where there is none, or one of another size."""

    async def attempts(self, above: str, start: str) -> list[tuple[float, str]]:
        """Log folders of attempts in the folder ``above`` whose names begin so, with when they were last written."""

    async def pieces(self, folder: str) -> list[str]:
        """Names in a log folder."""
