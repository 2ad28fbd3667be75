"""Takes in a part: hashed and written while it comes, and there once its digest is right."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from aiohttp import StreamReader, web

from audiojob_files.refusals import Refusal
from audiojob_files.uploads.behind import Behind
from audiojob_files.uploads.record import Record, digest_of
from audiojob_files.uploads.store import UploadStore
from audiojob_store.ticket import PART_BYTES, Ticket, part_size

_BLOCK_BYTES: Final = 512 * 1024
_WAITING_BYTES: Final = 1024 * 1024


@dataclass(slots=True)
class Turns:
    """One at a time for each key; keys that nobody waits for are forgotten."""

    _locks: dict[object, tuple[asyncio.Lock, list[None]]] = field(default_factory=dict)

    @asynccontextmanager
    async def of(self, key: object) -> AsyncIterator[None]:
        """Wait for the turn."""
        lock, users = self._locks.setdefault(key, (asyncio.Lock(), []))
        users.append(None)
        try:
            async with lock:
                yield
        finally:
            users.pop()
            if not users:
                self._locks.pop(key, None)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an upload that is to come."""

    upload: str
    number: int
    size: int
    digest: str | None


class Receiver:
    """Parts of uploads. Two requests for one part take turns: the second is compared with the first."""

    def __init__(self, uploads: UploadStore) -> None:
        self._uploads = uploads
        self._turns = Turns()

    async def receive(self, request: web.Request, ticket: Ticket) -> str:
        """Take in a part; its sha256. Raises a :class:`Refusal` as soon as the request cannot be right."""
        number = ticket.part or 0
        async with self._turns.of((ticket.key, number)):
            record, there = await asyncio.to_thread(self._look, ticket, number)
            size = part_size(record.bytes, number)
            if not size:
                detail = f"The upload has no part {number}; parts have {PART_BYTES} bytes each."
                raise Refusal(404, "no-such-part", detail)
            check_length(request.content_length, number, size)
            part = Part(record.id, number, size, digest_of(request.headers.get("Content-Digest")))
            if there is not None:
                return await _compare(request.content, part, there)
            return await self._write(request.content, part)

    def _look(self, ticket: Ticket, number: int) -> tuple[Record, str | None]:
        """The upload, and the sha256 of the part if it is there. All in one turn of a thread."""
        record, complete = self._uploads.find(ticket.key, ticket.owner)
        if complete:
            raise Refusal(409, "upload-complete", "The upload is complete; it takes no part.")
        return record, self._uploads.part(record.id, number)

    async def _write(self, body: StreamReader, part: Part) -> str:
        with self._uploads.writing(part.upload) as descriptor:
            sha256 = await _take(body, part, descriptor)
        _check_digest(part, sha256)
        await asyncio.to_thread(self._uploads.keep, part.upload, part.number, sha256)
        return sha256


async def _compare(body: StreamReader, part: Part, there: str) -> str:
    """The same bytes again are fine, whatever was lost of the first answer."""
    sha256 = await _take(body, part, None)
    _check_digest(part, sha256)
    if sha256 != there:
        raise Refusal(409, "part-differs", f"Part {part.number} is there with other bytes; make another upload.")
    return there


def _check_digest(part: Part, sha256: str) -> None:
    """Bytes that broke on their way say nothing of the file: not that it differs from what is there, either."""
    if part.digest not in (None, sha256):
        raise Refusal(422, "checksum-mismatch", f"Part {part.number} has not the Content-Digest; send it again.")


async def _take(body: StreamReader, part: Part, descriptor: int | None) -> str:
    """The sha256 of the body, which has exactly the part's size. A thread hashes and writes what came before."""
    to = _Place(descriptor, (part.number - 1) * PART_BYTES)
    behind, taken = Behind(to.put, _WAITING_BYTES), 0
    try:
        async for piece, _ in body.iter_chunks():
            taken += len(piece)
            if taken > part.size:
                raise _larger(part.number, part.size)
            await behind.put(piece)
        await behind.end()
    finally:
        await behind.drop()
    if taken < part.size:
        raise _shorter(part.number, taken, part.size)
    return to.sha256


class _Place:
    """Where the bytes of a part go, and their sha256. Without a descriptor they are only hashed."""

    def __init__(self, descriptor: int | None, offset: int) -> None:
        self._descriptor, self._offset = descriptor, offset
        self._digest = hashlib.sha256()

    def put(self, piece: bytes) -> None:
        """The bytes that follow."""
        self._digest.update(piece)
        left = memoryview(piece)
        while self._descriptor is not None and left:
            written = os.pwrite(self._descriptor, left, self._offset)
            left, self._offset = left[written:], self._offset + written

    @property
    def sha256(self) -> str:
        """Of what was put so far."""
        return self._digest.hexdigest()


async def blocks_of(body: StreamReader) -> AsyncIterator[bytes]:
    """Blocks of a size that is worth a thread."""
    waiting, size = [], 0
    async for piece, _ in body.iter_chunks():  # not joined, as iter_any does, only to be joined again
        waiting.append(piece)
        size += len(piece)
        if size >= _BLOCK_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


def check_length(declared: int | None, number: int, size: int) -> None:
    """What a header says already. Raises a 413 or 422 :class:`Refusal`."""
    if declared is not None and declared > size:
        raise _larger(number, size)
    if declared is not None and declared < size:
        raise _shorter(number, declared, size)


def _larger(number: int, size: int) -> Refusal:
    return Refusal(413, "part-too-large", f"Part {number} has {size} bytes; more than that came.")


def _shorter(number: int, came: int, size: int) -> Refusal:
    return Refusal(422, "part-too-small", f"Part {number} has {size} bytes; {came} came.")
