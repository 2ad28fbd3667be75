"""Takes in a whole file by one request, whose length is known only when it ends: an upload, or nothing."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import ParamSpec, TypeVar

from aiohttp import StreamReader, web

from audiojob_files.refusals import Refusal
from audiojob_files.uploads.receiving import Turns, blocks_of
from audiojob_files.uploads.record import Record
from audiojob_files.uploads.store import UploadStore
from audiojob_store.ticket import PART_BYTES, Ticket, UploadState

_P = ParamSpec("_P")
_T = TypeVar("_T")


class WholeReceiver:
    """Whole files. The same id again is the same file, whatever was lost of the first answer: its maker may repeat.

    ``turns`` are those of uploads by their ids, and of making one.
    """

    def __init__(self, uploads: UploadStore, turns: Turns) -> None:
        self._uploads = uploads
        self._turns = turns

    async def receive(self, request: web.Request, ticket: Ticket) -> tuple[UploadState, bool]:
        """The complete upload, and whether it is new.

        Raises a :class:`Refusal` as soon as the file cannot be right; then nothing of it stays.
        """
        async with self._turns.of(ticket.key):
            record = await asyncio.to_thread(self._complete_one, ticket)
            if record is not None:
                return await self._compare(request.content, record, ticket), False
            try:
                return await self._take(request.content, ticket), True
            except BaseException:
                await _to_its_end(self._uploads.forget, ticket.key)
                raise

    def _complete_one(self, ticket: Ticket) -> Record | None:
        try:
            record, complete = self._uploads.find(ticket.key, ticket.owner)
        except Refusal:
            return None
        if not complete:  # of an earlier request that broke off with its process
            self._uploads.forget(ticket.key)
            return None
        return record

    async def _compare(self, body: StreamReader, record: Record, ticket: Ticket) -> UploadState:
        digest, taken = hashlib.sha256(), 0
        async for block in blocks_of(body):
            await asyncio.to_thread(digest.update, block)
            taken += len(block)
            if taken > record.bytes:
                break
        if digest.hexdigest() != record.sha256:
            detail = "This file came before under the same Idempotency-Key, with other bytes; use another key."
            raise Refusal(422, "upload-differs", detail)
        return await asyncio.to_thread(self._uploads.use, ticket.key, ticket.owner)

    async def _take(self, body: StreamReader, ticket: Ticket) -> UploadState:
        uploads, most = self._uploads, ticket.size or 0
        async with self._turns.of("create"):
            await asyncio.to_thread(uploads.create, ticket, datetime.now(UTC))
        with uploads.writing(ticket.key) as descriptor:
            came = _Came(descriptor)
            async for block in blocks_of(body):
                if came.bytes + len(block) > most:
                    raise Refusal(413, "upload-too-large", f"The file has more than the {most} bytes that were told.")
                await _to_its_end(came.put, block)
        if not came.bytes:
            raise Refusal(422, "empty-upload", "The file has no bytes; send one that has some.")
        return await _to_its_end(self._finish, ticket, came)

    def _finish(self, ticket: Ticket, came: _Came) -> UploadState:
        for number, sha256 in enumerate(came.parts(), 1):
            self._uploads.keep(ticket.key, number, sha256)
        self._uploads.shrink(ticket.key, ticket.owner, came.bytes)
        return self._uploads.complete(ticket.key, ticket.owner, datetime.now(UTC))


class _Came:
    """What has come, hashed by parts as if they had come one by one."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._digests: list[hashlib._Hash] = []
        self.bytes = 0

    def put(self, block: bytes) -> None:
        """Write a block behind what is there."""
        left = memoryview(block)
        while left:
            if self.bytes % PART_BYTES == 0:
                self._digests.append(hashlib.sha256())
            room = PART_BYTES - self.bytes % PART_BYTES
            written = os.pwrite(self._descriptor, left[:room], self.bytes)
            self._digests[-1].update(left[:written])
            left, self.bytes = left[written:], self.bytes + written

    def parts(self) -> list[str]:
        """The sha256 of each part."""
        return [each.hexdigest() for each in self._digests]


async def _to_its_end(work: Callable[_P, _T], *arguments: _P.args, **named: _P.kwargs) -> _T:
    """Run this in a thread, and leave only when it is done: it holds what the caller would close or remove."""
    task = asyncio.create_task(asyncio.to_thread(work, *arguments, **named))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
