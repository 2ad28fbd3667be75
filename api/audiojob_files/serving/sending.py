"""Sends bytes and pieces of files as one answer, by sendfile: nothing of a file is in our memory."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from aiohttp import web

from audiojob_files.refusals import Refusal
from audiojob_files.serving import headers, ranges
from audiojob_store import trees

_log = logging.getLogger(__name__)

_ABSENT: Final = trees.NO_FILE | {errno.ENOENT, errno.ENAMETOOLONG}
_AT_ONCE: Final = 64 * 1024 * 1024  # of one call of sendfile: a client that leaves is noticed in between


@dataclass(frozen=True, slots=True)
class Slice:
    """A piece of an open file."""

    file: BinaryIO
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Content:
    """What an answer is about: its size, its name, its type, and the sha256 that names the content."""

    size: int
    name: str
    type: str
    sha256: str


@contextmanager
def opened(root: Path, key: str, size: int | None) -> Iterator[BinaryIO]:
    """A file that no link leads to. Raises a 404 :class:`Refusal` for what is no file, or has another size."""
    try:
        descriptor = trees.open_file(root, key)
    except OSError as error:
        if error.errno in trees.NO_FILE:  # somebody put a link or a pipe where a runner had published a file
            _log.warning("%r is no file of the store and is not served: %s", key, error.strerror)
        if error.errno in _ABSENT:
            raise Refusal(404, "no-such-file", "There is no such file in the store.") from error
        raise
    with os.fdopen(descriptor, "rb") as file:
        if size is not None and os.fstat(descriptor).st_size != size:
            raise Refusal(404, "changed-file", "The file in the store has another size than when it was published.")
        yield file


class Answer(web.StreamResponse):
    """200, 206, 304 or 416 for one content; :meth:`begin` says which bytes follow."""

    def __init__(self, content: Content) -> None:
        super().__init__(headers=dict(headers.SAFE))
        kind = headers.media_type(content.type)
        self.content_type = kind
        self.headers["ETag"] = headers.etag(content.sha256)
        self.headers["Content-Disposition"] = headers.disposition(content.name, kind)
        self._size = content.size

    async def begin(self, request: web.Request) -> tuple[int, int] | None:
        """Send the head; first byte and length of what follows, None where nothing does."""
        tag = self.headers["ETag"]
        if ranges.is_unchanged(request.headers.get("If-None-Match"), tag):
            self.set_status(304)
            await self.prepare(request)
            return None
        asked = request.headers.get("Range") if ranges.range_counts(request.headers.get("If-Range"), tag) else None
        if len(request.headers.getall("Range", ())) > 1:
            asked = "several"
        try:
            part = ranges.wanted(asked, self._size)
        except ranges.UnsatisfiableError:
            raise _unsatisfiable(self._size) from None
        first, length = part or (0, self._size)
        if part is not None:
            self.set_status(206)
            self.headers["Content-Range"] = f"bytes {first}-{first + length - 1}/{self._size}"
        self.content_length = length
        await self.prepare(request)
        return None if request.method == "HEAD" else (first, length)

    async def send_file(self, request: web.Request, piece: Slice) -> None:
        """Hand a piece of a file to the kernel. Raises ConnectionError once the client has gone, or the file is cut."""
        loop, offset, left = asyncio.get_running_loop(), piece.offset, piece.length
        assert self._payload_writer is not None, "the head was sent"
        self._payload_writer.send_headers()
        while left:
            if request.transport is None or request.transport.is_closing():
                raise ConnectionResetError("The client has gone")
            sent = await loop.sendfile(request.transport, piece.file, offset, min(left, _AT_ONCE))
            if sent == 0:
                raise ConnectionAbortedError("The file has become shorter")
            offset, left = offset + sent, left - sent


def _unsatisfiable(size: int) -> Refusal:
    detail = f"Ask for one range within 0-{max(0, size - 1)}, as bytes=0-99; several at once are not served."
    return Refusal(416, "range-not-satisfiable", detail, {"Content-Range": f"bytes */{size}"})
