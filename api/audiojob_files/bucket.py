"""The bucket of a namespace's files, in the words of this service: absent is None, and failures are refusals."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final

import obstore
from obstore.exceptions import BaseError, InvalidPathError, PermissionDeniedError, UnauthenticatedError
from obstore.store import ObjectStore

from audiojob_files.refusals import RETRY_SECONDS, Refusal, full

if TYPE_CHECKING:
    from obstore import GetOptions, ObjectMeta

_log = logging.getLogger(__name__)

_CHUNK_BYTES: Final = 16 * 1024 * 1024  # 10,000 of them are the most that one object has
_ATTACHMENT: Final = "attachment"  # should somebody open it in a browser, at the bucket's own address


class Bucket:
    """Objects by key. What blocks is for threads; what does not is named ``…_soon``."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    def read(self, key: str, most: int) -> bytes | None:
        """A small object; None where there is none, or a larger one."""
        with failures(f"reading {key}"):
            try:
                answer = obstore.get(self._objects, key)
            except (FileNotFoundError, InvalidPathError):
                return None
            return bytes(answer.bytes()) if answer.meta["size"] <= most else None

    def stream(self, key: str, size: int) -> Iterator[bytes]:
        """The content, in blocks."""
        with failures(f"reading {key}"):
            for start in range(0, size, _CHUNK_BYTES):
                wanted: GetOptions = {"range": (start, min(start + _CHUNK_BYTES, size))}
                yield bytes(obstore.get(self._objects, key, options=wanted).bytes())

    def head(self, key: str) -> ObjectMeta | None:
        """What is known of an object; None where there is none."""
        with failures(f"looking up {key}"):
            try:
                return obstore.head(self._objects, key)
            except (FileNotFoundError, InvalidPathError):
                return None

    def write(self, key: str, content: bytes) -> None:
        """Write a small object."""
        with failures(f"writing {key}"):
            obstore.put(self._objects, key, content, use_multipart=False)

    def write_file(self, key: str, file: BinaryIO, media_type: str) -> None:
        """Write a large one; it is there once all of it is."""
        with failures(f"writing {key}"):
            obstore.put(
                self._objects, key, file, use_multipart=True, chunk_size=_CHUNK_BYTES, max_concurrency=1,
                attributes={"Content-Type": media_type, "Content-Disposition": _ATTACHMENT},
            )  # fmt: skip

    def copy(self, source: str, target: str) -> None:
        """Copy within the bucket; at most 5 GiB."""
        with failures(f"writing {target}"):
            obstore.copy(self._objects, source, target)

    def delete(self, key: str) -> None:
        """Remove an object; absent is fine."""
        with failures(f"removing {key}"):
            try:
                obstore.delete(self._objects, key)
            except FileNotFoundError:
                return

    def below(self, prefix: str) -> list[ObjectMeta]:
        """All objects below a folder."""
        with failures(f"listing {prefix}"):
            return [each for batch in obstore.list(self._objects, prefix) for each in batch]

    async def head_soon(self, key: str) -> ObjectMeta | None:
        """As :meth:`head`."""
        with failures(f"looking up {key}"):
            try:
                return await obstore.head_async(self._objects, key)
            except (FileNotFoundError, InvalidPathError):
                return None

    async def block_soon(self, found: ObjectMeta, start: int, end: int) -> bytes:
        """Bytes of an object from ``start`` to before ``end``, if it is still the one that was found."""
        wanted: GetOptions = {"range": (start, end)}
        if found["e_tag"]:
            wanted["if_match"] = found["e_tag"]
        with failures(f"reading {found['path']}"):
            answer = await obstore.get_async(self._objects, found["path"], options=wanted)
            return bytes(await answer.bytes_async())

    async def folder_soon(self, prefix: str) -> tuple[list[str], list[ObjectMeta]]:
        """Folders and objects directly below a folder."""
        with failures(f"listing {prefix}"):
            found = await obstore.list_with_delimiter_async(self._objects, prefix)
            return [str(each).rstrip("/") for each in found["common_prefixes"]], list(found["objects"])


@contextmanager
def failures(doing: str) -> Iterator[None]:
    """What the bucket or its client says becomes a 503 or 507 :class:`Refusal`, and a line of the log."""
    try:
        yield
    except (BaseError, OSError) as error:
        text = str(error).partition("\n")[0][:500]
        if "QuotaExceeded" in str(error) or "507 Insufficient Storage" in str(error):
            raise full() from error
        if isinstance(error, PermissionDeniedError | UnauthenticatedError):
            text = "the bucket refuses our credentials; look at the Secret audiojob-store"
        _log.error("The bucket failed %s: %s", doing, text)
        raise Refusal(503, "store-failed", "The store does not answer.", {"Retry-After": str(RETRY_SECONDS)}) from error
