"""Sends a zip while it is made: no temporary file, no copy in memory."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from aiohttp import web

from audiojob_files.refusals import Refusal
from audiojob_files.serving import zip_layout
from audiojob_files.serving.contents import Contents
from audiojob_files.serving.sending import Answer, Content
from audiojob_store.ticket import ZipEntry

_KNOWN: Final = 10_000


@dataclass(slots=True)
class Checksums:
    """crc32 of files whose manifest has none, by what names their content; the last ones that were asked for."""

    contents: Contents
    _known: OrderedDict[str, int] = field(default_factory=OrderedDict)

    async def of(self, entry: ZipEntry) -> int:
        """From the manifest, from memory, else read from the file."""
        if entry.crc32 is not None:
            return int(entry.crc32, 16)
        if entry.sha256 not in self._known:
            async with self.contents.opened(entry.key, entry.bytes) as file:
                self._known[entry.sha256] = await file.crc32()
            while len(self._known) > _KNOWN:
                self._known.popitem(last=False)
        return self._known[entry.sha256]


@dataclass(frozen=True, slots=True)
class Zip:
    """A zip that is asked for: its files under names that no two share, and the time that all of them bear."""

    files: tuple[ZipEntry, ...]
    entries: tuple[zip_layout.Entry, ...]
    when: datetime

    @classmethod
    def of(cls, files: Sequence[ZipEntry], when: datetime) -> Zip:
        """With names made harmless."""
        names = zip_layout.unique_names([each.name for each in files])
        entries = [zip_layout.Entry(name.encode(), each.bytes) for name, each in zip(names, files, strict=True)]
        return cls(tuple(files), tuple(entries), when)

    def content(self, name: str) -> Content:
        """What the answer is about. Equal files under equal names are the same zip."""
        digest = hashlib.sha256(self.when.isoformat().encode())
        for file, entry in zip(self.files, self.entries, strict=True):
            digest.update(b"\0" + file.sha256.encode() + entry.name)
        return Content(zip_layout.total(self.entries), name, "application/zip", digest.hexdigest())

    async def send(self, request: web.Request, answer: Answer, checksums: Checksums) -> None:
        """The part that the request wants. Files of which it wants nothing are not opened."""
        part = await answer.begin(request)
        if part is None:
            return
        try:
            await self._send(request, answer, part, checksums)
        except Refusal as refusal:  # the head was sent: the connection is all that can end
            raise ConnectionAbortedError(refusal.detail) from refusal
        await answer.write_eof()

    async def _send(self, request: web.Request, answer: Answer, part: tuple[int, int], checksums: Checksums) -> None:
        first, length = part
        async with aclosing(self._blocks(first, first + length, checksums)) as blocks:
            async for block in blocks:
                if isinstance(block, bytes):
                    await answer.write(block)
                    continue
                file, offset, count = block
                async with checksums.contents.opened(file.key, file.bytes) as source:
                    await source.send(request, answer, offset, count)

    async def _blocks(
        self, first: int, end: int, checksums: Checksums
    ) -> AsyncGenerator[bytes | tuple[ZipEntry, int, int], None]:
        """Bytes of ours, and pieces of files (offset, length), of the zip's bytes from ``first`` to before ``end``."""
        at = 0
        for file, entry in zip(self.files, self.entries, strict=True):
            if at >= end:
                return
            size = entry.local_bytes
            if first < at + size:
                head = zip_layout.local(entry, await checksums.of(file), self.when)
                yield head[max(0, first - at) : end - at]
            at += size
            low, high = max(first - at, 0), min(end - at, entry.size)
            if low < high:
                yield file, low, high - low
            at += entry.size
        if at < end:
            crcs = [await checksums.of(file) for file in self.files]
            listed = zip_layout.directory(self.entries, crcs, self.when)
            yield listed[max(0, first - at) : end - at]
