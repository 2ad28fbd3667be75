"""Libraries: where published files stay. A file appears whole or not at all, and none is overwritten."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Final, Protocol

from audiojob_runner.errors import PhaseError, is_disk_full
from audiojob_runner.store import Store
from audiojob_runner.store.base import CHUNK_BYTES, check_key
from audiojob_store import trees
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason

# One copy within S3 takes 5 GiB at most.
MAX_COPY_BYTES: Final = 5 * 1024**3
# Files that are not whole yet: hidden, and ours by their name. Those of a process that died stay for a day.
PART_PREFIX: Final = ".audiojob-"
PART_SUFFIX: Final = ".part"
STALE_PART_SECONDS: Final = 86_400

_NO_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EINVAL})
_RENAME_NOREPLACE: Final = 1


class Added(Enum):
    """What became of a file that was to be added."""

    NEW = auto()
    ALREADY_THERE = auto()  # the same bytes under the same name
    TAKEN = auto()  # other bytes under that name, which stay


@dataclass(frozen=True, slots=True)
class Piece:
    """A local file with its sha256. ``on_bytes`` is called for each piece that is copied, and may raise."""

    path: Path
    sha256: str
    on_bytes: Callable[[int], None]

    @property
    def size(self) -> int:
        """Bytes."""
        return self.path.stat().st_size

    def chunks(self) -> Iterator[bytes]:
        """The content. Raises :class:`PhaseError` (ChecksumMismatch) at the end if it is not what was promised."""
        digest = hashlib.sha256()
        with self.path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
                self.on_bytes(len(chunk))
                yield chunk
        if digest.hexdigest() != self.sha256:
            raise PhaseError(
                ExitCode.TEMPORARY,
                Reason.CHECKSUM_MISMATCH,
                f"{self.path.name} changed while it was published: its sha256 differs.",
                "If it happens again, check the disk.",
            )


class Library(Protocol):
    """Where files are added by their key, which is relative to the library."""

    def add(self, key: str, piece: Piece) -> Added:
        """Put the file there unless the name is taken. Raises :class:`PhaseError`; then nothing can be seen of it."""


@dataclass(frozen=True, slots=True)
class FolderLibrary:
    """A mounted folder. Readers never see a part: a file gets its name when it is whole and on the disk."""

    root: Path
    name: str

    def add(self, key: str, piece: Piece) -> Added:
        """See :class:`Library`."""
        above, _, name = check_key(key).rpartition("/")
        try:
            # Others write here too: everything is done below the descriptor of the folder, whatever its way is by then.
            with trees.folder(self.root, self._without_links(above), create=True) as folder:
                return self._add(folder, name, piece)
        except PhaseError:
            raise
        except OSError as error:
            raise self._explained(error, key) from error

    def _without_links(self, key: str) -> str:
        """What the folder's key leads to: people may have made links in their library, but none that leads out."""
        root = self.root.resolve()
        place = root
        for part in filter(None, key.split("/")):
            try:
                place = (place / part).resolve()
            except RuntimeError as error:  # how Python 3.11 and 3.12 answer a circle of links
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), part) from error
            if not place.is_relative_to(root):
                raise PhaseError(
                    ExitCode.USAGE,
                    Reason.INVALID_SPEC,
                    f"{part} is a link that leads out of library {self.name}.",
                    "Ask the administrator to make it a folder.",
                )
        return "" if place == root else place.relative_to(root).as_posix()

    def _add(self, folder: int, name: str, piece: Piece) -> Added:
        if (found := self._compare(folder, name, piece)) is not None:
            return found
        _remove_stale_parts(folder)
        part = f"{PART_PREFIX}{secrets.token_hex(8)}{PART_SUFFIX}"
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                for chunk in piece.chunks():
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            try:
                rename_new(part, name, folder)
            except FileExistsError:  # somebody was faster
                return self._compare(folder, name, piece) or Added.TAKEN
        finally:
            with suppress(FileNotFoundError):
                os.unlink(part, dir_fd=folder)
        _force_names(folder)
        return Added.NEW

    def _compare(self, folder: int, name: str, piece: Piece) -> Added | None:
        """What the name holds already; None if nothing."""
        try:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(status.st_mode) or status.st_size != piece.size:
            return Added.TAKEN
        digest = hashlib.sha256()
        with os.fdopen(trees.open_in(folder, name), "rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
                piece.on_bytes(0)
        return Added.ALREADY_THERE if digest.hexdigest() == piece.sha256 else Added.TAKEN

    def _explained(self, error: OSError, key: str) -> PhaseError:
        if is_disk_full(error):
            return PhaseError(
                ExitCode.DISK_FULL, Reason.DISK_FULL, f"Library {self.name} is full: {key} is not written."
            )
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return PhaseError(
                ExitCode.USAGE,
                Reason.INVALID_SPEC,
                f"Library {self.name} cannot be written: {error.strerror}.",
                "Ask the administrator to make the library's volume writable for group 10001.",
            )
        if error.errno in (errno.ENOTDIR, errno.EEXIST):
            return PhaseError(
                ExitCode.USAGE,
                Reason.INVALID_SPEC,
                f"Library {self.name} has a file where {key} needs a folder.",
                "Choose another layout, or rename that file.",
            )
        return PhaseError(
            ExitCode.TEMPORARY,
            Reason.TEMPORARY_FAILURE,
            f"Writing {key} to library {self.name} failed: {error.strerror}.",
        )


@dataclass(frozen=True, slots=True)
class BucketLibrary:
    """A prefix of a bucket. The server itself refuses to replace an object (conditional writes)."""

    store: Store
    name: str

    def add(self, key: str, piece: Piece) -> Added:
        """See :class:`Library`."""
        size = piece.size
        if size > MAX_COPY_BYTES:  # an upload in parts takes no condition, and might replace somebody's file
            raise PhaseError(
                ExitCode.USAGE,
                Reason.TOO_LARGE,
                f"{key} has {size} bytes; a library in a bucket takes at most {MAX_COPY_BYTES} bytes a file.",
                "Use a library on a volume for it.",
            )
        if (found := self._compare(key, piece, size)) is not None:
            return found
        if size <= CHUNK_BYTES:
            created = self.store.create(key, b"".join(piece.chunks()))
        else:
            created = self._add_large(key, piece)
        if created:
            return Added.NEW
        return self._compare(key, piece, size) or Added.TAKEN

    def _add_large(self, key: str, piece: Piece) -> bool:
        """Upload in parts under a name that nobody looks at, then a copy on the server's side, on condition."""
        part = f"{PART_PREFIX}parts/{secrets.token_hex(16)}{PART_SUFFIX}"
        self.store.write_stream(part, piece.chunks())
        try:
            return self.store.copy_new(part, key)
        finally:
            with suppress(PhaseError):
                self.store.delete(part)

    def _compare(self, key: str, piece: Piece, size: int) -> Added | None:
        found = self.store.size(key)
        if found is None:
            return None
        if found != size:
            return Added.TAKEN
        digest = hashlib.sha256()
        try:
            for chunk in self.store.stream(key):
                digest.update(chunk)
                piece.on_bytes(0)
        except FileNotFoundError:  # removed a moment ago
            return None
        return Added.ALREADY_THERE if digest.hexdigest() == piece.sha256 else Added.TAKEN


def open_library(store: Store, name: str) -> Library:
    """The library that lies in ``store``."""
    return FolderLibrary(store.root, name) if store.root is not None else BucketLibrary(store, name)


def rename_new(source: str, target: str, folder: int) -> None:
    """Give a file another name, never one that is taken. Raises :class:`FileExistsError`, or another OSError.

    Both are names in the folder of the descriptor.
    """
    try:
        os.link(source, target, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _rename_no_replace(source, target, folder)
        return
    os.unlink(source, dir_fd=folder)


def _rename_no_replace(source: str, target: str, folder: int) -> None:
    """renameat2(2), for file systems without hard links."""
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = (folder, os.fsencode(source), folder, os.fsencode(target), _RENAME_NOREPLACE)
    if libc.renameat2(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


def _remove_stale_parts(folder: int) -> None:
    """Parts that a killed process left behind."""
    oldest = time.time() - STALE_PART_SECONDS
    for name in os.listdir(folder):
        if name.startswith(PART_PREFIX) and name.endswith(PART_SUFFIX):
            with suppress(OSError):
                if os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime < oldest:
                    os.unlink(name, dir_fd=folder)


def _force_names(folder: int) -> None:
    """Names must survive a crash of the node as the files do: that of the file, and that of a folder that is new."""
    os.fsync(folder)
    above = os.open("..", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.fsync(above)
    finally:
        os.close(above)
