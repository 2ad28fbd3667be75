"""One store over obstore: whole small objects, streams of large ones, and failures in our own words."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    InvalidPathError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import ObjectStore

from audiojob_runner.errors import PhaseError, is_disk_full
from audiojob_store import trees
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason

# 10,000 parts are S3's limit for one object: 8 MiB reaches 80 GB.
CHUNK_BYTES: Final = 8 * 1024 * 1024
# One part at a time: an upload that is aborted because one of its parts failed would leave behind those that were on
# their way, unseen and for ever.
CONCURRENT_PARTS: Final = 1


def check_key(key: str) -> str:
    """The key itself if it stays inside the store. Raises :class:`PhaseError` (64) for ``..``, ``//`` and the like."""
    parts = key.split("/")
    if not key or "\0" in key or any(part in ("", ".", "..") for part in parts):
        raise PhaseError(ExitCode.USAGE, Reason.INVALID_SPEC, f"{key[:200]!r} is not a key of the store.")
    return key


@dataclass(frozen=True, slots=True)
class Store:
    """Objects by key. ``root`` is the folder of a folder store, else None. All methods raise :class:`PhaseError`.

    Other pods may write in a folder store, so what is read there is a regular file that no link leads to; anything else
    counts as absent.
    """

    objects: ObjectStore
    name: str
    root: Path | None = None

    def size(self, key: str) -> int | None:
        """Bytes of an object; None where there is none."""
        with self._failures(f"looking up {key}"):
            if self.root is not None:
                found = trees.lookup(self.root, check_key(key))
                return found.st_size if found is not None and stat.S_ISREG(found.st_mode) else None
            try:
                return obstore.head(self.objects, check_key(key))["size"]
            except FileNotFoundError:
                return None

    def read(self, key: str, limit: int) -> bytes | None:
        """A whole small object; None where there is none. Raises for more than ``limit`` bytes."""
        with self._failures(f"reading {key}"):
            try:
                if self.root is not None:
                    with _opened(self.root, check_key(key)) as file:
                        _check_size(key, os.fstat(file.fileno()).st_size, limit)
                        return file.read(limit)
                answer = obstore.get(self.objects, check_key(key))
            except FileNotFoundError:
                return None
            _check_size(key, answer.meta["size"], limit)
            return bytes(answer.bytes())

    def stream(self, key: str) -> Iterator[bytes]:
        """The content of a large object in pieces. Raises :class:`FileNotFoundError` where there is none."""
        with self._failures(f"reading {key}"):
            if self.root is not None:
                with self.open(key) as file:
                    yield from self.chunks(file, key)
                return
            for chunk in obstore.get(self.objects, check_key(key)).stream(min_chunk_size=CHUNK_BYTES):
                yield bytes(chunk)

    def open(self, key: str) -> BinaryIO:
        """A file of a folder store, to read. Raises :class:`FileNotFoundError` where there is none."""
        assert self.root is not None, "objects of a bucket are copied"
        with self._failures(f"reading {key}"):
            return _opened(self.root, check_key(key))

    def chunks(self, file: BinaryIO, key: str) -> Iterator[bytes]:
        """What is left of the file that :meth:`open` gave for ``key``, in pieces."""
        with self._failures(f"reading {key}"):
            while piece := file.read(CHUNK_BYTES):
                yield piece

    def write(self, key: str, content: bytes) -> None:
        """Write a small object as a whole: readers see all of it or nothing."""
        with self._failures(f"writing {key}"):
            if self.root is not None:
                trees.write_file(self.root, check_key(key), content)
                return
            obstore.put(self.objects, check_key(key), content, use_multipart=False)

    def create(self, key: str, content: bytes) -> bool:
        """Write a small object unless there is one; whether it was written. The server decides between two writers."""
        with self._failures(f"writing {key}"):
            try:
                obstore.put(self.objects, check_key(key), content, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return False
        self._make_durable(key)
        return True

    def copy_new(self, source: str, target: str) -> bool:
        """Copy an object within the store unless the other exists; whether it was copied."""
        with self._failures(f"writing {target}"):
            try:
                obstore.copy(self.objects, check_key(source), check_key(target), overwrite=False)
            except AlreadyExistsError:
                return False
        self._make_durable(target)
        return True

    def write_stream(self, key: str, chunks: Iterator[bytes]) -> None:
        """Write a large object; nothing stays when ``chunks`` raises half-way, and what it raised is raised here.

        In a folder the object appears when it is whole. In a bucket one that was cut short may be seen for a moment.
        """
        if self.root is not None:
            self._put_parts(key, chunks)
            self._make_durable(key)
            return
        # Aborting an upload whose parts are still on their way can leave those parts behind, unseen and for ever. So
        # the upload is brought to its end instead, with what it has, and then removed.
        source = _UntilFailure(chunks)
        try:
            self._put_parts(key, source)
        except PhaseError as error:
            raise source.failure or error from error
        if source.failure is not None:
            self.delete(key)
            raise source.failure

    def _put_parts(self, key: str, chunks: Iterator[bytes]) -> None:
        with self._failures(f"writing {key}"):
            obstore.put(
                self.objects,
                check_key(key),
                chunks,
                use_multipart=True,
                chunk_size=CHUNK_BYTES,
                max_concurrency=CONCURRENT_PARTS,
            )

    def folders(self, prefix: str) -> list[str]:
        """The keys of the folders directly below ``prefix``, sorted, without trailing slash."""
        with self._failures(f"listing {prefix}"):
            if self.root is not None:
                return [f"{prefix}/{name}" for name in trees.subfolders(self.root, check_key(prefix))]
            found = obstore.list_with_delimiter(self.objects, check_key(prefix))
            return sorted(str(path).rstrip("/") for path in found["common_prefixes"])

    def delete(self, key: str) -> None:
        """Remove an object; absent is fine."""
        with self._failures(f"deleting {key}"):
            if self.root is not None:
                trees.remove_file(self.root, check_key(key))
                return
            try:
                obstore.delete(self.objects, check_key(key))
            except FileNotFoundError:
                return

    def local_path(self, key: str) -> Path | None:
        """Where a folder store keeps the object, None for other stores. Links out of the store are refused."""
        return self.root / self.without_links(key) if self.root is not None else None

    def without_links(self, key: str) -> str:
        """The key of what ``key`` leads to, where people made links in their own folders. Links out are refused."""
        check_key(key)
        if self.root is None:
            return key
        root = self.root.resolve()
        # Python 3.11 and 3.12 answer a circle of links with RuntimeError.
        with suppress(OSError, RuntimeError):
            path = (root / key).resolve()
            if path != root and path.is_relative_to(root):
                return path.relative_to(root).as_posix()
        raise PhaseError(ExitCode.USAGE, Reason.INVALID_SPEC, f"{key} is a link that leads out of the store.")

    def _make_durable(self, key: str) -> None:
        """Force a folder store's file and name to the disk: a manifest must not outlive what it lists."""
        path = self.local_path(key)
        if path is None:
            return
        with self._failures(f"writing {key}"):
            _force_to_disk(path)

    @contextmanager
    def _failures(self, doing: str) -> Iterator[None]:
        """Turn the store's errors into :class:`PhaseError`; :class:`FileNotFoundError` and foreign errors pass."""
        try:
            yield
        except (PhaseError, FileNotFoundError):
            raise
        except (BaseError, OSError) as error:
            raise self.explained(error, doing) from error

    def explained(self, error: Exception, doing: str) -> PhaseError:
        """The store's error in our own words; ``doing`` says when it came."""
        summary = str(error).split("\n", maxsplit=1)[0][:500]
        if is_disk_full(error) or "QuotaExceeded" in str(error) or "507 Insufficient Storage" in str(error):
            return PhaseError(ExitCode.DISK_FULL, Reason.DISK_FULL, f"The store {self.name} was full while {doing}.")
        if self.root is not None and _is_refused(error):
            return PhaseError(
                ExitCode.USAGE,
                Reason.INVALID_SPEC,
                f"The store {self.name} refused {doing}: {summary}",
                "Check that the volume of claim audiojob-store is mounted writable for group 10001.",
            )
        if _is_unauthorised(error):
            return PhaseError(
                ExitCode.CREDENTIALS,
                Reason.CREDENTIALS_REFUSED,
                f"The store {self.name} refused the credentials for {doing}.",
                "Ask the administrator to check the Secret audiojob-store of this namespace.",
            )
        if isinstance(error, InvalidPathError):
            return PhaseError(ExitCode.USAGE, Reason.INVALID_SPEC, f"The store refused {doing}: {summary}")
        return PhaseError(
            ExitCode.TEMPORARY, Reason.TEMPORARY_FAILURE, f"The store {self.name} failed {doing}: {summary}"
        )


def _opened(root: Path, key: str) -> BinaryIO:
    """A regular file to read. Raises :class:`FileNotFoundError` for anything else: what is no file is absent."""
    try:
        descriptor = trees.open_file(root, key)
    except OSError as error:
        if error.errno in trees.NO_FILE:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), key) from error
        raise
    return os.fdopen(descriptor, "rb")


def _check_size(key: str, size: int, limit: int) -> None:
    if size > limit:
        raise PhaseError(
            ExitCode.USAGE, Reason.CHECKSUM_MISMATCH, f"{key} has {size} bytes; at most {limit} are expected."
        )


class _UntilFailure:
    """Chunks that end, instead of raising, at the first failure; it is kept in ``failure``."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self.failure: Exception | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._chunks)
        except StopIteration:
            raise
        except Exception as error:
            self.failure = error
            raise StopIteration from error


def _is_refused(error: Exception) -> bool:
    """Whether a folder is read-only or not ours."""
    if isinstance(error, PermissionDeniedError):
        return True
    if isinstance(error, OSError):
        return error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
    return "Permission denied" in str(error) or "Read-only file system" in str(error)


def _is_unauthorised(error: Exception) -> bool:
    """Whether an object store refused who we are. Listings report it without a type of its own, by status alone."""
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return True
    return "status code: 401" in str(error) or "status code: 403" in str(error)


def _force_to_disk(path: Path) -> None:
    """Flush a file's content and its name, so that both survive a crash of the node."""
    for target in (path, path.parent):
        descriptor = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
