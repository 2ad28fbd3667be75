"""A job and its file in one request: the file goes on while it comes, and is removed where the job is refused."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from typing import Final

from audiojob_api.files import uploads
from audiojob_api.files.multipart import Part, Parts, malformed
from audiojob_api.files.ports import Files
from audiojob_api.problems import Problem, invalid_field
from audiojob_store.ticket import MAX_UPLOAD_BYTES, UploadState, Verb

JOB_PART: Final = "job"
FILE_PART: Final = "file"
_MAX_NAME: Final = 255
_MAX_TYPE: Final = 100
_MAX_REST: Final = 2 * 1024 * 1024  # of a body beside its file: the job and the heads of both parts
_CREATED: Final = 201


@dataclass(frozen=True, slots=True)
class Sent:
    """The upload that a file has become; ``new`` is false where an earlier request with the same key sent it."""

    state: UploadState
    new: bool


@dataclass(frozen=True, slots=True)
class Coming:
    """A file that is about to come, as the upload of this id. ``most`` is the most that it may have: it is known
    exactly once all of it came.
    """

    upload: str
    name: str
    media_type: str
    most: int


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends the file of one request. ``digest`` names its idempotency key: the same key is the same upload."""

    files: Files
    namespace: str
    username: str
    digest: str | None

    def _upload(self) -> str:
        """The id that the key fixes, else a new one."""
        if self.digest is None:
            return uploads.new_id()
        return f"up-{hashlib.sha256(f'one-shot/{self.namespace}/{self.digest}'.encode()).hexdigest()[:32]}"

    def announce(self, part: Part, length: int, largest: int | None) -> Coming:
        """The file that stands next in a body of this length. Raises a 413 or 422 Problem."""
        most = MAX_UPLOAD_BYTES if largest is None else min(MAX_UPLOAD_BYTES, largest)
        _check(part, length, most)
        return Coming(self._upload(), part.filename or "", (part.media_type or _NO_TYPE).lower(), min(length, most))

    async def send(self, coming: Coming, parts: Parts) -> Sent:
        """Send it. Raises a Problem; then no upload is left."""
        content = _Content(parts)
        claims = {"size": coming.most, "name": coming.name, "type": coming.media_type}
        wanted = uploads.call(self.namespace, coming.upload, Verb.WHOLE, self.username, **claims)
        try:
            async with self.files.open(replace(wanted, body=content.pieces())) as answer:
                return Sent(await uploads.state_of(answer), answer.status == _CREATED)
        except Problem:
            if content.failure is not None:  # the service saw only that the body broke off
                raise content.failure from None
            raise

    async def remove(self, sent: Sent) -> bool:
        """No job was made of it: it goes, unless an earlier request sent it, whose job may read it. Whether it went."""
        if sent.new:
            async with self.files.open(uploads.call(self.namespace, sent.state.id, Verb.DELETE, self.username)):
                return True
        return False


_NO_TYPE: Final = "application/octet-stream"


class _Content:
    """A file's bytes. Where they fail, the request to the service breaks off: no half file is taken for whole."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.failure: Exception | None = None

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        try:
            async for piece in self._parts.content():
                yield piece
            if await self._parts.head() is not None:
                raise malformed(f"{FILE_PART} must be its last part")
        except Exception as error:
            self.failure = error
            raise


def _check(part: Part, length: int, most: int) -> None:
    if part.filename is None or len(part.filename) > _MAX_NAME:
        raise invalid_field(FILE_PART, f"must be a file, with a name of at most {_MAX_NAME} characters")
    if len(part.media_type or "") > _MAX_TYPE:
        raise invalid_field(FILE_PART, f"its Content-Type may have at most {_MAX_TYPE} characters")
    if length > most + _MAX_REST:
        raise Problem(413, "upload-too-large", f"{FILE_PART}: may have at most {most} bytes.")
